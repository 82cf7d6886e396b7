"""Every kind of bad input × every endpoint that changes something: refused in the envelope, and nothing has
changed.

The 4xx has its slug and a Chinese message; every row and every key in Valkey is as before.
"""

import http.client
import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import redis

from project.local.api_client import suggested_order
from shop import errors
from tests.journeys.shopping import Buyer, find_policy, new_buyer, simple_body
from tests.nodes.shop_stack import ShopStack

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("contract"), pytest.mark.timeout(240)]

CHINESE = re.compile(r"[\u4e00-\u9fff]")
FAR_AWAY = 999_999_999
# What may change although the request was refused: counts of wrong passwords, keys that expire by themselves,
# marks that a thread writes after a poll of an earlier test, and Celery's own keys.
MOVING_KEYS = re.compile(
    r"limit:|wake:|order:answer:|poller:|orders:watched|checkout:due$|:queued$|_kombu|unacked|checkout$|"
    r"orders$|payments$|upkeep$"
)
WRONG_VALUES = {
    "bool": True,
    "float": 1.5,
    "list": [1],
    "object": {"id": 1},
    "null": None,
    "negative": -1,
    "zero": 0,
    "huge number": 10**30,
    "infinite": float("inf"),
    "not a number": float("nan"),
    "huge string": "9" * 5000,
    "empty string": "",
    "NUL": "1\x00",
    "lone surrogate": "\ud800",
    "full-width digits": "１",
    "sign": "+1",
    "exponent": "1e2",
    "space": " 1",
    "SQL": "1 OR 1=1",
}


@dataclass(frozen=True)
class Endpoint:
    """A valid request, and its required fields."""

    method: str
    path: str
    body: Mapping[str, Any] | None
    # Field → the names of wrong values that this field accepts.
    fields: Mapping[str, frozenset[str]]
    headers: Mapping[str, str]


@pytest.fixture(scope="module")
def prepared() -> dict[str, Any]:
    return {}


@pytest.fixture
def buyer(shared_shop_stack: ShopStack, prepared: dict[str, Any]) -> Buyer:
    """One buyer for the module, with a cart, a coupon and a checkout."""
    if "buyer" not in prepared:
        buyer = new_buyer(shared_shop_stack, beili=100)
        course_ids = buyer.fill_cart("Python 开发入门")
        prepared.update(
            buyer=buyer,
            stranger=new_buyer(shared_shop_stack).api.http,
            coupon=buyer.claim("新人立减"),
            checkout=buyer.check_out(course_ids),
        )
    found: Buyer = prepared["buyer"]
    return found


@pytest.fixture
def endpoints(shared_shop_stack: ShopStack, buyer: Buyer, prepared: dict[str, Any]) -> dict[str, Endpoint]:
    course_id, policy_id = find_policy(shared_shop_stack, "Python 开发入门")
    never = frozenset[str]()
    return {
        "login": Endpoint(
            "POST",
            "auth/login/",
            {"username": "nobody-at-all", "password": "x"},
            {"username": never, "password": never},
            {},
        ),
        "cart": Endpoint(
            "POST",
            "cart/",
            {"course_id": course_id, "policy_id": policy_id},
            {"course_id": never, "policy_id": never},
            {},
        ),
        "cart line": Endpoint(
            "PUT", f"cart/{course_id}/", {"policy_id": policy_id}, {"policy_id": never}, {}
        ),
        "checkout": Endpoint(
            "POST", "checkout/", {"course_list": [course_id]}, {"course_list": frozenset({"list"})}, {}
        ),
        "orders": Endpoint(
            "POST",
            "orders/",
            suggested_order(prepared["checkout"]),
            {
                "checkout_id": frozenset({"null", "exponent"}),
                "course_price_list": never,
                "coupon_record_id": frozenset({"null", "zero"}),
                "balance": frozenset({"zero"}),
                "alipay": frozenset({"zero"}),
            },
            {"Idempotency-Key": "bad-input"},
        ),
    }


NAMES = ["login", "cart", "cart line", "checkout", "orders"]


def send(buyer: Buyer, endpoint: Endpoint, content: bytes | str, **headers: str) -> httpx.Response:
    sent = {"Content-Type": "application/json", **endpoint.headers, **headers}
    return buyer.api.http.request(endpoint.method, endpoint.path, content=content, headers=sent)


