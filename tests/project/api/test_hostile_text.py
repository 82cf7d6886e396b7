"""Invalid text: lone surrogates, NULs, junk where a number is expected.

It is refused everywhere without a 500, and nothing changes.
"""

import json
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shop.models import Account
from tests.clients import Api
from tests.factories import make_buyer, make_course, make_order
from tests.shopping import V1
from tests.unchanged import nothing_changes
from tests.variants import first_of

pytestmark = pytest.mark.django_db

# What JSON escapes can express, including lone surrogates and NUL.
hostile = st.text(st.characters(exclude_categories=()), max_size=6) | st.sampled_from(
    ["\ud800", "\udfff\ud800", "\x00", "a\x00", "username"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | hostile,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile, inner, max_size=3),
)


def writers(order_number: str, course_id: int) -> list[tuple[str, str]]:
    return [
        ("post", f"{V1}/auth/login/"),
        ("post", f"{V1}/auth/logout/everywhere/"),
        ("post", f"{V1}/cart/"),
        ("put", f"{V1}/cart/{course_id}/"),
        ("post", f"{V1}/checkout/"),
        ("post", f"{V1}/checkout/{'X' * 30}/quote/"),
        ("post", f"{V1}/orders/"),
        ("post", f"{V1}/orders/{order_number}/payments/"),
        ("post", f"{V1}/orders/{order_number}/refunds/"),
        ("post", f"{V1}/payments/alipay/notify/"),
        ("post", "/admin/login/"),
    ]


@pytest.fixture
def buyer() -> Account:
    return make_buyer()


@pytest.mark.parametrize(
    "body",
    [{"\ud800": 1}, {"username": "\ud800", "password": "x"}, {"a": [{"\udfff": None}]}, ["\ud800"], "\ud800"],
)
def test_lone_surrogate_is_refused_by_every_writer(buyer: Account, body: Any) -> None:
    course = make_course()
    order, api = make_order(buyer, course), Api(buyer)
    api.raise_request_exception = False
    for method, path in writers(order.order_number, course.pk):
        if path.endswith("everywhere/"):
            continue  # doesn't read the body
        with nothing_changes():
            answer = api.generic(
                method.upper(),
                path,
                json.dumps(body),
                content_type="application/json",
                headers={"Idempotency-Key": "a-key"},
            )
        assert 400 <= answer.status_code < 500 or path == "/admin/login/", (path, answer.status_code)
        assert answer.status_code != 500


@given(body=values)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_no_json_causes_a_500(buyer: Account, body: Any) -> None:
    api = Api(buyer)
    api.raise_request_exception = False
    for method, path in writers("20260302120000000X", 1):
        answer = api.generic(
            method.upper(),
            path,
            json.dumps(body),
            content_type="application/json",
            headers={"Idempotency-Key": "a-key"},
        )
        assert answer.status_code < 500 or answer.json()["error"] == "gateway_not_configured", (path, body)


@pytest.mark.parametrize(
    "cookie",
    ["aaaaaaaa\x00", '"aaaaaaaa\\000"', "\ud800aaaaaaaa", "é" * 10, "a" * 5000, "../../x", "", '"\\000"'],
)
@pytest.mark.parametrize(
    "path",
    ["/", "/admin/", "/admin/login/", "/pay/x/", "/healthz", "/api/docs/", f"{V1}/courses/", "/nothing/"],
)
@pytest.mark.parametrize("name", ["sessionid", "csrftoken", "messages", "device"])
def test_no_cookie_causes_a_500(path: str, cookie: str, name: str) -> None:
    browser = Client(raise_request_exception=False)
    header = f"{name}={cookie}".encode("utf-8", errors="surrogatepass").decode("latin-1")
    assert browser.get(path, HTTP_COOKIE=header).status_code < 500
    assert not Session.objects.exists()


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "%00", "%ED%A0%80", "%FF", "\r\nX: y", "é"])
@pytest.mark.parametrize(
    "header",
    [
        "Authorization",
        "Idempotency-Key",
        "X-Request-ID",
        "If-None-Match",
        "Accept",
        "X-Forwarded-For",
        "Referer",
    ],
)
def test_no_header_causes_a_500(buyer: Account, header: str, text: str) -> None:
    order = make_order(buyer, make_course())
    api = Api(buyer)
    api.raise_request_exception = False
    sent = f"Token {text}" if header == "Authorization" else text
    for path in (f"{V1}/orders/{order.order_number}/", f"{V1}/cart/", "/", "/admin/login/"):
        assert api.get(path, headers={header: sent}).status_code < 500


@pytest.mark.parametrize("length", ["abc", "-1", "+5", "１", "1" * 400, " ", "5.0", "\x00"])
def test_no_content_length_causes_a_500(buyer: Account, length: str) -> None:
    api = Api(buyer)
    api.raise_request_exception = False
    for path in (f"{V1}/orders/", f"{V1}/auth/login/", f"{V1}/payments/alipay/notify/", "/admin/login/"):
        for content_type in ("application/json", "application/x-www-form-urlencoded"):
            answer = api.generic("POST", path, "{}", content_type=content_type, CONTENT_LENGTH=length)
            assert answer.status_code != 500, path


def patterns(resolver: URLResolver, prefix: str = "/") -> list[str]:
    found = []
    for one in resolver.url_patterns:
        route = prefix + str(one.pattern).replace("^", "").replace("$", "")
        found += (
            patterns(one, route)
            if isinstance(one, URLResolver)
            else [route]
            if isinstance(one, URLPattern)
            else []
        )
    return found


@pytest.mark.usefixtures("quick_sessions")
@pytest.mark.parametrize("junk", [*first_of("a%00", "%00"), *first_of("%ED%A0%80", "%FF"), "%2e%2e"])
def test_no_url_causes_a_500(junk: str) -> None:
    import re

    staff = make_buyer()
    Account.objects.update(is_staff=True, is_superuser=True)
    browser = Client(raise_request_exception=False)
    browser.force_login(staff)
    for route in patterns(get_resolver()):
        if "(?P" in route or route.startswith("/admin/logout"):
            continue
        filled = re.sub(r"<[^>]+>", junk, route)
        for address in {
            filled,
            f"{filled}?q={junk}",
            f"{filled}?{junk}=1",
            f"{re.sub('<[^>]+>', '1', route)}?account__username={junk}&page={junk}",
        }:
            assert browser.get(address).status_code != 500, address
