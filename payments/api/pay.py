"""The stable `pay_url`: opens the order's payment, or reuses the open one, and sends the buyer to the
cashier.

A link may be opened by anything: a chat preview, a crawler, a prefetching browser. So a GET never closes an
attempt that somebody may be using; where that is needed, it shows a page with a button that does.
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

# Phones have this in their user agent and desktop browsers don't (MDN's advice).
_PHONE = re.compile("Mobi")
_CASHIERS = {"page": Product.PAGE, "wap": Product.WAP}


@never_cache
@require_http_methods(["GET", "POST"])
def pay(request: HttpRequest, token: str) -> HttpResponse:
    """Redirects to the cashier, or to the order's page if the order is paid, closed or being confirmed.

    `?product=` chooses the cashier; without it the buyer's device does. A GET that would close another
    attempt shows a page with a button instead.

    Raises:
        OrderNotFound: the token is invalid, or its order doesn't exist.
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
        # Browsers also apply the content security policy's `form-action`, which names no cashier, to the
        # redirects after a form. A page of our own may link to it.
        return render(
            request, "storefront/pay.html", {"page": "pay", "order": order, "cashier": started.pay_url}
        )
    return HttpResponseRedirect(started.pay_url or order_page)


def product_of(request: HttpRequest) -> Product:
    """The product in the query; otherwise the one for the device, by its client hint or its user agent."""
    wanted = _CASHIERS.get(request.GET.get("product", ""))
    is_phone = (
        request.headers.get("Sec-CH-UA-Mobile") == "?1"
        or _PHONE.search(request.headers.get("User-Agent", "")) is not None
    )
    return wanted or (Product.WAP if is_phone else Product.PAGE)
