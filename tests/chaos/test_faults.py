"""Every fault of the simulator, in a running shop: the final states of order, payments, refunds, enrolments
and notifications.

A table of fault kind → scenarios. A test runs its scenarios concurrently. After each test the audit must find
nothing, and Alipay's payments and refunds must equal the books.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from payments.gateways.alipay import AlipayConfig, AlipayGateway, read_private_key, read_public_key
from project.local.waiting import wait_until
from tests.chaos.order_scenario import (
    APPLIED,
    CANCELLED,
    PAID,
    PATIENCE_S,
    ChaosShop,
    OrderScenario,
    State,
)
from tests.journeys.shopping import make_bill_due
from tests.nodes.shop_stack import ShopStack

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("chaos")]

REFUNDED = State("refunded", ("paid",), ("order succeeded",), ("revoked",))
AFTER_CHANGE = State("paid", ("closed", "paid"), (), ("active",), ("applied",))


@dataclass(frozen=True)
class Case:
    """A scenario and its final state; several states where the fault leaves open which message comes
    first.
    """

    play: Callable[[OrderScenario], None]
    ends: tuple[State, ...]
    # It would interfere with other scenarios at Alipay, so it runs after all others.
    is_alone: bool = False


def case(play: Callable[[OrderScenario], None], *ends: State, is_alone: bool = False) -> Case:
    return Case(play, ends, is_alone)


# --- Faults of the gateway's answers ------------------------------------------------------------------------

QUERY, CLOSE, REFUND = "alipay.trade.query", "alipay.trade.close", "alipay.trade.refund"
REFUND_QUERY, PRECREATE = "alipay.trade.fastpay.refund.query", "alipay.trade.precreate"


@dataclass(frozen=True)
class GatewayFault:
    """A kind with its parameters, before and after the effect where the kind has both, and whether the answer
    is valid all the same.
    """

    kind: str
    params: dict[str, Any] = field(default_factory=dict)
    is_harmless: bool = False

    def inject(self, scenario: OrderScenario, method: str) -> int:
        return scenario.inject(self.kind, method=method, params=self.params)


def bought_and_refunded(fault: GatewayFault, scenario: OrderScenario) -> None:
    """The first call of each of these fails: code, query, refund, refund query.

    No notification comes.
    """
    scenario.silence()
    precreate = fault.inject(scenario, PRECREATE)
    answer = scenario.ask_to_pay("qr")
    assert scenario.was_hit(precreate)
    assert answer.status_code == (200 if fault.is_harmless else 503), answer.text
    out_trade_no = scenario.open("qr")

    scenario.pay(out_trade_no)
    query = fault.inject(scenario, QUERY)
    scenario.poll()
    scenario.wait_for(order="paid", enrolments=("active",))
    assert scenario.was_hit(query)

    refund = fault.inject(scenario, REFUND)
    fault.inject(scenario, REFUND_QUERY)
    assert scenario.refund().status_code == 202
    scenario.wait_for(order="refunded")
    assert scenario.was_hit(refund)
    # It may have been sent repeatedly, but the money moved once.
    assert [row["status"] for row in scenario.trade(out_trade_no)["refunds"]] == ["succeeded"]


def cancelled(fault: GatewayFault, scenario: OrderScenario) -> None:
    """The buyer has scanned and cancels: the first query and the first close fail."""
    out_trade_no = scenario.open()
    scenario.scan(out_trade_no)
    query, close = fault.inject(scenario, QUERY), fault.inject(scenario, CLOSE)
    assert scenario.cancel().status_code == 202
    scenario.wait_for(order="cancelled")
    assert scenario.was_hit(query)
    assert scenario.was_hit(close)
    assert scenario.trade(out_trade_no)["status"] == "TRADE_CLOSED"
    assert not scenario.try_to_pay(out_trade_no)


def gateway_cases(*faults: GatewayFault) -> list[Case]:
    return [
        made
        for fault in faults
        for made in (
            case(partial(bought_and_refunded, fault), REFUNDED),
            case(partial(cancelled, fault), CANCELLED),
        )
    ]


def changes_product(fault: GatewayFault, scenario: OrderScenario) -> None:
    """From computer to phone: the old attempt must be closed first, and Alipay doesn't answer.

    The buyer is asked to try again.
    """
    first = scenario.open("page")
    scenario.scan(first)
    for method, refusal in ((QUERY, (409, "payment_confirming")), (CLOSE, (503, "gateway_unavailable"))):
        fault.inject(scenario, method)
        answer = scenario.ask_to_pay("wap")
        assert (answer.status_code, answer.json()["error"]) == refusal, answer.text
        assert scenario.state().order == "awaiting_payment"
    second = scenario.open("wap")
    assert scenario.trade(first)["status"] == "TRADE_CLOSED"
    scenario.pay(second)


# Kinds without `after_commit` break the answer to a call that took effect, except `call_limited` and
# `error_response`.
BEFORE, AFTER = {"after_commit": False}, {"after_commit": True}
GATEWAY: dict[str, list[Case]] = {
    "http_error": [
        *gateway_cases(
            GatewayFault("http_error", BEFORE), GatewayFault("http_error", {**AFTER, "status": 500})
        ),
        case(partial(changes_product, GatewayFault("http_error", BEFORE)), AFTER_CHANGE),
    ],
    "hang": gateway_cases(GatewayFault("hang", {**BEFORE, "seconds": 3.0})),
    "slow": gateway_cases(GatewayFault("slow", {"seconds": 0.5}, is_harmless=True)),
    "drip": gateway_cases(GatewayFault("drip")),
    "disconnect": [
        *gateway_cases(GatewayFault("disconnect", AFTER)),
        case(partial(changes_product, GatewayFault("disconnect", AFTER)), AFTER_CHANGE),
    ],
    "truncate": gateway_cases(GatewayFault("truncate")),
    "garbage": gateway_cases(GatewayFault("garbage")),
    "empty": gateway_cases(GatewayFault("empty")),
    "unavailable": gateway_cases(GatewayFault("unavailable", BEFORE), GatewayFault("unavailable", AFTER)),
    "system_error": gateway_cases(GatewayFault("system_error", AFTER)),
    "bad_sign": gateway_cases(GatewayFault("bad_sign")),
    "unsigned": gateway_cases(GatewayFault("unsigned")),
    "other_trade": gateway_cases(GatewayFault("other_trade")),
    "lone_brace": gateway_cases(GatewayFault("lone_brace", is_harmless=True)),
    "error_response": gateway_cases(GatewayFault("error_response")),
}
GATEWAY_MORE: dict[str, list[Case]] = {
    # Exceeding the rate slows down all following calls.
    "call_limited": [replace(one, is_alone=True) for one in gateway_cases(GatewayFault("call_limited"))],
    "hang": gateway_cases(GatewayFault("hang", {**AFTER, "seconds": 3.0})),
    "disconnect": gateway_cases(GatewayFault("disconnect", BEFORE)),
    "system_error": gateway_cases(GatewayFault("system_error", BEFORE)),
}


# --- Faults of notifications --------------------------------------------------------------------------------


def comes_all_the_same(scenario: OrderScenario, *, kind: str, copies: int = 1, **params: Any) -> None:
    """The notification alone pays the order, without a query."""
    out_trade_no = scenario.open()
    scenario.inject(kind, params=params)
    scenario.pay(out_trade_no)
    scenario.wait_for(order="paid")
    scenario.wait(
        lambda: sum(bool(sent["is_accepted"]) for sent in scenario.deliveries(out_trade_no)) == copies
    )


def comes_after_an_old_one(scenario: OrderScenario, chaos: ChaosShop) -> None:
    """An earlier order's notification comes again, together with this one's."""
    earlier = chaos.scenario("replay_old, the earlier one")
    earlier.pay(earlier.open())
    earlier.wait_for_end(APPLIED)
    comes_all_the_same(scenario, kind="replay_old")
    earlier.wait_for_end(APPLIED)


def is_refused(scenario: OrderScenario, *, kind: str, **params: Any) -> None:
    """The shop refuses the notification and stores nothing.

    A query pays the order before the genuine one comes.
    """
    out_trade_no = scenario.open()
    scenario.inject(kind, params=params)
    scenario.pay(out_trade_no)
    scenario.wait(lambda: bool(scenario.deliveries(out_trade_no)))
    [sent] = scenario.deliveries(out_trade_no)
    assert not sent["is_accepted"]
    assert sent["status"] in {400, 415}
    assert scenario.state() == State("awaiting_payment", ("open",))
    scenario.poll()
    scenario.wait_for_end(PAID)
    scenario.deliver_again(out_trade_no)


def is_quarantined(scenario: OrderScenario, *, kind: str, **params: Any) -> None:
    """Genuine, but it doesn't match the payment: it is quarantined for staff and doesn't pay the order."""
    out_trade_no = scenario.open()
    scenario.inject(kind, params=params)
    scenario.pay(out_trade_no)
    scenario.wait(lambda: any(words.startswith("quarantined") for words in scenario.state().notifications))
    assert (scenario.state().order, scenario.state().payments) == ("awaiting_payment", ("open",))
    scenario.poll()
    scenario.wait_for(order="paid")
    scenario.deliver_again(out_trade_no)


def never_comes(scenario: OrderScenario) -> None:
    """The shop only learns of the payment by the query at the order's expiry."""
    scenario.silence()
    scenario.pay(scenario.open())
    scenario.expire()


