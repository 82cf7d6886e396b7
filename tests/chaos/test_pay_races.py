"""Payments that race the end of their order, or each other: on real processes, in both orders and
concurrently.

After each test the audit must find nothing, and Alipay's payments and refunds must equal the books.
"""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.chaos.order_scenario import APPLIED, BEILI, CANCELLED, PAID, PRICE, ChaosShop, OrderScenario, State
from tests.journeys.shopping import Buyer, account_locked, new_buyer

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("chaos")]

RACES = 6
COUPON = Decimal("5.00")

SENT_BACK = State("cancelled", ("paid surplus",), ("surplus succeeded",), (), ("applied",))
TWICE = State("paid", ("paid", "paid surplus"), ("surplus succeeded",), ("active",))
# The notification or a query: whichever came first has paid the order.
PAID_BY_EITHER = (APPLIED, PAID.told("ignored already_applied"))


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Does everything concurrently; returns the results."""
    barrier = threading.Barrier(len(acts))

    def wait_and_act(act: Callable[[], Any]) -> Any:
        barrier.wait(timeout=30)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [told.result() for told in [pool.submit(wait_and_act, act) for act in acts]]


def side_by_side(chaos: ChaosShop, play: Callable[[int], Any], count: int = RACES) -> list[Any]:
    return list(chaos.pool.map(play, range(count)))


def balances(scenario: OrderScenario) -> tuple[int, int]:
    (row,) = scenario.chaos.rows(
        "SELECT balance, held_balance FROM shop_account WHERE id = %s", scenario.buyer.account_id
    )
    return row["balance"], row["held_balance"]


def count_events(scenario: OrderScenario, kind: str) -> int:
    return int(
        scenario.chaos.value(
            "SELECT count(*) FROM shop_orderevent e JOIN shop_order o ON o.id = e.order_id WHERE "
            "o.order_number = %s AND e.kind = %s",
            scenario.number,
            kind,
        )
    )


# --- Pay and cancel -----------------------------------------------------------------------------------------


def test_paid_then_cancelled(chaos: ChaosShop) -> None:
    """The shop hasn't heard of the payment when the buyer cancels: it queries, and the order is paid."""
    scenario = chaos.scenario("paid, then cancelled")
    scenario.silence()
    scenario.pay(scenario.open())
    assert scenario.cancel().status_code == 202
    scenario.wait_for_end(PAID)
    assert scenario.cancel().status_code == 409


def test_cancelled_then_paid(chaos: ChaosShop) -> None:
    """A scanned trade is closed at Alipay. One that Alipay doesn't know can still be paid, and is
    refunded.
    """
    scanned, unscanned = chaos.scenario("cancelled, then paid"), chaos.scenario("cancelled, then paid late")
    scanned.scan(scanned.open())
    unscanned.open()
    for scenario in (scanned, unscanned):
        assert scenario.cancel().status_code == 202
        scenario.wait_for_end(CANCELLED)
    assert not scanned.try_to_pay(f"{scanned.number}P1")
    assert unscanned.try_to_pay(f"{unscanned.number}P1")
    unscanned.wait_for_end(SENT_BACK)
    scanned.wait_for_end(CANCELLED)


def test_paid_and_cancelled_at_once(chaos: ChaosShop) -> None:
    def play(number: int) -> str:
        is_scanned = number % 2 == 0
        scenario = chaos.scenario("paid and cancelled")
        out_trade_no = scenario.open()
        if is_scanned:
            scenario.scan(out_trade_no)
        cancel, is_paid = at_once(scenario.cancel, lambda: scenario.try_to_pay(out_trade_no))
        assert cancel.status_code in {202, 409}, cancel.text
        if cancel.status_code == 409:
            ends: tuple[State, ...] = PAID_BY_EITHER
        elif is_paid:
            ends = PAID_BY_EITHER if is_scanned else (*PAID_BY_EITHER, SENT_BACK)
        else:
            ends = (CANCELLED,)
        scenario.wait_for_end(*ends)
        return scenario.state().order

    print(Counter(side_by_side(chaos, play)))


def test_paid_between_the_end_of_the_attempt_and_the_end_of_the_order(chaos: ChaosShop) -> None:
    """The attempt is closed, and the worker waits for the account's lock to cancel the order when the payment
    comes.
    """
    scenario = chaos.empty_scenario("paid in between", buyer=new_buyer(chaos.shop, beili=BEILI)).order()
    out_trade_no = scenario.open()
    scenario.abandon(out_trade_no)
    with account_locked(scenario.buyer):
        scenario.chaos.rows(
            "UPDATE shop_order SET cancel_requested_at = now(), available_at = now() WHERE order_number = %s",
            scenario.number,
        )
        scenario.pay(out_trade_no)
        scenario.wait(lambda: scenario.state().notifications == ("received",))
    scenario.wait_for_end(SENT_BACK, APPLIED)
    assert balances(scenario) == ((BEILI, 0) if scenario.state().order == "cancelled" else (0, 0))


