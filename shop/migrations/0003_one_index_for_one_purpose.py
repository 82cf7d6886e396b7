"""Drops what another index covers, and gives the rest their names.

Django's own steps would build each unique index anew and check each foreign key, with the tables locked for a minute per million orders.
All of this is a change of names and takes no time on tables of any size.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


# Table, column, name, and the second index that Django keeps of a unique text, for searches by its beginning.
UNIQUE = [
    ("shop_couponrecord", "number", "coupon_record_number", "shop_couponrecord_number_88e2855a_like"),
    ("shop_ledgertransfer", "key", "transfer_key", "shop_ledgertransfer_key_244a9623_like"),
    ("shop_order", "order_number", "order_number_unique", "shop_order_order_number_b27cffb7_like"),
    ("shop_orderrequest", "order_number", "order_request_number", "shop_orderrequest_order_number_469b6980_like"),
]
# Table, column, and the index of a foreign key whose column another index begins with.
COVERED = [
    ("shop_couponrecord", "account_id", "shop_couponrecord_account_id_a56cc1c5"),
    ("shop_couponrecord", "coupon_id", "shop_couponrecord_coupon_id_6b98f735"),
    ("shop_enrolment", "account_id", "shop_enrolment_account_id_e3da2851"),
    ("shop_ledgertransfer", "account_id", "shop_ledgertransfer_account_id_d112b904"),
    ("shop_ledgertransfer", "order_id", "shop_ledgertransfer_order_id_0562afe1"),
    ("shop_order", "account_id", "shop_order_account_id_01539d85"),
    ("shop_orderevent", "order_id", "shop_orderevent_order_id_c5414ca2"),
    ("shop_orderline", "order_id", "shop_orderline_order_id_8ad562c5"),
    ("shop_orderrequest", "account_id", "shop_orderrequest_account_id_8dcaabbd"),
]
FORWARD = [
    *(f"ALTER TABLE {table} RENAME CONSTRAINT {table}_{column}_key TO {name}" for table, column, name, _ in UNIQUE),
    *(f"DROP INDEX {index}" for *_, index in [*UNIQUE, *COVERED]),
]
BACKWARD = [
    *(f"ALTER TABLE {table} RENAME CONSTRAINT {name} TO {table}_{column}_key" for table, column, name, _ in UNIQUE),
    *(f"CREATE INDEX {index} ON {table} ({column} varchar_pattern_ops)" for table, column, _, index in UNIQUE),
    *(f"CREATE INDEX {index} ON {table} ({column})" for table, column, index in COVERED),
]


class Migration(migrations.Migration):
    dependencies = [
        ('shop', '0002_append_only'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.AlterField(
                    model_name='couponrecord',
                    name='account',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='coupon_records', to=settings.AUTH_USER_MODEL, verbose_name='持有者'),
                ),
                migrations.AlterField(
                    model_name='couponrecord',
                    name='coupon',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='records', to='shop.coupon', verbose_name='活动'),
                ),
                migrations.AlterField(
                    model_name='couponrecord',
                    name='number',
                    field=models.CharField(max_length=64, verbose_name='券号'),
                ),
                migrations.AlterField(
                    model_name='enrolment',
                    name='account',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='enrolments', to=settings.AUTH_USER_MODEL, verbose_name='账户'),
                ),
                migrations.AlterField(
                    model_name='ledgertransfer',
                    name='account',
                    field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='transfers', to=settings.AUTH_USER_MODEL, verbose_name='账户'),
                ),
                migrations.AlterField(
                    model_name='ledgertransfer',
                    name='key',
                    field=models.CharField(max_length=128, verbose_name='唯一凭据'),
                ),
                migrations.AlterField(
                    model_name='ledgertransfer',
                    name='order',
                    field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='transfers', to='shop.order', verbose_name='订单'),
                ),
                migrations.AlterField(
                    model_name='order',
                    name='account',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='orders', to=settings.AUTH_USER_MODEL, verbose_name='账户'),
                ),
                migrations.AlterField(
                    model_name='order',
                    name='order_number',
                    field=models.CharField(max_length=64, verbose_name='订单号'),
                ),
                migrations.AlterField(
                    model_name='orderevent',
                    name='order',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='events', to='shop.order', verbose_name='订单'),
                ),
                migrations.AlterField(
                    model_name='orderline',
                    name='order',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='shop.order', verbose_name='订单'),
                ),
                migrations.AlterField(
                    model_name='orderrequest',
                    name='account',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='order_requests', to=settings.AUTH_USER_MODEL, verbose_name='账户'),
                ),
                migrations.AlterField(
                    model_name='orderrequest',
                    name='order_number',
                    field=models.CharField(max_length=64, verbose_name='订单号'),
                ),
                migrations.AddConstraint(
                    model_name='couponrecord',
                    constraint=models.UniqueConstraint(fields=('number',), name='coupon_record_number'),
                ),
                migrations.AddConstraint(
                    model_name='ledgertransfer',
                    constraint=models.UniqueConstraint(fields=('key',), name='transfer_key'),
                ),
                migrations.AddConstraint(
                    model_name='order',
                    constraint=models.UniqueConstraint(fields=('order_number',), name='order_number_unique'),
                ),
                migrations.AddConstraint(
                    model_name='orderrequest',
                    constraint=models.UniqueConstraint(fields=('order_number',), name='order_request_number'),
                ),
            ],
        ),
    ]
