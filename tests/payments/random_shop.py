"""A small shop and its gateway, driven at random; its books are checked after every step.

`tests/payments/test_machine.py` lets hypothesis choose the steps; `bin/money-machine` runs as many as it is
told from a seed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction

from payments.domain.refunds import deciding, explaining, external, requesting, sending, surplus
from payments.domain.trades import attempts, expiry, inbox, polling
from payments.domain.upkeep.audit.run import RULES, run_audit
from payments.gateways import ConfiguredGateways
from payments.gateways.protocol import GatewayError, GatewayUnreachable, TradeStatus
from payments.models import Notification, Payment, Refund
from payments.states import Explanation, NotificationStatus, PaymentStatus, Product, RefundKind, RefundStatus
from shop import valkey
from shop.api.polls import read_order
from shop.domain import floors
from shop.domain.coupons import coupons
from shop.domain.ordering import creation, intake
from shop.domain.orders import closing
from shop.domain.polling import answer_cache
from shop.domain.pricing.rules import LineInput, price_order
from shop.domain.purchase import LineChoice, Purchase
from shop.errors import DomainError
from shop.models import Account, Coupon, CouponRecord, Course, Order, OrderRequest, Work
from shop.states import CouponRecordStatus, CouponScope, CouponType, OrderStatus
from tests.emptying import APPEND_ONLY
from tests.factories import NOW, make_buyer, make_coupon, make_course, policy_of
from tests.payments.memorygateway import OTHER_APP_ID, ZERO, Died, Fault, MemoryGateway

T = TypeVar("T")
PRICES = ("30.00", "9.90", "0.03", "120.00")
JUMPS_S = (1, 3, 15, 50, 70, 400, 1900, 90_000)
# These only happen at the gateway or to the clock; the shop's rows don't change.
OUTSIDE = frozenset(
    {
        "scan",
        "pay",
        "pay_late",
        "pay_forgotten",
        "advance",
        "end_refund_window",
        "plan_fault",
        "refund_in_console",
        "change_app",
    }
)
MOST_STATEMENTS = 40
MOST_FAULTS = 3
FINAL = {
    "request": (
        "SELECT order_number FROM shop_orderrequest WHERE status = 'pending' OR available_at IS NOT NULL"
    ),
    "order": (
        "SELECT order_number FROM shop_order WHERE status = 'awaiting_payment' OR available_at "
        "IS NOT NULL OR dead_at IS NOT NULL"
    ),
    "payment": (
        "SELECT out_trade_no FROM payments_payment WHERE status = 'open' OR available_at IS "
        "NOT NULL OR dead_at IS NOT NULL"
    ),
    "refund": (
        "SELECT out_request_no FROM payments_refund WHERE status NOT IN ('succeeded', 'rejected', "
        "'paid_elsewhere')"
        " OR available_at IS NOT NULL OR dead_at IS NOT NULL OR (kind = 'external' AND status = 'succeeded' "
        "AND explanation = '')"
    ),
    "notification": (
        "SELECT out_trade_no FROM payments_notification WHERE status IN ('received', "
        "'asked') OR available_at IS NOT NULL"
    ),
}


class Broken(AssertionError):
    """The books are wrong."""


class Dice:
    """Makes a step's choices from one number, so drivers draw one number per step."""

    def __init__(self, number: int) -> None:
        self._left = number

    def pick(self, choices: Sequence[T]) -> T:
        self._left, index = divmod(self._left, len(choices))
        return choices[index]

    def one_in(self, count: int) -> bool:
        return self.pick(range(count)) == count - 1


