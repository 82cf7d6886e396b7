"""`orders/`: placing an order, following it, listing one's orders."""

import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from shop import clock, errors
from shop.api.authentication import account_of, digest_in, digest_of_caller, request_id_of
from shop.api.fields import MAX_BEILI, IdField, Input, NumberField, PageFilter, StrictIntegerField, YuanField, read_query
from shop.api.orderoutput import OrderOutput, OrderSummaryOutput, PlacedOutput, order_body, request_body
from shop.api.ordinary import read_ordinary
from shop.domain import orders
from shop.domain.versions import is_known_unchanged, read_version, remember_poller
from shop.domain.waiting import wait_for_change
from shop.models import Order, OrderRequest
from shop.money import MAX_YUAN
from shop.states import OrderRequestStatus, OrderStatus
from shop.tasks import create_orders
from shop.wakeup import wake_soon

RETRY_AFTER_S = "1"
_KEY = re.compile(r"[\x21-\x7e]{1,100}")


class LineInput(Input):
    course_id = IdField()
    policy_id = IdField()
    coupon_record_id = IdField(allow_zero=True, required=False, allow_null=True, default=None, help_text="0 或 null 表示不使用")


class PurchaseInput(Input):
    checkout_id = NumberField(required=False, allow_null=True, default=None)
    course_price_list = LineInput(many=True, allow_empty=False, max_length=settings.CART_MAX_LINES)  # type: ignore[call-arg] # DRF hands it to the list
    coupon_record_id = IdField(allow_zero=True, required=False, allow_null=True, default=None, help_text="全场券；0 或 null 表示不使用")
    balance = StrictIntegerField(min_value=0, max_value=MAX_BEILI, required=False, default=0, help_text="使用的贝里")
    alipay = YuanField(min_value=0, max_value=MAX_YUAN, help_text="同意由支付宝支付的金额（元）")

    def validate_course_price_list(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len({line["course_id"] for line in lines}) != len(lines):
            raise serializers.ValidationError("同一门课程出现了两次。")
        return lines


class OrderFilter(PageFilter):
    status = serializers.ChoiceField(choices=OrderStatus.choices, required=False)


class WaitInput(Input):
    wait = StrictIntegerField(required=False, default=0, min_value=0, max_value=settings.ORDER_STATUS_WAIT_MAX_S)


@extend_schema(parameters=[OpenApiParameter("status", OpenApiTypes.STR, enum=OrderStatus.values)], methods=["GET"])
class OrderListView(ListAPIView[Order]):
    """The buyer's orders, and where new ones are placed."""

    serializer_class = OrderSummaryOutput
    filter_class = OrderFilter

    def get_queryset(self) -> QuerySet[Order]:
        wanted = read_query(self.request, OrderFilter)
        return orders.list_orders(account=account_of(self.request), status=wanted.get("status"))

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """An ordinary order request is taken in without DRF, and all others with it, errors included."""
        if request.method == "POST" and (answer := _take_ordinary(request)):
            return answer
        return super().dispatch(request, *args, **kwargs)

    @extend_schema(
        request=PurchaseInput,
        responses={202: PlacedOutput},
        parameters=[
            OpenApiParameter("Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER, required=True, pattern="^[!-~]{1,100}$"),
        ],
    )
    def post(self, request: Request) -> Response:
        """Takes a purchase in; a worker creates the order. The same key and body again answer the same order."""
        key = _key_in(request)
        if key is None:
            raise errors.IdempotencyKeyMissing
        purchase = as_purchase(PurchaseInput.read(request.data))
        body, headers = _placed(
            *orders.place_order(
                account=account_of(request), purchase=purchase, idempotency_key=key, request_id=request_id_of(request), now=clock.now()
            )
        )
        return Response(body, status=status.HTTP_202_ACCEPTED, headers=headers)


def _take_ordinary(request: HttpRequest) -> HttpResponse | None:
    """Authenticates and stores in one statement; None for a request that needs a closer look."""
    digest, key, purchase = digest_in(request), _key_in(request), read_ordinary(request)
    if digest is None or key is None or purchase is None:
        return None
    body, headers = _placed(
        *orders.place_order(account=digest, purchase=purchase, idempotency_key=key, request_id=request_id_of(request), now=clock.now())
    )
    return JsonResponse({"code": errors.SUCCESS_CODE, "msg": None, "data": body}, status=status.HTTP_202_ACCEPTED, headers=headers)


def _key_in(request: HttpRequest | Request) -> str | None:
    key = request.headers.get("Idempotency-Key", "")
    return key if _KEY.fullmatch(key) else None


def _placed(stored: OrderRequest, is_new: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Wakes a worker, and says what is answered and with which headers."""
    if stored.status == OrderRequestStatus.PENDING:
        wake_soon(create_orders)
    url = reverse("order", args=[stored.order_number])
    replayed = {} if is_new else {"Idempotent-Replayed": "true"}
    body = {"order_number": stored.order_number, "status": "pending", "url": url}
    return body, {"Location": url, "Retry-After": RETRY_AFTER_S, **replayed}


def as_purchase(data: Mapping[str, Any]) -> orders.Purchase:
    """A validated `PurchaseInput` in the shop's words."""
    return orders.Purchase(
        lines=[
            orders.LineChoice(line["course_id"], line["policy_id"], line["coupon_record_id"] or None) for line in data["course_price_list"]
        ],
        coupon_record_id=data["coupon_record_id"] or None,
        beili=data["balance"],
        alipay=data["alipay"],
        checkout_id=data["checkout_id"] or None,
    )


class OrderView(APIView):
    """One order."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """A poller who knows it all is told so without DRF; everything else goes through it."""
        if request.method == "GET" and (answer := _nothing_new(request, **kwargs)):
            return answer
        return super().dispatch(request, *args, **kwargs)

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "wait", {"type": "integer", "minimum": 0, "maximum": settings.ORDER_STATUS_WAIT_MAX_S}, description="等待状态变化的最长秒数"
            ),
            OpenApiParameter("If-None-Match", OpenApiTypes.STR, OpenApiParameter.HEADER),
        ],
        responses={200: OrderOutput, 304: OpenApiResponse(description="没有变化")},
    )
    def get(self, request: Request, order_number: str) -> Response:
        """The order or what became of its request. With `If-None-Match` and `wait`, answers as soon as it is another than known."""
        wait_s = read_query(request, WaitInput)["wait"]
        account_id = account_of(request).pk
        version = read_version(account_id=account_id, order_number=order_number)
        if version is None:
            raise errors.OrderNotFound
        known = request.headers.get("If-None-Match")
        is_news = known != _etag(version) if known else version[0] != OrderRequestStatus.PENDING
        if wait_s and not is_news:
            version = wait_for_change(account_id=account_id, order_number=order_number, since=version, seconds=wait_s)
        remember_poller(digest_of_caller(request), account_id)
        return _shown(account_id, order_number, version, known=known)


def _nothing_new(request: HttpRequest, order_number: str) -> HttpResponse | None:
    """304 for a buyer whose tag is the order's; None for everybody and everything else."""
    known, digest = request.headers.get("If-None-Match"), digest_in(request)
    if known is None or digest is None or request.META["QUERY_STRING"]:
        return None
    version = _version_in(known)
    if version is None or not is_known_unchanged(digest, order_number, version):
        return None
    return HttpResponse(status=status.HTTP_304_NOT_MODIFIED, headers=_headers(version))


def _shown(account_id: int, order_number: str, version: tuple[str, int], *, known: str | None) -> Response:
    # The version was read first: if the order moves in between, the poller sees news under an old tag and comes back, never the reverse.
    headers = _headers(version)
    if known == headers["ETag"]:
        return Response(status=status.HTTP_304_NOT_MODIFIED, headers=headers)
    order = orders.find_order(account_id=account_id, order_number=order_number)
    if order is not None:
        return Response(order_body(order, now=clock.now()), headers=headers)
    return Response(request_body(orders.get_request(account_id=account_id, order_number=order_number)), headers=headers)


def _headers(version: tuple[str, int]) -> dict[str, str]:
    is_pending = version[0] == OrderRequestStatus.PENDING
    return {"ETag": _etag(version), "Cache-Control": "private, no-cache", **({"Retry-After": RETRY_AFTER_S} if is_pending else {})}


_ETAG = re.compile(r'"([a-z_]{1,20})-([0-9]{1,9})"')


def _etag(version: tuple[str, int]) -> str:
    return f'"{version[0]}-{version[1]}"'


def _version_in(etag: str) -> tuple[str, int] | None:
    found = _ETAG.fullmatch(etag)
    return (found[1], int(found[2])) if found else None
