from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0009_open_orders_of_a_buyer")]

    operations = [
        migrations.AlterModelOptions(
            name="account",
            options={
                "permissions": [("end_logins", "可结束账户的所有登录"), ("anonymise_account", "可抹除账户的个人信息")],
                "verbose_name": "账户",
                "verbose_name_plural": "账户",
            },
        ),
    ]
