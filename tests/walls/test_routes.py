"""Requests every URL with every method as every kind of caller.

Whatever isn't in the tables below fails: a new URL needs a row.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.template.response import TemplateResponse
from django.test import Client
from django.urls import URLResolver, get_resolver
from knox.models import AuthToken
from pytest_django import Settings

from payments.models import Bill, BillDifference, Notification, Payment, Refund
from project.api.schemaview import _schema
from project.roles import ROLES, ensure_roles
from shop import clock
from shop.desk.deeds import WithDeeds
from shop.domain.checkout import checkouts
from shop.domain.coupons.codes import make_codes
from shop.domain.orders.paylinks import pay_url
from shop.models import (
    Account,
    Category,
    CouponCode,
    CouponRecord,
    Enrolment,
    LedgerTransfer,
    Order,
    OrderRequest,
)
from tests.factories import make_buyer, make_coupon, make_course, make_order, make_record
from tests.payments.memorygateway import MemoryGateway
from tests.payments.order_scenario import ask_refund, make_difference, pay
from tests.unchanged import everything

pytestmark = pytest.mark.django_db
COMBINATIONS = "combinations of route, method and actor"  # `conftest.py` sums them up at the end of the run
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


class Access(Enum):
    OPEN = "anybody, without a word"
    BUYER = "whoever has a living token"
    OWNER = "the buyer whose thing it is; for others it isn't there"


OPEN, BUYER, OWNER = Access


@dataclass(frozen=True)
class Row:
    """Who may use a URL, and with which methods; any other is answered 405."""

    access: Access
    methods: frozenset[str]
    # The answer to OPTIONS of an open URL outside of DRF.
    is_drf: bool = True


def row(access: Access, *methods: str, is_drf: bool = True) -> Row:
    safe = {"HEAD"} if "GET" in methods else set()
    return Row(access, frozenset({*methods, *safe, *({"OPTIONS"} if is_drf else ())}), is_drf)


V1 = "/api/v1"
API = {
    f"{V1}/auth/login/": row(OPEN, "POST"),
    f"{V1}/auth/logout/": row(BUYER, "POST"),
    f"{V1}/auth/logout/everywhere/": row(BUYER, "POST"),
    f"{V1}/auth/register/": row(OPEN, "POST"),
    f"{V1}/auth/password/": row(BUYER, "POST"),
    f"{V1}/auth/profile/": row(BUYER, "GET", "PUT"),
    f"{V1}/categories/": row(OPEN, "GET"),
    f"{V1}/courses/": row(OPEN, "GET"),
    f"{V1}/courses/<id:course_id>/": row(OPEN, "GET"),
    f"{V1}/coupons/": row(BUYER, "GET"),
    f"{V1}/coupons/mine/": row(BUYER, "GET"),
    f"{V1}/coupons/redeem/": row(BUYER, "POST"),
    f"{V1}/coupons/<id:coupon_id>/claim/": row(BUYER, "POST"),
    f"{V1}/cart/": row(BUYER, "GET", "POST", "DELETE"),
    f"{V1}/cart/<id:course_id>/": row(BUYER, "PUT", "DELETE"),
    f"{V1}/checkout/": row(BUYER, "GET", "POST"),
    f"{V1}/checkout/<number:checkout_id>/": row(OWNER, "GET"),
    f"{V1}/checkout/<number:checkout_id>/quote/": row(OWNER, "POST"),
    f"{V1}/orders/": row(BUYER, "GET", "POST"),
    f"{V1}/orders/<number:order_number>/": row(OWNER, "GET"),
    f"{V1}/orders/<number:order_number>/again/": row(OWNER, "POST"),
    f"{V1}/orders/<number:order_number>/payments/": row(OWNER, "POST"),
    f"{V1}/orders/<number:order_number>/cancel/": row(OWNER, "POST"),
    f"{V1}/orders/<number:order_number>/refunds/": row(OWNER, "GET", "POST"),
    f"{V1}/orders/<number:order_number>/refunds/quote/": row(OWNER, "POST"),
    f"{V1}/enrolments/": row(BUYER, "GET"),
    f"{V1}/balance/": row(BUYER, "GET"),
}
# Alipay's signature, the link's signature, or nothing to hide. `/metrics` and `/readyz` are closed by the
# proxy.
PAGES = {
    f"{V1}/payments/alipay/notify/": row(OPEN, "POST", is_drf=False),
    f"{V1}/payments/alipay/return/": row(OPEN, "GET", is_drf=False),
    "/healthz": row(OPEN, "GET", is_drf=False),
    "/readyz": row(OPEN, "GET", is_drf=False),
    "/metrics": row(OPEN, "GET", is_drf=False),
    "/api/schema/": row(OPEN, "GET"),
    "/api/docs/": row(OPEN, "GET", is_drf=False),
    "/pay/<str:token>/": row(OPEN, "GET", "POST", is_drf=False),
    "/.well-known/security.txt": row(OPEN, "GET", is_drf=False),
    "/language/": row(OPEN, "POST", is_drf=False),
    "/password/reset/": row(OPEN, "GET", "POST"),
    "/password/reset/done/": row(OPEN, "GET"),
    "/password/reset/<str:uidb64>/<str:token>/": row(OPEN, "GET", "POST"),
    "/password/reset/complete/": row(OPEN, "GET"),
    **{
        path: row(OPEN, "GET", is_drf=False)
        for path in (
            "/", "/categories/<int:category_id>/", "/courses/<int:course_id>/", "/login/", "/cart/",
            "/checkout/", "/checkout/<slug:checkout_id>/", "/orders/",
            "/orders/<slug:order_number>/", "/coupons/", "/me/", "/register/", "/me/account/",
        )
    },
}  # fmt: skip
# Django views that refuse HEAD.
NO_HEAD = {f"{V1}/payments/alipay/return/", "/healthz", "/readyz", "/metrics", "/pay/<str:token>/"}

# What each staff role may do with each table: view, add, change, delete. Nobody edits rows that move or
# record money.
LOOK = {
    "shop/category": "v", "shop/course": "v", "shop/coupon": "v", "shop/couponrecord": "v",
    "shop/orderrequest": "v", "shop/order": "v", "shop/enrolment": "v",
    "shop/ledgertransfer": "v", "shop/account": "v", "payments/payment": "v", "payments/notification": "v",
    "payments/refund": "v", "payments/bill": "v", "payments/billdifference": "v",
    "shop/couponcode": "v", "admin/logentry": "", "auth/group": "",
}  # fmt: skip
STAFF = {
    "客服": LOOK,
    "财务": {**LOOK, "admin/logentry": "v"},
    "店长": {
        **LOOK,
        "shop/category": "vacd",
        "shop/course": "vac",
        "shop/coupon": "vacd",
        "admin/logentry": "v",
    },
    "without a role": dict.fromkeys(LOOK, ""),
    "superuser": {
        **LOOK,
        "shop/category": "vacd",
        "shop/course": "vacd",
        "shop/coupon": "vacd",
        "shop/account": "vac",
        "auth/group": "vacd",
        "admin/logentry": "v",
    },
}
# Each table's deeds, with the roles that may perform them. Superusers may perform all.
DEEDS = {
    "shop/order": {"ask_gateway": "客服 财务", "refund": "客服", "cancel": "客服", "move_deadline": "客服",
        "pick_up": "客服 财务"},
    "shop/orderrequest": {"pick_up": "客服 财务"},
    "shop/enrolment": {"extend": "财务", "revoke": "财务"},
    "shop/account": {"adjust_beili": "财务", "give_coupon": "财务", "grant_access": "财务",
        "end_logins": "客服", "anonymise": ""},
    "shop/coupon": {"end": "店长", "codes": "店长"},
    "payments/payment": {"ask_gateway": "财务", "pick_up": "客服 财务", "report_external_refund": "财务",
        "refund_surplus": "财务"},
    "payments/bill": {"pick_up": "客服 财务"},
    "payments/billdifference": {"explain": "财务"},
    "payments/notification": {"reapply": "财务", "dismiss": "财务"},
    "payments/refund": {
        "approve": "财务", "reject": "财务", "pay_elsewhere": "财务", "explain_by_courses": "财务",
        "explain_as_goodwill": "财务",
        "dismiss_external": "财务", "pick_up": "客服 财务",
    },
}  # fmt: skip
MODEL_PAGES = {
    "": "v",
    "add/": "a",
    "<path:object_id>/change/": "v",
    "<path:object_id>/history/": "v",
    "<path:object_id>/delete/": "d",
    "<path:object_id>/": "*",
}
ADMIN = {f"/admin/{model}/{page}": (model, verb) for model in LOOK for page, verb in MODEL_PAGES.items()}
# "*": any staff. "!": superusers.
ADMIN |= {
    "/admin/": ("", "*"), "/admin/password_change/": ("", "*"), "/admin/password_change/done/": ("", "*"),
    "/admin/jsi18n/": ("", "*"),
    "/admin/autocomplete/": ("", "*"), "/admin/r/<path:content_type_id>/<path:object_id>/": ("", "*"),
    "/admin/<app_label>/": ("", "*"), "/admin/(?P<url>.*)$": ("", "*"),
    "/admin/shop/account/<id>/password/": ("", "!"),
    # Permission → the roles that have it.
    "/admin/search/": ("", "客服 财务 店长"), "/admin/days/": ("", "客服 财务 店长"),
    "/admin/exports/": ("", "财务"),
    "/admin/shop/couponcode/batches/<slug:batch>.csv": ("", "店长"),
    # Deeds are tested separately below.
    **{f"/admin/{model}/<int:pk>/deeds/<slug:name>/": ("", "*") for model in DEEDS},
}  # fmt: skip
OF_ITSELF = {"/admin/login/", "/admin/logout/"}  # `tests/project/test_staffsite.py`
APPS = re.compile(r"\^\(\?P<app_label>[a-z|]+\)/\$")


def routes(resolver: URLResolver | None = None, prefix: str = "/") -> Iterator[str]:
    for one in (resolver or get_resolver()).url_patterns:
        # The admin lists its apps in the order of their import.
        route = APPS.sub("<app_label>/", prefix + str(one.pattern))
        if isinstance(one, URLResolver):
            yield from routes(one, route)
        else:
            yield route


def test_every_address_has_a_row() -> None:
    assert set(routes()) == set(API) | set(PAGES) | set(ADMIN) | OF_ITSELF


def test_schema_says_the_same() -> None:
    documented = {
        (
            re.sub(r"\{(\w+)\}", r"<\1>", path),
            method.upper(),
            "security" not in operation or {} in operation["security"],
        )
        for path, operations in _schema()["paths"].items()
        for method, operation in operations.items()
        if method.upper() in METHODS
    }
    ours = {
        (re.sub(r"<\w+:", "<", path), method, row.access is OPEN)
        for path, row in API.items()
        for method in row.methods - {"HEAD", "OPTIONS"}
    }
    assert documented == ours


@dataclass
class OneOfEach:
    """A buyer with one of everything."""

    owner: Account
    values: dict[str, Any]
    models: dict[str, Any] = field(default_factory=dict)

    def address(self, route: str) -> str:
        """The route, filled in with the owner's ids."""
        filled = route.replace("<app_label>", "shop").replace("(?P<url>.*)$", "nothing/here/")
        model = re.match(r"/admin/(\w+/\w+)/", route)
        if model and model[1] in self.models:
            filled = filled.replace("<path:object_id>", str(self.models[model[1]].pk))
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(self.values[found[1]]), filled)


