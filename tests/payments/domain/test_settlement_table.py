"""What becomes of every report in every situation, written down by hand from the design's life-cycles and compared with what happens.

An order of ¥80 (¥99 less a coupon of ¥10 and 9 贝里) and an attempt to pay it, in every state that the two can be in together; and everything
that Alipay can report of the attempt's trade, told by a notification and found by a query.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from django.db import transaction

from payments.domain import expiry, inbox, polling, settlement
from payments.domain.settlement import Outcome
from payments.gateways import ConfiguredGateways
from payments.gateways.protocol import TradeReport, TradeStatus
from payments.models import Notification, Payment, Refund
from payments.states import NotificationStatus, PaymentStatus, Product, RefundKind, RefundStatus
from shop.domain import closing
from shop.models import Account, CouponRecord, Enrolment, Order
from shop.states import CouponRecordStatus, EnrolmentStatus, OrderStatus
from tests.factories import NOW, make_buyer, make_course, make_order
from tests.payments.domain.conftest import Clock
from tests.payments.memorygateway import MemoryGateway
from tests.payments.scenes import approve, ask_refund, assert_books_are_right, claimed, send, start
from tests.unchanged import everything

pytestmark = pytest.mark.django_db

# What Alipay says of a trade of ¥80: its state, and what has gone back.
REPORTS = {
    "waiting": (TradeStatus.WAITING, "0"),
    "success": (TradeStatus.SUCCESS, "0"),
    "finished": (TradeStatus.FINISHED, "0"),
    "closed": (TradeStatus.CLOSED, "0"),
    "closed_all_back": (TradeStatus.CLOSED, "80"),
    "closed_part_back": (TradeStatus.CLOSED, "30"),
    "success_part_back": (TradeStatus.SUCCESS, "30"),
    "finished_part_back": (TradeStatus.FINISHED, "30"),
}
# `=`: already applied. Everything but settled, reopened, late, double and closed changes no row.
# fmt: off
TABLE = """
situation                  waiting  success   finished  closed  closed_all_back     closed_part_back    success_part_back   finished_part_back
awaiting/open              waiting  settled   settled   closed  closed              refunded_elsewhere  refunded_elsewhere  refunded_elsewhere
awaiting/closed            waiting  settled   settled   =       =                   refunded_elsewhere  refunded_elsewhere  refunded_elsewhere
paid/open                  waiting  double    double    closed  closed              refunded_elsewhere  refunded_elsewhere  refunded_elsewhere
paid/closed                waiting  double    double    =       =                   refunded_elsewhere  refunded_elsewhere  refunded_elsewhere
paid/paid                  waiting  =         =         =       refunded_elsewhere  refunded_elsewhere  refunded_elsewhere  refunded_elsewhere
paid/paid:part_back        waiting  =         =         =       refunded_elsewhere  =                   =                   =
paid/paid:surplus          waiting  =         =         =       =                   =                   =                   =
cancelled/closed           waiting  late      late      =       =                   refunded_elsewhere  refunded_elsewhere  refunded_elsewhere
cancelled/paid             waiting  =         =         =       =                   =                   =                   =
expired/closed             waiting  reopened  reopened  =       =                   refunded_elsewhere  refunded_elsewhere  refunded_elsewhere
expired/closed:no_coupon   waiting  late      late      =       =                   refunded_elsewhere  refunded_elsewhere  refunded_elsewhere
expired/closed:old_coupon  waiting  late      late      =       =                   refunded_elsewhere  refunded_elsewhere  refunded_elsewhere
expired/closed:no_beili    waiting  late      late      =       =                   refunded_elsewhere  refunded_elsewhere  refunded_elsewhere
expired/paid               waiting  =         =         =       =                   =                   =                   =
refunded/open              waiting  double    double    closed  closed              refunded_elsewhere  refunded_elsewhere  refunded_elsewhere
refunded/closed            waiting  double    double    =       =                   refunded_elsewhere  refunded_elsewhere  refunded_elsewhere
refunded/paid              waiting  =         =         =       =                   =                   =                   =
"""
# Where a report changes something, all that it leaves behind: order, attempt, refund of what nobody owed, coupon, enrolments (active,
# revoked), 贝里 (available, held), and the attempt's money: still to be applied to something, or given back.
AFTER = {
    ("awaiting/open", Outcome.SETTLED):              "paid      paid     -          used      1,0  11,0  0",
    ("awaiting/closed", Outcome.SETTLED):            "paid      paid     -          used      1,0  11,0  0",
    ("awaiting/open", Outcome.CLOSED):               "awaiting  closed   -          reserved  0,0  11,9  0",
    ("paid/open", Outcome.DOUBLE):                   "paid      surplus  requested  used      1,0  11,0  80",
    ("paid/open", Outcome.CLOSED):                   "paid      closed   -          used      1,0  11,0  0",
    ("paid/closed", Outcome.DOUBLE):                 "paid      surplus  requested  used      1,0  11,0  80",
    ("cancelled/closed", Outcome.LATE):              "cancelled surplus  requested  unused    0,0  20,0  80",
    ("expired/closed", Outcome.REOPENED):            "paid      paid     -          used      1,0  11,0  0",
    ("expired/closed:no_coupon", Outcome.LATE):      "expired   surplus  requested  reserved  0,0  20,0  80",
    ("expired/closed:old_coupon", Outcome.LATE):     "expired   surplus  requested  unused    0,0  20,0  80",
    ("expired/closed:no_beili", Outcome.LATE):       "expired   surplus  requested  unused    0,0  5,15  80",
    ("refunded/open", Outcome.DOUBLE):               "refunded  surplus  requested  unused    0,1  20,0  80",
    ("refunded/open", Outcome.CLOSED):               "refunded  closed   -          unused    0,1  20,0  0",
    ("refunded/closed", Outcome.DOUBLE):             "refunded  surplus  requested  unused    0,1  20,0  80",
}
# fmt: on
IMPOSSIBLE = {
    ("awaiting", "paid"): "money that comes for an order that awaits it pays it in the same transaction",
    ("cancelled", "open"): "an order is closed only when it has no open attempt (payment_one_live_per_order, close_due_order)",
    ("expired", "open"): "as for cancelled",
    **{
        (status, "failed"): "nothing marks an attempt failed; if money came for one it would be taken as for a closed one"
        for status in ("awaiting", "paid", "cancelled", "expired", "refunded")
    },
}  # fmt: skip
# Not what was agreed on: people look, whatever the situation and the report. In the order in which they are looked at.
WRONG = {
    "app_id": ("9999", Outcome.WRONG_APP),
    "seller_id": ("9999", Outcome.WRONG_SELLER),
    "total_amount": (Decimal("79.99"), Outcome.WRONG_AMOUNT),
}
# The same report when a refund of ¥30 of ours is in that state: is it ours, or somebody else's?
OURS = {
    RefundStatus.REQUESTED: Outcome.ALREADY_APPLIED,
    RefundStatus.SENT: Outcome.ALREADY_APPLIED,
    RefundStatus.UNKNOWN: Outcome.ALREADY_APPLIED,
    RefundStatus.SUCCEEDED: Outcome.ALREADY_APPLIED,
    RefundStatus.FAILED: Outcome.ALREADY_APPLIED,
    RefundStatus.REJECTED: Outcome.REFUNDED_ELSEWHERE,
}
STATUS_OF = {
    NotificationStatus.APPLIED: {Outcome.SETTLED, Outcome.REOPENED, Outcome.LATE, Outcome.DOUBLE, Outcome.CLOSED},
    NotificationStatus.IGNORED: {Outcome.WAITING, Outcome.ALREADY_APPLIED},
    NotificationStatus.QUARANTINED: {
        Outcome.UNKNOWN_TRADE,
        Outcome.WRONG_APP,
        Outcome.WRONG_SELLER,
        Outcome.WRONG_AMOUNT,
        Outcome.WRONG_TRADE_NO,
        Outcome.REFUNDED_ELSEWHERE,
    },
}
ORDER_WORDS = {status: "awaiting" if status is OrderStatus.AWAITING_PAYMENT else status.value for status in OrderStatus}
HEADER, *ROWS = [line.split() for line in TABLE.strip().splitlines()]
EXPECTED = {
    (situation, report): Outcome.ALREADY_APPLIED if cell == "=" else Outcome(cell)
    for situation, *cells in ROWS
    for report, cell in zip(HEADER[1:], cells, strict=True)
}
SITUATIONS = [row[0] for row in ROWS]
CHANGING = {Outcome.SETTLED, Outcome.REOPENED, Outcome.LATE, Outcome.DOUBLE, Outcome.CLOSED}
TRADE_NO = "2026030222001000000000000001"
OTHER_TRADE_NO = "2026030222001000000000000002"
LATER = NOW + timedelta(hours=1)


# --- Situations ---------------------------------------------------------------------------------------------------------------------


class Scene:
    """An order, the attempt that is reported on, and what they live in."""

    def __init__(self, gateway: MemoryGateway, clock: Clock) -> None:
        self.gateway, self.clock = gateway, clock
        self.buyer = make_buyer(beili=20)
        self.course = make_course("99.00")
        self.coupon = claimed(self.buyer)
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
            start(self.order, self.gateway, product=Product.QR)
        elif order_state in {"cancelled", "expired"}:
            self._close(by_buyer=order_state == "cancelled")
        if order_state in {"cancelled", "expired"} and payment_state == "paid":
            CouponRecord.objects.update(valid_until_date=NOW.date() - timedelta(days=1))
            self._report_paid()
        if order_state == "refunded":
            approve(ask_refund(self.order))
            send(self.gateway)
        {"": lambda: None, "part_back": self._give_part_back, "surplus": self._report_paid, "no_coupon": self._take_coupon,
         "old_coupon": self._let_coupon_end, "no_beili": self._take_beili}[variant]()  # fmt: skip

    def _pay(self) -> None:
        self.gateway.pay(self.payment.out_trade_no)
        self.gateway.trades[self.payment.out_trade_no].trade_no = TRADE_NO
        self._report_paid()

    def _report_paid(self) -> None:
        report = report_of(self.payment, "success")
        if (trade := self.gateway.trades.get(self.payment.out_trade_no)) is None:
            self.gateway.pay(self.payment.out_trade_no, is_late=True)
            trade = self.gateway.trades[self.payment.out_trade_no]
        trade.trade_no = TRADE_NO
        with transaction.atomic():
            settlement.apply_trades([report], now=self.clock.now, cause="before")

    def _pay_with_another(self, *, leaves_open: bool) -> None:
        """Another attempt pays the order. The one that we look at was opened before it (and closed), or after it."""
        if not leaves_open:
            self.order.refresh_from_db()
            other = start(self.order, self.gateway, product=Product.QR)
        else:
            # Its place is taken by a second attempt, and the first one, closed unseen, is paid.
            other, self.payment = self.payment, start(self.order, self.gateway, product=Product.QR)
        self.gateway.pay(other.out_trade_no)
        report = replace(report_of(other, "success"), trade_no=OTHER_TRADE_NO)
        self.gateway.trades[other.out_trade_no].trade_no = OTHER_TRADE_NO
        with transaction.atomic():
            settlement.apply_trades([report], now=self.clock.now, cause="before")

    def _close(self, *, by_buyer: bool) -> None:
        if by_buyer:
            closing.request_cancel(account_id=self.buyer.pk, order_number=self.order.order_number, now=self.clock.now, cause="before")
        else:
            self.clock.now = self.order.closes_at
        expiry.close_due_orders(gateways=ConfiguredGateways(self.gateway), now=self.clock.now, cause="before")

    def _give_part_back(self) -> None:
        Refund.objects.create(**refund_fields(self.payment, RefundStatus.REQUESTED))
        Payment.objects.filter(pk=self.payment.pk).update(refund_committed=Decimal("30.00"))

    def _take_coupon(self) -> None:
        make_order(self.buyer, make_course("11.00"), global_coupon=self.coupon, alipay="1.00", now=self.clock.now)

    def _let_coupon_end(self) -> None:
        CouponRecord.objects.filter(pk=self.coupon.pk).update(valid_until_date=NOW.date() - timedelta(days=1))

    def _take_beili(self) -> None:
        make_order(self.buyer, make_course("16.00"), beili=15, alipay="1.00", now=self.clock.now)

    def seen(self) -> str:
        """The state after a report, in the words of AFTER."""
        order = Order.objects.get(pk=self.order.pk)
        payment = Payment.objects.get(pk=self.payment.pk)
        surplus = Refund.objects.filter(payment=payment, kind=RefundKind.SURPLUS).first()
        account = Account.objects.get(pk=self.buyer.pk)
        enrolments = [Enrolment.objects.filter(order_line__order=order, status=status).count() for status in EnrolmentStatus]
        unapplied = sum(
            (1 if credit == "unapplied" else -1) * amount
            for credit, debit, amount in order.transfers.values_list("credit", "debit", "amount")
            if "unapplied" in {credit, debit}
        )
        words = [
            ORDER_WORDS[OrderStatus(order.status)],
            "surplus" if payment.is_surplus else payment.status,
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
    is_over = status in {RefundStatus.SUCCEEDED, RefundStatus.FAILED, RefundStatus.REJECTED}
    return {
        "kind": RefundKind.ORDER, "order": payment.order, "payment": payment, "out_request_no": f"{payment.out_trade_no}R1",
        "amount": Decimal("30.00"), "status": status, "requested_at": NOW, "approved_at": None if is_open else NOW,
        "sent_at": None if is_open else NOW, "finished_at": NOW if is_over else None,
    }  # fmt: skip


def report_of(payment: Payment, name: str) -> TradeReport:
    status, refunded = REPORTS[name]
    return TradeReport(
        out_trade_no=payment.out_trade_no,
        trade_no=TRADE_NO,
        status=status,
        total_amount=Decimal("80.00"),
        app_id=MemoryGateway.app_id,
        seller_id=MemoryGateway.seller_id,
        paid_at=NOW,
        refunded=Decimal(refunded),
    )


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
        assert (ORDER_WORDS[OrderStatus(Order.objects.get(pk=scene.order.pk).status)], scene.payment.status) == (order_state, payment_state)
        return scene

    return make


@contextmanager
def undone() -> Iterator[None]:
    """What happens inside is rolled back; deeds that want to be outermost accept it, as they accept a test's own transaction."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]
    with block:
        yield
        transaction.set_rollback(True)


