"""The real processes' logs, from registration to refund: one id leads through them, and they contain nothing
secret or personal.
"""

import json
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from project.local.api_client import ApiClient
from project.local.waiting import wait_until
from tests.journeys.shopping import PATIENCE_S, Buyer, pay, simple_body
from tests.nodes.shop_stack import ShopStack
from tests.variants import first_of

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("logs"), pytest.mark.timeout(240)]

USERNAME, MAILBOX, PHONE = "luffy.straw@mail.example", "luffy.straw@mail.example", "13812345678"
PASSWORD, OTHER_PASSWORD, WRONG = (
    "going-to-be-the-king-7",
    "gear-fourth-snakeman-9",
    "not-the-password-at-all",
)
COURSE = "Redis 从用到懂"


@pytest.fixture(params=first_of("DEBUG", "INFO"))
def shop(request: pytest.FixtureRequest, start_shop: Callable[..., ShopStack]) -> ShopStack:
    return start_shop(
        LOG_LEVEL=request.param,
        LOG_FORMAT="json",
        REQUEST_LOG="true",
        REGISTRATION_OPEN="true",
        REFUND_AUTO_DAYS="7",
    )


def parts(stack: ShopStack) -> str:
    """Everything that the shop's processes have written so far."""
    return "\n".join(node.container.child.log_text() for node in (stack.web, stack.worker, stack.beat))


def lines(stack: ShopStack) -> list[dict[str, Any]]:
    return [json.loads(line) for line in parts(stack).splitlines() if line.startswith("{")]


@dataclass
class Visit:
    """What a buyer and a member of staff did, and their secrets."""

    api: ApiClient
    account_id: int
    trace_id: str = ""
    order_number: str = ""
    secrets: list[str] = field(default_factory=list)


def secrets_of(stack: ShopStack, visit: Visit) -> dict[str, str]:
    """What the log must not contain, by name."""
    hidden = {
        name: value for name, value in stack.env.items() if re.search("PASSWORD|SECRET", name) and value
    }
    for place, row in enumerate(stack.rows("SELECT raw_body FROM payments_notification")):
        hidden[f"text of notification {place}"] = row["raw_body"]
        fields = dict(parse_qsl(row["raw_body"]))
        for name in ("sign", "buyer_logon_id", "buyer_id"):
            if name in fields:
                hidden[f"{name} of notification {place}"] = fields[name]
    for path in (stack.folder / "simulator").rglob("*.pem"):
        body = [line for line in path.read_text().splitlines() if line and "-----" not in line]
        hidden[path.name] = body[len(body) // 2]
    hidden |= {f"given {place}": value for place, value in enumerate(visit.secrets)}
    words = {
        "name": USERNAME, "mailbox": MAILBOX, "phone": PHONE, "password": PASSWORD, "other": OTHER_PASSWORD,
        "wrong": WRONG,
        "header": "Authorization", "private key": "PRIVATE KEY", "token's word": "Token ",
        "cookie": "sessionid=", "forger": "zoro",
        "forger's phone": "13987654321", "forged": "forged",
    }  # fmt: skip
    return hidden | words


def register_and_log_in(api: ApiClient) -> None:
    body = {"username": USERNAME, "password": PASSWORD, "email": MAILBOX, "phone": PHONE}
    assert api.http.post("auth/register/", json=body).status_code == 201
    assert api.http.post("auth/login/", json={"username": USERNAME, "password": WRONG}).status_code == 401
    api.log_in(USERNAME, PASSWORD)


def visit_admin(stack: ShopStack) -> tuple[str, str]:
    """A member of staff logs in, with a wrong password first. Returns the cookies' values."""
    with httpx.Client(base_url=stack.web_url, trust_env=False) as browser:
        for password in (WRONG, stack.env["DEMO_PASSWORD"]):
            page = browser.get("/admin/login/").text
            found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
            assert found is not None
            form = {"username": "operator", "password": password, "csrfmiddlewaretoken": found[1]}
            answer = browser.post("/admin/login/?next=/admin/", data=form, headers={"Referer": stack.web_url})
        assert answer.status_code == 302, answer.text
        return browser.cookies["sessionid"], browser.cookies["csrftoken"]


def buy_and_refund(stack: ShopStack, visit: Visit) -> None:
    buyer = Buyer(stack, visit.api, visit.account_id)
    placed = buyer.post_order(simple_body(stack, COURSE), key=str(uuid.uuid4()))
    visit.trace_id, visit.order_number = placed.headers["X-Request-ID"], placed.json()["data"]["order_number"]
    order = buyer.follow(visit.order_number)
    pay(stack, buyer.open_cashier(visit.order_number))
    assert buyer.follow(visit.order_number, while_status="awaiting_payment")["status"] == "paid"
    refund = visit.api.http.post(
        f"orders/{visit.order_number}/refunds/", json={"reason": f"请退到 {PHONE} {MAILBOX}"}
    )
    assert refund.status_code == 202, refund.text
    assert wait_until(
        lambda: visit.api.get(f"orders/{visit.order_number}/")["status"] == "refunded", timeout_s=PATIENCE_S
    )
    httpx.put(order["pay_url"], trust_env=False)
    visit.secrets.append(order["pay_url"].rstrip("/").rpartition(":")[2])


def forget_password(stack: ShopStack, visit: Visit) -> None:
    with httpx.Client(base_url=stack.web_url, trust_env=False, follow_redirects=True) as browser:
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get("/password/reset/").text)
        assert found is not None
        form = {"email": MAILBOX, "csrfmiddlewaretoken": found[1]}
        assert (
            browser.post("/password/reset/", data=form, headers={"Referer": stack.web_url}).status_code == 200
        )
        browser.put("/password/reset/MQ/c0ffee-0123456789abcdef0123456789abcdef/")
    visit.secrets.append("c0ffee-0123456789abcdef0123456789abcdef")