def test_taken_to_the_cashier_and_cancelled_at_once(chaos: ChaosShop) -> None:
    """The buyer goes to pay in one tab and cancels in another.

    The order ends cancelled, and no attempt stays open.
    """

    def play(_number: int) -> int:
        scenario = chaos.scenario("opened and cancelled")
        cancel, opened = at_once(scenario.cancel, lambda: scenario.ask_to_pay("page"))
        assert cancel.status_code == 202, cancel.text
        assert opened.status_code in {200, 409}, opened.text
        scenario.wait_for_end(CANCELLED if opened.status_code == 200 else State("cancelled"))
        return int(opened.status_code)

    print(Counter(side_by_side(chaos, play)))


# --- Pay and expiry -----------------------------------------------------------------------------------------


def with_coupon(chaos: ChaosShop, buyer: Buyer, name: str, coupon_record_id: int) -> OrderScenario:
    """An order for ¥15 that holds a coupon and 10 贝里."""
    scenario = chaos.empty_scenario(name, buyer=buyer)
    return scenario.order(coupon_record_id=coupon_record_id, cash=PRICE - BEILI - COUPON)


def give_coupon(chaos: ChaosShop, buyer: Buyer) -> int:
    """A coupon of ¥5 for a whole order; returns the record's id."""
    return int(
        chaos.value(
            """
            WITH campaign AS (
                INSERT INTO shop_coupon (name, brief, coupon_type, money_equivalent_value, minimum_consume,
                    scope, quantity, claimed_count,
                    open_date, close_date, coupon_valid_days, created_at)
                VALUES ('五元券', '', 0, %s, 0, 'order', 1, 0, current_date - 9, current_date + 9, 30, now())
                RETURNING id
            )
            INSERT INTO shop_couponrecord (coupon_id, account_id, number, status, claimed_at, valid_from_date,
                valid_until_date)
            SELECT id, %s, gen_random_uuid()::text, 'unused', now(), current_date - 9, current_date + 9
            FROM campaign RETURNING id
            """,
            COUPON,
            buyer.account_id,
        )
    )


def expired_unpaid(scenario: OrderScenario) -> str:
    """The buyer was at the cashier without scanning when the time ran out. Returns the attempt."""
    out_trade_no = scenario.open()
    scenario.expire()
    scenario.wait_for_end(State("expired", ("closed",)))
    # The last query, after the attempt's own expiry, is done, so it doesn't race the notification.
    is_over = "SELECT available_at IS NULL FROM payments_payment WHERE out_trade_no = %s"
    scenario.wait(lambda: bool(scenario.chaos.value(is_over, out_trade_no)))
    return out_trade_no


def coupon_status(scenario: OrderScenario, record_id: int) -> str:
    return str(scenario.chaos.value("SELECT status FROM shop_couponrecord WHERE id = %s", record_id))


def test_paid_after_expiry_reopens_the_order(chaos: ChaosShop) -> None:
    buyer = new_buyer(chaos.shop, beili=BEILI)
    coupon = give_coupon(chaos, buyer)
    scenario = with_coupon(chaos, buyer, "reopened", coupon)
    assert (balances(scenario), coupon_status(scenario, coupon)) == ((0, BEILI), "reserved")
    out_trade_no = expired_unpaid(scenario)
    assert (balances(scenario), coupon_status(scenario, coupon)) == ((BEILI, 0), "unused")

    scenario.pay(out_trade_no)
    scenario.wait_for_end(APPLIED)
    assert (balances(scenario), coupon_status(scenario, coupon)) == ((0, 0), "used")
    assert count_events(scenario, "reopened") == 1


@pytest.mark.parametrize("taken", ["coupon", "beili"])
def test_paid_after_expiry_is_refunded_when_something_is_gone(chaos: ChaosShop, taken: str) -> None:
    buyer = new_buyer(chaos.shop, beili=BEILI)
    coupon = give_coupon(chaos, buyer)
    scenario = with_coupon(chaos, buyer, "gone", coupon)
    out_trade_no = expired_unpaid(scenario)
    other = chaos.empty_scenario("has it now", buyer=buyer)
    if taken == "coupon":
        other.order(beili=0, coupon_record_id=coupon, cash=PRICE - COUPON)
    else:
        other.order(beili=BEILI)

    scenario.pay(out_trade_no)
    scenario.wait_for_end(replace(SENT_BACK, order="expired"))
    assert other.state() == State("awaiting_payment")
    assert (balances(scenario), coupon_status(scenario, coupon)) == (
        ((BEILI, 0), "reserved") if taken == "coupon" else ((0, BEILI), "unused")
    )


