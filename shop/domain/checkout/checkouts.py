"""Checkout: the chosen cart courses with every coupon that could go on them, priced.

An immutable snapshot with a time to live.

It lives in Valkey only. Losing it loses no money and no order: the buyer checks out again, and an order
stands on the amounts that the buyer agreed to, not on the snapshot.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings

from shop import results, valkey
from shop.clock import shanghai_date
from shop.domain import limits, sql
from shop.domain.checkout import cart, store
from shop.domain.checkout.snapshot import (
    NOT_YET_VALID,
    ChosenQuote,
    CouponOption,
    CourseOption,
    Refusal,
    Result,
    Snapshot,
)
from shop.domain.checkout.store import CheckoutRequest
from shop.domain.coupons import coupons
from shop.domain.limits import Rate, Share
from shop.domain.orders.unpaid import ALL_UNPAID
from shop.domain.pricing.best_coupons import Candidate, Suggestion, suggest
from shop.domain.pricing.rules import CouponTerms, LineInput, price_order
from shop.errors import CheckoutNotFound, CourseNotInCart, CourseNotOnSale, DomainError, PolicyNotFound
from shop.models import Account, CouponRecord, Course, PricePolicy
from shop.money import ZERO
from shop.numbers import mint_number
from shop.states import CouponScope

BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout. While it is pending it has neither a snapshot nor a refusal."""

    checkout_id: str
    request: CheckoutRequest
    result: Result | None = None

    @property
    def account_id(self) -> int:
        return self.request.account_id

    @property
    def course_ids(self) -> Sequence[int]:
        return self.request.course_ids

    @property
    def expires_at(self) -> datetime:
        return self.request.expires_at

    @property
    def snapshot(self) -> Snapshot | None:
        """None unless the checkout is priced."""
        return None if self.result is None else self.result.snapshot


def start_checkout(*, account: Account, course_ids: Sequence[int], now: datetime) -> Checkout:
    """Stores what is to be checked out; a worker prices it. It is the buyer's latest, and the oldest ones go.

    Raises:
        TooManyRequests: the buyer checks out too often.
    """
    limits.spend(Share(Rate.CHECKOUTS, str(account.pk)))
    checkout_id = mint_number(now)
    request = CheckoutRequest(
        account.pk, tuple(course_ids), now, now + timedelta(seconds=settings.CHECKOUT_TTL_S)
    )
    store.add_checkout(checkout_id, request)
    return Checkout(checkout_id, request)


def get_checkout(*, account_id: int, checkout_id: str) -> Checkout:
    """The buyer's checkout.

    Raises:
        CheckoutNotFound: missing, expired, or another account's.
    """
    checkout = find_checkout(checkout_id)
    if checkout is None or checkout.account_id != account_id:
        raise CheckoutNotFound
    return checkout


def get_latest_checkout(*, account_id: int) -> Checkout:
    """The buyer's newest checkout.

    Raises:
        CheckoutNotFound: missing or expired.
    """
    checkout_id = store.find_latest(account_id=account_id)
    if checkout_id is None:
        raise CheckoutNotFound
    return get_checkout(account_id=account_id, checkout_id=checkout_id)


def queue_if_stalled(checkout: Checkout) -> bool:
    """Makes a pending checkout due again that has waited longer, by Valkey's clock, than a worker ever needs:
    its worker has probably died.
    """
    return checkout.result is None and store.queue_again(checkout.checkout_id)


def prepare_due_checkouts(*, now: datetime) -> None:
    """Prepares what is due, batch after batch.

    Checkouts that a killed worker had taken become due again as soon as their buyer polls.
    """
    while checkout_ids := valkey.client().lpop(valkey.DUE_CHECKOUTS, BATCH_SIZE):
        prepare_checkouts(checkout_ids, now=now)
        results.count(prepared=len(checkout_ids))


def prepare_checkouts(checkout_ids: Sequence[str], *, now: datetime) -> None:
    """Validates and prices pending checkouts and writes their results, each once; a second run changes
    nothing.
    """
    pending = [checkout for checkout in _find_checkouts(checkout_ids) if checkout.result is None]
    if not pending:
        return
    batch = _read_batch(pending, now=now)
    store.store_results((checkout.checkout_id, _result(checkout, batch, now=now)) for checkout in pending)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a batch of checkouts needs for pricing: carts, 贝里 and coupons by account, policies by id, unpaid
    orders by account and course.
    """

    choices: Mapping[int, Mapping[int, cart.Choice]]
    balances: Mapping[int, int]
    records: Mapping[int, Sequence[CouponRecord]]
    policies: Mapping[int, PricePolicy]
    unpaid: Mapping[int, Mapping[str, str]]


def _result(checkout: Checkout, batch: _Batch, *, now: datetime) -> Result:
    try:
        return Result(snapshot=_priced(checkout, batch, now=now))
    except DomainError as error:
        return Result(refusal=Refusal(error.slug, error.text, error.details))


def find_checkout(checkout_id: str) -> Checkout | None:
    """A checkout, whoever's it is, or None."""
    return next(iter(_find_checkouts([checkout_id])), None)


