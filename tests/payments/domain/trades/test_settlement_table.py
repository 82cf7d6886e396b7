"""The outcome of every report in every situation, written by hand from the design's life cycles and compared
with what happens.

An order of ¥80 (¥99 less a coupon of ¥10 and 9 贝里) and an attempt to pay it, in every state that the two can
be in together, and everything that the gateway can report about the attempt's trade: in a notification, which
may be late, or in the answer to a query, which is current.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from payments.domain.trades import expiry, inbox, polling, settlement
from payments.domain.trades.outcomes import STALE_AFTER, Outcome
from payments.gateways import ConfiguredGateways
from payments.gateways.protocol import RefundMovement, TradeReport, TradeStatus
from payments.models import Notification, Payment, Refund
from payments.states import ClosedReason, NotificationStatus, PaymentStatus, Product, RefundKind, RefundStatus
from shop.domain.orders import closing
from shop.models import Account, CouponRecord, Enrolment, Order
from shop.states import CouponRecordStatus, EnrolmentStatus, OrderStatus
from tests.factories import NOW, make_buyer, make_course, make_order, make_record
from tests.payments.domain.conftest import Clock
from tests.payments.memorygateway import APP_ID, MemoryGateway
from tests.payments.order_scenario import approve, ask_refund, assert_books_are_right, send, start
from tests.unchanged import everything, undone

pytestmark = pytest.mark.django_db

# What a notification may report about a trade of ¥80: its state, the refunded amount, and the refund's
# number.
WORDS = {
    "waiting": (TradeStatus.WAITING, "0", ""),
    "paid": (TradeStatus.PAID, "0", ""),
    "finished": (TradeStatus.FINISHED, "0", ""),
    "closed": (TradeStatus.CLOSED, "0", ""),
    "closed_all_back": (TradeStatus.CLOSED, "80", "X1"),
    "paid_part_back": (TradeStatus.PAID, "30", "X1"),
    "finished_part": (TradeStatus.FINISHED, "30", "X1"),
    "nameless_part": (TradeStatus.PAID, "30", ""),
}
# What a query may answer. A closed trade that was paid has been fully refunded.
ANSWERS = {
    "waiting": (TradeStatus.WAITING, False),
    "paid": (TradeStatus.PAID, True),
    "finished": (TradeStatus.FINISHED, True),
    "closed": (TradeStatus.CLOSED, False),
    "given_back": (TradeStatus.CLOSED, True),
}
# `=`: already applied; `reported`: refund_reported; `elsewhere`: refunded_elsewhere.
# fmt: off
WORD_TABLE = """
situation                  waiting  paid      finished  closed  closed_all_back  paid_part_back  finished_part  nameless_part
awaiting/open              waiting  settled   settled   closed  asked            asked           asked          asked
awaiting/closed            waiting  asked     asked     =       asked            asked           asked          asked
awaiting/closed:given_back waiting  asked     asked     =       reported         asked           asked          asked
paid/open                  waiting  asked     asked     closed  asked            asked           asked          asked
paid/closed                waiting  asked     asked     =       asked            asked           asked          asked
paid/paid                  waiting  =         =         asked   reported         reported        reported       elsewhere
paid/paid:surplus          waiting  =         =         asked   reported         reported        reported       elsewhere
cancelled/closed           waiting  asked     asked     =       asked            asked           asked          asked
cancelled/closed:given_back waiting asked     asked     =       reported         asked           asked          asked
cancelled/paid             waiting  =         =         asked   reported         reported        reported       elsewhere
expired/closed             waiting  asked     asked     =       asked            asked           asked          asked
expired/closed:no_coupon   waiting  asked     asked     =       asked            asked           asked          asked
expired/closed:old_coupon  waiting  asked     asked     =       asked            asked           asked          asked
expired/closed:no_beili    waiting  asked     asked     =       asked            asked           asked          asked
expired/closed:given_back  waiting  asked     asked     =       reported         asked           asked          asked
expired/paid               waiting  =         =         asked   reported         reported        reported       elsewhere
refunded/open              waiting  asked     asked     closed  asked            asked           asked          asked
refunded/closed            waiting  asked     asked     =       asked            asked           asked          asked
refunded/paid              waiting  =         =         asked   reported         reported        reported       =
"""
ANSWER_TABLE = """
situation                  waiting       paid          finished      closed        given_back
awaiting/open              waiting       settled       settled       closed        given_back
awaiting/closed            waiting       settled       settled       =             given_back
awaiting/closed:given_back contradicted  contradicted  contradicted  =             =
paid/open                  waiting       double        double        closed        given_back
paid/closed                waiting       double        double        =             given_back
paid/paid                  contradicted  =             =             contradicted  given_back
paid/paid:surplus          contradicted  =             =             contradicted  given_back
cancelled/closed           waiting       late          late          =             given_back
cancelled/closed:given_back contradicted contradicted  contradicted  =             =
cancelled/paid             contradicted  =             =             contradicted  given_back
expired/closed             waiting       reopened      reopened      =             given_back
expired/closed:no_coupon   waiting       late          late          =             given_back
expired/closed:old_coupon  waiting       late          late          =             given_back
expired/closed:no_beili    waiting       late          late          =             given_back
expired/closed:given_back  contradicted  contradicted  contradicted  =             =
expired/paid               contradicted  =             =             contradicted  given_back
refunded/open              waiting       double        double        closed        given_back
refunded/closed            waiting       double        double        =             given_back
refunded/paid              contradicted  =             =             contradicted  =
"""
# For reports that change anything, the resulting state: order, attempt, refund of surplus, coupon, enrolments
# (active, revoked), 贝里 (available, held), and the attempt's money: not yet applied, or refunded.
AFTER = {
    ("awaiting/open", Outcome.SETTLED):               ("paid      paid       -          used      1,0 "
                                                      " 11,0  0"),
    ("awaiting/closed", Outcome.SETTLED):             ("paid      paid       -          used      1,0 "
                                                      " 11,0  0"),
    ("awaiting/open", Outcome.CLOSED):                ("awaiting  closed     -          reserved  0,0 "
                                                      " 11,9  0"),
    ("awaiting/open", Outcome.GIVEN_BACK):            ("awaiting  given_back -          reserved  0,0 "
                                                      " 11,9  0"),
    ("awaiting/closed", Outcome.GIVEN_BACK):          ("awaiting  given_back -          reserved  0,0 "
                                                      " 11,9  0"),
    ("paid/open", Outcome.DOUBLE):                    ("paid      surplus    requested  used      1,0 "
                                                      " 11,0  80"),
    ("paid/open", Outcome.CLOSED):                    ("paid      closed     -          used      1,0 "
                                                      " 11,0  0"),
    ("paid/open", Outcome.GIVEN_BACK):                ("paid      given_back -          used      1,0 "
                                                      " 11,0  0"),
    ("paid/closed", Outcome.DOUBLE):                  ("paid      surplus    requested  used      1,0 "
                                                      " 11,0  80"),
    ("paid/closed", Outcome.GIVEN_BACK):              ("paid      given_back -          used      1,0 "
                                                      " 11,0  0"),
    ("paid/paid", Outcome.GIVEN_BACK):                ("refunded  paid       -          unused    0,1 "
                                                      " 20,0  0"),
    ("paid/paid:surplus", Outcome.GIVEN_BACK):        ("paid      surplus    rejected   used      1,0 "
                                                      " 11,0  0"),
    ("cancelled/closed", Outcome.LATE):               ("cancelled surplus    requested  unused    0,0 "
                                                      " 20,0  80"),
    ("cancelled/closed", Outcome.GIVEN_BACK):         ("cancelled given_back -          unused    0,0 "
                                                      " 20,0  0"),
    ("cancelled/paid", Outcome.GIVEN_BACK):           ("cancelled surplus    rejected   unused    0,0 "
                                                      " 20,0  0"),
    ("expired/closed", Outcome.REOPENED):             ("paid      paid       -          used      1,0 "
                                                      " 11,0  0"),
    ("expired/closed", Outcome.GIVEN_BACK):           ("expired   given_back -          unused    0,0 "
                                                      " 20,0  0"),
    ("expired/closed:no_coupon", Outcome.LATE):       ("expired   surplus    requested  reserved  0,0 "
                                                      " 20,0  80"),
    ("expired/closed:no_coupon", Outcome.GIVEN_BACK): ("expired   given_back -          reserved  0,0 "
                                                      " 20,0  0"),
    ("expired/closed:old_coupon", Outcome.LATE):      ("expired   surplus    requested  unused    0,0 "
                                                      " 20,0  80"),
    ("expired/closed:old_coupon", Outcome.GIVEN_BACK): ("expired  given_back -          unused    0,0 "
                                                       " 20,0  0"),
    ("expired/closed:no_beili", Outcome.LATE):        ("expired   surplus    requested  unused    0,0 "
                                                      " 5,15  80"),
    ("expired/closed:no_beili", Outcome.GIVEN_BACK):  ("expired   given_back -          unused    0,0 "
                                                      " 5,15  0"),
    ("expired/paid", Outcome.GIVEN_BACK):             ("expired   surplus    rejected   unused    0,0 "
                                                      " 20,0  0"),
    ("refunded/open", Outcome.DOUBLE):                ("refunded  surplus    requested  unused    0,1 "
                                                      " 20,0  80"),
    ("refunded/open", Outcome.CLOSED):                ("refunded  closed     -          unused    0,1 "
                                                      " 20,0  0"),
    ("refunded/open", Outcome.GIVEN_BACK):            ("refunded  given_back -          unused    0,1 "
                                                      " 20,0  0"),
    ("refunded/closed", Outcome.DOUBLE):              ("refunded  surplus    requested  unused    0,1 "
                                                      " 20,0  80"),
    ("refunded/closed", Outcome.GIVEN_BACK):          ("refunded  given_back -          unused    0,1 "
                                                      " 20,0  0"),
}
# fmt: on
IMPOSSIBLE = {
    ("awaiting", "paid"): "money that comes for an order that awaits it pays it in the same transaction",
    (
        "cancelled",
        "open",
    ): "an order is closed only when it has no open attempt (payment_one_live_per_order, close_due_order)",
    ("expired", "open"): "as for cancelled",
}
# Mismatches: left to staff in any situation, whatever the report. In the order of the checks.
WRONG: dict[Outcome, Callable[[TradeReport], TradeReport]] = {
    Outcome.WRONG_APP: lambda report: replace(report, app_id="9999"),
    Outcome.WRONG_SELLER: lambda report: replace(report, seller_id="9999"),
    Outcome.WRONG_AMOUNT: lambda report: replace(report, total_amount=Decimal("79.99")),
}
# A notification of a refund of ¥30 under the number of a refund of ours in that state. It can only be about
# one that was sent.
OURS = {
    RefundStatus.REQUESTED: Outcome.REFUND_REPORTED,
    RefundStatus.SENT: Outcome.ALREADY_APPLIED,
    RefundStatus.UNKNOWN: Outcome.ALREADY_APPLIED,
    RefundStatus.SUCCEEDED: Outcome.ALREADY_APPLIED,
    RefundStatus.FAILED: Outcome.ALREADY_APPLIED,
    RefundStatus.REJECTED: Outcome.REFUND_REPORTED,
    RefundStatus.PAID_ELSEWHERE: Outcome.REFUND_REPORTED,
}
STATUS_OF = {
    NotificationStatus.APPLIED: {
        Outcome.SETTLED,
        Outcome.REOPENED,
        Outcome.LATE,
        Outcome.DOUBLE,
        Outcome.CLOSED,
        Outcome.GIVEN_BACK,
        Outcome.REFUND_REPORTED,
    },
    NotificationStatus.ASKED: {Outcome.ASKED},
    NotificationStatus.IGNORED: {Outcome.WAITING, Outcome.ALREADY_APPLIED},
    NotificationStatus.QUARANTINED: {
        Outcome.UNKNOWN_TRADE,
        Outcome.WRONG_APP,
        Outcome.WRONG_SELLER,
        Outcome.WRONG_AMOUNT,
        Outcome.WRONG_TRADE_NO,
        Outcome.REFUNDED_ELSEWHERE,
        Outcome.CONTRADICTED,
    },
}
ORDER_WORDS = {
    status: "awaiting" if status is OrderStatus.AWAITING_PAYMENT else status.value for status in OrderStatus
}
SHORT = {
    "=": Outcome.ALREADY_APPLIED,
    "reported": Outcome.REFUND_REPORTED,
    "elsewhere": Outcome.REFUNDED_ELSEWHERE,
}


def read(table: str) -> dict[tuple[str, str], Outcome]:
    header, *rows = [line.split() for line in table.strip().splitlines()]
    return {
        (situation, report): SHORT.get(cell) or Outcome(cell)
        for situation, *cells in rows
        for report, cell in zip(header[1:], cells, strict=True)
    }


WORD, ANSWER = read(WORD_TABLE), read(ANSWER_TABLE)
SITUATIONS = list(dict.fromkeys(situation for situation, _ in WORD))
MONEY = {Outcome.SETTLED, Outcome.REOPENED, Outcome.LATE, Outcome.DOUBLE, Outcome.CLOSED, Outcome.GIVEN_BACK}
NOTHING = {Outcome.WAITING, Outcome.ALREADY_APPLIED, *STATUS_OF[NotificationStatus.QUARANTINED]}
TRADE_NO = "2026030222001000000000000001"
OTHER_TRADE_NO = "2026030222001000000000000002"
LATER = NOW + timedelta(hours=1)


# --- Situations ---------------------------------------------------------------------------------------------


class Scene:
    """An order, the attempt that is reported on, and their shop and gateway."""

    def __init__(self, gateway: MemoryGateway, clock: Clock) -> None:
        self.gateway, self.clock = gateway, clock
        self.buyer = make_buyer(beili=20)
        self.course = make_course("99.00")
        self.coupon = make_record(self.buyer)
        self.order = make_order(self.buyer, self.course, global_coupon=self.coupon, beili=9, alipay="80.00")
        self.payment = start(self.order, gateway)

    def enter(self, situation: str) -> None:
        state, _, variant = situation.partition(":")
        order_state, payment_state = state.split("/")
        if payment_state == "paid" and order_state in {"paid", "refunded"} and variant != "surplus":
            self._pay()
        elif order_state in {"paid", "refunded"}:
            self._pay_with_another(leaves_open=payment_state == "open")
        elif order_state == "awaiting" and payment_state == "closed":
            self._open_another()
        elif order_state in {"cancelled", "expired"}:
            self._close(by_buyer=order_state == "cancelled")
        if order_state in {"cancelled", "expired"} and payment_state == "paid":
            CouponRecord.objects.update(valid_until_date=NOW.date() - timedelta(days=1))
            self._report_paid()
        if order_state == "refunded":
            approve(ask_refund(self.order))
            send(self.gateway)
        {"": lambda: None, "surplus": self._report_paid, "no_coupon": self._take_coupon,
            "old_coupon": self._let_coupon_end,
         "no_beili": self._take_beili, "given_back": self._give_back}[variant]()  # fmt: skip

    def _pay(self) -> None:
        self.gateway.pay(self.payment.out_trade_no)
        self.gateway.trades[self.payment.out_trade_no].trade_no = TRADE_NO
        self._report_paid()

    def _report_paid(self) -> None:
        if (trade := self.gateway.trades.get(self.payment.out_trade_no)) is None:
            self.gateway.pay(self.payment.out_trade_no, is_late=True)
            trade = self.gateway.trades[self.payment.out_trade_no]
        trade.trade_no = TRADE_NO
        apply(answer_of(self.payment, "paid"), now=self.clock.now)

    def _give_back(self) -> None:
        apply(answer_of(self.payment, "given_back"), now=self.clock.now)

    def _pay_with_another(self, *, leaves_open: bool) -> None:
        """Pays the order with another attempt.

        The attempt under test was opened before it (and closed), or after it.
        """
        if not leaves_open:
            self.order.refresh_from_db()
            other = self._open_another()
        else:
            # A second attempt replaces it, and the first one, whose close the gateway had lost, is paid.
            other, self.payment = self.payment, self._open_another()
            self.gateway.trades[other.out_trade_no].status = TradeStatus.WAITING
        self.gateway.pay(other.out_trade_no)
        self.gateway.trades[other.out_trade_no].trade_no = OTHER_TRADE_NO
        apply(replace(answer_of(other, "paid"), trade_no=OTHER_TRADE_NO), now=self.clock.now)

    def _open_another(self) -> Payment:
        """The buyer had used the first attempt, so another product creates a second one and closes the first."""
        self.gateway.scan(self.payment.out_trade_no)
        return start(self.order, self.gateway, product=Product.QR)

    def _close(self, *, by_buyer: bool) -> None:
        if by_buyer:
            closing.request_cancel(
                account_id=self.buyer.pk,
                order_number=self.order.order_number,
                now=self.clock.now,
                cause="before",
            )
        else:
            self.clock.now = self.order.closes_at
        expiry.close_due_orders(gateways=ConfiguredGateways(self.gateway), now=self.clock.now, cause="before")

    def _take_coupon(self) -> None:
        make_order(
            self.buyer, make_course("11.00"), global_coupon=self.coupon, alipay="1.00", now=self.clock.now
        )

    def _let_coupon_end(self) -> None:
        CouponRecord.objects.filter(pk=self.coupon.pk).update(valid_until_date=NOW.date() - timedelta(days=1))

    def _take_beili(self) -> None:
        make_order(self.buyer, make_course("16.00"), beili=15, alipay="1.00", now=self.clock.now)

    def seen(self) -> str:
        """The state after a report, in the terms of AFTER."""
        order = Order.objects.get(pk=self.order.pk)
        payment = Payment.objects.get(pk=self.payment.pk)
        surplus = Refund.objects.filter(payment=payment, kind=RefundKind.SURPLUS).order_by("-pk").first()
        account = Account.objects.get(pk=self.buyer.pk)
        enrolments = [
            Enrolment.objects.filter(order_line__order=order, status=status).count()
            for status in EnrolmentStatus
        ]
        unapplied = sum(
            (1 if credit == "unapplied" else -1) * amount
            for credit, debit, amount in order.transfers.values_list("credit", "debit", "amount")
            if "unapplied" in {credit, debit}
        )
        words = [
            ORDER_WORDS[OrderStatus(order.status)],
            "surplus"
            if payment.is_surplus
            else "given_back"
            if payment.closed_reason == ClosedReason.GIVEN_BACK
            else payment.status,
            surplus.status if surplus else "-",
            CouponRecord.objects.get(pk=self.coupon.pk).status,
            ",".join(map(str, enrolments)),
            f"{account.balance},{account.held_balance}",
            str(int(unapplied)),
        ]
        return " ".join(words)


def refund_fields(payment: Payment, status: RefundStatus) -> dict[str, object]:
    """A refund of ¥30 in that state."""
    is_open = status in {RefundStatus.REQUESTED, RefundStatus.REJECTED}
    is_over = status in {
        RefundStatus.SUCCEEDED,
        RefundStatus.FAILED,
        RefundStatus.REJECTED,
        RefundStatus.PAID_ELSEWHERE,
    }
    return {
        "kind": RefundKind.ORDER, "order": payment.order, "payment": payment,
        "out_request_no": f"{payment.out_trade_no}R1",
        "amount": Decimal("30.00"), "status": status, "requested_at": NOW,
        "approved_at": None if is_open else NOW,
        "sent_at": None if is_open else NOW, "finished_at": NOW if is_over else None,
        "reference": "bank 1" if status == RefundStatus.PAID_ELSEWHERE else "",
    }  # fmt: skip


def word_of(payment: Payment, name: str) -> TradeReport:
    """A notification's report."""
    status, refunded, number = WORDS[name]
    was_paid = name not in {"waiting", "closed"}
    return TradeReport(
        out_trade_no=payment.out_trade_no,
        trade_no=TRADE_NO,
        status=status,
        total_amount=Decimal("80.00"),
        app_id=APP_ID,
        seller_id=MemoryGateway.seller_id,
        paid_at=NOW if was_paid else None,
        refunded=Decimal(refunded),
        movements=(RefundMovement(number, None, None),) if number else (),
        told_at=NOW,
    )