def apply(report: TradeReport) -> Outcome:
    with transaction.atomic():
        [applied] = settlement.apply_trades([report], now=LATER, cause="report")
    return applied.outcome


def tell(scene: Scene, report: TradeReport) -> tuple[str, str]:
    """As a notification: the inbox's verdict."""
    form = {
        "sign": "genuine", "notify_id": "1", "out_trade_no": report.out_trade_no, "trade_no": report.trade_no,
        "trade_status": report.status.value, "total_amount": str(report.total_amount), "app_id": str(report.app_id),
        "seller_id": str(report.seller_id), "refund_fee": str(report.refunded), "gmt_payment": NOW.isoformat(),
    }  # fmt: skip
    inbox.store_notification(
        gateways=ConfiguredGateways(scene.gateway), provider=scene.gateway.name, headers={}, body=urlencode(form).encode(), now=LATER
    )
    inbox.apply_due_notifications(gateways=ConfiguredGateways(scene.gateway), now=LATER, cause="report")
    row = Notification.objects.get()
    return row.status, row.reason


# --- The table ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_report_has_its_outcome(make_scene: Callable[[str], Scene], situation: str) -> None:
    scene = make_scene(situation)
    for name in REPORTS:
        report, expected = report_of(scene.payment, name), EXPECTED[situation, name]
        if expected in CHANGING:
            for seller in (report.seller_id, None):  # a query doesn't say who is paid
                with undone():
                    assert apply(replace(report, seller_id=seller)) == expected, (situation, name)
                    assert scene.seen() == " ".join(AFTER[situation, expected].split()), (situation, name)
                    assert_books_are_right()
                    after = everything()
                    assert apply(report) in {Outcome.ALREADY_APPLIED, Outcome.REFUNDED_ELSEWHERE}  # a repeat changes nothing
                    assert everything() == after
        with undone():
            status = next(status for status, outcomes in STATUS_OF.items() if expected in outcomes)
            reason = "" if status == NotificationStatus.APPLIED else expected.value
            assert tell(scene, report) == (status, reason), (situation, name)
    check_what_changes_nothing(scene, situation)
    check_trade_that_is_not_there(scene, situation)


