"""A checkout as the API shows it. `shop/domain/checkout.py` writes it; here is what clients may rely on."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction
from rest_framework import serializers

from shop.api.fields import YuanField
from shop.api.orderoutput import ErrorOutput


class CouponOptionOutput(serializers.Serializer[Any]):
    """One coupon beside an amount. The first of each list is `{"id": 0, "text": "请选择优惠券"}` and has nothing else."""

    id = serializers.IntegerField()
    text = serializers.CharField()
    name = serializers.CharField(required=False)
    coupon_type = serializers.ChoiceField(choices=[0, 1, 2], required=False)
    money_equivalent_value = YuanField(required=False)
    off_percent = serializers.IntegerField(required=False, allow_null=True)
    minimum_consume = YuanField(required=False)
    valid_from = serializers.DateField(required=False)
    valid_until = serializers.DateField(required=False)
    applicable = serializers.BooleanField(required=False)
    reason = serializers.CharField(required=False, allow_null=True, help_text="不适用的原因")
    saving = YuanField(required=False, help_text="可省金额（元）")


class CheckoutCourseOutput(serializers.Serializer[Any]):
    course_id = serializers.IntegerField()
    course_name = serializers.CharField()
    course_img = serializers.CharField()
    policy_id = serializers.IntegerField()
    policy_price = YuanField()
    policy_period = serializers.CharField()
    policy_valid_period = serializers.IntegerField()
    coupon_record_list = CouponOptionOutput(many=True)
    unpaid_order_number = serializers.CharField(allow_null=True, help_text="包含这门课程的待支付订单，没有则为 null")


class PaymentListOutput(serializers.Serializer[Any]):
    """`policy_course_dict` by course id, `global_coupon_record_dict` by coupon record id (0 for none)."""


class PaymentListSchema(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Documents `PaymentListOutput`, whose keys are ids."""

    target_class = PaymentListOutput

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        by_key = {"policy_course_dict": CheckoutCourseOutput, "global_coupon_record_dict": CouponOptionOutput}
        properties = {
            name: {"type": "object", "additionalProperties": auto_schema.resolve_serializer(entry, direction).ref}
            for name, entry in by_key.items()
        }
        return {"type": "object", "required": list(by_key), "properties": properties}


class QuoteLineOutput(serializers.Serializer[Any]):
    course_id = serializers.IntegerField()
    list_price = YuanField()
    course_discount = YuanField()
    global_discount = YuanField()
    beili_amount = YuanField()
    cash_amount = YuanField()
    coupon_record_id = serializers.IntegerField(help_text="0 表示不使用")
    valid_period = serializers.IntegerField(required=False, help_text="有效期（天）；下单被拒绝时的新报价中有")


class QuoteOutput(serializers.Serializer[Any]):
    list_total = YuanField()
    course_discount = YuanField()
    global_discount = YuanField()
    coupon_record_id = serializers.IntegerField(help_text="全场券；0 表示不使用")
    beili = serializers.IntegerField()
    beili_amount = YuanField()
    beili_max = serializers.IntegerField(help_text="最多可用贝里")
    alipay = YuanField(help_text="支付宝应付")
    lines = QuoteLineOutput(many=True)


class CheckoutOutput(serializers.Serializer[Any]):
    """`payment_list`, `balance`, `beili_per_yuan` and `quote` come with `ready`, `error` with `failed`."""

    checkout_id = serializers.CharField()
    status = serializers.ChoiceField(choices=["pending", "ready", "failed"])
    expires_at = serializers.DateTimeField()
    payment_list = PaymentListOutput(required=False)
    balance = serializers.IntegerField(required=False, help_text="可用贝里")
    beili_per_yuan = serializers.IntegerField(required=False)
    quote = QuoteOutput(required=False, help_text="按最优惠的优惠券组合计算，未使用贝里")
    error = ErrorOutput(required=False, help_text="status 为 failed 时的原因")


class GlobalCouponsOutput(serializers.Serializer[Any]):
    """The global coupons by coupon record id (0 for none), beside the sum that the choices leave."""


class GlobalCouponsSchema(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Documents `GlobalCouponsOutput`, whose keys are ids."""

    target_class = GlobalCouponsOutput

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": auto_schema.resolve_serializer(CouponOptionOutput, direction).ref}


class CheckoutQuoteOutput(serializers.Serializer[Any]):
    checkout_id = serializers.CharField()
    expires_at = serializers.DateTimeField()
    quote = QuoteOutput(help_text="beili 为实际使用的贝里，beili_max 为最多可用")
    global_coupon_record_dict = GlobalCouponsOutput(help_text="全场券在此小计下是否可用、可省多少")