def answer_of(payment: Payment, name: str) -> TradeReport:
    """A query's report, which has neither the payee nor the refunded amount."""
    status, was_paid = ANSWERS[name]
    paid_at = NOW if was_paid else None
    told = replace(
        word_of(payment, "waiting"),
        status=status,
        paid_at=paid_at,
        seller_id=None,
        refunded=None,
        told_at=None,
    )
    return replace(told, is_current=True)


@pytest.fixture
def gateway(clock: Clock) -> MemoryGateway:
    return MemoryGateway(clock)


@pytest.fixture
def make_scene(gateway: MemoryGateway, clock: Clock) -> Callable[[str], Scene]:
    def make(situation: str) -> Scene:
        scene = Scene(gateway, clock)
        scene.enter(situation)
        scene.payment.refresh_from_db()
        order_state, payment_state = situation.partition(":")[0].split("/")
        assert (
            ORDER_WORDS[OrderStatus(Order.objects.get(pk=scene.order.pk).status)],
            scene.payment.status,
        ) == (order_state, payment_state)
        return scene

    return make


def apply(report: TradeReport, *, now: datetime = LATER) -> Outcome:
    with transaction.atomic():
        [applied] = settlement.apply_trades([report], now=now, cause="report")
    return applied.outcome


def tell(scene: Scene, report: TradeReport) -> tuple[str, str]:
    """Reports it by notification; returns the inbox's outcome."""
    form = {
        "sign": "genuine", "notify_id": "1", "out_trade_no": report.out_trade_no, "trade_no": report.trade_no,
        "trade_status": report.status.value, "total_amount": str(report.total_amount),
        "app_id": str(report.app_id),
        "seller_id": str(report.seller_id), "refund_fee": str(report.refunded),
        "notify_time": NOW.isoformat(),
        "gmt_payment": report.paid_at.isoformat() if report.paid_at else "",
        "out_biz_no": "".join(movement.number for movement in report.movements),
    }  # fmt: skip
    gateways = ConfiguredGateways(scene.gateway)
    inbox.store_notification(
        gateways=gateways, provider="memory", headers={}, body=scene.gateway.body(form), now=LATER
    )
    inbox.apply_due_notifications(gateways=gateways, now=LATER, cause="report")
    row = Notification.objects.get()
    return row.status, row.reason


