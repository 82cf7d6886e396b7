"""A notification's fields are those of its text, and are stored once; and storing one costs an index less.

What was stored twice before stays, until its text is purged.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0014_notifications_in_one_piece")]

    operations = [
        migrations.AlterField(
            model_name="notification",
            name="form",
            field=models.JSONField(blank=True, null=True, verbose_name="字段"),
        ),
        migrations.AlterField(
            model_name="notification",
            name="payment",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="notifications",
                to="payments.payment",
                verbose_name="支付",
            ),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(
                condition=models.Q(("payment__isnull", False)),
                fields=["payment"],
                name="notification_of_payment",
            ),
        ),
    ]
