"""Decides a batch of order requests in memory, from what was read under locks: each is priced, checked
against what the buyer agreed to, or refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from django.conf import settings

from shop.domain.checkout.snapshot import ChosenQuote
from shop.domain.coupons import coupons
from shop.domain.enrolments import MAX_ACCESS_DAYS
from shop.domain.ordering import consent
from shop.domain.ordering.order_batch import PendingRequest, World
from shop.domain.pricing.rules import CouponTerms, LineInput, Quote, discount_of, price_order
from shop.domain.purchase import LineChoice, Purchase
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
    PolicyNotFound,
    QuoteChanged,
)
from shop.models import Coupon, PricePolicy
from shop.money import MAX_PAYABLE, ZERO
from shop.states import CouponRecordStatus, CouponScope


@dataclass(frozen=True, slots=True)
class Plan:
    """An order that may be written."""

    request: PendingRequest
    policies: Sequence[PricePolicy]
    quote: Quote

    @property
    def purchase(self) -> Purchase:
        return self.request.purchase


def decide(
    requests: Sequence[PendingRequest], world: World
) -> tuple[list[Plan], list[tuple[PendingRequest, DomainError]]]:
    """The orders that may be written, and the refused requests with their reasons. Requests are decided in
    order, so each sees those before it.
    """
    plans: list[Plan] = []
    rejections: list[tuple[PendingRequest, DomainError]] = []
    for request in requests:
        try:
            plan = _plan(request, world)
        except DomainError as refusal:
            rejections.append((request, refusal))
            continue
        world.balances[request.account_id] -= plan.quote.beili
        world.reserved.update(plan.purchase.coupon_record_ids)
        _note_holdings(plan, world)
        plans.append(plan)
    return plans, rejections


def _plan(request: PendingRequest, world: World) -> Plan:
    purchase = request.purchase
    coupon_ids = purchase.coupon_record_ids
    if len(set(coupon_ids)) != len(coupon_ids):
        raise CouponUnavailable(reason="twice_in_one_order")
    try:
        lines = [_priced_line(request, choice, world) for choice in purchase.lines]
        for choice in purchase.lines:
            _check_holding(request, choice, world)
        global_coupon = _global_terms(request, purchase.coupon_record_id, world)
        quote = _price(purchase, lines, global_coupon)
    except CouponNotApplicable as refusal:
        if consent.was_promised(purchase):
            raise _changed(*_without_lost_coupons(request, world), world) from refusal
        raise
    if quote.cash_due > MAX_PAYABLE:
        raise AmountTooLarge(alipay=str(quote.cash_due), limit=str(MAX_PAYABLE))
    _check_consent(request, lines, global_coupon, quote, world)
    return Plan(request, [world.policies[choice.policy_id] for choice in purchase.lines], quote)


def _price(purchase: Purchase, lines: Sequence[LineInput], global_coupon: CouponTerms | None) -> Quote:
    return price_order(lines, global_coupon, beili=purchase.beili, beili_per_yuan=settings.BEILI_PER_YUAN)


def _without_lost_coupons(
    request: PendingRequest, world: World
) -> tuple[Quote, Sequence[LineChoice], int | None]:
    """The quote without the coupons that don't apply any more since their campaign's terms were edited, with
    the choices that are left.
    """
    left, lines = [], []
    for choice in request.purchase.lines:
        try:
            line = _priced_line(request, choice, world)
            if line.coupon:
                discount_of(line.coupon, line.price)
        except CouponNotApplicable:
            choice = replace(choice, coupon_record_id=None)  # noqa: PLW2901 - the same choice, without its coupon
            line = _priced_line(request, choice, world)
        left.append(choice)
        lines.append(line)
    global_id = request.purchase.coupon_record_id
    try:
        return _price(request.purchase, lines, _global_terms(request, global_id, world)), left, global_id
    except CouponNotApplicable:
        return _price(request.purchase, lines, None), left, None


def _priced_line(request: PendingRequest, choice: LineChoice, world: World) -> LineInput:
    policy = world.policies.get(choice.policy_id)
    if policy is None or policy.course_id != choice.course_id:
        raise PolicyNotFound(course_id=choice.course_id, policy_id=choice.policy_id)
    if not policy.course.is_sellable:
        raise CourseNotOnSale(course_id=choice.course_id)
    terms = None
    if choice.coupon_record_id is not None:
        coupon = _usable_coupon(request, choice.coupon_record_id, world)
        if not coupons.fits_course(coupon, choice.course_id):
            raise CouponNotApplicable(
                coupon_record_id=choice.coupon_record_id, course_id=choice.course_id, reason="other_course"
            )
        terms = coupons.terms_of(coupon)
    return LineInput(choice.course_id, policy.price, terms)


def _check_holding(request: PendingRequest, choice: LineChoice, world: World) -> None:
    """Nothing is bought twice by mistake, and nobody accumulates access without limit."""
    policy, holding = world.policies[choice.policy_id], world.holding(request.account_id, choice.course_id)
    if holding.unpaid_order_number and not request.purchase.buy_again:
        raise CourseInUnpaidOrder(course_id=choice.course_id, order_number=holding.unpaid_order_number)
    if holding.ends_at is None and not holding.unpaid_days:
        return  # nearly always; no policy alone reaches a limit
    ahead, period = holding.access_ahead(world.now), timedelta(days=policy.valid_period)
    if policy.price == ZERO and ahead > period:
        raise FreeCourseOwned(course_id=choice.course_id, days_left=ahead.days)
    if ahead + period > timedelta(days=MAX_ACCESS_DAYS):
        raise AccessTooLong(course_id=choice.course_id, days_left=ahead.days, limit_days=MAX_ACCESS_DAYS)


def _note_holdings(plan: Plan, world: World) -> None:
    for choice, policy in zip(plan.purchase.lines, plan.policies, strict=True):
        holding = world.holding(plan.request.account_id, choice.course_id)
        if plan.quote.cash_due == ZERO:
            holding.add_paid(policy.valid_period, now=world.now)
        else:
            holding.add_unpaid(policy.valid_period, order_number=plan.request.order_number)


def _global_terms(request: PendingRequest, record_id: int | None, world: World) -> CouponTerms | None:
    if record_id is None:
        return None
    coupon = _usable_coupon(request, record_id, world)
    if coupon.scope != CouponScope.ORDER:
        raise CouponNotApplicable(coupon_record_id=record_id, reason="not_a_global_coupon")
    return coupons.terms_of(coupon)


def _usable_coupon(request: PendingRequest, record_id: int, world: World) -> Coupon:
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
    request: PendingRequest,
    lines: Sequence[LineInput],
    global_coupon: CouponTerms | None,
    quote: Quote,
    world: World,
) -> None:
    """The buyer pays exactly what they agreed to, for what they agreed to, or nothing happens and they see
    the new quote.
    """
    purchase, balance = request.purchase, world.balances[request.account_id]
    if purchase.beili > balance:
        raise BalanceInsufficient(balance=balance, wanted=purchase.beili)
    if not (
        purchase.beili == quote.beili
        and purchase.alipay == quote.cash_due
        and consent.covers_periods(purchase, _periods(purchase.lines, world))
        and consent.covers_prices(purchase, quote)
        and consent.covers_discounts(purchase, lines, global_coupon, quote)
    ):
        raise _changed(quote, purchase.lines, purchase.coupon_record_id, world)


def _changed(
    quote: Quote, choices: Sequence[LineChoice], global_record_id: int | None, world: World
) -> QuoteChanged:
    by_course = {choice.course_id: choice.coupon_record_id for choice in choices}
    return QuoteChanged(
        quote=ChosenQuote(quote, by_course, global_record_id, _periods(choices, world)).to_json()
    )


def _periods(choices: Sequence[LineChoice], world: World) -> dict[int, int]:
    return {choice.course_id: world.policies[choice.policy_id].valid_period for choice in choices}