def comes_after_expiry(scenario: OrderScenario) -> None:
    """The notification comes after the trade's expiry.

    The order's expiry has found the payment by then.
    """
    scenario.chaos.rows(
        "UPDATE shop_order SET expires_at = now() + interval '20 s' WHERE order_number = %s", scenario.number
    )
    out_trade_no = scenario.open()
    scenario.inject("delay", params={"beyond_expiry": True})
    scenario.pay(out_trade_no)
    scenario.expire()
    scenario.wait_for_end(PAID)
    scenario.chaos.control("POST", "clock/advance", {"seconds": 120})
    scenario.wait(lambda: bool(scenario.deliveries(out_trade_no)))


def is_overtaken(scenario: OrderScenario) -> None:
    """The notice of the refund comes before the notice of the payment."""
    out_trade_no = scenario.open("wap")
    scenario.inject("reorder", trade_status="TRADE_SUCCESS", params={"seconds": 3600.0})
    scenario.pay(out_trade_no)
    scenario.poll()
    scenario.wait_for_end(PAID)
    assert scenario.refund().status_code == 202
    scenario.wait(lambda: len(scenario.deliveries(out_trade_no)) == 2)
    states = [
        scenario.chaos.control("GET", f"notifications/{sent['notify_id']}")["trade_status"]
        for sent in scenario.deliveries(out_trade_no)
    ]
    assert states == ["TRADE_SUCCESS", "TRADE_CLOSED"]  # the latest first


