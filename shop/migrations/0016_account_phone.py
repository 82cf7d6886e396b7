import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0015_order_confirming_since")]

    operations = [
        migrations.AddField(
            model_name="account",
            name="phone",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                max_length=20,
                validators=[django.core.validators.RegexValidator("^\\+?[0-9]{6,19}\\Z", "请填写数字，可以 + 开头。")],
                verbose_name="手机",
            ),
        ),
    ]