def assert_refused(response: httpx.Response, *statuses: int) -> None:
    """A 4xx with a complete error envelope."""
    what = (
        f"{response.request.method} {response.request.url.path} "
        f"{response.request.content[:200]!r}: {response.status_code} {response.text[:300]}"
    )
    assert 400 <= response.status_code < 500, what
    if statuses:
        assert response.status_code in statuses, what
    body = response.json()
    assert set(body) == {"code", "error", "msg", "details"}, what
    known = errors.registry()[body["error"]]
    assert (body["code"], response.status_code) == (known.code, known.status), what
    assert CHINESE.search(body["msg"]), what


def snapshot(stack: ShopStack) -> tuple[dict[str, Any], dict[str, Any]]:
    """A checksum of every table that requests write, and every key of Valkey with its value."""
    # Except those that beat writes every minute.
    tables = stack.rows(
        "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN "
        "('shop_measurement', 'shop_turn') ORDER BY 1"
    )
    sums = " UNION ALL ".join(
        f"""
        SELECT '{table["name"]}' AS name, count(*) || ' ' || coalesce(md5(string_agg(t::text, '|'
            ORDER BY t::text)), '') AS sum
        FROM {table["name"]} t
        """
        for table in tables
    )
    rows = {row["name"]: row["sum"] for row in stack.rows(sums)}
    with redis.Redis.from_url(stack.env["REDIS_URL"]) as client:
        keys = {key.decode(): client.dump(key) for key in client.scan_iter()}
    return rows, {key: value for key, value in keys.items() if not MOVING_KEYS.search(key)}


def assert_unchanged(stack: ShopStack, before: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for was, now in zip(before, snapshot(stack), strict=True):
        changed = {name for name in was.keys() | now.keys() if was.get(name) != now.get(name)}
        assert changed == set(), {name: (was.get(name), now.get(name)) for name in changed}


@pytest.fixture
def unchanged(shared_shop_stack: ShopStack, buyer: Buyer) -> Iterator[None]:
    """Nothing has changed after the test."""
    before = snapshot(shared_shop_stack)
    yield
    assert_unchanged(shared_shop_stack, before)


@pytest.mark.parametrize("name", NAMES)
def test_body_that_is_not_a_json_object(
    unchanged: None, buyer: Buyer, endpoints: dict[str, Endpoint], name: str
) -> None:
    endpoint = endpoints[name]
    for content in (
        b"",
        b"{",
        b"{'a': 1}",
        b"\xff\xfe",
        b"[]",
        b"[1]",
        b"1",
        b'"text"',
        b"null",
        b"NaN",
        b'{"a": 1} {"b": 2}',
        b'{"a": NaN}',
    ):
        assert_refused(send(buyer, endpoint, content), 400)
    deep = b"[" * 20_000 + b"]" * 20_000
    assert_refused(send(buyer, endpoint, deep), 400)
    assert_refused(send(buyer, endpoint, b'{"a":' * 9_000 + b"1" + b"}" * 9_000), 400)
    assert_refused(send(buyer, endpoint, json.dumps({"a": "x" * 100_000})), 413)


@pytest.mark.parametrize("name", NAMES)
def test_body_of_another_type(
    unchanged: None, buyer: Buyer, endpoints: dict[str, Endpoint], name: str
) -> None:
    endpoint = endpoints[name]
    content = json.dumps(endpoint.body)
    for media_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "nonsense",
        "/",
    ):
        assert_refused(send(buyer, endpoint, content, **{"Content-Type": media_type}), 415, 400)


@pytest.mark.parametrize("name", NAMES)
def test_missing_and_unknown_fields(
    unchanged: None, buyer: Buyer, endpoints: dict[str, Endpoint], name: str
) -> None:
    endpoint = endpoints[name]
    assert endpoint.body is not None
    assert_refused(send(buyer, endpoint, b"{}"), 400)
    assert_refused(send(buyer, endpoint, json.dumps({**endpoint.body, "price": "0.01"})), 400)
    for field in set(endpoint.body) - {"checkout_id", "coupon_record_id", "balance"}:
        rest = {key: value for key, value in endpoint.body.items() if key != field}
        assert_refused(send(buyer, endpoint, json.dumps(rest)), 400)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_values(unchanged: None, buyer: Buyer, endpoints: dict[str, Endpoint], name: str) -> None:
    endpoint = endpoints[name]
    if name == "login":
        pytest.skip("a password may be any text; see the test of credentials")
    assert endpoint.body is not None
    for field, allowed in endpoint.fields.items():
        for kind, value in WRONG_VALUES.items():
            if kind not in allowed:
                assert_refused(send(buyer, endpoint, json.dumps({**endpoint.body, field: value})), 400)


