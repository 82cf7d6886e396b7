"""The words for a notification's reasons. Nothing changes in the database."""

from django.db import migrations, models

REASONS = [
    ("waiting", "尚未支付"),
    ("already_applied", "此前已生效"),
    ("asked", "与记录不符，先查询交易"),
    ("unknown_trade", "没有这笔支付"),
    ("wrong_app", "应用编号不符"),
    ("wrong_seller", "收款方不符"),
    ("wrong_amount", "金额不符"),
    ("wrong_trade_no", "交易号不符"),
    ("refunded_elsewhere", "有来历不明的退款"),
    ("contradicted", "查询结果与账目矛盾"),
    ("unproven", "验签公钥已更换"),
    ("attempts_exhausted", "多次处理失败"),
]


def reason_field(name: str) -> models.CharField:
    return models.CharField(
        blank=True, choices=REASONS, db_default="", default="", max_length=64, verbose_name=name
    )


class Migration(migrations.Migration):
    dependencies = [("payments", "0015_one_text_of_a_notification")]

    operations = [
        migrations.AlterField(
            model_name="notification", name="first_reason", field=reason_field("首次隔离原因")
        ),
        migrations.AlterField(model_name="notification", name="reason", field=reason_field("原因")),
    ]
