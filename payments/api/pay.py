"""The stable `pay_url`: opens (or re-uses) the order's attempt and sends the buyer to the cashier.

Anything may open a link: a chat's preview, a crawler, a browser that loads ahead. A GET therefore ends
nothing that somebody may be using; where it would, it shows a page whose button does.
"""

import re

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from payments.domain.trades import attempts, confirming
from payments.errors import OrderNotPayable, PaymentConfirming
from payments.gateways import get_gateways
from payments.states import Product
from shop import clock
from shop.api.authentication import request_id_of
from shop.domain import limits
from shop.domain.limits import payment_shares
from shop.domain.orders.paylinks import read_pay_token
from shop.domain.polling.presence import note_watched
from shop.errors import OrderNotFound
from shop.models import Order

# Every phone's browser says so, and no other (HTML's own advice).
_PHONE = re.compile("Mobi")
_CASHIERS = {"page": Product.PAGE, "wap": Product.WAP}


@never_cache
@require_http_methods(["GET", "POST"])
def pay(request: HttpRequest, token: str) -> HttpResponse:
    """Redirects to the cashier of the buyer's device or of `?product=`; an order that is paid, over or
    unclear to its own page.
    """
    order = Order.objects.filter(order_number=read_pay_token(token)).first()
    if order is None:
        raise OrderNotFound
    limits.spend(*payment_shares(order))
    note_watched(order.order_number)
    order_page = f"/orders/{order.order_number}/"
    product, gateways, now = product_of(request), get_gateways(), clock.database_now()
    cause = f"request:{request_id_of(request)}"
    try:
        report = confirming.ask_before_paying(order=order, gateways=gateways, now=now, cause=cause)
        if request.method == "GET" and (
            other := confirming.find_other_attempt(order=order, product=product, report=report)
        ):
            return render(
                request,
                "storefront/pay.html",
                {"page": "pay", "order": order, "other": other, "product": product},
            )
        started = attempts.start_payment(
            order=order, product=product, gateways=gateways, now=now, cause=cause
        )
    except OrderNotPayable:
        return HttpResponseRedirect(order_page)
    except PaymentConfirming:
        return HttpResponseRedirect(f"{order_page}?pay=confirming")
    if request.method == "POST":
        # Browsers hold the whole way of a form to the policy's `form-action`, which names no cashier. A page
        # may lead there.
        return render(
            request, "storefront/pay.html", {"page": "pay", "order": order, "cashier": started.pay_url}
        )
    return HttpResponseRedirect(started.pay_url or order_page)


def product_of(request: HttpRequest) -> Product:
    """The cashier that was asked for, or the one for the device: by its client hint, else by its user
    agent.
    """
    wanted = _CASHIERS.get(request.GET.get("product", ""))
    is_phone = (
        request.headers.get("Sec-CH-UA-Mobile") == "?1"
        or _PHONE.search(request.headers.get("User-Agent", "")) is not None
    )
    return wanted or (Product.WAP if is_phone else Product.PAGE)
