"""Turns stored order requests into orders, a batch at a time: lock, decide in memory, write with a few multi-row statements, commit once.

A request that breaks a rule is rejected alone. The results are those of taking the requests one by one in the order of their ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.conf import settings
from django.db import transaction

from shop import valkey
from shop.domain import cart, consent, coupons, fulfilment, ledger, rows, work
from shop.domain.checkout import quote_fields
from shop.domain.enrolments import MAX_ACCESS_DAYS
from shop.domain.orders import LineChoice, requested_coupon_ids, requested_lines
from shop.domain.pricing import CouponTerms, LineInput, Quote, discount_of, price_order
from shop.domain.timeline import event, open_timelines
from shop.domain.versions import mark_changed
from shop.domain.world import World, lock_pending, lock_world
from shop.errors import (
    AccessTooLong,
    AmountTooLarge,
    BalanceInsufficient,
    CouponNotApplicable,
    CouponUnavailable,
    CourseInUnpaidOrder,
    CourseNotOnSale,
    DomainError,
    FreeCourseOwned,
    OrderFailed,
    PolicyNotFound,
    QuoteChanged,
    StaleState,
)
from shop.models import Coupon, Order, OrderEvent, OrderLine, OrderRequest, PricePolicy
from shop.money import MAX_PAYABLE, ZERO
from shop.states import CouponRecordStatus, CouponScope, OrderRequestStatus, OrderStatus, PaymentType

log = structlog.get_logger(__name__)

# Past this a batch gains nothing that can be measured (`bin/bench --choices batch`), and its rows are locked longer.
BATCH_SIZE = 64
_PERIOD_LABELS = dict(PricePolicy.Period.choices)


@dataclass(frozen=True, slots=True)
class _Plan:
    """An order that may be written."""

    request: OrderRequest
    choices: Sequence[LineChoice]
    policies: Sequence[PricePolicy]
    quote: Quote
    coupon_record_ids: Sequence[int]


def create_due_orders(*, now: datetime, cause: str) -> int:
    """Claims and decides due requests, batch after batch; returns how many it claimed."""
    return work.drain(OrderRequest, lambda ids: create_orders(ids, now=now, cause=cause), now=now, batch_size=BATCH_SIZE)


def create_orders(request_ids: Sequence[int], *, now: datetime, cause: str) -> None:
    """Decides the pending ones of these requests in one transaction; the others are left alone. Then takes the courses out of the carts."""
    with transaction.atomic(durable=True):
        requests = lock_pending(request_ids)
        if not requests:
            return
        world = lock_world(requests, now=now)
        plans, rejections = _decide(requests, world)
        _write(plans, now=now, cause=cause)
        _close_requests(plans, rejections, now=now)
    _empty_carts(plans)
    log.info("orders_created", created=len(plans), rejected=len(rejections), cause=cause)


def _decide(requests: Sequence[OrderRequest], world: World) -> tuple[list[_Plan], list[tuple[OrderRequest, DomainError]]]:
    plans: list[_Plan] = []
    rejections: list[tuple[OrderRequest, DomainError]] = []
    for request in requests:
        try:
            plan = _plan(request, world)
        except DomainError as refusal:
            rejections.append((request, refusal))
            continue
        world.balances[request.account_id] -= plan.quote.beili
        world.reserved.update(plan.coupon_record_ids)
        _note_holdings(plan, world)
        plans.append(plan)
    return plans, rejections


def _plan(request: OrderRequest, world: World) -> _Plan:
    choices = requested_lines(request.body)
    coupon_ids = requested_coupon_ids(request)
    if len(set(coupon_ids)) != len(coupon_ids):
        raise CouponUnavailable(reason="twice_in_one_order")
    try:
        lines = [_priced_line(request, choice, world) for choice in choices]
        for choice in choices:
            _check_holding(request, choice, world)
        global_coupon = _global_terms(request, request.body["coupon_record_id"], world)
        quote = _price(request, lines, global_coupon)
    except CouponNotApplicable as refusal:
        if consent.was_promised(request.body, choices):
            raise _changed(*_without_lost_coupons(request, choices, world), world) from refusal
        raise
    if quote.cash_due > MAX_PAYABLE:
        raise AmountTooLarge(alipay=str(quote.cash_due), limit=str(MAX_PAYABLE))
    _check_consent(request, choices, lines, global_coupon, quote, world)
    return _Plan(request, choices, [world.policies[choice.policy_id] for choice in choices], quote, coupon_ids)


def _price(request: OrderRequest, lines: Sequence[LineInput], global_coupon: CouponTerms | None) -> Quote:
    return price_order(lines, global_coupon, beili=request.body["beili"], beili_per_yuan=settings.BEILI_PER_YUAN)


def _without_lost_coupons(
    request: OrderRequest, choices: Sequence[LineChoice], world: World
) -> tuple[Quote, Sequence[LineChoice], int | None]:
    """The quote without the coupons that don't apply any more since their campaign's terms were edited, with the choices that are left."""
    left, lines = [], []
    for choice in choices:
        try:
            line = _priced_line(request, choice, world)
            if line.coupon:
                discount_of(line.coupon, line.price)
        except CouponNotApplicable:
            choice = replace(choice, coupon_record_id=None)  # noqa: PLW2901 - the same choice, without its coupon
            line = _priced_line(request, choice, world)
        left.append(choice)
        lines.append(line)
    global_id: int | None = request.body["coupon_record_id"]
    try:
        return _price(request, lines, _global_terms(request, global_id, world)), left, global_id
    except CouponNotApplicable:
        return _price(request, lines, None), left, None


def _priced_line(request: OrderRequest, choice: LineChoice, world: World) -> LineInput:
    policy = world.policies.get(choice.policy_id)
    if policy is None or policy.course_id != choice.course_id:
        raise PolicyNotFound(course_id=choice.course_id, policy_id=choice.policy_id)
    if not policy.course.is_sellable:
        raise CourseNotOnSale(course_id=choice.course_id)
    terms = None
    if choice.coupon_record_id is not None:
        coupon = _usable_coupon(request, choice.coupon_record_id, world)
        if not coupons.fits_course(coupon, choice.course_id):
            raise CouponNotApplicable(coupon_record_id=choice.coupon_record_id, course_id=choice.course_id, reason="other_course")
        terms = coupons.terms_of(coupon)
    return LineInput(choice.course_id, policy.price, terms)


def _check_holding(request: OrderRequest, choice: LineChoice, world: World) -> None:
    """Nothing is bought twice by mistake, and nobody piles up access without end."""
    policy, holding = world.policies[choice.policy_id], world.holding(request.account_id, choice.course_id)
    if holding.unpaid_order_number and not request.body.get("buy_again"):
        raise CourseInUnpaidOrder(course_id=choice.course_id, order_number=holding.unpaid_order_number)
    ahead, period = holding.access_ahead(world.now), timedelta(days=policy.valid_period)
    if policy.price == ZERO and ahead > period:
        raise FreeCourseOwned(course_id=choice.course_id, days_left=ahead.days)
    if ahead + period > timedelta(days=MAX_ACCESS_DAYS):
        raise AccessTooLong(course_id=choice.course_id, days_left=ahead.days, limit_days=MAX_ACCESS_DAYS)


def _note_holdings(plan: _Plan, world: World) -> None:
    for choice, policy in zip(plan.choices, plan.policies, strict=True):
        holding = world.holding(plan.request.account_id, choice.course_id)
        if plan.quote.cash_due == ZERO:
            holding.add_paid(policy.valid_period, now=world.now)
        else:
            holding.add_unpaid(policy.valid_period, order_number=plan.request.order_number)


def _global_terms(request: OrderRequest, record_id: int | None, world: World) -> CouponTerms | None:
    if record_id is None:
        return None
    coupon = _usable_coupon(request, record_id, world)
    if coupon.scope != CouponScope.ORDER:
        raise CouponNotApplicable(coupon_record_id=record_id, reason="not_a_global_coupon")
    return coupons.terms_of(coupon)


def _usable_coupon(request: OrderRequest, record_id: int, world: World) -> Coupon:
    record = world.records.get(record_id)
    if (
        record is None
        or record.account_id != request.account_id
        or record.status != CouponRecordStatus.UNUSED
        or record_id in world.reserved
        or not coupons.is_in_date(record, now=world.now)
    ):
        raise CouponUnavailable(coupon_record_id=record_id)
    return record.coupon


def _check_consent(
    request: OrderRequest,
    choices: Sequence[LineChoice],
    lines: Sequence[LineInput],
    global_coupon: CouponTerms | None,
    quote: Quote,
    world: World,
) -> None:
    """The buyer pays exactly what they agreed to, for what they agreed to, or nothing happens and they see the new quote."""
    asked_beili: int = request.body["beili"]
    balance = world.balances[request.account_id]
    if asked_beili > balance:
        raise BalanceInsufficient(balance=balance, wanted=asked_beili)
    if not (
        asked_beili == quote.beili
        and Decimal(request.body["alipay"]) == quote.cash_due
        and consent.covers_periods(request.body, choices, _periods(choices, world))
        and consent.covers_prices(request.body, quote)
        and consent.covers_discounts(request.body, choices, lines, global_coupon, quote)
    ):
        raise _changed(quote, choices, request.body["coupon_record_id"], world)


def _changed(quote: Quote, choices: Sequence[LineChoice], global_record_id: int | None, world: World) -> QuoteChanged:
    by_course = {choice.course_id: choice.coupon_record_id for choice in choices}
    return QuoteChanged(quote=quote_fields(quote, by_course, global_record_id, _periods(choices, world)))


def _periods(choices: Sequence[LineChoice], world: World) -> dict[int, int]:
    return {choice.course_id: world.policies[choice.policy_id].valid_period for choice in choices}


def _write(plans: Sequence[_Plan], *, now: datetime, cause: str) -> None:
    if not plans:
        return
    orders = [_order(plan, now=now) for plan in plans]
    rows.insert(orders)
    made = list(zip(orders, plans, strict=True))
    rows.insert([line for order, plan in made for line in _lines(order, plan)])
    _reserve_coupons([(record_id, order.pk) for order, plan in made for record_id in plan.coupon_record_ids])
    rows.insert(ledger.hold_transfers(orders, now=now))
    open_timelines([entry for order, plan in made for entry in _events(order, plan, now=now, cause=cause)])
    fulfilment.finalise_orders([order for order in orders if order.cash_due == 0], now=now, cause=cause)


def _order(plan: _Plan, *, now: datetime) -> Order:
    quote = plan.quote
    expires_at = now + timedelta(seconds=settings.ORDER_TTL_S)
    closes_at = expires_at + timedelta(seconds=settings.ORDER_GRACE_S)
    return Order(
        request=plan.request,
        account_id=plan.request.account_id,
        order_number=plan.request.order_number,
        status=OrderStatus.AWAITING_PAYMENT,
        payment_type=PaymentType.ALIPAY if quote.cash_due else PaymentType.BEILI if quote.beili else PaymentType.COUPON,
        list_total=quote.list_total,
        course_discount=quote.course_discount,
        global_discount=quote.global_discount,
        global_coupon_record_id=plan.request.body["coupon_record_id"],
        beili=quote.beili,
        beili_per_yuan=settings.BEILI_PER_YUAN,
        beili_amount=quote.beili_amount,
        cash_due=quote.cash_due,
        created_at=now,
        expires_at=expires_at,
        closes_at=closes_at,
        available_at=closes_at,
    )


def _lines(order: Order, plan: _Plan) -> list[OrderLine]:
    return [
        OrderLine(
            order=order,
            course_id=choice.course_id,
            policy=policy,
            course_name=policy.course.name,
            course_img=policy.course.course_img,
            valid_period=policy.valid_period,
            valid_period_display=_PERIOD_LABELS[policy.valid_period],
            list_price=line.list_price,
            coupon_record_id=choice.coupon_record_id,
            course_discount=line.course_discount,
            global_discount=line.global_discount,
            beili_amount=line.beili_amount,
            cash_amount=line.cash_amount,
        )
        for choice, policy, line in zip(plan.choices, plan.policies, plan.quote.lines, strict=True)
    ]


_RESERVE = """
    UPDATE shop_couponrecord AS record SET status = 'reserved', order_id = pair.order_id
    FROM unnest(%s::bigint[], %s::bigint[]) AS pair(id, order_id) WHERE record.id = pair.id AND record.status = 'unused'
