from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0010_permissions_of_accounts")]

    operations = [
        migrations.AddField(
            model_name="order",
            name="confirming_since",
            field=models.DateTimeField(blank=True, null=True, verbose_name="等待确认支付"),
        ),
    ]