class RandomShop:
    """Two buyers, four courses, five campaigns, one member of staff, a gateway, and a clock that only the
    steps move.
    """

    def __init__(self) -> None:
        empty_tables()
        floors.forget()  # the previous life ended at a later time
        self.now: datetime = NOW
        self.gateway = MemoryGateway(lambda: self.now, forbids_transactions=True)
        # Two apps of the same merchant; one of them is used for new attempts.
        self.apps = [self.gateway, self.gateway.sibling(OTHER_APP_ID)]
        self.buyers = [make_buyer(beili=60), make_buyer(beili=7)]
        self.staff = make_buyer()
        self.courses = [make_course(price) for price in PRICES]
        self.campaigns = _campaigns()
        self.forged: set[str] = set()
        # Irreplaceable notifications: of payments after the agreed expiry.
        self.indispensable: list[dict[str, str]] = []
        self.done: Counter[str] = Counter()
        self._serial = 0
        self._next_transaction = ""

    @property
    def gateways(self) -> ConfiguredGateways:
        return ConfiguredGateways(*self.apps)

    # --- Steps ----------------------------------------------------------------------------------------------

    def step(self, name: str, number: int) -> None:
        """Takes a step, and then checks the books unless nothing was written."""
        self.done[name] += 1
        deed: Callable[[Dice], None] = getattr(self, name)
        try:
            deed(Dice(number))
        except (DomainError, GatewayError) as refusal:
            self.done[f"{name}: {type(refusal).__name__}"] += 1
        except Died:
            self.done[f"{name}: died"] += 1
        self.gateway.tick()
        if name not in OUTSIDE and self._has_written():
            self.prove()

    def claim_coupon(self, dice: Dice) -> None:
        coupons.claim_coupon(
            account=dice.pick(self.buyers), coupon_id=dice.pick(self.campaigns).pk, now=self.now
        )

    def place_order(self, dice: Dice) -> None:
        buyer = dice.pick(self.buyers)
        self._serial += 1
        intake.place_order(
            account=buyer,
            purchase=self._purchase(buyer, dice),
            idempotency_key=f"key{self._serial}",
            request_id="machine",
            now=self.now,
        )

    def start_payment(self, dice: Dice) -> None:
        order = self._order(dice, OrderStatus.AWAITING_PAYMENT)
        if order is not None:
            product = dice.pick(list(Product))
            with self._may_die(dice):
                attempts.start_payment(
                    order=order, product=product, gateways=self.gateways, now=self.now, cause="machine"
                )

    def scan(self, dice: Dice) -> None:
        if self.gateway.offers:
            self.gateway.scan(dice.pick(list(self.gateway.offers)))

    def pay(self, dice: Dice) -> None:
        if self.gateway.offers:
            self.gateway.pay(dice.pick(list(self.gateway.offers)[-4:]))

    def pay_late(self, dice: Dice) -> None:
        """The gateway's clock is behind: it accepts payments up to ten minutes after the expiry."""
        over = [
            number
            for number, offer in self.gateway.offers.items()
            if offer.intent.expires_at <= self.now < offer.intent.expires_at + timedelta(minutes=10)
        ]
        if over and self.gateway.pay(dice.pick(over), is_late=True):
            self.indispensable.append(self.gateway.outbox[-1])

    def pay_forgotten(self, dice: Dice) -> None:
        """An attempt that was closed here before the gateway knew it can still be paid."""
        closed = set(
            Payment.objects.filter(status=PaymentStatus.CLOSED).values_list("out_trade_no", flat=True)
        )
        forgotten = [
            number for number in self.gateway.offers if number in closed and number not in self.gateway.trades
        ]
        if forgotten:
            self.gateway.pay(dice.pick(forgotten))

    def deliver(self, dice: Dice) -> None:
        """Any notification of the past, in any order, any number of times."""
        if self.gateway.outbox:
            self._deliver(dice.pick(self.gateway.outbox[-6:] if dice.one_in(2) else self.gateway.outbox))

    def forge(self, dice: Dice) -> None:
        """Signed by the gateway, but mismatched: another app, another payee, another amount, or an unknown
        trade.
        """
        if not self.gateway.offers:
            return
        offer = self.gateway.offers[dice.pick(list(self.gateway.offers))]
        trade = self.gateway.trades.get(offer.intent.out_trade_no)
        form = (
            self.gateway.form(trade)
            if trade
            else dict.fromkeys(("notify_id", "trade_no"), "1") | {"notify_time": ""}
        )
        form |= {
            "sign": "genuine",
            "app_id": offer.app_id,
            "seller_id": self.gateway.seller_id,
            "out_trade_no": offer.intent.out_trade_no,
            "trade_status": "paid",
            "total_amount": str(offer.intent.amount),
        }
        field, value = dice.pick(
            (("app_id", "1"), ("seller_id", "2"), ("total_amount", "0.01"), ("out_trade_no", "X1"))
        )
        if form[field] != value:
            self._serial += 1
            form |= {field: value, "notify_id": f"forged{self._serial}", "body": str(self._serial)}
            self.forged.add(form["notify_id"])
            self._deliver(form)

    def cancel(self, dice: Dice) -> None:
        order = self._order(dice, None)
        if order is not None:
            closing.request_cancel(
                account_id=order.account_id, order_number=order.order_number, now=self.now, cause="machine"
            )

    def advance(self, dice: Dice) -> None:
        self.now += timedelta(seconds=dice.pick(JUMPS_S))

    def refund_in_console(self, dice: Dice) -> None:
        """A refund at the gateway without the shop: all that is left, a line's price, or any part."""
        paid = [trade for trade in self.gateway.trades.values() if trade.status is TradeStatus.PAID]
        if not paid:
            return
        trade = dice.pick(paid)
        left = trade.amount - trade.refunded
        amount = dice.pick(
            (
                left,
                left,
                min(left, Decimal("0.01")),
                min(left, Decimal("9.90")),
                (left / 2).quantize(Decimal("0.01")),
            )
        )
        self._serial += 1
        self.gateway.console_refund(trade.out_trade_no, f"CONSOLE{self._serial}", amount)

    def report_from_console(self, dice: Dice) -> None:
        """Staff enter a refund from the console, perhaps with a mistyped number."""
        payment = self._payment(dice)
        trade = self.gateway.trades.get(payment.out_trade_no) if payment else None
        if payment is not None and trade is not None and trade.refunds:
            number = dice.pick(list(trade.refunds)) if dice.one_in(2) else f"TYPO{self._serial}"
            with self._may_die(dice):
                explaining.report_external_refund(payment.pk, number=number, staff=self.staff, now=self.now)

    def explain_external(self, dice: Dice) -> None:
        refund = self._external(dice)
        if refund is None:
            return
        courses = list(refund.order.lines.order_by("id").values_list("course_id", flat=True))
        chosen = None if dice.one_in(3) else [dice.pick(courses)]
        with self._may_die(dice):
            explaining.explain_external_refund(
                refund.pk, course_ids=chosen, staff=self.staff, why="", now=self.now, cause="machine"
            )

    def dismiss_external(self, dice: Dice) -> None:
        refund = self._external(dice)
        if refund is not None:
            with self._may_die(dice):
                explaining.dismiss_external_refund(
                    refund.pk, gateways=self.gateways, staff=self.staff, why="", now=self.now, cause="machine"
                )

    def pay_elsewhere(self, dice: Dice) -> None:
        """Staff refund by other means, or say that a refund in the console was meant for this one."""
        refund = self._refund(dice)
        if refund is None:
            return
        externals = (
            list(Refund.objects.filter(payment=refund.payment, kind=RefundKind.EXTERNAL).order_by("pk"))
            if refund.payment_id
            else []
        )
        reference = dice.pick(externals).out_request_no if externals and dice.one_in(2) else "BANK"
        with self._may_die(dice):
            deciding.mark_refund_paid_elsewhere(
                refund.pk,
                gateways=self.gateways,
                reference=reference,
                staff=self.staff,
                now=self.now,
                cause="machine",
            )

    def refund_surplus_again(self, dice: Dice) -> None:
        payment = self._payment(dice)
        if payment is not None:
            with self._may_die(dice):
                surplus.request_surplus_refund(payment.pk, now=self.now, cause="machine")

    def ask_now(self, dice: Dice) -> None:
        payment = self._payment(dice)
        if payment is not None:
            polling.ask_about_payment(payment.pk, now=self.now)

    def change_app(self, dice: Dice) -> None:
        """The shop gets another app; attempts keep the one that they were made with."""
        self.apps.reverse()

    def save_in_the_admin(self, dice: Dice) -> None:
        """Staff save a form that they had opened before all this: a buyer's password, a campaign's text, a
        course's.
        """
        opened: list[Account | Coupon | Course] = [*self.buyers, *self.campaigns, *self.courses]
        stale = dice.pick(opened)
        if isinstance(stale, Account):
            stale.set_unusable_password()
        else:
            stale.brief = f"{self._serial}"
        with self._may_die(dice):
            stale.save()

    def request_refund(self, dice: Dice) -> None:
        order = self._order(dice, OrderStatus.PAID)
        if order is None:
            return
        course_ids = list(order.lines.order_by("id").values_list("course_id", flat=True))
        chosen = None if dice.one_in(3) else [dice.pick(course_ids)]
        with self._may_die(dice):
            requesting.request_refund(
                account_id=order.account_id,
                order_number=order.order_number,
                course_ids=chosen,
                reason="",
                now=self.now,
                cause="machine",
            )

    def approve_refund(self, dice: Dice) -> None:
        refund = self._refund(dice)
        if refund is not None:
            with self._may_die(dice):
                deciding.approve_refund(refund.pk, staff=self.staff, now=self.now, cause="machine")

    def reject_refund(self, dice: Dice) -> None:
        refund = self._refund(dice)
        if refund is not None:
            with self._may_die(dice):
                deciding.reject_refund(
                    refund.pk,
                    gateways=self.gateways,
                    staff=self.staff,
                    why="不符合条件",
                    now=self.now,
                    cause="machine",
                )

    def end_refund_window(self, dice: Dice) -> None:
        if self.gateway.trades:
            self.gateway.end_refund_window(dice.pick(list(self.gateway.trades)))

    def plan_fault(self, dice: Dice) -> None:
        if len(self.gateway.faults) < MOST_FAULTS:
            self.gateway.faults.append(dice.pick(list(Fault)))

    def create_orders(self, dice: Dice) -> None:
        with self._may_die(dice):
            creation.create_due_orders(now=self.now, cause="machine")

    def apply_notifications(self, dice: Dice) -> None:
        with self._may_die(dice):
            inbox.apply_due_notifications(gateways=self.gateways, now=self.now, cause="machine")

    def query_payments(self, dice: Dice) -> None:
        with self._may_die(dice):
            polling.query_due_payments(gateways=self.gateways, now=self.now, cause="machine")

    def close_orders(self, dice: Dice) -> None:
        with self._may_die(dice):
            expiry.close_due_orders(gateways=self.gateways, now=self.now, cause="machine")

    def send_refunds(self, dice: Dice) -> None:
        with self._may_die(dice):
            sending.send_due_refunds(gateways=self.gateways, now=self.now, cause="machine")

    def sweep(self, dice: Dice) -> None:
        with self._may_die(dice):
            self._give_up()

    def expire_coupons(self, dice: Dice) -> None:
        coupons.expire_records(now=self.now, limit=100)

    def repeat_effect(self, dice: Dice) -> None:
        """A message is delivered twice: the effect runs for a row in any state, claimed or not, due or
        not.
        """
        model, effect = dice.pick(self._effects())
        ids = list(model.objects.order_by("pk").values_list("pk", flat=True))
        if ids:
            with self._may_die(dice):
                effect(dice.pick(ids))

    def ask_upon_return(self, dice: Dice) -> None:
        if self.gateway.offers:
            inbox.note_return(out_trade_no=dice.pick(list(self.gateway.offers)), now=self.now)

    # --- The proof ------------------------------------------------------------------------------------------

    def prove(self) -> None:
        """Checks what holds at any moment. Raises: Broken."""
        if broken := broken_rules():
            rows = [
                (verdict.rule.name, verdict.rows)
                for verdict in run_audit(now=self.now)
                if verdict.rule.name in broken
            ]
            raise Broken(f"the audit's rules are broken: {rows}")
        self._prove_what_pollers_see()
        fields = (
            "out_trade_no",
            "paid_at",
            "amount",
            "refund_committed",
            "refunded_amount",
            "external_refunded",
        )
        for number, paid_at, amount, committed, refunded, by_others in Payment.objects.values_list(*fields):
            trade = self.gateway.trades.get(number)
            if paid_at is not None and (trade is None or not trade.is_paid or trade.amount != amount):
                raise Broken(f"{number} is paid here, but not there")
            theirs = (
                sum(
                    (sum_ for request_no, sum_ in trade.refunds.items() if request_no.startswith("CONSOLE")),
                    ZERO,
                )
                if trade
                else ZERO
            )
            ours = trade.refunded - theirs if trade else ZERO
            if not (
                by_others <= theirs
                and refunded - by_others <= ours <= committed <= amount
                and refunded <= amount
            ):
                raise Broken(
                    f"{number}: {refunded} booked as refunded, {by_others} by others; there {ours} by us and "
                    f"{theirs} by others;"
                    f" {committed} of {amount} ordered back"
                )

    def _prove_what_pollers_see(self) -> None:
        """Valkey has no outdated state of an order."""
        requests = {
            number: (owner, status, 0)
            for number, owner, status in OrderRequest.objects.values_list(
                "order_number", "account_id", "status"
            )
        }
        states = requests | {
            number: (owner, status, version)
            for number, owner, status, version in Order.objects.values_list(
                "order_number", "account_id", "status", "version"
            )
        }
        numbers = list(states)
        if not numbers:
            return
        polled = numbers[int(self.now.timestamp()) % len(numbers)]
        answer_cache.read_answer(
            account_id=states[polled][0], order_number=polled, read=read_order, now=self.now
        )
        for number, seen in zip(numbers, valkey.client().mget(map(valkey.answer_key, numbers)), strict=True):
            version, is_answer, _ = (seen or "").partition("\n")
            if is_answer and not version.startswith(":".join(map(str, states[number])) + ":"):
                raise Broken(f"pollers of {number} see {version}, but it is {states[number]}")

    def drain(self, *, notifies: bool) -> None:
        """Finishes everything: the gateway works again, and staff decide.

        Without `notifies` there are no more notifications.

        Raises: Broken.
        """
        self.gateway.faults.clear()
        self.gateway.reopen_refund_windows()
        for form in [*self.indispensable, *(self.gateway.outbox if notifies else [])]:
            self._deliver(form)
        for number, _ in enumerate(range(400)):
            if not self._has_work():
                break
            self._have_staff_decide(number)
            self._run_workers()
            self.now += timedelta(seconds=JUMPS_S[number % len(JUMPS_S)])
            self.gateway.tick()
            self.prove()
        self._prove_end()

    def _have_staff_decide(self, number: int) -> None:
        """Staff compare the console with our list, explain the differences, and decide what waits."""
        for payment in Payment.objects.filter(paid_at__isnull=False).order_by("pk"):
            for request_no in self.gateway.trades[payment.out_trade_no].refunds:
                with suppress(DomainError):
                    explaining.report_external_refund(
                        payment.pk, number=request_no, staff=self.staff, now=self.now
                    )
        for notification in Notification.objects.filter(status=NotificationStatus.QUARANTINED).exclude(
            notify_id__in=self.forged
        ):
            inbox.reapply_notification(notification.pk, now=self.now)
        for refund in Refund.objects.filter(kind=RefundKind.EXTERNAL, explanation="").order_by("pk"):
            # A refund whose payment isn't booked yet can't be booked: staff are told to try later.
            with suppress(DomainError, GatewayUnreachable):
                if refund.status == RefundStatus.REPORTED and refund.attempts > 1:
                    explaining.dismiss_external_refund(
                        refund.pk,
                        gateways=self.gateways,
                        staff=self.staff,
                        why="",
                        now=self.now,
                        cause="drain",
                    )
                elif refund.status == RefundStatus.SUCCEEDED:
                    explaining.explain_external_refund(
                        refund.pk, course_ids=None, staff=self.staff, why="", now=self.now, cause="drain"
                    )
        for refund in Refund.objects.filter(
            status__in=[RefundStatus.REQUESTED, RefundStatus.FAILED]
        ).order_by("pk"):
            if refund.status == RefundStatus.FAILED or refund.approved_at is None:
                self._decide(refund, number)

    def _decide(self, refund: Refund, number: int) -> None:
        common: dict[str, Any] = {"staff": self.staff, "now": self.now, "cause": "drain"}
        with suppress(DomainError):
            if (refund.pk + number) % 3:
                deciding.approve_refund(refund.pk, **common)
            elif refund.status == RefundStatus.FAILED and (refund.pk + number) % 2:
                deciding.mark_refund_paid_elsewhere(
                    refund.pk, gateways=self.gateways, reference="BANK", **common
                )
            else:
                deciding.reject_refund(refund.pk, gateways=self.gateways, why="", **common)

    def _prove_end(self) -> None:
        for verdict in run_audit(now=self.now):
            if verdict.broken_count:
                raise Broken(f"{verdict.rule.name}: {verdict.rows}")
        with connection.cursor() as cursor:
            for kind, statement in FINAL.items():
                cursor.execute(statement)
                if rows := cursor.fetchall():
                    raise Broken(f"{kind} never ends: {rows}")
            cursor.execute(
                "SELECT coalesce(sum(amount) FILTER (WHERE debit = 'alipay_cash'), 0) - coalesce(sum(amount) "
                "FILTER (WHERE credit = 'refunds'), 0)"
                " FROM shop_ledgertransfer"
            )
            [(books,)] = cursor.fetchall()
        if books != self.gateway.net:
            raise Broken(f"the gateway has {self.gateway.net} of our buyers, the books say {books}")
        if (worth := self._worth()) != self.gateway.net:
            raise Broken(
                f"the gateway has {self.gateway.net} of our buyers, what we owe and earned for it is {worth}"
            )
        quarantined = Notification.objects.filter(status=NotificationStatus.QUARANTINED)
        if not (strange := set(quarantined.values_list("notify_id", flat=True))) <= self.forged:
            raise Broken(f"genuine notifications are quarantined: {strange - self.forged}")

    def _worth(self) -> Decimal:
        """What should be left at the gateway, computed from orders and refunds instead of the ledger."""
        sales = sum(
            (order.cash_due - order.refunded_amount for order in Order.objects.filter(paid_at__isnull=False)),
            ZERO,
        )
        elsewhere = sum(
            (refund.amount for refund in Refund.objects.filter(status=RefundStatus.PAID_ELSEWHERE)), ZERO
        )
        kept = sum(
            (
                payment.amount
                - sum((refund.amount for refund in payment.refunds.filter(status__in=external.DONE)), ZERO)
                for payment in Payment.objects.filter(is_surplus=True)
            ),
            ZERO,
        )
        gifts = ZERO
        for refund in Refund.objects.filter(kind=RefundKind.EXTERNAL, status=RefundStatus.SUCCEEDED).exclude(
            explanation=Explanation.SURPLUS
        ):
            gifts += refund.amount - sum((line.cash_amount for line in refund.lines.all()), ZERO)
        return sales + elsewhere + kept - gifts

    # --- Inside ---------------------------------------------------------------------------------------------

    def _purchase(self, buyer: Account, dice: Dice) -> Purchase:
        chosen = [course for course in self.courses if dice.one_in(2)] or [dice.pick(self.courses)]
        records = list(
            CouponRecord.objects.filter(account=buyer, status=CouponRecordStatus.UNUSED)
            .select_related("coupon")
            .order_by("pk")
        )
        course_coupon = (
            next((record for record in records if record.coupon.scope != CouponScope.ORDER), None)
            if dice.one_in(2)
            else None
        )
        globals_ = [record for record in records if record.coupon.scope == CouponScope.ORDER]
        global_coupon = dice.pick(globals_) if globals_ and dice.one_in(2) else None
        lines = [
            LineInput(
                course.pk,
                policy_of(course).price,
                coupons.terms_of(course_coupon.coupon) if course_coupon and course == chosen[0] else None,
            )
            for course in chosen
        ]
        terms = coupons.terms_of(global_coupon.coupon) if global_coupon else None
        wanted = dice.pick((0, 1, 1, 5, 1000))
        # What a buyer's page shows; the worker computes it again.
        most = price_order(lines, terms, beili=0, beili_per_yuan=settings.BEILI_PER_YUAN).beili_max
        beili = min(wanted, most, Account.objects.get(pk=buyer.pk).balance)
        quote = price_order(lines, terms, beili=beili, beili_per_yuan=settings.BEILI_PER_YUAN)
        return Purchase(
            lines=[
                LineChoice(
                    course.pk,
                    policy_of(course).pk,
                    course_coupon.pk if course_coupon and course == chosen[0] else None,
                )
                for course in chosen
            ],
            coupon_record_id=global_coupon.pk if global_coupon else None,
            beili=beili,
            alipay=quote.cash_due,
            checkout_id=None,
            buy_again=True,
        )

    def _order(self, dice: Dice, status: OrderStatus | None) -> Order | None:
        found = (
            Order.objects.order_by("pk")
            if status is None
            else Order.objects.filter(status=status).order_by("pk")
        )
        rows = list(found)
        return dice.pick(rows) if rows else None

    def _refund(self, dice: Dice) -> Refund | None:
        rows = list(Refund.objects.exclude(status=RefundStatus.SUCCEEDED).order_by("pk"))
        return dice.pick(rows) if rows else None

    def _payment(self, dice: Dice) -> Payment | None:
        rows = list(Payment.objects.order_by("pk"))
        return dice.pick(rows) if rows else None

    def _external(self, dice: Dice) -> Refund | None:
        rows = list(Refund.objects.filter(kind=RefundKind.EXTERNAL).order_by("pk"))
        return dice.pick(rows) if rows else None

    def _deliver(self, form: dict[str, str]) -> None:
        inbox.store_notification(
            gateways=self.gateways,
            provider=self.gateway.name,
            headers={},
            body=urlencode(form).encode(),
            now=self.now,
        )

    def _effects(self) -> list[tuple[type[Work], Callable[[int], object]]]:
        common: dict[str, Any] = {"gateways": self.gateways, "now": self.now, "cause": "machine"}
        return [
            (OrderRequest, lambda pk: creation.create_orders([pk], now=self.now, cause="machine")),
            (Notification, lambda pk: inbox.apply_notifications([pk], **common)),
            (Payment, lambda pk: polling.query_payment(pk, **common)),
            (Refund, lambda pk: sending.send_refund(pk, **common)),
            (Order, self._close_if_due),
        ]

    def _close_if_due(self, order_id: int) -> None:
        """Only orders that are due are ever closed: the task claims them."""
        if Order.objects.filter(pk=order_id, closes_at__lte=self.now).exists():
            expiry.close_due_order(order_id, gateways=self.gateways, now=self.now, cause="machine")

    @contextmanager
    def _may_die(self, dice: Dice) -> Iterator[None]:
        """Occasionally kills the process before one of its next SQL statements."""
        if not dice.one_in(4):
            yield
            return
        left = dice.pick(range(MOST_STATEMENTS))

        def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Died
            return run(sql, params, many, context)

        with connection.execute_wrapper(execute):
            yield

    def _give_up(self) -> None:
        creation.give_up_requests(now=self.now)
        inbox.give_up_notifications(now=self.now)
        polling.give_up_payments(now=self.now)
        expiry.give_up_orders(now=self.now)
        sending.give_up_refunds(now=self.now)

    def _run_workers(self) -> None:
        self._give_up()
        creation.create_due_orders(now=self.now, cause="drain")
        inbox.apply_due_notifications(gateways=self.gateways, now=self.now, cause="drain")
        polling.query_due_payments(gateways=self.gateways, now=self.now, cause="drain")
        expiry.close_due_orders(gateways=self.gateways, now=self.now, cause="drain")
        sending.send_due_refunds(gateways=self.gateways, now=self.now, cause="drain")

    def _has_written(self) -> bool:
        """Whether any transaction has written anything since the last call.

        Nobody else uses the database.
        """
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
            [(next_transaction,)] = cursor.fetchall()
        before, self._next_transaction = self._next_transaction, next_transaction
        return bool(before != next_transaction)

    def _has_work(self) -> bool:
        models: tuple[type[Work], ...] = (OrderRequest, Notification, Payment, Order, Refund)
        return (
            any(model.objects.filter(available_at__isnull=False).exists() for model in models)
            or Refund.objects.filter(
                status__in=[RefundStatus.REPORTED, RefundStatus.REQUESTED, RefundStatus.FAILED]
            ).exists()
            or Refund.objects.filter(
                kind=RefundKind.EXTERNAL, status=RefundStatus.SUCCEEDED, explanation=""
            ).exists()
            or self._has_untold_refund()
            or any(trade.pending for trade in self.gateway.trades.values())
        )

    def _has_untold_refund(self) -> bool:
        known = set(Refund.objects.values_list("payment__out_trade_no", "out_request_no"))
        return any(
            (trade.out_trade_no, number) not in known
            and Payment.objects.filter(out_trade_no=trade.out_trade_no, paid_at__isnull=False)
            for trade in self.gateway.trades.values()
            for number in trade.refunds
        )