@pytest.fixture
def rows(alipay_settings: Settings) -> OneOfEach:
    alipay_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    alipay_settings.LIMITS = dict.fromkeys(alipay_settings.LIMITS, (100_000, 60))
    ensure_roles()
    now = clock.now()
    category = Category.objects.create(name="分类")
    owner, course, coupon = (
        make_buyer(username="owner", beili=50),
        make_course("30.00", category=category),
        make_coupon(value="5"),
    )
    record = make_record(owner, make_coupon(value="1"))
    gateway = MemoryGateway(clock.now)
    paid = make_order(owner, make_course("20.00"), now=now)
    pay(paid, gateway, now=now)
    ask_refund(paid, now=now)
    make_difference(paid, now=now)
    order = make_order(owner, course, now=now, beili=1, alipay="29.00")
    started = checkouts.start_checkout(account=owner, course_ids=[course.pk], now=now)
    batch = make_codes(coupon_id=record.coupon_id, count=1, staff=owner, now=now)
    LogEntry.objects.log_actions(owner.pk, [course], CHANGE, "x", single_object=True)
    values = {
        "order_number": order.order_number, "course_id": course.pk, "category_id": category.pk,
        "coupon_id": coupon.pk,
        "checkout_id": started.checkout_id,
        "batch": batch, "pk": 0, "name": "none",
        "token": pay_url(order.order_number).rsplit("/", 2)[1], "id": owner.pk, "uidb64": "MQ",
        "content_type_id": 1, "object_id": 1,
    }  # fmt: skip
    others = (
        OrderRequest, Enrolment, LedgerTransfer, Payment, Notification, Refund, CouponCode, LogEntry, Bill,
        BillDifference,
    )  # fmt: skip
    models = {
        "shop/category": category, "shop/course": course, "shop/coupon": coupon, "shop/couponrecord": record,
        "shop/order": order,
        "shop/account": owner, "auth/group": Group.objects.earliest("pk"),
    } | {
        f"{one._meta.app_label}/{one._meta.model_name}": one.objects.earliest("pk")
        for one in others
    }  # fmt: skip
    assert CouponRecord.objects.exists()
    assert Order.objects.filter(status="paid").exists()
    return OneOfEach(owner, values, models)


