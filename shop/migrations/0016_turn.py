from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0015_overlooked_rows")]
    operations = [
        migrations.CreateModel(
            name="Turn",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, verbose_name="任务")),
                ("taken_at", models.DateTimeField(verbose_name="时间")),
            ],
            options={
                "verbose_name": "定时任务",
                "verbose_name_plural": "定时任务",
                "constraints": [models.UniqueConstraint(fields=["name"], name="turn_name")],
            },
        ),
    ]
