"""`checkout/`: has a worker price the chosen courses."""

from typing import Any

from django.conf import settings
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from shop import clock
from shop.api.authentication import account_of
from shop.api.checkoutoutput import (
    BoughtAgainOutput,
    CheckoutOutput,
    CheckoutQuoteOutput,
    CheckoutStartedOutput,
    checkout_body,
    requote_body,
)
from shop.api.fields import (
    MAX_BEILI,
    IdField,
    Input,
    StrictIntegerField,
    optional_id,
    refuse_repeated_courses,
)
from shop.api.wire import WORKER_S, retry_after
from shop.domain.checkout import checkouts
from shop.domain.checkout.requote import quote_choices
from shop.domain.ordering import buying_again
from shop.tasks import prepare_checkouts
from shop.wakeup import wake_soon


class CheckoutInput(Input):
    course_list = serializers.ListField(child=IdField(), min_length=1, max_length=settings.CART_MAX_LINES)

    def validate_course_list(self, course_ids: list[int]) -> list[int]:
        refuse_repeated_courses(course_ids)
        return course_ids


class QuoteLineInput(Input):
    course_id = IdField()
    coupon_record_id = optional_id("0 或 null 表示不使用")


class QuoteInput(Input):
    course_price_list = QuoteLineInput(
        many=True,
        allow_empty=False,
        max_length=settings.CART_MAX_LINES,
        # type: ignore[call-arg] # the stubs don't know what many=True takes
    )
    coupon_record_id = optional_id("全场券；0 或 null 表示不使用")
    balance = StrictIntegerField(
        min_value=0, max_value=MAX_BEILI, required=False, default=0, help_text="想使用的贝里，超出部分不计"
    )

    def validate_course_price_list(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        refuse_repeated_courses([line["course_id"] for line in lines])
        return lines


def _shown(found: checkouts.Checkout) -> Response:
    if found.result is None and checkouts.queue_if_stalled(found):
        wake_soon(prepare_checkouts)
    return Response(checkout_body(found), headers=retry_after(WORKER_S) if found.result is None else {})


def _url_of(started: checkouts.Checkout) -> str:
    return reverse("checkout", args=[started.checkout_id])


def _accepted(body: CheckoutStartedOutput) -> Response:
    """Wakes a worker to price the checkout; answers 202 with the URL of the result."""
    wake_soon(prepare_checkouts)
    return Response(
        body, status=status.HTTP_202_ACCEPTED, headers={"Location": body.url, **retry_after(WORKER_S)}
    )


class CheckoutStartView(APIView):
    """Starts a checkout, or shows the newest one."""

    @extend_schema(request=CheckoutInput, responses={202: CheckoutStartedOutput})
    def post(self, request: Request) -> Response:
        data = CheckoutInput.read(request.data)
        started = checkouts.start_checkout(
            account=account_of(request), course_ids=data["course_list"], now=clock.now()
        )
        return _accepted(
            CheckoutStartedOutput(checkout_id=started.checkout_id, status="pending", url=_url_of(started))
        )

    @extend_schema(operation_id="checkout_latest", responses=CheckoutOutput)
    def get(self, request: Request) -> Response:
        return _shown(checkouts.get_latest_checkout(account_id=account_of(request).pk))


class BuyAgainView(APIView):
    """Buys the courses of an order again."""

    @extend_schema(request=None, responses={202: BoughtAgainOutput})
    def post(self, request: Request, order_number: str) -> Response:
        """Puts the order's courses into the cart and starts a checkout, each for the period it had then."""
        bought = buying_again.buy_again(
            account=account_of(request), order_number=order_number, now=clock.now()
        )
        started = bought.checkout
        body = BoughtAgainOutput(
            checkout_id=started.checkout_id,
            status="pending",
            url=_url_of(started),
            left_out=list(bought.left_out),
        )
        return _accepted(body)


class CheckoutView(APIView):
    """One checkout."""

    @extend_schema(responses=CheckoutOutput)
    def get(self, request: Request, checkout_id: str) -> Response:
        return _shown(checkouts.get_checkout(account_id=account_of(request).pk, checkout_id=checkout_id))


class CheckoutQuoteView(APIView):
    """The price of a checkout with the given coupons and 贝里."""

    @extend_schema(request=QuoteInput, responses=CheckoutQuoteOutput)
    def post(self, request: Request, checkout_id: str) -> Response:
        """Prices the choices against the checkout's snapshot. Nothing is reserved or stored."""
        account = account_of(request)
        found = checkouts.get_checkout(account_id=account.pk, checkout_id=checkout_id)
        choices = QuoteInput.read(request.data)
        requote = quote_choices(
            checkout=found,
            by_course={
                line["course_id"]: line["coupon_record_id"] or None for line in choices["course_price_list"]
            },
            global_record_id=choices["coupon_record_id"] or None,
            beili=choices["balance"],
            balance=account.balance,
        )
        return Response(requote_body(found, requote))
