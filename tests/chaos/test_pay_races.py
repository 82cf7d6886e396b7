"""Money that meets the end of its order, or more money: on real processes, in both orders of arrival and at the same moment.

After each test the audit must be clean, and Alipay must have taken and given back what the books say.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.chaos.scene import BEILI, PRICE, Scene, Stage, State
from tests.journeys.shopping import Buyer

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("chaos-races")]

RACES = 6
COUPON = Decimal("5.00")

PAID = State("paid", ("paid",), (), ("active",))
CANCELLED = State("cancelled", ("closed",))
SENT_BACK = State("cancelled", ("paid surplus",), ("surplus succeeded",), (), ("applied",))
TWICE = State("paid", ("paid", "paid surplus"), ("surplus succeeded",), ("active",))


def notified(end: State, *notifications: str) -> State:
    return replace(end, notifications=tuple(sorted(notifications)))


# The notification or a query: whichever came first has paid the order.
PAID_BY_EITHER = (notified(PAID, "applied"), notified(PAID, "ignored already_applied"))


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Does all of it at the same moment; answers what each of them answered."""
    barrier = threading.Barrier(len(acts))

    def wait_and_act(act: Callable[[], Any]) -> Any:
        barrier.wait(timeout=30)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [told.result() for told in [pool.submit(wait_and_act, act) for act in acts]]


def side_by_side(stage: Stage, play: Callable[[int], Any], count: int = RACES) -> list[Any]:
    return list(stage.pool.map(play, range(count)))


def balances(scene: Scene) -> tuple[int, int]:
    (row,) = scene.stage.rows("SELECT balance, held_balance FROM shop_account WHERE id = %s", scene.buyer.account_id)
    return row["balance"], row["held_balance"]


def count_events(scene: Scene, kind: str) -> int:
    return int(
        scene.stage.value(
            "SELECT count(*) FROM shop_orderevent e JOIN shop_order o ON o.id = e.order_id WHERE o.order_number = %s AND e.kind = %s",
            scene.number,
            kind,
        )
    )


# --- Pay and cancel --------------------------------------------------------------------------------------------------


def test_paid_then_cancelled(stage: Stage) -> None:
    """Nobody has told the shop of the money when the buyer cancels: it asks, and the order is paid."""
    scene = stage.scene("paid, then cancelled")
    scene.silence()
    scene.pay(scene.open())
    assert scene.cancel().status_code == 202
    scene.wait_for_end(PAID)
    assert scene.cancel().status_code == 409


def test_cancelled_then_paid(stage: Stage) -> None:
    """What the buyer had scanned is closed at Alipay; what Alipay never heard of can still be paid, and the money goes back."""
    scanned, unscanned = stage.scene("cancelled, then paid"), stage.scene("cancelled, then paid late")
    scanned.scan(scanned.open())
    unscanned.open()
    for scene in (scanned, unscanned):
        assert scene.cancel().status_code == 202
        scene.wait_for_end(CANCELLED)
    assert not scanned.try_to_pay(f"{scanned.number}P1")
    assert unscanned.try_to_pay(f"{unscanned.number}P1")
    unscanned.wait_for_end(SENT_BACK)
    scanned.wait_for_end(CANCELLED)


def test_paid_and_cancelled_at_once(stage: Stage) -> None:
    def play(number: int) -> str:
        is_scanned = number % 2 == 0
        scene = stage.scene("paid and cancelled")
        out_trade_no = scene.open()
        if is_scanned:
            scene.scan(out_trade_no)
        cancel, is_paid = at_once(scene.cancel, lambda: scene.try_to_pay(out_trade_no))
        assert cancel.status_code in {202, 409}, cancel.text
        if cancel.status_code == 409:
            ends: tuple[State, ...] = PAID_BY_EITHER
        elif is_paid:
            ends = PAID_BY_EITHER if is_scanned else (*PAID_BY_EITHER, SENT_BACK)
        else:
            ends = (CANCELLED,)
        scene.wait_for_end(*ends)
        return scene.state().order

    print(Counter(side_by_side(stage, play)))


def test_paid_between_the_end_of_the_attempt_and_the_end_of_the_order(stage: Stage) -> None:
    """The attempt is closed, and the worker waits for the account's lock to cancel the order. There the money comes in."""
    scene = stage.empty_scene("paid in between", buyer=stage.new_buyer(beili=BEILI)).order()
    out_trade_no = scene.open()
    scene.abandon(out_trade_no)
    with account_locked(scene):
        scene.stage.rows("UPDATE shop_order SET cancel_requested_at = now(), available_at = now() WHERE order_number = %s", scene.number)
        scene.pay(out_trade_no)
        scene.wait(lambda: scene.state().notifications == ("received",))
    scene.wait_for_end(SENT_BACK, notified(PAID, "applied"))
    assert balances(scene) == ((BEILI, 0) if scene.state().order == "cancelled" else (0, 0))