# --- The tables ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_answer_has_its_outcome(make_scene: Callable[[str], Scene], situation: str) -> None:
    scene = make_scene(situation)
    for name in ANSWERS:
        check(scene, situation, answer_of(scene.payment, name), ANSWER[situation, name])
    check_what_is_wrong(scene, [answer_of(scene.payment, name) for name in ANSWERS])
    check_trade_that_is_not_there(scene, situation)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_notification_has_its_outcome(make_scene: Callable[[str], Scene], situation: str) -> None:
    scene = make_scene(situation)
    for name in WORDS:
        report, expected = word_of(scene.payment, name), WORD[situation, name]
        check(scene, situation, report, expected)
        with undone():
            status = next(status for status, outcomes in STATUS_OF.items() if expected in outcomes)
            reason = "" if status == NotificationStatus.APPLIED else expected.value
            assert tell(scene, report) == (status, reason), name
            assert_books_are_right()
    check_what_is_wrong(scene, [word_of(scene.payment, name) for name in WORDS])


def check(scene: Scene, situation: str, report: TradeReport, expected: Outcome) -> None:
    """Checks the outcome, the resulting state, and that a repeat changes nothing."""
    with undone():
        before, seen = everything(), scene.seen()
        assert apply(report) == expected, (situation, report)
        if expected in NOTHING - {Outcome.REFUNDED_ELSEWHERE}:
            assert everything() == before, (situation, report)
        elif expected in MONEY:
            assert scene.seen() == " ".join(AFTER[situation, expected].split()), (situation, report)
        else:
            assert scene.seen() == seen, (situation, report)  # a notification moves no money
        if expected is Outcome.ASKED:
            assert Payment.objects.get(pk=scene.payment.pk).available_at == LATER
        if expected is Outcome.REFUND_REPORTED:
            reported = Refund.objects.get(payment=scene.payment, status=RefundStatus.REPORTED)
            assert (reported.out_request_no, reported.available_at) == ("X1", LATER)
        if expected in MONEY:
            assert_books_are_right()
        after = everything()
        again = apply(report)
        assert again in {expected, Outcome.ALREADY_APPLIED, Outcome.ASKED} if not report.is_current else again in {
            expected, Outcome.ALREADY_APPLIED, Outcome.CONTRADICTED
        }  # fmt: skip
        if not (expected is not Outcome.ASKED and again is Outcome.ASKED):
            assert everything() == after, (situation, report)