def test_two_expired_orders_paid_at_once_with_one_coupon_between_them(chaos: ChaosShop) -> None:
    """Both were created with the same coupon and 贝里, one after the other: one is reopened, the other is
    refunded.
    """
    buyer = new_buyer(chaos.shop, beili=BEILI)
    coupon = give_coupon(chaos, buyer)
    scenarios, attempts = [], []
    for name in ("the one", "the other"):
        scenario = with_coupon(chaos, buyer, name, coupon)
        attempts.append(expired_unpaid(scenario))
        scenarios.append(scenario)
    at_once(
        *(
            lambda scenario=scenario, attempt=attempt: scenario.pay(attempt)
            for scenario, attempt in zip(scenarios, attempts, strict=True)
        )
    )
    for scenario in scenarios:
        scenario.wait_for_end(APPLIED, replace(SENT_BACK, order="expired"))
    assert sorted(scenario.state().order for scenario in scenarios) == ["expired", "paid"]
    assert (balances(scenarios[0]), coupon_status(scenarios[0], coupon)) == ((0, 0), "used")


def test_paid_and_expired_at_once(chaos: ChaosShop) -> None:
    """Nothing was taken meanwhile, so the buyer gets the course either way."""

    def play(number: int) -> str:
        scenario = chaos.scenario("paid and expired")
        out_trade_no = scenario.open()
        if number % 2:
            scenario.scan(out_trade_no)
        _, is_paid = at_once(scenario.expire, lambda: scenario.try_to_pay(out_trade_no))
        scenario.wait_for_end(*(PAID_BY_EITHER if is_paid else (State("expired", ("closed",)),)))
        return scenario.state().order

    print(Counter(side_by_side(chaos, play)))


# --- Pay twice ----------------------------------------------------------------------------------------------


def open_two(scenario: OrderScenario) -> tuple[str, str]:
    """Two attempts that can both be paid. The shop itself makes no second one while the first can be paid."""
    first = scenario.open("page")
    scenario.abandon(first)
    return first, scenario.open("wap")


def test_first_attempt_is_paid_after_the_second(chaos: ChaosShop) -> None:
    scenario = chaos.scenario("twice")
    first, second = open_two(scenario)
    assert (first, second) == (f"{scenario.number}P1", f"{scenario.number}P2")
    scenario.pay(second)
    scenario.wait_for_end(APPLIED, State("paid", ("closed", "paid"), (), ("active",), ("applied",)))
    scenario.pay(first)
    scenario.wait_for_end(TWICE.told("applied", "applied"))
    assert [row["status"] for row in scenario.trade(first)["refunds"]] == ["succeeded"]
    assert scenario.trade(second)["refunds"] == []


def test_first_attempt_is_paid_while_the_second_is_open(chaos: ChaosShop) -> None:
    """The abandoned attempt pays the order; the open one is closed at Alipay, where its buyer is."""
    scenario = chaos.scenario("twice, the first first")
    first, second = open_two(scenario)
    scenario.scan(second)
    scenario.pay(first)
    # The close of the second one, made on a phone, is notified too, perhaps before the close is answered.
    end = State("paid", ("closed", "paid"), (), ("active",))
    scenario.wait_for_end(end.told("applied", "ignored already_applied"), end.told("applied", "applied"))
    assert scenario.trade(second)["status"] == "TRADE_CLOSED"
    assert not scenario.try_to_pay(second)


def test_both_attempts_are_paid_at_once(chaos: ChaosShop) -> None:
    def play(_number: int) -> None:
        scenario = chaos.scenario("both at once")
        first, second = open_two(scenario)
        paid = at_once(*(lambda attempt=attempt: scenario.try_to_pay(attempt) for attempt in (first, second)))
        if all(paid):
            # A phone's refund is notified.
            told = (("applied", "applied"), ("applied", "applied", "ignored already_applied"))
            by_query = tuple(
                tuple("ignored already_applied" if n == 1 else word for n, word in enumerate(words))
                for words in told
            )
            scenario.wait_for_end(*(TWICE.told(*words) for words in (*told, *by_query)))
        else:
            scenario.wait_for(order="paid", payments=("closed", "paid"))
        assert count_events(scenario, "paid") == 1

    side_by_side(chaos, play, 3)


