"""The synchronous baseline: an order as a shop without workers takes it, by the shop's own domain code."""

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
    """Validated, stored, created and answered in one request: the same authentication, validation and domain
    code as `POST orders/` and its worker.
    """

    def post(self, request: Request) -> Response:
        now, account = clock.now(), account_of(request)
        stored, _ = intake.place_order(
            account=account,
            purchase=by_serializer(request.data),
            idempotency_key=request.headers["Idempotency-Key"],
            request_id=request_id_of(request),
            now=now,
        )
        creation.create_orders([stored.pk], now=now, cause="synchronous")
        order = finding.get_order(account_id=account.pk, order_number=stored.order_number)
        return Response(order_body(order, now=now), status=status.HTTP_201_CREATED)


urlpatterns = [path("synchronous/orders/", SynchronousOrderView.as_view()), path("", include("project.urls"))]