def check_what_is_wrong(scene: Scene, reports: Sequence[TradeReport]) -> None:
    before = everything()
    for report in reports:
        everything_wrong = report
        for expected, make_wrong in WRONG.items():
            assert apply(make_wrong(report)) == expected
            everything_wrong = make_wrong(everything_wrong)
        assert apply(everything_wrong) == Outcome.WRONG_APP
        assert apply(replace(report, out_trade_no="20990101NOTOURS")) == Outcome.UNKNOWN_TRADE
        if scene.payment.trade_no is not None:
            assert apply(replace(report, trade_no="1")) == Outcome.WRONG_TRADE_NO
    assert everything() == before
    assert_books_are_right()


def check_trade_that_is_not_there(scene: Scene, situation: str) -> None:
    """A query of a trade that doesn't exist: queried again while its order waits, and closed here after the
    order's end.
    """
    scene.gateway.trades.pop(scene.payment.out_trade_no, None)
    Payment.objects.filter(pk=scene.payment.pk).update(available_at=LATER)
    seen = scene.seen()
    polling.query_payment(
        scene.payment.pk, gateways=ConfiguredGateways(scene.gateway), now=LATER, cause="report"
    )
    scene.payment.refresh_from_db()
    if situation == "awaiting/open":
        # The buyer was seen an hour ago, so the next query comes an hour later.
        assert (scene.payment.status, scene.payment.available_at) == (
            PaymentStatus.OPEN,
            LATER + timedelta(hours=1),
        )
    elif situation in {"paid/open", "refunded/open"}:
        assert (scene.payment.status, scene.payment.available_at) == (PaymentStatus.CLOSED, None)
    else:
        assert (scene.seen(), scene.payment.available_at) == (seen, None)
    assert_books_are_right()