def _find_checkouts(checkout_ids: Sequence[str]) -> list[Checkout]:
    return [Checkout(*stored) for stored in store.read_checkouts(checkout_ids)]


# 贝里, and unpaid orders by course.
_BUYERS = f"""
    SELECT account.id, account.balance, ({ALL_UNPAID.format(account="account.id")})
    FROM shop_account AS account WHERE account.id = ANY(%s)
"""  # noqa: S608 - ours


def _read_batch(checkouts: Sequence[Checkout], *, now: datetime) -> _Batch:
    account_ids = sorted({checkout.account_id for checkout in checkouts})
    choices = dict(zip(account_ids, cart.read_many_choices(account_ids), strict=True))
    policy_ids = {choice.policy_id for chosen in choices.values() for choice in chosen.values()}
    buyers = sql.read(_BUYERS, [account_ids])
    return _Batch(
        choices=choices,
        balances={pk: balance for pk, balance, _ in buyers},
        records=coupons.list_usable(account_ids, now=now),
        policies={
            policy.pk: policy
            for policy in PricePolicy.objects.filter(pk__in=policy_ids)
            .select_related("course")
            .defer("course__syllabus")
        },
        unpaid={pk: json.loads(orders or "{}") for pk, _, orders in buyers},
    )


def _priced(checkout: Checkout, batch: _Batch, *, now: datetime) -> Snapshot:
    chosen = _chosen_policies(checkout, batch)
    records = batch.records[checkout.account_id]
    suggestion = _suggestion(chosen, [record for record in records if coupons.is_in_date(record, now=now)])
    by_id = {record.pk: record for record in records}
    quote = price_order(
        [
            LineInput(course.pk, policy.price, _terms(by_id, suggestion.by_course[course.pk]))
            for course, policy in chosen
        ],
        _terms(by_id, suggestion.global_record_id),
        beili=0,
        beili_per_yuan=settings.BEILI_PER_YUAN,
    )
    subtotal = quote.list_total - quote.course_discount
    unpaid = batch.unpaid[checkout.account_id]
    return Snapshot(
        balance=batch.balances[checkout.account_id],
        beili_per_yuan=settings.BEILI_PER_YUAN,
        courses=tuple(
            _course_option(course, policy, records, unpaid.get(str(course.pk)), now=now)
            for course, policy in chosen
        ),
        global_coupons=tuple(
            _coupon_option(record, subtotal, now=now)
            for record in records
            if record.coupon.scope == CouponScope.ORDER
        ),
        suggested=ChosenQuote(quote, suggestion.by_course, suggestion.global_record_id),
    )


def _chosen_policies(checkout: Checkout, batch: _Batch) -> list[tuple[Course, PricePolicy]]:
    choices = batch.choices[checkout.account_id]
    missing = [course_id for course_id in checkout.course_ids if course_id not in choices]
    if missing:
        raise CourseNotInCart(course_ids=missing)
    chosen = []
    for course_id in checkout.course_ids:
        policy = batch.policies.get(choices[course_id].policy_id)
        if policy is None or policy.course_id != course_id:
            raise PolicyNotFound(course_id=course_id, policy_id=choices[course_id].policy_id)
        if not policy.course.is_sellable:
            raise CourseNotOnSale(course_id=course_id)
        chosen.append((policy.course, policy))
    return chosen


def _suggestion(chosen: Sequence[tuple[Course, PricePolicy]], records: Sequence[CouponRecord]) -> Suggestion:
    return suggest(
        {course.pk: policy.price for course, policy in chosen},
        {
            course.pk: [
                _candidate(record) for record in records if coupons.fits_course(record.coupon, course.pk)
            ]
            for course, _ in chosen
        },
        [_candidate(record) for record in records if record.coupon.scope == CouponScope.ORDER],
    )


def _candidate(record: CouponRecord) -> Candidate:
    return Candidate(record.pk, coupons.terms_of(record.coupon))


def _terms(records: Mapping[int, CouponRecord], record_id: int | None) -> CouponTerms | None:
    return None if record_id is None else coupons.terms_of(records[record_id].coupon)


def _course_option(
    course: Course,
    policy: PricePolicy,
    records: Sequence[CouponRecord],
    unpaid_order_number: str | None,
    *,
    now: datetime,
) -> CourseOption:
    fitting = [record for record in records if coupons.fits_course(record.coupon, course.pk)]
    return CourseOption(
        course_id=course.pk,
        course_name=course.name,
        course_img=course.course_img,
        policy_id=policy.pk,
        price=policy.price,
        valid_period=policy.valid_period,
        coupons=tuple(_coupon_option(record, policy.price, now=now) for record in fitting),
        unpaid_order_number=unpaid_order_number,
    )


def _coupon_option(record: CouponRecord, amount: Decimal, *, now: datetime) -> CouponOption:
    option = CouponOption(
        record_id=record.pk,
        name=record.coupon.name,
        terms=coupons.terms_of(record.coupon),
        valid_from=record.valid_from_date,
        valid_until=record.valid_until_date,
        saving=ZERO,
        reason=NOT_YET_VALID if record.valid_from_date > shanghai_date(now) else None,
    )
    return option.beside(amount)
