"""The stable `pay_url`: opens (or re-uses) the order's attempt and sends the buyer to the cashier."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from payments.domain import attempts
from payments.gateways import get_gateways
from payments.states import Product
from shop import clock
from shop.domain import limits
from shop.domain.limits import payment_shares
from shop.domain.paylinks import read_pay_token
from shop.errors import OrderNotFound, OrderNotPayable
from shop.models import Order


@never_cache
@require_GET
def pay(request: HttpRequest, token: str) -> HttpResponse:
    """Redirects to the cashier; an order that can't be paid any more (or is paid) to its own page."""
    order = Order.objects.filter(order_number=read_pay_token(token)).first()
    if order is None:
        raise OrderNotFound
    limits.spend(*payment_shares(order))
    try:
        started = attempts.start_payment(
            order=order, product=Product.PAGE, gateways=get_gateways(), now=clock.now(), cause=f"request:{request.META['shop.request_id']}"
        )
    except OrderNotPayable:
        return HttpResponseRedirect(f"/orders/{order.order_number}/")
    return HttpResponseRedirect(started.pay_url or f"/orders/{order.order_number}/")
