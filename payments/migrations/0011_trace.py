"""The HTTP request that brought a notification."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0010_desk")]

    operations = [
        migrations.AddField(
            model_name="notification",
            name="request_id",
            field=models.CharField(blank=True, db_default="", default="", max_length=64, verbose_name="HTTP 请求编号"),
        )
    ]