def test_one_trade_pays_one_attempt(make_scene: Callable[[str], Scene]) -> None:
    scene = make_scene("paid/closed")
    before = everything()
    for report in (answer_of(scene.payment, "paid"), word_of(scene.payment, "paid")):
        other = replace(report, trade_no=OTHER_TRADE_NO)
        assert apply(other) == (Outcome.WRONG_TRADE_NO if report.is_current else Outcome.ASKED)
        Payment.objects.filter(pk=scene.payment.pk).update(available_at=None)
    assert everything() == before


@pytest.mark.parametrize("status", [status for status in RefundStatus if status is not RefundStatus.REPORTED])
def test_a_refund_is_ours_by_its_number_if_we_sent_it(
    make_scene: Callable[[str], Scene], status: RefundStatus
) -> None:
    scene = make_scene("paid/paid")
    ours = Refund.objects.create(**refund_fields(scene.payment, status))
    number = (RefundMovement(ours.out_request_no, None, None),)
    report = replace(word_of(scene.payment, "paid_part_back"), movements=number)
    amounts = {
        "refund_committed": Decimal("30.00"),
        "refunded_amount": Decimal("30.00" if status == RefundStatus.SUCCEEDED else "0.00"),
    }
    Payment.objects.filter(pk=scene.payment.pk).update(**amounts)
    assert apply(report) == OURS[status]
    is_news = OURS[status] is Outcome.REFUND_REPORTED
    assert Refund.objects.filter(kind=RefundKind.EXTERNAL).count() == is_news
    ours.refresh_from_db()
    if status == RefundStatus.FAILED:  # perhaps it succeeded after all: the gateway is queried
        assert (ours.status, ours.available_at, ours.finished_at) == (RefundStatus.UNKNOWN, LATER, None)
    else:
        assert ours.status == status


