"""`cart/`: the courses that the buyer intends to buy."""

from collections.abc import Sequence
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from shop import clock
from shop.api.authentication import account_of
from shop.api.catalogue import PolicyOutput
from shop.api.fields import IdField, Input, YuanField, show
from shop.domain.checkout import cart


class AddInput(Input):
    course_id = IdField()
    policy_id = IdField()


class ChangeInput(Input):
    policy_id = IdField()


class CartLineOutput(serializers.Serializer[cart.CartLine]):
    id = serializers.IntegerField(source="course.pk")
    name = serializers.CharField(source="course.name")
    course_img = serializers.CharField(source="course.course_img")
    price_policy_list = PolicyOutput(source="policies", many=True)
    choice_policy_id = serializers.IntegerField(source="choice.policy_id")
    price_seen = YuanField(source="choice.price_seen", help_text="加入购物车时的价格")
    flags = serializers.ListField(
        child=serializers.ChoiceField(
            choices=["offline", "policy_gone", "price_changed", "owned", "in_unpaid_order"]
        )
    )
    unpaid_order_number = serializers.CharField(
        allow_null=True, help_text="包含这门课程的待支付订单，没有则为 null"
    )


def _shown(lines: Sequence[cart.CartLine]) -> Response:
    return Response({str(line.course.pk): show(CartLineOutput, line) for line in lines})


class CartOutput(serializers.Serializer[Any]):
    """The cart's lines by course id."""


class CartSchema(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Documents `CartOutput`."""

    target_class = CartOutput

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        line = auto_schema.resolve_serializer(CartLineOutput, direction)
        return {"type": "object", "additionalProperties": line.ref}


class CartView(APIView):
    """The whole cart."""

    @extend_schema(responses=CartOutput)
    def get(self, request: Request) -> Response:
        """The cart by course id, with each course's current data."""
        return _shown(cart.list_cart(account=account_of(request), now=clock.now()))

    @extend_schema(request=AddInput, responses=CartOutput)
    def post(self, request: Request) -> Response:
        """Adds a course, or changes its policy if it is in the cart already; returns the cart."""
        data = AddInput.read(request.data)
        return _shown(cart.add_to_cart(account=account_of(request), **data, now=clock.now()))

    @extend_schema(operation_id="cart_clear", request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Empties the cart."""
        cart.clear_cart(account=account_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class CartLineView(APIView):
    """One course of the cart."""

    @extend_schema(request=ChangeInput, responses=CartOutput)
    def put(self, request: Request, course_id: int) -> Response:
        """Chooses another policy; returns the cart."""
        data = ChangeInput.read(request.data)
        return _shown(
            cart.change_policy(account=account_of(request), course_id=course_id, **data, now=clock.now())
        )

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, course_id: int) -> Response:
        """Removes the course. A course that isn't in the cart is no error."""
        cart.remove_from_cart(account_id=account_of(request).pk, course_ids=[course_id])
        return Response(status=status.HTTP_204_NO_CONTENT)