LATE = PAID.told("ignored already_applied")


def refused(kind: str, **params: Any) -> list[Case]:
    return [case(partial(is_refused, kind=kind, **params), LATE)]


def quarantined(kind: str, reason: str, **params: Any) -> Case:
    return case(
        partial(is_quarantined, kind=kind, **params),
        PAID.told(f"quarantined {reason}", "ignored already_applied"),
    )


def notification_cases(chaos: ChaosShop) -> dict[str, list[Case]]:
    return {
        "duplicate": [case(partial(comes_all_the_same, kind="duplicate", copies=4, count=3), APPLIED)],
        "concurrent": [case(partial(comes_all_the_same, kind="concurrent", copies=8, count=7), APPLIED)],
        "reorder": [
            case(
                is_overtaken,
                REFUNDED.told("ignored already_applied", "ignored already_applied"),
                is_alone=True,
            )
        ],
        "delay": [
            case(partial(comes_all_the_same, kind="delay", seconds=2.0), APPLIED),
            case(comes_after_expiry, LATE, is_alone=True),
        ],
        "drop": [case(never_comes, PAID)],
        "wrong_key": refused("wrong_key"),
        "sha1": refused("sha1"),
        "sign_type_missing": refused("sign_type_missing"),
        "sign_type_rsa": refused("sign_type_rsa"),
        "change": [
            quarantined("change", "wrong_amount", fields={"total_amount": "0.01"}),
            quarantined("change", "wrong_seller", fields={"seller_id": "2088000000000009"}),
            quarantined("change", "wrong_app", fields={"app_id": "2021000000000009"}),
            *refused("change", fields={"total_amount": "-20.00"}),
        ],
        "tamper": refused("tamper"),
        "unknown_order": [quarantined("unknown_order", "unknown_trade")],
        "extra_fields": [
            case(
                partial(comes_all_the_same, kind="extra_fields", fields={"future_field": "& = 未来"}), APPLIED
            )
        ],
        "gbk": refused("gbk"),
        "merged_fields": [*refused("merged_fields"), *refused("merged_fields", into="gmt_payment")],
        "json_body": refused("json_body"),
        "replay_old": [case(partial(comes_after_an_old_one, chaos=chaos), APPLIED)],
    }