@contextlib.contextmanager
def account_locked(scene: Scene) -> Iterator[None]:
    """Holds the lock that everything takes first that changes an order."""
    with psycopg.connect(scene.shop.database_url) as connection:
        connection.execute("SELECT 1 FROM shop_account WHERE id = %s FOR NO KEY UPDATE", [scene.buyer.account_id])
        yield
        connection.rollback()


def test_taken_to_the_cashier_and_cancelled_at_once(stage: Stage) -> None:
    """In one tab the buyer goes to pay, in another one cancels. The order ends cancelled, and no attempt stays open."""

    def play(_number: int) -> int:
        scene = stage.scene("opened and cancelled")
        cancel, opened = at_once(scene.cancel, lambda: scene.ask_to_pay("page"))
        assert cancel.status_code == 202, cancel.text
        assert opened.status_code in {200, 409}, opened.text
        scene.wait_for_end(CANCELLED if opened.status_code == 200 else State("cancelled"))
        return int(opened.status_code)

    print(Counter(side_by_side(stage, play)))


# --- Pay and expiry --------------------------------------------------------------------------------------------------


def with_coupon(stage: Stage, buyer: Buyer, name: str, coupon_record_id: int) -> Scene:
    """An order for ¥15, which holds a coupon and 10 贝里."""
    scene = stage.empty_scene(name, buyer=buyer)
    return scene.order(coupon_record_id=coupon_record_id, cash=PRICE - BEILI - COUPON)


def give_coupon(stage: Stage, buyer: Buyer) -> int:
    """A coupon of ¥5 for a whole order; answers the record's id."""
    return int(
        stage.value(
            """
            WITH campaign AS (
                INSERT INTO shop_coupon (name, brief, coupon_type, money_equivalent_value, minimum_consume, scope, quantity, claimed_count,
                    open_date, close_date, coupon_valid_days, created_at)
                VALUES ('五元券', '', 0, %s, 0, 'order', 1, 0, current_date - 9, current_date + 9, 30, now()) RETURNING id
            )
            INSERT INTO shop_couponrecord (coupon_id, account_id, number, status, claimed_at, valid_from_date, valid_until_date)
            SELECT id, %s, gen_random_uuid()::text, 'unused', now(), current_date - 9, current_date + 9 FROM campaign RETURNING id
            """,
            COUPON,
            buyer.account_id,
        )
    )


def expired_unpaid(scene: Scene) -> str:
    """The buyer stood at the cashier without scanning, and the time ran out; answers the attempt."""
    out_trade_no = scene.open()
    scene.expire()
    scene.wait_for_end(State("expired", ("closed",)))
    # The last query, after the attempt's own end, is over too: it would otherwise race the notification.
    is_over = "SELECT available_at IS NULL FROM payments_payment WHERE out_trade_no = %s"
    scene.wait(lambda: bool(scene.stage.value(is_over, out_trade_no)))
    return out_trade_no


def coupon_status(scene: Scene, record_id: int) -> str:
    return str(scene.stage.value("SELECT status FROM shop_couponrecord WHERE id = %s", record_id))


def test_paid_after_expiry_reopens_the_order(stage: Stage) -> None:
    buyer = stage.new_buyer(beili=BEILI)
    coupon = give_coupon(stage, buyer)
    scene = with_coupon(stage, buyer, "reopened", coupon)
    assert (balances(scene), coupon_status(scene, coupon)) == ((0, BEILI), "reserved")
    out_trade_no = expired_unpaid(scene)
    assert (balances(scene), coupon_status(scene, coupon)) == ((BEILI, 0), "unused")

    scene.pay(out_trade_no)
    scene.wait_for_end(notified(PAID, "applied"))
    assert (balances(scene), coupon_status(scene, coupon)) == ((0, 0), "used")
    assert count_events(scene, "reopened") == 1