@pytest.mark.parametrize("status", [status for status in RefundStatus if status is not RefundStatus.REPORTED])
def test_the_same_sum_under_another_number_is_an_external_refund(
    make_scene: Callable[[str], Scene], status: RefundStatus
) -> None:
    scene = make_scene("paid/paid")
    Refund.objects.create(**refund_fields(scene.payment, status))
    assert apply(word_of(scene.payment, "paid_part_back")) == Outcome.REFUND_REPORTED


# --- Completeness -------------------------------------------------------------------------------------------


def test_every_pair_of_states_is_in_the_table_or_impossible() -> None:
    pairs = {tuple(situation.partition(":")[0].split("/")) for situation in SITUATIONS}
    assert pairs | set(IMPOSSIBLE) == {
        (ORDER_WORDS[order], payment.value)
        for order, payment in itertools.product(OrderStatus, PaymentStatus)
    }
    assert pairs & set(IMPOSSIBLE) == set()


def test_every_cell_is_filled() -> None:
    assert set(WORD) == set(itertools.product(SITUATIONS, WORDS))
    assert set(ANSWER) == set(itertools.product(SITUATIONS, ANSWERS))
    changing = {
        (situation, outcome)
        for table in (WORD, ANSWER)
        for (situation, _), outcome in table.items()
        if outcome in MONEY
    }
    assert set(AFTER) == changing


