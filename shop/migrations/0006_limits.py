"""Prices that can be paid, coupons and access that end in sight, and the timeline's word for a period that moves up."""

import datetime

import django.core.validators
from decimal import Decimal
from django.db import migrations, models
from django.db.models import F, Q

from shop.models.fields import YuanField

# Access that free courses, ordered again and again, had piled up. It ends a hundred years after it was given.
_SHORTEN = """
    UPDATE shop_enrolment SET valid_until = created_at + interval '36500 days',
        valid_from = least(valid_from, created_at + interval '36499 days')
    WHERE valid_until > created_at + interval '36500 days'
"""
_KINDS = [
    ("placed", "订单已创建"), ("coupons_reserved", "优惠券已锁定"), ("beili_held", "贝里已锁定"), ("payment_started", "已发起支付"),
    ("payment_closed", "支付已关闭"), ("paid", "支付成功"), ("enrolled", "课程已开通"), ("cancel_requested", "已申请取消"),
    ("cancelled", "订单已取消"), ("expired", "订单已超时关闭"), ("late_payment", "订单关闭后收到付款"), ("reopened", "订单已恢复"),
    ("double_payment", "收到重复付款"), ("refund_requested", "已申请退款"), ("refund_approved", "退款已批准"),
    ("refund_rejected", "退款申请未通过"), ("refund_sent", "退款处理中"), ("refund_succeeded", "退款成功"),
    ("refund_failed", "退款失败，客服处理中"), ("enrolment_revoked", "课程已收回"), ("enrolment_moved", "课程有效期已提前"),
]  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("shop", "0005_guards")]

    operations = [
        migrations.RunSQL(_SHORTEN, migrations.RunSQL.noop),
        migrations.AddConstraint(
            "enrolment",
            models.CheckConstraint(
                condition=Q(valid_until__lte=F("created_at") + datetime.timedelta(days=36500)), name="enrolment_ends_in_sight"
            ),
        ),
        migrations.AlterField(
            "pricepolicy",
            "price",
            YuanField(
                validators=[django.core.validators.MaxValueValidator(Decimal("100000000.00"), "价格不能超过支付宝单笔上限 %(limit_value)s 元。")],
                verbose_name="价格（元）",
            ),
        ),
        migrations.AddConstraint(
            "pricepolicy", models.CheckConstraint(condition=Q(price__lte=Decimal("100000000.00")), name="price_policy_price_payable")
        ),
        migrations.AlterField(
            "coupon",
            "coupon_valid_days",
            models.PositiveIntegerField(
                blank=True,
                help_text="自领取之日起算，与上面的日期以先到者为准",
                null=True,
                validators=[django.core.validators.MaxValueValidator(36500)],
                verbose_name="领取后有效天数",
            ),
        ),
        migrations.AddConstraint(
            "coupon",
            models.CheckConstraint(
                condition=Q(coupon_valid_days__isnull=True) | Q(coupon_valid_days__lte=36500), name="coupon_valid_days_bounded"
            ),
        ),
        migrations.AlterField("orderevent", "kind", models.CharField(choices=_KINDS, max_length=32, verbose_name="事件")),
    ]