def check_what_changes_nothing(scene: Scene, situation: str) -> None:
    before = everything()
    for name in REPORTS:
        report = report_of(scene.payment, name)
        if EXPECTED[situation, name] not in CHANGING:
            assert apply(report) == apply(replace(report, seller_id=None)) == EXPECTED[situation, name], (situation, name)
        for field, (value, expected) in WRONG.items():
            assert apply(replace(report, **{field: value})) == expected, (situation, name)
        assert apply(replace(report, out_trade_no="20990101NOTOURS")) == Outcome.UNKNOWN_TRADE
        if scene.payment.status == PaymentStatus.PAID:
            assert apply(replace(report, trade_no="1")) == Outcome.WRONG_TRADE_NO
    everything_wrong = replace(report_of(scene.payment, "success"), **{field: value for field, (value, _) in WRONG.items()})
    assert apply(everything_wrong) == Outcome.WRONG_APP
    assert everything() == before
    assert_books_are_right()


def check_trade_that_is_not_there(scene: Scene, situation: str) -> None:
    """A query about a trade that nobody has begun: asked about again while its order waits, and closed here once that is over."""
    scene.gateway.trades.pop(scene.payment.out_trade_no, None)
    Payment.objects.filter(pk=scene.payment.pk).update(available_at=LATER)
    seen = scene.seen()
    polling.query_payment(scene.payment.pk, gateways=ConfiguredGateways(scene.gateway), now=LATER, cause="report")
    scene.payment.refresh_from_db()
    if situation == "awaiting/open":
        assert (scene.payment.status, scene.payment.available_at) == (PaymentStatus.OPEN, LATER + timedelta(seconds=60))
    elif situation in {"paid/open", "refunded/open"}:
        assert (scene.payment.status, scene.payment.available_at) == (PaymentStatus.CLOSED, None)
    else:
        assert (scene.seen(), scene.payment.available_at) == (seen, None)
    assert_books_are_right()


