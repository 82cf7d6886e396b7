"""The id of the request that asked for an order, on the order and on what is booked for it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0019_measurement")]

    operations = [
        migrations.AddField(
            model_name=name,
            name="trace_id",
            field=models.CharField(blank=True, db_default="", default="", max_length=64, verbose_name="追踪编号"),
        )
        for name in ("order", "ledgertransfer")
    ]