# Step → its relative frequency.
WEIGHTS = {
    "claim_coupon": 3,
    "place_order": 8,
    "create_orders": 8,
    "start_payment": 9,
    "scan": 3,
    "pay": 9,
    "pay_late": 3,
    "pay_forgotten": 4,
    "deliver": 9,
    "forge": 2,
    "apply_notifications": 7,
    "cancel": 3,
    "advance": 9,
    "query_payments": 4,
    "close_orders": 4,
    "request_refund": 8,
    "approve_refund": 4,
    "reject_refund": 4,
    "send_refunds": 6,
    "end_refund_window": 1,
    "plan_fault": 4,
    "refund_in_console": 6,
    "report_from_console": 2,
    "explain_external": 4,
    "dismiss_external": 1,
    "pay_elsewhere": 2,
    "refund_surplus_again": 1,
    "ask_now": 1,
    "change_app": 1,
    "save_in_the_admin": 3,
    "sweep": 2,
    "expire_coupons": 1,
    "repeat_effect": 5,
    "ask_upon_return": 1,
}


def _campaigns() -> list[Coupon]:
    return [
        make_coupon(value="10"),
        make_coupon(CouponType.THRESHOLD, "20", minimum="100"),
        make_coupon(value="9.90", scope=CouponScope.ANY_COURSE),
        make_coupon(CouponType.PERCENT, off_percent=79, scope=CouponScope.ANY_COURSE),
        # Valid on the day of the claim only, so it expires while orders hold it.
        make_coupon(value="5", valid_begin_date=None, valid_end_date=None, coupon_valid_days=1),
    ]


def empty_tables() -> None:
    """Empties all tables. Guards against that are disabled, since the database belongs to the test."""
    tables = [
        model._meta.db_table
        for app in ("payments", "shop")
        for model in apps.get_app_config(app).get_models()
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        for table in APPEND_ONLY:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER never_emptied")
        cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")


_ALL_RULES = " UNION ALL ".join(
    f"SELECT '{rule.name}' AS rule WHERE EXISTS ({rule.statement.replace('%%', '%')})"
    for rule in RULES
    if not rule.is_about_time
)


def broken_rules() -> list[str]:
    """The names of the audit's rules that are broken: all of them in one statement, since it runs after every
    step.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ALL_RULES)
        return [name for (name,) in cursor.fetchall()]
