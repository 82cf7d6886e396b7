"""`orders/`: placing an order, and listing one's orders. `polls.py` follows one."""

import re
from decimal import Decimal
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from shop import clock, errors
from shop.api.authentication import account_of, digest_in, request_id_of
from shop.api.fields import (
    MAX_BEILI,
    MAX_PERIOD,
    IdField,
    Input,
    NumberField,
    PageFilter,
    StrictBooleanField,
    StrictIntegerField,
    YuanField,
    are_distinct,
    optional_id,
    read_query,
    refuse_repeated_courses,
)
from shop.api.orderoutput import STATUSES, OrderSummaryOutput, PlacedOutput, order_url, summary
from shop.api.reader import Reader
from shop.api.wire import WORKER_S, enveloped, retry_after, written
from shop.domain.ordering import intake
from shop.domain.polling.order_view import OrderHistory
from shop.domain.purchase import LineChoice, Purchase
from shop.models import OrderRequest
from shop.money import MAX_YUAN
from shop.states import OrderRequestStatus
from shop.tasks import create_orders
from shop.wakeup import wake_soon

_KEY = re.compile(r"[\x21-\x7e]{1,100}")


class LineInput(Input):
    course_id = IdField()
    policy_id = IdField()
    coupon_record_id = optional_id("0 或 null 表示不使用")
    valid_period = StrictIntegerField(
        min_value=1,
        max_value=MAX_PERIOD,
        required=False,
        allow_null=True,
        default=None,
        help_text="同意的有效期（天）；与现在的不同则拒绝",
    )


class PurchaseInput(Input):
    checkout_id = NumberField(required=False, allow_null=True, default=None)
    course_price_list = LineInput(many=True, allow_empty=False, max_length=settings.CART_MAX_LINES)  # type: ignore[call-arg] # DRF hands it to the list
    coupon_record_id = optional_id("全场券；0 或 null 表示不使用")
    balance = StrictIntegerField(
        min_value=0, max_value=MAX_BEILI, required=False, default=0, help_text="使用的贝里"
    )
    buy_again = StrictBooleanField(
        required=False, default=False, help_text="课程已在另一笔待支付订单中时，确认仍要再买一次"
    )
    alipay = YuanField(min_value=0, max_value=MAX_YUAN, help_text="同意由支付宝支付的金额（元）")

    def validate_course_price_list(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        refuse_repeated_courses([line["course_id"] for line in lines])
        return lines


_READER = Reader(PurchaseInput)


class OrderFilter(PageFilter):
    status = serializers.ChoiceField(choices=STATUSES, required=False)


@extend_schema(parameters=[OpenApiParameter("status", OpenApiTypes.STR, enum=STATUSES)], methods=["GET"])
class OrderListView(ListAPIView[OrderRequest]):
    """Lists the buyer's orders, including requests that are still pending, and places new ones."""

    serializer_class = PurchaseInput  # OPTIONS describes POST with it
    filter_class = OrderFilter

    @extend_schema(responses=OrderSummaryOutput)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A page of the buyer's orders."""
        history = OrderHistory(
            account_id=account_of(request).pk, status=read_query(request, OrderFilter).get("status")
        )
        page = self.paginate_queryset(cast("Any", history))  # it has all that the paginator uses
        assert page is not None
        return self.get_paginated_response([summary(listed) for listed in page])

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The fast path: an ordinary order request bypasses DRF. All others, errors included, go
        through it.
        """
        if request.method == "POST" and (answer := _take_ordinary(request)):
            return answer
        return super().dispatch(request, *args, **kwargs)

    @extend_schema(
        request=PurchaseInput,
        responses={202: PlacedOutput},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                required=True,
                pattern="^[!-~]{1,100}$",
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Stores an order request; a worker creates the order. Repeating the key and the body returns the
        same order.
        """
        key = _key_in(request)
        if key is None:
            raise errors.IdempotencyKeyMissing
        purchase = by_serializer(request.data)
        body, headers = _placed(
            *intake.place_order(
                account=account_of(request),
                purchase=purchase,
                idempotency_key=key,
                request_id=request_id_of(request),
                now=clock.now(),
            )
        )
        return Response(body, status=status.HTTP_202_ACCEPTED, headers=headers)


def _take_ordinary(request: HttpRequest) -> HttpResponse | None:
    """Authenticates and stores the request in one statement; None if DRF has to handle it."""
    digest, key, purchase = digest_in(request), _key_in(request), by_reader(request)
    if digest is None or key is None or purchase is None:
        return None
    body, headers = _placed(
        *intake.place_order(
            account=digest,
            purchase=purchase,
            idempotency_key=key,
            request_id=request_id_of(request),
            now=clock.now(),
        )
    )
    content = enveloped(written(body))
    return HttpResponse(
        content, content_type="application/json", status=status.HTTP_202_ACCEPTED, headers=headers
    )


def _key_in(request: HttpRequest | Request) -> str | None:
    key = request.META.get("HTTP_IDEMPOTENCY_KEY", "")  # `request.headers` would parse every header
    return key if _KEY.fullmatch(key) else None


def _placed(stored: OrderRequest, is_new: bool) -> tuple[PlacedOutput, dict[str, str]]:
    """Wakes a worker; returns the response's body and headers."""
    if stored.status == OrderRequestStatus.PENDING:
        wake_soon(create_orders)
    url = order_url(stored.order_number)
    replayed = {} if is_new else {"Idempotent-Replayed": "true"}
    return PlacedOutput(order_number=stored.order_number, status="pending", url=url), {
        "Location": url,
        **retry_after(WORKER_S),
        **replayed,
    }


def by_reader(request: HttpRequest) -> Purchase | None:
    """The purchase in a request that the fast decoder accepts; None if the serializer has to validate it."""
    body = _READER.read(request)
    if body is None or not are_distinct([line.course_id for line in body.course_price_list]):
        return None
    return _purchase_of(body)


def by_serializer(data: Any) -> Purchase:
    """The purchase in parsed JSON.

    Raises:
        ValidationError: it isn't valid.
    """
    return _purchase_of(_READER.filled(PurchaseInput.read(data)))


def _purchase_of(body: Any) -> Purchase:
    """A valid body as the domain's `Purchase`."""
    return Purchase(
        lines=[
            LineChoice(line.course_id, line.policy_id, line.coupon_record_id or None, line.valid_period)
            for line in body.course_price_list
        ],
        coupon_record_id=body.coupon_record_id or None,
        beili=body.balance,
        alipay=Decimal(body.alipay),
        checkout_id=body.checkout_id or None,
        buy_again=body.buy_again,
    )