# --- Faults of business -------------------------------------------------------------------------------------


def pays_while_it_is_closed(scenario: OrderScenario, *, end: Callable[[OrderScenario], Any]) -> None:
    """The buyer pays between Alipay's "waiting" and our close: the close fails, and the order is paid."""
    out_trade_no = scenario.open()
    scenario.scan(out_trade_no)
    fault = scenario.inject("pay_on_close")
    end(scenario)
    scenario.wait_for(order="paid")
    assert scenario.was_hit(fault)
    scenario.wait(lambda: bool(scenario.state().notifications))


def pays_after_it_was_closed(scenario: OrderScenario) -> None:
    """Alipay had no such trade when the order was cancelled, so nothing could be closed. Then the buyer
    pays.
    """
    out_trade_no = scenario.open()
    assert scenario.cancel().status_code == 202
    scenario.wait_for_end(CANCELLED)
    fault = scenario.inject("pay_after_close")
    gateway_of(scenario.shop).close(out_trade_no)
    assert scenario.was_hit(fault)


def pays_after_it_was_closed_and_nobody_tells(scenario: OrderScenario) -> None:
    """As before, but the notification gets lost: the last query of the attempt, after it can no longer be
    paid, finds the payment.
    """
    scenario.silence()
    pays_after_it_was_closed(scenario)
    assert scenario.state() == CANCELLED
    scenario.poll()


def pays_two_orders(scenario: OrderScenario) -> None:
    """The buyer has ordered the course twice on purpose and pays both: two periods, and no refund."""
    other = replace(scenario, number="").order(buys_again=True)
    first, second = other.open("page"), scenario.open("wap")
    fault = scenario.inject("double_pay", second)
    scenario.pay(second)
    assert scenario.was_hit(fault)
    other.wait_for(order="paid", enrolments=("active",))
    assert not scenario.trade(first)["refunds"]


def is_refunded_later(scenario: OrderScenario) -> None:
    """Alipay accepts the refund and moves the money later.

    Until that is proven the buyer keeps the course.
    """
    out_trade_no = scenario.buy()
    fault = scenario.inject("refund_pending", params={"seconds": 4.0})
    assert scenario.refund().status_code == 202
    scenario.wait_for(refunds=("order unknown",))
    assert scenario.was_hit(fault)
    assert scenario.state().enrolments == ("active",)
    scenario.wait(lambda: scenario.trade(out_trade_no)["refunds"][0]["status"] == "succeeded")
    scenario.hurry_refunds()


def is_never_refunded(scenario: OrderScenario) -> None:
    """Alipay accepts the refund, but the money never moves: after all attempts it is given up for staff to
    handle, and still owed.
    """
    scenario.buy()
    scenario.inject("refund_failed")
    assert scenario.refund().status_code == 202
    scenario.wait_for(refunds=("order unknown",))
    # Later attempts are minutes apart, and go on for a day.
    scenario.chaos.rows(
        "UPDATE payments_refund SET attempts = 9 WHERE out_request_no LIKE %s", f"{scenario.number}%"
    )
    scenario.hurry_refunds()
    wait_s = (
        "SELECT extract(epoch FROM available_at - now()) FROM payments_refund WHERE out_request_no LIKE %s"
    )
    scenario.wait(lambda: scenario.chaos.value(wait_s, f"{scenario.number}%") > 100)
    assert scenario.state().refunds == ("order unknown",)
    # Uses up all attempts of a day.
    scenario.chaos.rows(
        "UPDATE payments_refund SET attempts = 300, available_at = now() WHERE out_request_no LIKE %s AND "
        "status = 'unknown'",
        f"{scenario.number}%",
    )


def has_no_balance_at_first(scenario: OrderScenario) -> None:
    """The merchant's account at Alipay can't cover the refund until the next day's sales."""
    scenario.buy()
    fault = scenario.inject("balance_empty", times=2)
    assert scenario.refund().status_code == 202
    scenario.wait_for(order="refunded")
    assert scenario.was_hit(fault)


