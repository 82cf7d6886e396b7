"""The synchronous baseline: creates an order within the request, with the shop's own domain code."""

from django.urls import include, path
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from shop import clock
from shop.api.authentication import account_of, request_id_of
from shop.api.orderoutput import order_body
from shop.api.orders import by_serializer
from shop.domain.ordering import creation, intake
from shop.domain.orders import finding


class SynchronousOrderView(APIView):
    """The authentication, validation and domain code of `POST orders/` and of its worker, in one request."""

    def post(self, request: Request) -> Response:
        now, account, request_id = clock.now(), account_of(request), request_id_of(request)
        purchase, key = by_serializer(request.data), request.headers["Idempotency-Key"]
        stored, _ = intake.place_order(
            account=account, purchase=purchase, idempotency_key=key, request_id=request_id, now=now
        )
        creation.create_orders([stored.pk], now=now, cause="synchronous")
        order = finding.get_order(account_id=account.pk, order_number=stored.order_number)
        return Response(order_body(order, now=now), status=status.HTTP_201_CREATED)


urlpatterns = [path("synchronous/orders/", SynchronousOrderView.as_view()), path("", include("project.urls"))]