def test_wrong_values_in_an_orders_lines(
    unchanged: None, buyer: Buyer, endpoints: dict[str, Endpoint]
) -> None:
    endpoint = endpoints["orders"]
    assert endpoint.body is not None
    [line] = endpoint.body["course_price_list"]
    for field in ("course_id", "policy_id", "coupon_record_id"):
        for kind, value in WRONG_VALUES.items():
            if not (field == "coupon_record_id" and kind in {"null", "zero"}):
                body = {**endpoint.body, "course_price_list": [{**line, field: value}]}
                assert_refused(send(buyer, endpoint, json.dumps(body)), 400)
    wrong_lines: list[Any] = [
        [],
        [line, line],
        [line] * 51,
        [[]],
        [None],
        [{}],
        [{**line, "price": "0.01"}],
        {"0": line},
    ]
    for lines in wrong_lines:
        assert_refused(send(buyer, endpoint, json.dumps({**endpoint.body, "course_price_list": lines})), 400)


def test_wrong_amounts(unchanged: None, buyer: Buyer, endpoints: dict[str, Endpoint]) -> None:
    endpoint = endpoints["orders"]
    assert endpoint.body is not None
    for amount in (
        "-0.01",
        "0.001",
        "1,00",
        "¥1",
        "1.",
        ".5",
        "NaN",
        "Infinity",
        "1e1",
        "99999999999.00",
        99.0,
        10**10,
    ):
        assert_refused(send(buyer, endpoint, json.dumps({**endpoint.body, "alipay": amount})), 400)
    for beili in (-1, "-1", 1.0, 10**12, "1.0", "0x1"):
        assert_refused(send(buyer, endpoint, json.dumps({**endpoint.body, "balance": beili})), 400)


def test_wrong_courses_to_check_out(unchanged: None, buyer: Buyer, endpoints: dict[str, Endpoint]) -> None:
    endpoint = endpoints["checkout"]
    wrong_courses: list[Any] = [
        [],
        [1, 1],
        [1, "1"],
        list(range(1, 52)),
        [[1]],
        [None],
        [{}],
        [True],
        [0],
        [-1],
        "1",
        {"0": 1},
    ]
    for courses in wrong_courses:
        assert_refused(send(buyer, endpoint, json.dumps({"course_list": courses})), 400)


def test_wrong_credentials(unchanged: None, buyer: Buyer, endpoints: dict[str, Endpoint]) -> None:
    endpoint = endpoints["login"]
    for field, valid in (("username", "nobody-at-all"), ("password", "x")):
        for kind in ("list", "object", "null", "empty string", "NUL", "lone surrogate", "huge string"):
            body = {"username": valid, "password": valid, field: WRONG_VALUES[kind]}
            assert_refused(send(buyer, endpoint, json.dumps(body)), 400)
    assert_refused(send(buyer, endpoint, json.dumps(endpoint.body)), 401)


@pytest.mark.parametrize("header", [None, "", "x" * 101, "a b", "ключ".encode()])
def test_wrong_idempotency_key(
    unchanged: None, buyer: Buyer, endpoints: dict[str, Endpoint], header: str | bytes | None
) -> None:
    body = json.dumps(endpoints["orders"].body)
    headers: dict[str, Any] = {"Content-Type": "application/json"} | (
        {} if header is None else {"Idempotency-Key": header}
    )
    response = buyer.api.http.post("orders/", content=body, headers=headers)
    assert_refused(response, 400)
    assert response.json()["error"] == "idempotency_key_missing"


def test_ids_of_others_and_of_nothing(
    unchanged: None,
    shared_shop_stack: ShopStack,
    buyer: Buyer,
    endpoints: dict[str, Endpoint],
    prepared: dict[str, Any],
) -> None:
    stranger = prepared["stranger"]
    for method, path in (
        ("GET", f"courses/{FAR_AWAY}/"),
        ("GET", "courses/0/"),
        ("GET", f"courses/{'9' * 30}/"),
        ("GET", "courses/１/"),
        ("POST", f"coupons/{FAR_AWAY}/claim/"),
        ("GET", "checkout/NOSUCH/"),
        ("GET", "orders/NOSUCH/"),
        ("GET", "orders/%00/"),
    ):
        assert_refused(buyer.api.http.request(method, path), 404)
    cart = endpoints["cart"]
    assert_refused(send(buyer, cart, json.dumps({"course_id": FAR_AWAY, "policy_id": 1})), 404)
    assert_refused(send(buyer, cart, json.dumps({**(cart.body or {}), "policy_id": FAR_AWAY})), 404)
    _, other_policy = find_policy(shared_shop_stack, "支付系统设计")
    assert_refused(send(buyer, cart, json.dumps({**(cart.body or {}), "policy_id": other_policy})), 404)
    other_course, _ = find_policy(shared_shop_stack, "支付系统设计")
    assert_refused(buyer.api.http.put(f"cart/{other_course}/", json={"policy_id": other_policy}), 404)
    offline = shared_shop_stack.value("SELECT id FROM shop_course WHERE status = 1")
    policy = shared_shop_stack.value("SELECT id FROM shop_pricepolicy WHERE course_id = %s", offline)
    assert_refused(send(buyer, cart, json.dumps({"course_id": offline, "policy_id": policy})), 409)
    # The buyer's ids don't exist for another buyer.
    orders = endpoints["orders"]
    assert orders.body is not None
    assert_refused(stranger.get(f"checkout/{orders.body['checkout_id']}/"), 404)
    assert_refused(stranger.post("orders/", json=orders.body, headers={"Idempotency-Key": "theft"}), 404, 409)


