"""When a payment's buyer was last seen, and when the gateway last answered about it: both decide how often it is asked."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("payments", "0006_personal_data_index")]

    operations = [
        migrations.AddField("payment", "buyer_seen_at", models.DateTimeField(db_default=Now(), verbose_name="买家最近出现时间")),
        migrations.AddField("payment", "asked_at", models.DateTimeField(blank=True, null=True, verbose_name="最近查询时间")),
    ]