def cannot_be_refunded(scenario: OrderScenario) -> None:
    """Alipay's refusal is final: the refund has failed, and the buyer keeps the course."""
    out_trade_no = scenario.open("wap")
    scenario.inject("not_refundable")
    scenario.pay(out_trade_no)
    scenario.wait_for_end(APPLIED)
    assert scenario.refund().status_code == 202


def surplus_cannot_be_refunded(scenario: OrderScenario) -> None:
    """Alipay refuses to refund money for a cancelled order: it is left to staff."""
    out_trade_no = scenario.open("wap")
    assert scenario.cancel().status_code == 202
    scenario.wait_for_end(CANCELLED)
    scenario.inject("not_refundable")
    scenario.pay(out_trade_no)


KEPT = State("paid", ("paid",), ("order failed ACQ.TRADE_HAS_FINISHED",), ("active",))
SENT_BACK = State("cancelled", ("paid surplus",), ("surplus succeeded",))
BUSINESS: dict[str, list[Case]] = {
    "pay_on_close": [
        case(partial(pays_while_it_is_closed, end=OrderScenario.cancel), APPLIED, LATE),
        case(partial(pays_while_it_is_closed, end=OrderScenario.expire), APPLIED, LATE),
    ],
    "pay_after_close": [
        case(pays_after_it_was_closed, SENT_BACK.told("applied")),
        case(pays_after_it_was_closed_and_nobody_tells, SENT_BACK),
    ],
    "double_pay": [case(pays_two_orders, APPLIED)],
    "refund_pending": [case(is_refunded_later, REFUNDED.told("applied"))],
    "refund_failed": [
        case(
            is_never_refunded,
            replace(APPLIED, refunds=("order failed attempts_exhausted",)),
        )
    ],
    "balance_empty": [case(has_no_balance_at_first, REFUNDED.told("applied"))],
    "not_refundable": [
        case(cannot_be_refunded, KEPT.told("applied")),
        case(
            surplus_cannot_be_refunded,
            State("cancelled", ("paid surplus",), ("surplus failed ACQ.TRADE_HAS_FINISHED",)).told("applied"),
        ),
    ],
}

# --- Faults of bills ----------------------------------------------------------------------------------------

BILLS = frozenset({"bill_missing", "bill_extra", "bill_amount"})
SENT_BACK_IN_THE_CONSOLE = State("refunded", ("paid",), ("external succeeded",), ("revoked",), ("applied",))


def pays_unheard(scenario: OrderScenario) -> str:
    """There is no notification of the payment, and no query."""
    out_trade_no = scenario.open()
    scenario.silence()
    scenario.pay(out_trade_no)
    assert scenario.state().order == "awaiting_payment"
    return out_trade_no


def is_sent_back_unheard(scenario: OrderScenario) -> str:
    """It is fully refunded in the merchant's console, without a notification."""
    out_trade_no = scenario.buy()
    scenario.silence()
    scenario.chaos.control("POST", f"trades/{out_trade_no}/refund", {"out_request_no": f"C{scenario.number}"})
    assert scenario.state().order == "paid"
    return out_trade_no


def compare_bill(chaos: ChaosShop) -> dict[tuple[str, str, str], str]:
    """The shop reads today's bill as if the day had ended, and its queries are answered.

    Returns all differences with their subject, kind, number and outcome.
    """
    make_bill_due(chaos.shop)

    def is_over() -> bool:
        chaos.rows(
            "UPDATE payments_bill SET available_at = now() WHERE status = 'compared' AND attempts = 0 AND "
            "available_at > now()"
        )
        return bool(chaos.value("SELECT available_at IS NULL FROM payments_bill"))

    assert wait_until(is_over, timeout_s=PATIENCE_S), chaos.rows("SELECT * FROM payments_bill")
    assert chaos.value("SELECT status FROM payments_bill") == "compared"
    found = chaos.rows("SELECT * FROM payments_billdifference")
    return {
        (row["subject"], row["kind"], row["out_request_no"] or row["out_trade_no"]): row["status"]
        for row in found
    }


# --- The tests ----------------------------------------------------------------------------------------------


