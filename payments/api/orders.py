"""Paying an order, cancelling it, and requesting a refund."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from payments.api.qr import draw_qr
from payments.domain.refunds import requesting
from payments.domain.trades import attempts, confirming
from payments.gateways import get_gateways
from payments.models import Refund
from payments.states import Product, RefundStatus
from payments.tasks import close_orders, send_refunds
from shop import clock
from shop.api.authentication import account_of, request_id_of
from shop.api.fields import IdField, Input, LabelField, YuanField, refuse_repeated_courses
from shop.api.orderoutput import OrderOutput, order_body
from shop.api.wire import REFUND_S, WORKER_S, retry_after
from shop.domain import limits
from shop.domain.limits import payment_shares
from shop.domain.orders import closing, finding
from shop.domain.polling.presence import note_watched
from shop.wakeup import wake_soon

FINAL_REFUNDS = frozenset(
    {RefundStatus.SUCCEEDED, RefundStatus.REJECTED, RefundStatus.FAILED, RefundStatus.PAID_ELSEWHERE}
)


class PaymentInput(Input):
    product = serializers.ChoiceField(choices=Product.choices, default=Product.PAGE)


class PaymentOutput(serializers.Serializer[Any]):
    """One of `pay_url`, `order_string` and `qr_code` is set, depending on the product."""

    out_trade_no = serializers.CharField(source="payment.out_trade_no")
    product = serializers.ChoiceField(choices=Product.choices, source="payment.product")
    amount = YuanField(source="payment.amount")
    expires_at = serializers.DateTimeField(source="payment.expires_at")
    pay_url = serializers.CharField(allow_null=True, help_text="page、wap：跳转到支付宝收银台")
    order_string = serializers.CharField(allow_null=True, help_text="app：交给支付宝 SDK")
    qr_code = serializers.CharField(allow_null=True, help_text="qr：二维码内容")
    qr_svg = serializers.SerializerMethodField(help_text="qr：同一内容的二维码图片（SVG）")

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_qr_svg(self, started: attempts.Started) -> str | None:
        return None if started.qr_code is None else draw_qr(started.qr_code)


class RefundQuoteInput(Input):
    lines = serializers.ListField(
        child=IdField(),
        min_length=1,
        max_length=50,
        required=False,
        allow_null=True,
        default=None,
        help_text="课程编号；不填表示全部",
    )

    def validate_lines(self, course_ids: list[int] | None) -> list[int] | None:
        refuse_repeated_courses(course_ids or ())
        return course_ids


class RefundInput(RefundQuoteInput):
    reason = serializers.CharField(max_length=200, allow_blank=True, default="")


class RefundOutput(serializers.ModelSerializer[Refund]):
    amount = YuanField(help_text="原路退回（元）")
    beili = serializers.IntegerField(help_text="退回贝里")
    status_text = LabelField(RefundStatus, source="status")
    lines = serializers.SerializerMethodField(help_text="课程编号")

    class Meta:
        model = Refund
        fields = [
            "out_request_no", "kind", "status", "status_text", "amount", "beili", "lines", "reason",
            "outcome", "requested_at", "approved_at",
            "finished_at",
        ]  # fmt: skip

    def get_lines(self, refund: Refund) -> list[int]:
        return [line.order_line.course_id for line in refund.lines.all()]


class RefundQuoteOutput(serializers.Serializer[Any]):
    amount = YuanField(help_text="将原路退回（元）")
    beili = serializers.IntegerField(help_text="将退回贝里")
    lines = serializers.ListField(child=serializers.IntegerField(), help_text="课程编号")


class OrderPaymentsView(APIView):
    """Paying an order."""

    @extend_schema(request=PaymentInput, responses=PaymentOutput)
    def post(self, request: Request, order_number: str) -> Response:
        """Opens the order's payment, or reuses the open one.

        A different product first closes the previous attempt. Before that Alipay is asked about it: the
        answer is `payment_confirming` for as long as Alipay doesn't say whether it was paid.
        """
        data = PaymentInput.read(request.data)
        order = finding.get_order(account_id=account_of(request).pk, order_number=order_number)
        limits.spend(*payment_shares(order))
        note_watched(order.order_number)
        gateways, now, cause = get_gateways(), clock.database_now(), f"request:{request_id_of(request)}"
        confirming.ask_before_paying(order=order, gateways=gateways, now=now, cause=cause)
        started = attempts.start_payment(
            order=order, product=Product(data["product"]), gateways=gateways, now=now, cause=cause
        )
        return Response(PaymentOutput(started).data)


class OrderCancelView(APIView):
    """Cancelling an unpaid order."""

    @extend_schema(request=None, responses={202: OrderOutput})
    def post(self, request: Request, order_number: str) -> Response:
        """Records the request; a worker closes the order once Alipay can't accept a payment for it any more.

        If a payment arrived first, the order stays paid.
        """
        order = closing.request_cancel(
            account_id=account_of(request).pk,
            order_number=order_number,
            now=clock.database_now(),
            cause=f"request:{request_id_of(request)}",
        )
        wake_soon(close_orders)
        return Response(
            order_body(order, now=clock.now()), status=status.HTTP_202_ACCEPTED, headers=retry_after(WORKER_S)
        )


class OrderRefundsView(APIView):
    """The refunds of an order."""

    @extend_schema(operation_id="order_refunds_list", responses=RefundOutput(many=True))
    def get(self, request: Request, order_number: str) -> Response:
        found = list(requesting.list_refunds(account_id=account_of(request).pk, order_number=order_number))
        is_final = all(refund.status in FINAL_REFUNDS for refund in found)
        return Response(
            RefundOutput(found, many=True).data, headers={} if is_final else retry_after(REFUND_S)
        )

    @extend_schema(request=RefundInput, responses={202: RefundOutput})
    def post(self, request: Request, order_number: str) -> Response:
        """Requests a refund for some of a paid order's courses, or for all of them."""
        data = RefundInput.read(request.data)
        refund = requesting.request_refund(
            account_id=account_of(request).pk,
            order_number=order_number,
            course_ids=data["lines"],
            reason=data["reason"],
            now=clock.database_now(),
            cause=f"request:{request_id_of(request)}",
        )
        if refund.approved_at is not None:
            wake_soon(send_refunds)
        return Response(
            RefundOutput(refund).data, status=status.HTTP_202_ACCEPTED, headers=retry_after(REFUND_S)
        )


class OrderRefundQuoteView(APIView):
    """A quote for a refund."""

    @extend_schema(request=RefundQuoteInput, responses=RefundQuoteOutput)
    def post(self, request: Request, order_number: str) -> Response:
        """Prices a refund requested now. Nothing is written."""
        data = RefundQuoteInput.read(request.data)
        lines, share = requesting.quote_refund(
            account_id=account_of(request).pk,
            order_number=order_number,
            course_ids=data["lines"],
            now=clock.database_now(),
        )
        body = {"amount": share.cash, "beili": share.beili, "lines": [line.course_id for line in lines]}
        return Response(RefundQuoteOutput(body).data)