def test_every_notification_is_classified() -> None:
    assert (
        {status for status, *_ in WORDS.values()}
        == {status for status, _ in ANSWERS.values()}
        == set(TradeStatus)
    )
    assert set(OURS) | {RefundStatus.REPORTED} == set(RefundStatus)
    assert set(STATUS_OF) | {NotificationStatus.RECEIVED} == set(NotificationStatus)
    assert sorted(itertools.chain(*STATUS_OF.values())) == sorted(Outcome)
    named = {*WORD.values(), *ANSWER.values(), *WRONG, Outcome.UNKNOWN_TRADE, Outcome.WRONG_TRADE_NO}
    assert named == set(Outcome)
    coupons = {text.split()[3] for text in AFTER.values()}
    # an expired coupon is on no order; old_coupon stands for it
    assert coupons | {"expired"} == set(CouponRecordStatus)


def test_only_ordinary_notifications_are_applied_without_a_query() -> None:
    """Only two notifications are applied without a query: an open attempt is paid while its order waits for
    it, or ends unpaid.
    """
    moving = {(situation, name) for (situation, name), outcome in WORD.items() if outcome in MONEY}
    assert {pair for pair in moving if WORD[pair] is not Outcome.CLOSED} == {
        ("awaiting/open", "paid"),
        ("awaiting/open", "finished"),
    }
    assert {situation for situation, name in moving if name == "closed"} == {
        "awaiting/open",
        "paid/open",
        "refunded/open",
    }


def test_notification_sent_long_after_the_payment_triggers_a_query(
    make_scene: Callable[[str], Scene],
) -> None:
    """A retry by the gateway: another notification may have overtaken it."""
    scene = make_scene("awaiting/open")
    fresh = word_of(scene.payment, "paid")
    assert apply(replace(fresh, told_at=NOW + STALE_AFTER + timedelta(seconds=1))) == Outcome.ASKED
    assert apply(replace(fresh, told_at=NOW + STALE_AFTER)) == Outcome.SETTLED