"""


def _reserve_coupons(pairs: Sequence[tuple[int, int]]) -> None:
    if not pairs:
        return
    if rows.write(_RESERVE, [[record_id for record_id, _ in pairs], [order_id for _, order_id in pairs]]) != len(pairs):
        raise StaleState("a coupon was taken although its row is locked")


def _events(order: Order, plan: _Plan, *, now: datetime, cause: str) -> list[OrderEvent]:
    kinds = OrderEvent.Kind
    events = [event(order, kinds.PLACED, now=now, cause=cause, list_total=str(order.list_total), alipay=str(order.cash_due))]
    if plan.coupon_record_ids:
        saved = order.course_discount + order.global_discount
        events.append(event(order, kinds.COUPONS_RESERVED, now=now, cause=cause, coupons=len(plan.coupon_record_ids), saved=str(saved)))
    if order.beili:
        events.append(event(order, kinds.BEILI_HELD, now=now, cause=cause, beili=order.beili))
    return events


_CLOSE = "UPDATE shop_orderrequest SET status = 'created', decided_at = %s, available_at = NULL, last_error = '' WHERE id = ANY(%s)"


def _close_requests(plans: Sequence[_Plan], rejections: Sequence[tuple[OrderRequest, DomainError]], *, now: datetime) -> None:
    if plans:
        rows.write(_CLOSE, [now, [plan.request.pk for plan in plans]])
    if not rejections:
        return
    for request, refusal in rejections:
        _reject(request, refusal, now=now)
    OrderRequest.objects.bulk_update(
        [request for request, _ in rejections],
        ["status", "decided_at", "available_at", "error_slug", "error_message", "error_details"],
    )
    mark_changed([request.order_number for request, _ in rejections])


def _reject(request: OrderRequest, refusal: DomainError, *, now: datetime) -> None:
    request.status = OrderRequestStatus.REJECTED
    request.decided_at = now
    request.available_at = None
    request.error_slug = refusal.slug
    request.error_message = refusal.text
    request.error_details = dict(refusal.details)


def give_up_requests(*, now: datetime) -> int:
    """Rejects the requests that used all their attempts: nothing was taken from their buyers, who can order again. Returns how many."""
    refusal = OrderFailed()
    with transaction.atomic(durable=True):
        buried = OrderRequest.objects.filter(pk__in=work.bury_exhausted(OrderRequest, now=now), status=OrderRequestStatus.PENDING)
        mark_changed(list(buried.values_list("order_number", flat=True)))
        return buried.update(status=OrderRequestStatus.REJECTED, decided_at=now, error_slug=refusal.slug, error_message=refusal.text)


def _empty_carts(plans: Sequence[_Plan]) -> None:
    """Takes the bought courses out of the carts. A cart that keeps them is a nuisance, not a loss: the checkout can't be used again."""
    try:
        cart.remove_from_carts([(plan.request.account_id, [choice.course_id for choice in plan.choices]) for plan in plans])
    except valkey.Unreachable as error:
        log.warning("cart_not_emptied", error=str(error))