def nobody(rows: OneOfEach) -> Client:
    return Client()


def with_token(account: Account) -> Client:
    _, token = AuthToken.objects.create(user=account)
    return Client(headers={"Authorization": f"Token {token}"})


def with_ended_token(rows: OneOfEach) -> Client:
    browser = with_token(rows.owner)
    AuthToken.objects.filter(user=rows.owner).delete()
    return browser


def disabled_owner(rows: OneOfEach) -> Client:
    browser = with_token(rows.owner)
    browser.force_login(rows.owner)
    Account.objects.filter(pk=rows.owner.pk).update(is_active=False)
    return browser


def staff(role: str) -> Callable[[OneOfEach], Client]:
    def make(rows: OneOfEach) -> Client:
        account = Account.objects.create(
            username=f"staff {role}", is_staff=True, is_superuser=role == "superuser"
        )
        if role in ROLES:
            account.groups.add(Group.objects.get(name=role))
        browser = Client()
        browser.force_login(account)
        return browser

    return make


def buyer_in_a_browser(rows: OneOfEach) -> Client:
    """A buyer's session gives no access: the API requires tokens, and the admin staff."""
    browser = Client()
    browser.force_login(rows.owner)
    return browser


WITHOUT_TOKEN: dict[str, Callable[[OneOfEach], Client]] = {
    "nobody": nobody,
    "ended token": with_ended_token,
    "disabled owner": disabled_owner,
    "buyer in a browser": buyer_in_a_browser,
    **{role: staff(role) for role in STAFF},
}
WITH_TOKEN: dict[str, Callable[[OneOfEach], Client]] = {
    "other buyer": lambda rows: with_token(make_buyer(username="other")),
    "owner": lambda rows: with_token(rows.owner),
}


