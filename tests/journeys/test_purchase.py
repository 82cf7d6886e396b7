"""Whole purchases, from the cart to the enrolment, with all amounts and rows."""

from decimal import Decimal

import httpx
import pytest

from project.local.api_client import suggested_order
from tests.journeys.shopping import Buyer, pay
from tests.nodes.shop_stack import ShopStack

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(240)]

PYTHON, WEB = "Python 开发入门", "前端三件套"


def test_purchase_with_coupons_beili_and_alipay(shop: ShopStack, buyer: Buyer) -> None:
    """Buys the worked example of the price rules."""
    python, web = buyer.fill_cart(PYTHON, WEB)
    on_python, on_order = buyer.claim("Python 入门 7.9 折"), buyer.claim("开学季全场券")
    checkout = buyer.check_out([python, web])
    assert {
        name: checkout["quote"][name]
        for name in ("list_total", "course_discount", "global_discount", "alipay", "coupon_record_id")
    } == {
        "list_total": "158.90",
        "course_discount": "20.79",
        "global_discount": "20.00",
        "alipay": "118.11",
        "coupon_record_id": on_order,
    }

    order_number = buyer.place(suggested_order(checkout, beili=18))
    order = buyer.follow(order_number)

    assert (order["status"], order["payment_type"], order["error"]) == ("awaiting_payment", 1, None)
    assert order["amounts"] == {
        "list_total": "158.90",
        "course_discount": "20.79",
        "global_discount": "20.00",
        "beili": 18,
        "beili_amount": "18.00",
        "alipay": "100.11",
        "refunded": "0.00",
    }
    assert [
        (line["course_id"], line["course_discount"], line["global_discount"]) for line in order["lines"]
    ] == [
        (python, "20.79", "11.33"),
        (web, "0.00", "8.67"),
    ]
    assert coupon_states(shop, buyer) == {on_python: "reserved", on_order: "reserved"}
    assert balances(shop, buyer) == (182, 18)
    assert buyer.api.get("cart/") == {}
    assert buyer.api.get("enrolments/")["results"] == []

    pay(shop, buyer.open_cashier(order_number))
    paid = buyer.follow(order_number, while_status="awaiting_payment")

    assert (paid["status"], paid["pay_url"]) == ("paid", None)
    kinds = ["placed", "coupons_reserved", "beili_held", "payment_started", "paid", "enrolled", "enrolled"]
    assert [event["kind"] for event in paid["timeline"]] == kinds
    assert coupon_states(shop, buyer) == {on_python: "used", on_order: "used"}
    assert balances(shop, buyer) == (182, 0)
    assert sorted(
        entry["course_id"] for entry in buyer.api.get("enrolments/")["results"] if entry["is_active"]
    ) == sorted([python, web])
    assert ledger(shop, order_number) == {
        "hold": ("beili_available", "beili_held", Decimal("18.00")),
        "capture": ("beili_held", "beili_spent", Decimal("18.00")),
        "subsidy": ("coupon_subsidy", "sales", Decimal("40.79")),
        "redeem": ("beili_redeemed", "sales", Decimal("18.00")),
        "cash": ("alipay_cash", "unapplied", Decimal("100.11")),
        "sale": ("unapplied", "sales", Decimal("100.11")),
    }
    assert shop.rows(
        "SELECT p.amount, p.status FROM payments_payment p JOIN shop_order o ON o.id = p.order_id WHERE "
        "order_number = %s",
        order_number,
    ) == [{"amount": Decimal("100.11"), "status": "paid"}]
    assert buyer.api.get("balance/")["balance"] == 182