def test_trade_that_alipay_closed_leaves_the_order_payable(chaos: ChaosShop) -> None:
    """The buyer gave up at Alipay. When they return to the order, they get a new attempt."""
    scenario = chaos.scenario("closed at Alipay")
    first = scenario.open("wap")
    scenario.scan(first)
    chaos.control("POST", f"trades/{first}/close", {})
    scenario.wait_for_end(State("awaiting_payment", ("closed",), (), (), ("applied",)))
    second = scenario.open("wap")
    assert second == f"{scenario.number}P2"
    scenario.pay(second)
    scenario.wait_for_end(State("paid", ("closed", "paid"), (), ("active",), ("applied", "applied")))


# --- Refund twice, tell twice -------------------------------------------------------------------------------


def test_refund_asked_for_twice_at_once(chaos: ChaosShop) -> None:
    def play(_number: int) -> None:
        scenario = chaos.scenario("refunded twice")
        out_trade_no = scenario.buy()
        answers = at_once(scenario.refund, scenario.refund, scenario.refund)
        assert sorted(answer.status_code for answer in answers) == [202, 409, 409]
        scenario.wait_for_end(State("refunded", ("paid",), ("order succeeded",), ("revoked",), ("applied",)))
        assert len(scenario.trade(out_trade_no)["refunds"]) == 1

    side_by_side(chaos, play, 3)


def test_refund_sent_twice_at_once(chaos: ChaosShop) -> None:
    """Alipay's answer drips in. Meanwhile the refund's lease ends, and another worker sends it.

    The money moves once.
    """
    scenario = chaos.scenario("sent twice")
    out_trade_no = scenario.buy()
    scenario.inject("drip", method="alipay.trade.refund", params={"seconds": 0.7}, times=None)
    assert scenario.refund().status_code == 202
    for _ in range(4):
        scenario.wait(
            lambda: scenario.state().refunds[0] in {"order sent", "order unknown", "order succeeded"}
        )
        scenario.hurry_refunds()
    scenario.wait_for_end(State("refunded", ("paid",), ("order succeeded",), ("revoked",), ("applied",)))
    assert [row["status"] for row in scenario.trade(out_trade_no)["refunds"]] == ["succeeded"]
    assert count_events(scenario, "refund_succeeded") == 1


def test_notification_races_the_query(chaos: ChaosShop) -> None:
    def play(number: int) -> str:
        scenario = chaos.scenario("told twice")
        out_trade_no = scenario.open()
        scenario.scan(out_trade_no)
        scenario.inject("concurrent", params={"count": 3})
        # The sweep finds the payment within a second, and from then on it is queried every second.
        scenario.inject("delay", params={"seconds": (number + 1) / 4})
        scenario.poll()
        at_once(lambda: scenario.pay(out_trade_no), scenario.poll)
        scenario.wait_for_end(*PAID_BY_EITHER)
        scenario.wait(
            lambda: sum(bool(sent["is_accepted"]) for sent in scenario.deliveries(out_trade_no)) == 4
        )
        assert count_events(scenario, "paid") == 1
        return scenario.state().notifications[0]

    print(Counter(side_by_side(chaos, play)))


def test_all_of_it_after_a_crash_of_the_worker(chaos: ChaosShop) -> None:
    """The worker is killed during payments, cancellations and refunds; its unfinished work is picked up."""
    shop = chaos.shop
    scenarios = side_by_side(chaos, lambda number: chaos.scenario(f"crash {number}"), 4)
    cancelling, paying, refunding, late = scenarios
    attempts = [scenario.open() for scenario in scenarios]
    paying_attempt, refunding_attempt, late_attempt = attempts[1:]
    cancelling.scan(attempts[0])
    refunding.pay(refunding_attempt)
    late.cancel()
    refunding.wait_for_end(APPLIED)
    late.wait_for_end(CANCELLED)
    for scenario, method in ((cancelling, "alipay.trade.close"), (refunding, "alipay.trade.refund")):
        scenario.inject("drip", method=method, params={"seconds": 0.9})
    at_once(
        cancelling.cancel,
        refunding.refund,
        lambda: paying.pay(paying_attempt),
        lambda: late.pay(late_attempt),
    )
    shop.worker.kill("SIGKILL")
    shop.worker.restart()
    shop.worker.ready()
    cancelling.wait_for_end(CANCELLED)
    paying.wait_for_end(APPLIED)
    refunding.wait_for_end(State("refunded", ("paid",), ("order succeeded",), ("revoked",), ("applied",)))
    late.wait_for_end(SENT_BACK)
