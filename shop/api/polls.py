"""`orders/{number}/`: polling an order.

The busiest endpoint, so an ordinary poll bypasses DRF. All others go through it.
"""

from contextlib import suppress
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from msgspec import Raw
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from shop import clock, errors
from shop.api.authentication import account_of, digest_in, digest_of_caller
from shop.api.conditional import is_known
from shop.api.fields import Input, StrictIntegerField, read_query
from shop.api.orderoutput import RETRY_AFTER_BY_STATUS, OrderOutput, request_body, whole_order_body
from shop.api.wire import enveloped, retry_after, written
from shop.domain.callers import find_caller
from shop.domain.orders.paylinks import is_payable
from shop.domain.polling.answer_cache import Answer, answer_poll, read_answer
from shop.domain.polling.long_poll import wait_for_change
from shop.domain.polling.order_view import find_whole_order
from shop.domain.polling.presence import note_watched
from shop.states import OrderRequestStatus, OrderStatus

# The `Accept` headers of browsers and common clients that accept JSON. DRF parses any other.
_ORDINARY_ACCEPT = frozenset(
    {"*/*", "application/json", "application/json, */*", "application/json, text/plain, */*"}
)


class WaitInput(Input):
    wait = StrictIntegerField(
        required=False, default=0, min_value=0, max_value=settings.ORDER_STATUS_WAIT_MAX_S
    )


class OrderView(APIView):
    """One order."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The fast path: an ordinary poll bypasses DRF. All others, errors included, go through it."""
        if request.method == "GET" and (answer := _answer_ordinary(request, **kwargs)):
            return answer
        return super().dispatch(request, *args, **kwargs)

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "wait",
                {"type": "integer", "minimum": 0, "maximum": settings.ORDER_STATUS_WAIT_MAX_S},
                description="等待状态变化的最长秒数",
            ),
            OpenApiParameter("If-None-Match", OpenApiTypes.STR, OpenApiParameter.HEADER),
        ],
        responses={200: OrderOutput, 304: OpenApiResponse(description="没有变化")},
    )
    def get(self, request: Request, order_number: str) -> Response:
        """The order, or the request that it is created from.

        With `wait`, holds the response until the order differs from the one named by `If-None-Match`; without
        that header, until the request is decided.
        """
        wait_s = read_query(request, WaitInput)["wait"]
        account_id = account_of(request).pk

        def look() -> Answer | None:
            return read_answer(
                account_id=account_id, order_number=order_number, read=read_order, now=clock.now()
            )

        answer = look()
        if answer is None:
            raise errors.OrderNotFound
        known = request.META.get("HTTP_IF_NONE_MATCH")
        is_news = not is_known(known, answer.etag) if known else answer.status != OrderRequestStatus.PENDING
        if wait_s and not is_news:
            answer = wait_for_change(look, since=answer, seconds=wait_s)
            find_caller(digest_of_caller(request), now=clock.now())  # the token may have expired meanwhile
        _note(order_number, answer)
        if is_known(known, answer.etag):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers=_headers(answer))
        return Response(Raw(answer.body.encode()), headers=_headers(answer))


def _answer_ordinary(request: HttpRequest, order_number: str) -> HttpResponse | None:
    """The same response as DRF's; None for a poll that DRF has to handle or to refuse."""
    digest = digest_in(request)
    if (
        digest is None
        or request.META["QUERY_STRING"]
        or request.META.get("HTTP_ACCEPT", "*/*") not in _ORDINARY_ACCEPT
    ):
        return None
    answer = None
    with suppress(errors.NotAuthenticated):
        answer = answer_poll(digest, order_number, read=read_order, now=clock.now())
    if answer is None:
        return None
    _note(order_number, answer)
    headers = _headers(answer) | {"Allow": "GET, HEAD, OPTIONS"}
    if is_known(request.META.get("HTTP_IF_NONE_MATCH"), headers["ETag"]):
        response = HttpResponse(status=status.HTTP_304_NOT_MODIFIED, headers=headers)
        del response.headers["Content-Type"]
        return response
    return HttpResponse(enveloped(answer.body.encode()), content_type="application/json", headers=headers)


def _note(order_number: str, answer: Answer) -> None:
    """Notes that the order is being watched: a buyer who looks at an unpaid order may just have paid it."""
    if answer.status == OrderStatus.AWAITING_PAYMENT:
        note_watched(order_number)


def _headers(answer: Answer) -> dict[str, str]:
    headers = {"ETag": answer.etag, "Cache-Control": "private, no-cache"}
    if answer.status in RETRY_AFTER_BY_STATUS:
        headers |= retry_after(RETRY_AFTER_BY_STATUS[answer.status])
    return headers


def read_order(account_id: int, order_number: str, now: datetime) -> Answer | None:
    """The account's order read from PostgreSQL, as the body of a response; None if there is no such order.

    The answer expires with the order: its payment link then disappears, although the order's version stays
    the same.
    """
    found = find_whole_order(account_id=account_id, order_number=order_number)
    if found is None:
        return None
    order = found.order
    if order is None:
        assert found.purchase is not None
        body = request_body(found.request, found.purchase, found.requested)
        return Answer(account_id, found.request.status, 0, None, written(body).decode())
    good_until = int(order.expires_at.timestamp()) if is_payable(order, now=now) else None
    body = whole_order_body(order, found.lines, found.events, now=now)
    return Answer(account_id, order.status, order.version, good_until, written(body).decode())