def test_claim_again(shared_shop_stack: ShopStack, unchanged: None, buyer: Buyer) -> None:
    coupon_id = shared_shop_stack.value("SELECT id FROM shop_coupon WHERE name = '新人立减'")
    assert_refused(buyer.api.http.post(f"coupons/{coupon_id}/claim/"), 409)
    for name in ("去年双十一", "下月开抢"):
        coupon_id = shared_shop_stack.value("SELECT id FROM shop_coupon WHERE name = %s", name)
        assert_refused(buyer.api.http.post(f"coupons/{coupon_id}/claim/"), 409)


TOKENS = {
    "none": None,
    "empty": b"",
    "no scheme": b"0" * 64,
    "other scheme": b"Bearer " + b"0" * 64,
    "scheme alone": b"Token",
    "two tokens": b"Token a b",
    "wrong": b"Token " + b"0" * 64,
    "not hexadecimal": b"Token " + b"z" * 64,
    "UTF-8": "Token ключ".encode(),
    "Latin-1": b"Token \xe9\xff",
    "huge": b"Token " + b"0" * 4000,
}


@pytest.mark.parametrize("kind", [*TOKENS, "expired"])
def test_token(shared_shop_stack: ShopStack, buyer: Buyer, endpoints: dict[str, Endpoint], kind: str) -> None:
    header = TOKENS.get(kind)
    if kind == "expired":
        header = old_token(shared_shop_stack, buyer)
    before = snapshot(shared_shop_stack)
    requests = [
        (endpoint.method, endpoint.path, json.dumps(endpoint.body))
        for name, endpoint in endpoints.items()
        if name != "login"
    ]
    requests += [
        ("POST", "auth/logout/", ""),
        ("POST", "coupons/1/claim/", ""),
        ("DELETE", "cart/", ""),
        ("GET", "orders/", ""),
        ("GET", "balance/", ""),
    ]
    with httpx.Client(base_url=buyer.api.http.base_url, trust_env=False, timeout=20) as client:
        for method, path, content in requests:
            headers: dict[str, Any] = {"Content-Type": "application/json", "Idempotency-Key": "nobody"}
            response = client.request(
                method,
                path,
                content=content,
                headers=headers | ({} if header is None else {"Authorization": header}),
            )
            assert_refused(response, 401)
            assert response.headers["WWW-Authenticate"] == "Token"
    assert_unchanged(shared_shop_stack, before)


def old_token(stack: ShopStack, buyer: Buyer) -> bytes:
    """A token of the buyer that expired a second ago."""
    before = {row["digest"] for row in stack.rows("SELECT digest FROM knox_authtoken")}
    client = stack.api(stack.value("SELECT username FROM shop_account WHERE id = %s", buyer.account_id))
    [digest] = {row["digest"] for row in stack.rows("SELECT digest FROM knox_authtoken")} - before
    stack.rows("UPDATE knox_authtoken SET expiry = now() - interval '1 second' WHERE digest = %s", digest)
    return client.http.headers["Authorization"].encode()