def test_zero_cash_order_is_paid_at_once_without_a_gateway(shop: ShopStack, buyer: Buyer) -> None:
    web = buyer.fill_cart(WEB)
    coupon = buyer.claim("新人立减")
    shop.simulator.kill()
    # 59.90 − 10.00 = 49.90: 贝里 are whole yuan here, so the price has to be adjusted.
    shop.rows("UPDATE shop_pricepolicy SET price = 60.00 WHERE course_id = %s AND valid_period = 30", web[0])
    try:
        checkout = buyer.check_out(web)
        order_number = buyer.place(suggested_order(checkout, beili=50))
        order = buyer.follow(order_number)
    finally:
        shop.rows(
            "UPDATE shop_pricepolicy SET price = 59.90 WHERE course_id = %s AND valid_period = 30", web[0]
        )

    assert (order["status"], order["payment_type"], order["pay_url"], order["amounts"]["alipay"]) == (
        "paid",
        3,
        None,
        "0.00",
    )
    assert [event["kind"] for event in order["timeline"]] == [
        "placed",
        "coupons_reserved",
        "beili_held",
        "paid",
        "enrolled",
    ]
    assert coupon_states(shop, buyer) == {coupon: "used"}
    assert balances(shop, buyer) == (150, 0)
    assert ledger(shop, order_number) == {
        "hold": ("beili_available", "beili_held", Decimal("50.00")),
        "capture": ("beili_held", "beili_spent", Decimal("50.00")),
        "subsidy": ("coupon_subsidy", "sales", Decimal("10.00")),
        "redeem": ("beili_redeemed", "sales", Decimal("50.00")),
    }
    assert (
        shop.rows(
            "SELECT p.id FROM payments_payment p JOIN shop_order o ON o.id = p.order_id WHERE "
            "order_number = %s",
            order_number,
        )
        == []
    )


def test_same_request_again_answers_the_same_order(shop: ShopStack, buyer: Buyer) -> None:
    checkout = buyer.check_out(buyer.fill_cart(PYTHON))
    body = suggested_order(checkout)
    first, second = buyer.post_order(body, key="once-only"), buyer.post_order(body, key="once-only")
    other = buyer.post_order({**body, "balance": 1, "alipay": "98.00"}, key="once-only")

    assert (first.status_code, "Idempotent-Replayed" in first.headers) == (202, False)
    assert (second.status_code, second.headers["Idempotent-Replayed"]) == (202, "true")
    assert second.json() == first.json()
    assert (other.status_code, other.json()["error"]) == (422, "idempotency_key_reused")
    buyer.follow(first.json()["data"]["order_number"])
    assert shop.value("SELECT count(*) FROM shop_orderrequest WHERE account_id = %s", buyer.account_id) == 1


def test_order_that_costs_more_than_agreed_changes_nothing(shop: ShopStack, buyer: Buyer) -> None:
    checkout = buyer.check_out(buyer.fill_cart(PYTHON))
    order_number = buyer.place({**suggested_order(checkout, beili=9), "alipay": "0.01"})
    order = buyer.follow(order_number)

    assert (order["status"], order["error"]["error"]) == ("rejected", "quote_changed")
    assert order["error"]["details"]["quote"]["alipay"] == "90.00"
    assert balances(shop, buyer) == (200, 0)
    assert shop.value("SELECT count(*) FROM shop_order WHERE account_id = %s", buyer.account_id) == 0
    assert list(buyer.api.get("cart/")) == [str(checkout["quote"]["lines"][0]["course_id"])]


def test_pay_url_is_stable(shop: ShopStack, buyer: Buyer) -> None:
    order = buyer.follow(buyer.buy(), while_status="pending")
    with httpx.Client(trust_env=False, timeout=20) as browser:
        answers = [browser.get(order["pay_url"]) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [302, 302]
    assert (
        shop.value(
            "SELECT count(*) FROM payments_payment p JOIN shop_order o ON o.id = p.order_id WHERE "
            "o.account_id = %s",
            buyer.account_id,
        )
        == 1
    )


def coupon_states(shop: ShopStack, buyer: Buyer) -> dict[int, str]:
    return {
        row["id"]: row["status"]
        for row in shop.rows(
            "SELECT id, status FROM shop_couponrecord WHERE account_id = %s", buyer.account_id
        )
    }


def balances(shop: ShopStack, buyer: Buyer) -> tuple[int, int]:
    (row,) = shop.rows("SELECT balance, held_balance FROM shop_account WHERE id = %s", buyer.account_id)
    return row["balance"], row["held_balance"]


def ledger(shop: ShopStack, order_number: str) -> dict[str, tuple[str, str, Decimal]]:
    """Cause → (debit, credit, amount)."""
    rows = shop.rows(
        "SELECT key, debit, credit, amount FROM shop_ledgertransfer t JOIN shop_order o ON o.id = t.order_id "
        "WHERE order_number = %s",
        order_number,
    )
    return {row["key"].partition(":")[0]: (row["debit"], row["credit"], row["amount"]) for row in rows}
