"""`checkout/`: prices the chosen courses in a worker."""

from collections.abc import Mapping
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
from shop.api.checkoutoutput import CheckoutOutput
from shop.api.fields import IdField, Input
from shop.domain import checkout
from shop.domain.checkout import shown_time
from shop.tasks import prepare_checkout
from shop.wakeup import send

RETRY_AFTER_S = "1"


class CheckoutInput(Input):
    course_list = serializers.ListField(child=IdField(), min_length=1, max_length=settings.CART_MAX_LINES)

    def validate_course_list(self, course_ids: list[int]) -> list[int]:
        if len(set(course_ids)) != len(course_ids):
            raise serializers.ValidationError("同一门课程出现了两次。")
        return course_ids


class CheckoutStartedOutput(serializers.Serializer[Any]):
    checkout_id = serializers.CharField()
    status = serializers.ChoiceField(choices=["pending"])
    url = serializers.CharField()


def _shown(found: checkout.Checkout) -> Response:
    result: Mapping[str, Any] = found.result or {"status": "pending"}
    response = Response({"checkout_id": found.checkout_id, "expires_at": shown_time(found.expires_at), **result})
    if found.result is None:
        if checkout.is_stalled(found, now=clock.now()):
            send(prepare_checkout, checkout_id=found.checkout_id)
        response["Retry-After"] = RETRY_AFTER_S
    return response


class CheckoutStartView(APIView):
    """Starts a checkout, or shows the newest one."""

    @extend_schema(request=CheckoutInput, responses={202: CheckoutStartedOutput})
    def post(self, request: Request) -> Response:
        data = CheckoutInput(data=request.data)
        data.is_valid(raise_exception=True)
        started = checkout.start_checkout(account=account_of(request), course_ids=data.validated_data["course_list"], now=clock.now())
        send(prepare_checkout, checkout_id=started.checkout_id)
        url = reverse("checkout", args=[started.checkout_id])
        return Response(
            {"checkout_id": started.checkout_id, "status": "pending", "url": url},
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": url, "Retry-After": RETRY_AFTER_S},
        )

    @extend_schema(operation_id="checkout_latest", responses=CheckoutOutput)
    def get(self, request: Request) -> Response:
        return _shown(checkout.get_latest_checkout(account_id=account_of(request).pk))


class CheckoutView(APIView):
    """One checkout."""

    @extend_schema(responses=CheckoutOutput)
    def get(self, request: Request, checkout_id: str) -> Response:
        return _shown(checkout.get_checkout(account_id=account_of(request).pk, checkout_id=checkout_id))