def test_stale_and_repeated_orders(shared_shop_stack: ShopStack, endpoints: dict[str, Endpoint]) -> None:
    """A checkout serves one order, and its replay is the same order; an expired checkout serves none."""
    buyer = new_buyer(shared_shop_stack)
    checkout = buyer.check_out(buyer.fill_cart("Python 开发入门"))
    body = suggested_order(checkout)
    number = buyer.place(body, key="first")
    buyer.follow(number)
    before = snapshot(shared_shop_stack)
    assert buyer.place(body, key="first") == number
    again = buyer.post_order(body, key="second")
    assert_refused(again, 409)
    assert again.json()["error"] == "checkout_used"
    changed = buyer.post_order({**body, "alipay": "1.00"}, key="first")
    assert_refused(changed, 422)
    over = buyer.post_order({**body, "checkout_id": "20200101000000000ABCDEFGHJKMNP"}, key="third")
    assert_refused(over, 409)
    assert over.json()["error"] == "checkout_expired"
    assert_unchanged(shared_shop_stack, before)


def test_order_that_cannot_be_leaves_a_reason(shared_shop_stack: ShopStack) -> None:
    """What only a worker can check is accepted first, then rejected with its slug, and takes nothing from the
    buyer.
    """
    buyer = new_buyer(shared_shop_stack, beili=5)
    body = simple_body(shared_shop_stack)
    [line] = body["course_price_list"]
    stranger = new_buyer(shared_shop_stack)
    foreign = stranger.claim("新人立减")
    for change, slug in (
        ({"balance": 6, "alipay": "73.00"}, "balance_insufficient"),
        ({"alipay": "0.00"}, "quote_changed"),
        ({"coupon_record_id": foreign, "alipay": "69.00"}, "coupon_unavailable"),
        ({"coupon_record_id": FAR_AWAY}, "coupon_unavailable"),
        ({"course_price_list": [{**line, "policy_id": FAR_AWAY}]}, "policy_not_found"),
        ({"course_price_list": [{**line, "course_id": FAR_AWAY}]}, "policy_not_found"),
    ):
        order = buyer.follow(buyer.place({**body, **change}))
        assert (order["status"], order["error"]["error"]) == ("rejected", slug)
        assert CHINESE.search(order["error"]["msg"])
    assert shared_shop_stack.rows(
        "SELECT balance, held_balance FROM shop_account WHERE id = %s", buyer.account_id
    ) == [{"balance": 5, "held_balance": 0}]
    assert shared_shop_stack.value("SELECT status FROM shop_couponrecord WHERE id = %s", foreign) == "unused"
    assert (
        shared_shop_stack.value("SELECT count(*) FROM shop_order WHERE account_id = %s", buyer.account_id)
        == 0
    )


def test_invalid_notification(shared_shop_stack: ShopStack, unchanged: None, buyer: Buyer) -> None:
    """Alipay's endpoint accepts only signed forms."""
    form = "application/x-www-form-urlencoded"
    for content_type, content in (
        ("application/json", b"{}"),
        ("text/plain", b"a=b"),
        (form, b""),
        (form, b"nonsense"),
        (form, b"a=1&a=2"),
        (form, b"a=%00"),
        (form, b"a=%ff"),
        (form, "a=\u94b1".encode()),
        (form, b"&".join(b"f%d=1" % number for number in range(200))),
        (form, b"out_trade_no=1&trade_status=TRADE_SUCCESS&notify_id=1&sign_type=RSA2&sign=AAAA"),
        (form, b"out_trade_no=1&trade_status=TRADE_SUCCESS&notify_id=1&sign_type=RSA2&sign=%21%21"),
        (form, b"a=" + b"x" * 100_000),
    ):
        response = buyer.api.http.post(
            "payments/alipay/notify/", content=content, headers={"Content-Type": content_type}
        )
        assert (response.status_code // 100, response.text, response.headers["Content-Type"]) == (
            4,
            "fail",
            "text/plain",
        ), content[:80]


@pytest.mark.parametrize(
    ("path", "media_type", "status"),
    [
        ("auth/login/", "text/plain", 415),
        ("cart/", "application/json", 401),
        ("payments/alipay/notify/", "text/plain", 415),
        ("nowhere/", "a/b", 404),
    ],
)
def test_connection_serves_on_after_a_refusal(buyer: Buyer, path: str, media_type: str, status: int) -> None:
    """The body arrives after the refusal.

    A server that doesn't read it closes the connection, and a proxy's next request fails.
    """
    address = httpx.URL(buyer.api.http.base_url)
    body = b"x" * 1000
    head = (
        f"POST /api/v1/{path} HTTP/1.1\r\nHost: {address.host}\r\nContent-Type: "
        f"{media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((address.host, address.port or 80), timeout=20) as connection:
        for _ in range(3):
            connection.sendall(head.encode())
            time.sleep(0.02)
            connection.sendall(body)
            answer = http.client.HTTPResponse(connection, method="POST")
            answer.begin()
            answer.read()
            assert answer.status == status
