"""The same races over HTTP, through the web process and the worker."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.journeys.shopping import Buyer, count_orders, new_buyer, simple_body
from tests.nodes.shop_stack import ShopStack

pytestmark = [pytest.mark.race, pytest.mark.xdist_group("contract"), pytest.mark.timeout(240)]

CROWD = 20


def test_balance_is_spent_as_often_as_it_lasts(shared_shop_stack: ShopStack) -> None:
    buyer = new_buyer(shared_shop_stack, beili=73)
    body = simple_body(shared_shop_stack, beili=10)
    with ThreadPoolExecutor(CROWD) as pool:
        numbers = list(pool.map(lambda key: buyer.place(body, key=f"key-{key}"), range(CROWD)))
    orders = [buyer.follow(number) for number in numbers]

    assert [order["status"] for order in orders].count("awaiting_payment") == 7
    assert [order["error"]["error"] for order in orders if order["error"]] == ["balance_insufficient"] * (
        CROWD - 7
    )
    assert shared_shop_stack.rows(
        "SELECT balance, held_balance FROM shop_account WHERE id = %s", buyer.account_id
    ) == [{"balance": 3, "held_balance": 70}]


def test_one_key_at_once_is_one_order_and_equal_answers(shared_shop_stack: ShopStack) -> None:
    buyer = new_buyer(shared_shop_stack)
    body = simple_body(shared_shop_stack)
    with ThreadPoolExecutor(CROWD) as pool:
        answers = list(pool.map(lambda _: buyer.post_order(body, key="one-key"), range(CROWD)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert sorted("Idempotent-Replayed" in answer.headers for answer in answers) == [False] + [True] * (
        CROWD - 1
    )
    buyer.follow(answers[0].json()["data"]["order_number"])
    assert (
        shared_shop_stack.value(
            "SELECT count(*) FROM shop_orderrequest WHERE account_id = %s", buyer.account_id
        )
        == 1
    )
    assert count_orders(shared_shop_stack, buyer.account_id) == 1


def test_last_coupon_goes_to_one_buyer(shared_shop_stack: ShopStack) -> None:
    buyers = [new_buyer(shared_shop_stack) for _ in range(8)]
    coupon_id = shared_shop_stack.value("SELECT id FROM shop_coupon WHERE name = '限量抢购券'")
    left = shared_shop_stack.value(
        "SELECT quantity - claimed_count FROM shop_coupon WHERE id = %s", coupon_id
    )

    def claim(buyer: Buyer) -> int:
        return buyer.api.http.post(f"coupons/{coupon_id}/claim/").status_code

    with ThreadPoolExecutor(len(buyers)) as pool:
        answers = list(pool.map(claim, buyers))
    assert sorted(answers) == [201] * left + [409] * (len(buyers) - left)
