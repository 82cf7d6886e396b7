"""The operators' desk: who asked for a refund, who dismissed a notification, and what was given up or failed in an index."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from payments import states
from shop.models.triggers import allow_moves, freeze


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0009_due_rows_of_two_kinds"),
        ("shop", "0018_desk"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="payment",
            options={
                "permissions": [
                    ("ask_gateway", "可立即向支付渠道查询"),
                    ("export_books", "可导出订单、支付、退款与账目"),
                ],
                "verbose_name": "支付",
                "verbose_name_plural": "支付",
            },
        ),
        migrations.AddField(
            model_name="notification",
            name="dismissed_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="处理人",
            ),
        ),
        migrations.AddField(
            model_name="notification",
            name="note",
            field=models.CharField(blank=True, db_default="", default="", max_length=200, verbose_name="处理说明"),
        ),
        migrations.AddField(
            model_name="refund",
            name="requested_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="申请人",
            ),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(
                condition=models.Q(("dead_at__isnull", False)), fields=["-id"], name="notification_dead"
            ),
        ),
        migrations.AddIndex(
            model_name="payment",
            index=models.Index(condition=models.Q(("dead_at__isnull", False)), fields=["-id"], name="payment_dead"),
        ),
        migrations.AddIndex(
            model_name="refund",
            index=models.Index(condition=models.Q(("dead_at__isnull", False)), fields=["-id"], name="refund_dead"),
        ),
        migrations.AddIndex(
            model_name="refund",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", False)), fields=["finished_at"], name="refund_finished"
            ),
        ),
        migrations.AddIndex(
            model_name="refund",
            index=models.Index(condition=models.Q(("status", "failed")), fields=["-id"], name="refund_failed"),
        ),
        allow_moves("payments_notification", states.NOTIFICATION_MOVES),
        freeze(
            "payments_refund", "kind", "order_id", "payment_id", "out_request_no", "requested_at", "requested_by_id"
        ),
    ]
