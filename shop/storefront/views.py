"""Shells of the buyer's own pages. Each page's script fetches the content from the API with the buyer's
token.
"""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from shop import clock


def show_page(request: HttpRequest, name: str, **context: Any) -> HttpResponse:
    """Renders a storefront page; `name` is the name of its template and of its script."""
    # Countdowns use the shop's clock, since the buyer's may be wrong.
    return render(
        request, f"storefront/{name}.html", {"page": name, "now": clock.now().isoformat(), **context}
    )


@require_safe
@cache_control(no_store=True)
def login(request: HttpRequest) -> HttpResponse:
    """Login; `?next=` names the page to continue with."""
    return show_page(request, "login", is_open=settings.REGISTRATION_OPEN)


@require_safe
@cache_control(no_cache=True)
def register(request: HttpRequest) -> HttpResponse:
    """A new account; `?next=` as for the login."""
    return show_page(request, "register", is_open=settings.REGISTRATION_OPEN)


@require_safe
@cache_control(no_cache=True)
def cart(request: HttpRequest) -> HttpResponse:
    """The cart."""
    return show_page(request, "cart")


@require_safe
@cache_control(no_cache=True)
def checkout(request: HttpRequest, checkout_id: str = "") -> HttpResponse:
    """A checkout; without an id the buyer's newest one."""
    return show_page(request, "checkout", subject=checkout_id)


@require_safe
@cache_control(no_cache=True)
def orders(request: HttpRequest) -> HttpResponse:
    """The buyer's orders."""
    return show_page(request, "orders")


@require_safe
@cache_control(no_cache=True)
def order(request: HttpRequest, order_number: str) -> HttpResponse:
    """One order; the script polls it until it is settled."""
    return show_page(request, "order", subject=order_number)


@require_safe
@cache_control(no_cache=True)
def coupons(request: HttpRequest) -> HttpResponse:
    """Campaigns to claim from, and the buyer's own coupons."""
    return show_page(request, "coupons")


@require_safe
@cache_control(no_cache=True)
def me(request: HttpRequest) -> HttpResponse:
    """The buyer's courses and 贝里."""
    return show_page(request, "me")


@require_safe
@cache_control(no_cache=True)
def account(request: HttpRequest) -> HttpResponse:
    """The buyer's contact details and password."""
    return show_page(request, "account")