def knock(browser: Client, method: str, address: str) -> int:
    answer = browser.generic(
        method,
        address,
        b"" if method in {"GET", "HEAD", "OPTIONS"} else b"{}",
        content_type="application/json",
    )
    return answer.status_code


def is_right(route: str, row: Row, method: str, actor: str, status: int) -> bool:
    """Whether the response is what the table says for this actor.

    With access, a request may be refused for its content (400, 404, 409, …).
    """
    if row.access is not OPEN and actor in WITHOUT_TOKEN:
        return status == 401
    if method not in row.methods or (method == "HEAD" and route in NO_HEAD):
        return status == 405
    if row.access is OWNER and actor != "owner" and method != "OPTIONS":
        return status == 404
    return status not in {401, 403, 405, 500} and (row.access is not OWNER or status != 404)


@pytest.mark.parametrize("actor", [*WITHOUT_TOKEN, *WITH_TOKEN])
def test_api_and_pages_open_to_whom_the_table_says(
    rows: OneOfEach, actor: str, record_property: Callable[[str, object], None]
) -> None:
    browser = {**WITHOUT_TOKEN, **WITH_TOKEN}[actor](rows)
    browser.raise_request_exception = False
    before = everything()
    wrong, walked = [], 0
    for route, row in {**API, **PAGES}.items():
        if "logout" in route and actor in WITH_TOKEN:
            continue  # would end the token that this test needs; see `tests/shop/api/test_auth.py`
        for method in METHODS:
            status = knock(browser, method, rows.address(route))
            walked += 1
            if not is_right(route, row, method, actor, status):
                wrong.append((route, method, status))
    record_property(COMBINATIONS, walked)
    assert not wrong, wrong
    if actor in WITHOUT_TOKEN:
        # Opening the payment link starts the order's payment, whoever has it.
        assert differing(before, everything()) <= {"Payment", "Order", "OrderEvent"}


def differing(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before if before[name] != after[name] and not name.endswith("_URL")}


def may(actor: str, model: str, verb: str, method: str) -> bool:
    if verb == "*":
        return True
    if verb == "!":
        return actor == "superuser"
    if len(verb) > 1:
        return actor == "superuser" or actor in verb.split()
    # The page that shows a row also saves it.
    return ("c" if verb == "v" and method == "POST" else verb) in STAFF[actor].get(model, "")


