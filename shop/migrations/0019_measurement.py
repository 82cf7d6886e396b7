"""What was measured last: running totals, the audit's verdicts, since when the gateway has been silent."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0018_desk")]
    operations = [
        migrations.CreateModel(
            name="Measurement",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, verbose_name="名称")),
                ("value", models.JSONField(verbose_name="结果")),
                ("taken_at", models.DateTimeField(verbose_name="时间")),
            ],
            options={
                "verbose_name": "测量结果",
                "verbose_name_plural": "测量结果",
                "constraints": [models.UniqueConstraint(fields=("name",), name="measurement_name")],
            },
        ),
    ]