def forge_notification(stack: ShopStack) -> None:
    hostile = "app_id=1&buyer_logon_id=zoro%40mail.example&sign=forged&sign_type=RSA2&body=13987654321"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = httpx.post(
        f"{stack.web_url}/api/v1/payments/alipay/notify/", content=hostile, headers=headers, trust_env=False
    )
    assert answer.status_code == 400


def change_password_and_leave(visit: Visit) -> None:
    changed = visit.api.http.post(
        "auth/password/", json={"old_password": PASSWORD, "password": OTHER_PASSWORD}
    )
    assert changed.status_code == 200
    token = changed.json()["data"]["token"]
    assert visit.api.http.post("auth/logout/", headers={"Authorization": f"Token {token}"}).status_code == 204
    assert visit.api.http.get("orders/").status_code == 401
    visit.secrets.append(token)


def test_one_id_leads_through_the_log_which_has_no_secrets(shop: ShopStack) -> None:
    with ApiClient(shop.web_url) as api:
        register_and_log_in(api)
        visit = Visit(api, shop.value("SELECT id FROM shop_account WHERE username = %s", USERNAME))
        visit.secrets.append(str(api.http.headers["Authorization"]).removeprefix("Token "))
        assert api.http.put("auth/profile/", json={"email": MAILBOX, "phone": PHONE}).status_code == 200
        visit.secrets += visit_admin(shop)
        buy_and_refund(shop, visit)
        forget_password(shop, visit)
        forge_notification(shop)
        change_password_and_leave(visit)
    time.sleep(1)  # the worker's last lines

    text = parts(shop)
    assert {name: value for name, value in secrets_of(shop, visit).items() if value in text} == {}
    must_lead_through(lines(shop), visit, shop)
    must_tell_logins(lines(shop), visit, shop)
    must_be_named(lines(shop))


def must_lead_through(told: list[dict[str, Any]], visit: Visit, stack: ShopStack) -> None:
    """One id finds all work for the purchase."""
    mine = [
        line
        for line in told
        if line["level"] != "debug"
        and visit.trace_id in (line.get("request_id"), line.get("trace_id"), *line.get("trace_ids", ()))
    ]
    assert {line["event"] for line in mine} == {
        "request_answered", "orders_created", "payment_opened", "trades_applied", "gateway_called",
        "refund_succeeded",
    }  # fmt: skip
    assert {line["method"] for line in mine if line["event"] == "gateway_called"} >= {"alipay.trade.refund"}
    booked = stack.rows(
        "SELECT t.trace_id FROM shop_ledgertransfer t JOIN shop_order o ON o.id = t.order_id WHERE "
        "o.order_number = %s",
        visit.order_number,
    )
    assert {row["trace_id"] for row in booked} == {visit.trace_id}


def must_tell_logins(told: list[dict[str, Any]], visit: Visit, stack: ShopStack) -> None:
    logins = [
        (line["event"], line.get("account"), line.get("is_for_staff"))
        for line in told
        if str(line["event"]).startswith("login_")
    ]
    operator = stack.value("SELECT id FROM shop_account WHERE username = 'operator'")
    assert logins == [
        ("login_failed", visit.account_id, False), ("login_succeeded", visit.account_id, False),
        ("login_failed", operator, True), ("login_succeeded", operator, True),
    ]  # fmt: skip
    assert {"account_registered", "password_changed", "logged_out", "password_reset_asked"} <= {
        line["event"] for line in told
    }


def must_be_named(told: list[dict[str, Any]]) -> None:
    """A request's lines have its id and address, a task's have its id and name; the sweep's ticks have no
    lines.
    """
    for line in told:
        if line["logger"] in {
            "django.request",
            "project.request_lines",
            "shop.domain.accounts.login",
            "payments.api.notify",
        }:
            assert (len(line["request_id"]), line["address"]) == (32, "127.0.0.1"), line
        if (
            line["logger"] in {"celery.app.trace", "celery.worker.strategy"}
            or line["event"] == "orders_created"
        ):
            assert line["task_id"], line
            assert line["task_name"], line
        if line["level"] == "info" and line["logger"].startswith("celery"):
            assert line.get("task_name") != "worker.sweep", line
