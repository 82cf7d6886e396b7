"""Drops what another index covers, and gives the rest their names.

Django's own steps would build each unique index anew and check each foreign key, with the tables locked for a minute per million orders.
All of this is a change of names and takes no time on tables of any size.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


# Table, column, name, and the second index that Django keeps of a unique text, for searches by its beginning.
UNIQUE = [
    ("payments_notification", "business_key", "notification_business_key", "payments_notification_business_key_2cfbc518_like"),
    ("payments_payment", "out_trade_no", "payment_out_trade_no", "payments_payment_out_trade_no_7d420cf9_like"),
    ("payments_payment", "trade_no", "payment_trade_no", "payments_payment_trade_no_9e3763b8_like"),
    ("payments_refund", "out_request_no", "refund_out_request_no", "payments_refund_out_request_no_af839bf1_like"),
]
# Table, column, and the index of a foreign key whose column another index begins with.
COVERED = [
    ("payments_refundline", "refund_id", "payments_refundline_refund_id_d434cea0"),
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
        ('payments', '0002_initial'),
        ('shop', '0003_one_index_for_one_purpose'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.AlterField(
                    model_name='notification',
                    name='business_key',
                    field=models.CharField(max_length=64, verbose_name='业务键'),
                ),
                migrations.AlterField(
                    model_name='payment',
                    name='out_trade_no',
                    field=models.CharField(max_length=64, verbose_name='商户订单号'),
                ),
                migrations.AlterField(
                    model_name='payment',
                    name='trade_no',
                    field=models.CharField(blank=True, max_length=64, null=True, verbose_name='支付宝交易号'),
                ),
                migrations.AlterField(
                    model_name='refund',
                    name='out_request_no',
                    field=models.CharField(max_length=64, verbose_name='退款请求号'),
                ),
                migrations.AlterField(
                    model_name='refundline',
                    name='refund',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='payments.refund', verbose_name='退款'),
                ),
                migrations.AddConstraint(
                    model_name='notification',
                    constraint=models.UniqueConstraint(fields=('business_key',), name='notification_business_key'),
                ),
                migrations.AddConstraint(
                    model_name='payment',
                    constraint=models.UniqueConstraint(fields=('out_trade_no',), name='payment_out_trade_no'),
                ),
                migrations.AddConstraint(
                    model_name='payment',
                    constraint=models.UniqueConstraint(fields=('trade_no',), name='payment_trade_no'),
                ),
                migrations.AddConstraint(
                    model_name='refund',
                    constraint=models.UniqueConstraint(fields=('out_request_no',), name='refund_out_request_no'),
                ),
            ],
        ),
    ]