@pytest.fixture
def pages_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renders pages for GET only: the answer to other methods is decided before."""
    render = TemplateResponse.render

    def render_answer(response: Any) -> Any:
        if response._request.method != "GET":
            response.content = b""
        return render(response)

    monkeypatch.setattr(TemplateResponse, "render", render_answer)


@pytest.mark.usefixtures("pages_written_once", "quick_sessions")
@pytest.mark.parametrize("actor", [*WITHOUT_TOKEN, *WITH_TOKEN])
def test_admin_opens_to_whom_the_table_says(
    rows: OneOfEach, actor: str, record_property: Callable[[str, object], None]
) -> None:
    browser = {**WITHOUT_TOKEN, **WITH_TOKEN}[actor](rows)
    browser.raise_request_exception = False
    before = everything()
    wrong, walked = [], 0
    for route, (model, verb) in ADMIN.items():
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
            address = rows.address(route)
            answer = browser.generic(method, address, b"", content_type="application/x-www-form-urlencoded")
            walked += 1
            to_login = answer.status_code == 302 and "/admin/login/" in answer.headers["Location"]
            if actor not in STAFF:
                is_fine = to_login
            elif route.endswith("/change/") and method == "POST":
                is_fine = answer.status_code == (200 if "c" in STAFF[actor].get(model, "") else 403)
            elif may(actor, model, verb, "GET"):
                is_fine = not to_login and answer.status_code in (
                    {200, 302, 403, 404, 405} if verb == "*" else {200, 302}
                )
            else:
                is_fine = answer.status_code == 403
            if not is_fine:
                wrong.append((route, method, answer.status_code))
    record_property(COMBINATIONS, walked)
    assert not wrong, wrong
    assert differing(before, everything()) == set()


def offered(actor: str, model: str, name: str) -> bool:
    return actor == "superuser" or actor in DEEDS[model][name].split()


def test_every_deed_has_a_row() -> None:
    assert {model: set(names) for model, names in DEEDS.items()} == {
        f"{model._meta.app_label}/{model._meta.model_name}": {deed.name for deed in one.deeds}
        for model, one in admin.site._registry.items()
        if isinstance(one, WithDeeds)
    }


@pytest.mark.parametrize("actor", [*WITHOUT_TOKEN, *WITH_TOKEN])
def test_deeds_open_to_whom_the_table_says(rows: OneOfEach, actor: str) -> None:
    """GET shows the page; an empty POST is refused by the form or the domain, or isn't permitted."""
    browser = {**WITHOUT_TOKEN, **WITH_TOKEN}[actor](rows)
    browser.raise_request_exception = False
    before = everything()
    wrong = []
    for model, names in DEEDS.items():
        for name in names:
            address = f"/admin/{model}/{rows.models[model].pk}/deeds/{name}/"
            is_harmless = name not in {"approve", "ask_gateway", "reapply", "end_logins", "anonymise"}
            for method in (
                ("GET", "POST")
                if is_harmless or actor not in STAFF or not offered(actor, model, name)
                else ("GET",)
            ):
                answer = browser.generic(
                    method, address, b"", content_type="application/x-www-form-urlencoded"
                )
                to_login = answer.status_code == 302 and "/admin/login/" in answer.headers["Location"]
                expected = (
                    to_login
                    if actor not in STAFF
                    else answer.status_code == (200 if offered(actor, model, name) else 403)
                )
                if not expected:
                    wrong.append((address, method, answer.status_code))
    assert not wrong, wrong
    assert differing(before, everything()) == set()


@pytest.mark.parametrize(
    "hole",
    [
        ("/api/v1/balance/", OPEN),
        ("/api/v1/orders/<number:order_number>/", OPEN),
        ("/api/v1/courses/", OWNER),
    ],
)
def test_wrong_row_is_noticed(rows: OneOfEach, hole: tuple[str, Access]) -> None:
    """The control: a table that differs from the program fails."""
    route, access = hole
    wrong = Row(access, API[route].methods)
    actors = {
        name: make(rows)
        for name, make in {"nobody": nobody, "other buyer": WITH_TOKEN["other buyer"]}.items()
    }
    verdicts = [
        is_right(route, wrong, "GET", name, knock(browser, "GET", rows.address(route)))
        for name, browser in actors.items()
    ]
    assert False in verdicts
