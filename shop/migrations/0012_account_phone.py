from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0011_order_confirming_since")]

    operations = [
        migrations.AddField(
            model_name="account",
            name="phone",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                max_length=20,
                verbose_name="手机",
            ),
        ),
    ]