@pytest.mark.parametrize("taken", ["coupon", "beili"])
def test_paid_after_expiry_is_refunded_when_something_is_gone(stage: Stage, taken: str) -> None:
    buyer = stage.new_buyer(beili=BEILI)
    coupon = give_coupon(stage, buyer)
    scene = with_coupon(stage, buyer, "gone", coupon)
    out_trade_no = expired_unpaid(scene)
    other = stage.empty_scene("has it now", buyer=buyer)
    if taken == "coupon":
        other.order(beili=0, coupon_record_id=coupon, cash=PRICE - COUPON)
    else:
        other.order(beili=BEILI)

    scene.pay(out_trade_no)
    scene.wait_for_end(replace(SENT_BACK, order="expired"))
    assert other.state() == State("awaiting_payment")
    assert (balances(scene), coupon_status(scene, coupon)) == (((BEILI, 0), "reserved") if taken == "coupon" else ((0, BEILI), "unused"))


def test_two_expired_orders_paid_at_once_with_one_coupon_between_them(stage: Stage) -> None:
    """Both were made with the same coupon and the same 贝里, one after the other: one is re-opened, the other's money goes back."""
    buyer = stage.new_buyer(beili=BEILI)
    coupon = give_coupon(stage, buyer)
    scenes, attempts = [], []
    for name in ("the one", "the other"):
        scene = with_coupon(stage, buyer, name, coupon)
        attempts.append(expired_unpaid(scene))
        scenes.append(scene)
    at_once(*(lambda scene=scene, attempt=attempt: scene.pay(attempt) for scene, attempt in zip(scenes, attempts, strict=True)))
    for scene in scenes:
        scene.wait_for_end(notified(PAID, "applied"), replace(SENT_BACK, order="expired"))
    assert sorted(scene.state().order for scene in scenes) == ["expired", "paid"]
    assert (balances(scenes[0]), coupon_status(scenes[0], coupon)) == ((0, 0), "used")


def test_paid_and_expired_at_once(stage: Stage) -> None:
    """Nobody took anything meanwhile: whoever got to pay has the course."""

    def play(number: int) -> str:
        scene = stage.scene("paid and expired")
        out_trade_no = scene.open()
        if number % 2:
            scene.scan(out_trade_no)
        _, is_paid = at_once(scene.expire, lambda: scene.try_to_pay(out_trade_no))
        scene.wait_for_end(*(PAID_BY_EITHER if is_paid else (State("expired", ("closed",)),)))
        return scene.state().order

    print(Counter(side_by_side(stage, play)))


# --- Pay twice -------------------------------------------------------------------------------------------------------


def open_two(scene: Scene) -> tuple[str, str]:
    """Two attempts that can both be paid. The shop itself makes no second one while the first could be."""
    first = scene.open("page")
    scene.abandon(first)
    return first, scene.open("wap")


def test_first_attempt_is_paid_after_the_second(stage: Stage) -> None:
    scene = stage.scene("twice")
    first, second = open_two(scene)
    assert (first, second) == (f"{scene.number}P1", f"{scene.number}P2")
    scene.pay(second)
    scene.wait_for_end(notified(PAID, "applied"), State("paid", ("closed", "paid"), (), ("active",), ("applied",)))
    scene.pay(first)
    scene.wait_for_end(notified(TWICE, "applied", "applied"))
    assert [row["status"] for row in scene.trade(first)["refunds"]] == ["succeeded"]
    assert scene.trade(second)["refunds"] == []


def test_first_attempt_is_paid_while_the_second_is_open(stage: Stage) -> None:
    """The abandoned attempt pays the order; the open one is closed at Alipay, where its buyer stands."""
    scene = stage.scene("twice, the first first")
    first, second = open_two(scene)
    scene.scan(second)
    scene.pay(first)
    # The second one's close is notified too, since it is a phone's; that may come before the answer to the close.
    end = State("paid", ("closed", "paid"), (), ("active",))
    scene.wait_for_end(notified(end, "applied", "ignored already_applied"), notified(end, "applied", "applied"))
    assert scene.trade(second)["status"] == "TRADE_CLOSED"
    assert not scene.try_to_pay(second)


def test_both_attempts_are_paid_at_once(stage: Stage) -> None:
    def play(_number: int) -> None:
        scene = stage.scene("both at once")
        first, second = open_two(scene)
        paid = at_once(*(lambda attempt=attempt: scene.try_to_pay(attempt) for attempt in (first, second)))
        if all(paid):
            # A phone's refund is notified.
            told = (("applied", "applied"), ("applied", "applied", "ignored already_applied"))
            by_query = tuple(tuple("ignored already_applied" if n == 1 else word for n, word in enumerate(words)) for words in told)
            scene.wait_for_end(*(notified(TWICE, *words) for words in (*told, *by_query)))
        else:
            scene.wait_for(order="paid", payments=("closed", "paid"))
        assert count_events(scene, "paid") == 1

    side_by_side(stage, play, 3)


