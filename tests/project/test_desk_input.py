"""URLs and forms of the desk with arbitrary input: never a server error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.options import ModelAdmin
from django.template.response import TemplateResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from shop import clock
from shop.models import Account
from tests.factories import make_buyer, make_course, make_order
from tests.payments.memorygateway import MemoryGateway
from tests.payments.order_scenario import ask_refund, notify, pay

pytestmark = pytest.mark.django_db
HUGE = "9" * 30
VALUES = ("abc", "99999", HUGE, "\x00")
LOOKUPS = ("__exact", "__year")
PLAIN = (
    "q",
    "p",
    "o",
    "all",
    "e",
    "_popup",
    "_to_field",
    "_changelist_filters",
    "_facets",
    "next",
    "since",
    "until",
    "kind",
    "days",
    "page",
    "sort",
)


@pytest.fixture
def staff() -> Client:
    gateway = MemoryGateway(clock.now)
    order = make_order(make_buyer(username="lufei"), make_course("30.00"), alipay="30.00", now=clock.now())
    notify(gateway, pay(order, gateway, now=clock.now()), now=clock.now())
    ask_refund(order, now=clock.now())
    browser = Client(raise_request_exception=False)
    browser.force_login(Account.objects.create(username="operator", is_staff=True, is_superuser=True))
    return browser


def model_admins() -> list[ModelAdmin[Any]]:
    admin.autodiscover()  # as the URLs do, which aren't loaded yet when tests are collected
    registered = list(admin.site._registry.values())
    assert len(registered) > 10
    return registered


def questions(model_admin: ModelAdmin[Any]) -> Iterator[dict[str, str]]:
    """Queries of a list: each field with each lookup, and each parameter of lists."""
    for field in model_admin.model._meta.get_fields():
        if field.concrete:
            for lookup in LOOKUPS:
                for value in VALUES:
                    yield {f"{field.name}{lookup}": value}
    for model_filter in model_admin.list_filter:
        name = (
            model_filter
            if isinstance(model_filter, str)
            else getattr(model_filter, "parameter_name", None) or str(model_filter)
        )
        for suffix in ("", "_from", "__exact"):
            for value in VALUES:
                yield {f"{name}{suffix}": value}
    for name in PLAIN:
        for value in VALUES:
            yield {name: value}


@pytest.fixture
def few_pages_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lookups run before the list is rendered, and the pages only differ in the value that their links
    repeat.
    """
    render = TemplateResponse.render
    written: set[tuple[str, str]] = set()

    def render_new(response: Any) -> Any:
        request = response._request
        [(name, value)] = request.GET.items()
        if name not in PLAIN:
            if (request.path, value) in written:
                response.content = b""
            written.add((request.path, value))
        return render(response)

    monkeypatch.setattr(TemplateResponse, "render", render_new)


@pytest.mark.usefixtures("few_pages_written", "quick_sessions")
@pytest.mark.parametrize("model_admin", model_admins(), ids=str)
def test_lists(staff: Client, model_admin: ModelAdmin[Any]) -> None:
    meta = model_admin.model._meta
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    bad = [
        (query, status)
        for query in questions(model_admin)
        if (status := staff.get(address, query).status_code) >= 500
    ]
    assert bad == []


@pytest.mark.usefixtures("quick_sessions")
@pytest.mark.parametrize("model_admin", model_admins(), ids=str)
def test_actions(staff: Client, model_admin: ModelAdmin[Any]) -> None:
    meta = model_admin.model._meta
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    request = staff.get(address).wsgi_request
    bad = []
    for action in [*model_admin.get_actions(request), "nothing", "\x00"]:
        for value in VALUES:
            for form in (
                {"_selected_action": value},
                {"_selected_action": [value, "1"], "post": "yes"},
                {"index": value, "select_across": value},
            ):
                status = staff.post(address, {"action": action, "index": "0", **form}).status_code
                if status >= 500:
                    bad.append((action, form, status))
    assert bad == []


def pages(
    patterns: Sequence[URLPattern | URLResolver] | None = None, prefix: str = "/admin/"
) -> Iterator[tuple[str, list[str]]]:
    """Every URL of the desk as a format string, with the names of its parameters."""
    if patterns is None:
        patterns = next(
            one.url_patterns
            for one in get_resolver().url_patterns
            if isinstance(one, URLResolver) and str(one.pattern) == "admin/"
        )
    for one in patterns:
        if isinstance(one, URLResolver):
            yield from pages(one.url_patterns, prefix + str(one.pattern))
        else:
            yield prefix + str(one.pattern), list(one.pattern.converters)


@pytest.mark.parametrize("method", ["get", "post"])
def test_pages_of_what_isnt_there(staff: Client, method: str) -> None:
    bad = []
    for pattern, names in pages():
        if "<" not in pattern:
            continue
        for value in VALUES:
            address = pattern
            for _ in names:
                start = address.index("<")
                address = (
                    address[:start] + (value.replace("/", "_") or "x") + address[address.index(">") + 1 :]
                )
            status = getattr(staff, method)(address.replace("\x00", "%00")).status_code
            if status >= 500:
                bad.append((address, status))
    assert bad == []