def play(chaos: ChaosShop, cases: dict[str, list[Case]]) -> None:
    """Runs all cases, concurrently where possible, and fails with all errors."""
    problems: list[Exception] = []

    def play_one(kind: str, position: int, one: Case) -> None:
        started = time.monotonic()
        try:
            scenario = chaos.scenario(kind)
            one.play(scenario)
            scenario.wait_for_end(*one.ends)
        except Exception as problem:  # noqa: BLE001 - all scenarios are played, and all problems told
            problem.add_note(f"in scenario {position} of {kind}")
            problems.append(problem)
        print(f"{kind:18} {position}  {time.monotonic() - started:5.1f} s")

    numbered = [
        (kind, position, one) for kind, some in cases.items() for position, one in enumerate(some, start=1)
    ]
    for told in [chaos.pool.submit(play_one, *entry) for entry in numbered if not entry[2].is_alone]:
        told.result()
    for entry in numbered:
        if entry[2].is_alone:
            play_one(*entry)
    if problems:
        raise ExceptionGroup(f"{len(problems)} of {len(numbered)} scenarios", problems)


def test_every_fault_is_classified(chaos: ChaosShop) -> None:
    kinds = {kind["name"]: kind["category"] for kind in chaos.control("GET", "faults/kinds")["kinds"]}
    classified = dict.fromkeys(GATEWAY | GATEWAY_MORE, "gateway") | dict.fromkeys(
        notification_cases(chaos), "notification"
    )
    assert kinds == classified | dict.fromkeys([*BUSINESS, *BILLS], "business")


def test_gateway_faults(chaos: ChaosShop) -> None:
    play(chaos, GATEWAY)


@pytest.mark.slow
def test_gateway_faults_that_take_longer(chaos: ChaosShop) -> None:
    play(chaos, GATEWAY_MORE)


def test_notification_faults(chaos: ChaosShop) -> None:
    play(chaos, notification_cases(chaos))


def test_business_faults(chaos: ChaosShop) -> None:
    play(chaos, BUSINESS)


def test_bill_faults(chaos: ChaosShop) -> None:
    """A correct bill agrees with everything above. Where it is wrong, differences are reported and the books
    stay; what only the bill has is queried and settled.
    """
    altered, missing = (chaos.scenario("bill").buy() for _ in range(2))
    assert compare_bill(chaos) == {}

    for kind, out_trade_no in (("bill_amount", altered), ("bill_missing", missing)):
        chaos.control("POST", "faults", {"kind": kind, "out_trade_no": out_trade_no, "times": None})
    chaos.control("POST", "faults", {"kind": "bill_extra", "times": None})
    unheard, sent_back = chaos.scenario("bill, unheard of"), chaos.scenario("bill, sent back")
    unheard_number = pays_unheard(unheard)
    is_sent_back_unheard(sent_back)
    found = compare_bill(chaos)

    [strange] = [number for _, _, number in found if number.startswith("STRANGE")]
    assert found == {
        ("trade", "other_amount", altered): "open",
        ("trade", "missing_there", missing): "open",
        ("trade", "missing_here", strange): "open",
        ("trade", "not_done_here", unheard_number): "settled",
        ("refund", "missing_here", f"C{sent_back.number}"): "settled",
    }
    unheard.wait_for_end(PAID)
    sent_back.wait_for_end(SENT_BACK_IN_THE_CONSOLE)
    # Without the faults it agrees again.
    chaos.control("DELETE", "faults")
    assert compare_bill(chaos) == {}


def gateway_of(shop: ShopStack) -> AlipayGateway:
    """The shop's own gateway, in this process."""
    env = shop.env
    return AlipayGateway(
        AlipayConfig(
            gateway_url=env["ALIPAY_GATEWAY_URL"],
            buyer_gateway_url=env["ALIPAY_GATEWAY_URL"],
            app_id=env["ALIPAY_APP_ID"],
            seller_id=env["ALIPAY_SELLER_ID"],
            app_private_key=read_private_key(Path(env["ALIPAY_APP_PRIVATE_KEY_PATH"])),
            alipay_public_keys=[read_public_key(Path(env["ALIPAY_PUBLIC_KEY_PATHS"]))],
            notify_url=f"{shop.web_url}/api/v1/payments/alipay/notify/",
            return_url=f"{shop.web_url}/api/v1/payments/alipay/return/",
            timeout_s=10,
        )
    )