def test_one_trade_pays_one_attempt(make_scene: Callable[[str], Scene]) -> None:
    scene = make_scene("paid/closed")
    before = everything()
    assert apply(replace(report_of(scene.payment, "success"), trade_no=OTHER_TRADE_NO)) == Outcome.WRONG_TRADE_NO
    assert everything() == before


@pytest.mark.parametrize("status", list(RefundStatus))
def test_partial_refund_is_ours_or_not(make_scene: Callable[[str], Scene], status: RefundStatus) -> None:
    scene = make_scene("paid/paid")
    Refund.objects.create(**refund_fields(scene.payment, status))
    committed = Decimal("0.00") if status is RefundStatus.REJECTED else Decimal("30.00")
    Payment.objects.filter(pk=scene.payment.pk).update(refund_committed=committed)
    before = everything()
    assert apply(report_of(scene.payment, "success_part_back")) == OURS[status]
    assert everything() == before


# --- Completeness -------------------------------------------------------------------------------------------------------------------


def test_every_pair_of_states_is_in_the_table_or_impossible() -> None:
    pairs = {tuple(situation.partition(":")[0].split("/")) for situation in SITUATIONS}
    assert pairs | set(IMPOSSIBLE) == {
        (ORDER_WORDS[order], payment.value) for order, payment in itertools.product(OrderStatus, PaymentStatus)
    }
    assert pairs & set(IMPOSSIBLE) == set()


def test_every_cell_is_filled() -> None:
    assert set(EXPECTED) == set(itertools.product(SITUATIONS, REPORTS))
    assert set(AFTER) == {(situation, outcome) for (situation, _), outcome in EXPECTED.items() if outcome in CHANGING}


def test_every_word_is_classified() -> None:
    assert {status for status, _ in REPORTS.values()} == set(TradeStatus)
    assert set(OURS) == set(RefundStatus)
    assert set(STATUS_OF) | {NotificationStatus.RECEIVED} == set(NotificationStatus)
    assert sorted(itertools.chain(*STATUS_OF.values())) == sorted(Outcome)
    named = {*EXPECTED.values(), *(outcome for _, outcome in WRONG.values()), Outcome.UNKNOWN_TRADE, Outcome.WRONG_TRADE_NO}
    assert named == set(Outcome)
    coupons = {text.split()[3] for text in AFTER.values()}
    assert coupons | {"expired"} == set(CouponRecordStatus)  # an expired coupon is on no order; old_coupon stands for it