def test_trade_that_alipay_closed_leaves_the_order_payable(stage: Stage) -> None:
    """The buyer gave up at Alipay. Coming back to the order, they get a new attempt."""
    scene = stage.scene("closed at Alipay")
    first = scene.open("wap")
    scene.scan(first)
    stage.control("POST", f"trades/{first}/close", {})
    scene.wait_for_end(State("awaiting_payment", ("closed",), (), (), ("applied",)))
    second = scene.open("wap")
    assert second == f"{scene.number}P2"
    scene.pay(second)
    scene.wait_for_end(State("paid", ("closed", "paid"), (), ("active",), ("applied", "applied")))


# --- Refund twice, tell twice ----------------------------------------------------------------------------------------


def paid(scene: Scene) -> str:
    out_trade_no = scene.open()
    scene.pay(out_trade_no)
    scene.wait_for_end(notified(PAID, "applied"))
    return out_trade_no


def test_refund_asked_for_twice_at_once(stage: Stage) -> None:
    def play(_number: int) -> None:
        scene = stage.scene("refunded twice")
        out_trade_no = paid(scene)
        answers = at_once(scene.refund, scene.refund, scene.refund)
        assert sorted(answer.status_code for answer in answers) == [202, 409, 409]
        scene.wait_for_end(State("refunded", ("paid",), ("order succeeded",), ("revoked",), ("applied",)))
        assert len(scene.trade(out_trade_no)["refunds"]) == 1

    side_by_side(stage, play, 3)


def test_refund_sent_twice_at_once(stage: Stage) -> None:
    """Alipay's answer drips in; meanwhile the refund is taken for lost and sent by somebody else. The money goes back once."""
    scene = stage.scene("sent twice")
    out_trade_no = paid(scene)
    scene.inject("drip", method="alipay.trade.refund", params={"seconds": 0.7}, times=None)
    assert scene.refund().status_code == 202
    for _ in range(4):
        scene.wait(lambda: scene.state().refunds[0] in {"order sent", "order unknown", "order succeeded"})
        scene.hurry_refunds()
    scene.wait_for_end(State("refunded", ("paid",), ("order succeeded",), ("revoked",), ("applied",)))
    assert [row["status"] for row in scene.trade(out_trade_no)["refunds"]] == ["succeeded"]
    assert count_events(scene, "refund_succeeded") == 1


def test_notification_races_the_query(stage: Stage) -> None:
    def play(number: int) -> str:
        scene = stage.scene("told twice")
        out_trade_no = scene.open()
        scene.scan(out_trade_no)
        scene.inject("concurrent", params={"count": 3})
        # The sweep finds the payment within a second, and from then on it is queried every second.
        scene.inject("delay", params={"seconds": number / 4})
        scene.poll()
        at_once(lambda: scene.pay(out_trade_no), scene.poll)
        scene.wait_for_end(*PAID_BY_EITHER)
        scene.wait(lambda: sum(bool(sent["is_accepted"]) for sent in scene.deliveries(out_trade_no)) == 4)
        assert count_events(scene, "paid") == 1
        return scene.state().notifications[0]

    print(Counter(side_by_side(stage, play)))


def test_all_of_it_after_a_crash_of_the_worker(stage: Stage) -> None:
    """The worker is killed while money, cancellations and refunds are on their way; what it left behind is found again."""
    shop = stage.shop
    scenes = side_by_side(stage, lambda number: stage.scene(f"crash {number}"), 4)
    cancelling, paying, refunding, late = scenes
    attempts = [scene.open() for scene in scenes]
    paying_attempt, refunding_attempt, late_attempt = attempts[1:]
    cancelling.scan(attempts[0])
    refunding.pay(refunding_attempt)
    late.cancel()
    refunding.wait_for_end(notified(PAID, "applied"))
    late.wait_for_end(CANCELLED)
    for scene, method in ((cancelling, "alipay.trade.close"), (refunding, "alipay.trade.refund")):
        scene.inject("drip", method=method, params={"seconds": 0.9})
    at_once(cancelling.cancel, refunding.refund, lambda: paying.pay(paying_attempt), lambda: late.pay(late_attempt))
    shop.worker.kill("SIGKILL")
    shop.worker.restart()
    shop.worker.ready()
    cancelling.wait_for_end(CANCELLED)
    paying.wait_for_end(notified(PAID, "applied"))
    refunding.wait_for_end(State("refunded", ("paid",), ("order succeeded",), ("revoked",), ("applied",)))
    late.wait_for_end(SENT_BACK)
