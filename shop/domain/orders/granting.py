"""Access that staff give: an order at ¥0, so that it is delivered, shown and taken back like any other."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from shop.domain import sql
from shop.domain.enrolments import MAX_ACCESS_DAYS
from shop.domain.locks import existing, lock_accounts
from shop.domain.orders import fulfilment
from shop.domain.orders.timeline import by_staff, event, open_timelines
from shop.domain.purchase import NO_POLICY, LineChoice, Purchase
from shop.errors import AccessTooLong, CourseNotFound
from shop.models import Account, Course, Enrolment, Order, OrderEvent, OrderLine, OrderRequest
from shop.money import ZERO
from shop.numbers import mint_number
from shop.states import EnrolmentStatus, OrderRequestStatus, PaymentType


def grant_access(  # noqa: PLR0913 - each is a fact of its own
    *,
    account_id: int,
    course_id: int,
    days: int,
    token: str,
    staff: Account,
    why: str,
    now: datetime,
    cause: str,
) -> Order:
    """Gives a buyer a course for `days` days, from now or from where their access ends.

    The same `token` twice is one grant.

    Raises:
        NotFound: no such account.
        CourseNotFound
        AccessTooLong: the access would end too far ahead.
    """
    course = Course.objects.filter(pk=course_id).first()
    if course is None:
        raise CourseNotFound
    key = f"staff:{staff.pk}:{token}"
    with transaction.atomic(durable=True):
        existing(lock_accounts([account_id]).get(account_id))
        if known := Order.objects.filter(
            request__account_id=account_id, request__idempotency_key=key
        ).first():
            return known
        _must_end_in_sight(account_id, course_id, days=days, now=now)
        order = _order_of(_write_request(account_id, course_id, days, key=key, now=now, cause=cause), now=now)
        sql.insert([order])
        sql.insert([_line_of(order, course, days)])
        details = {"list_total": str(ZERO), "alipay": str(ZERO), "days": days, **by_staff(staff, why)}
        open_timelines([event(order, OrderEvent.Kind.PLACED, now=now, cause=cause, **details)])
        fulfilment.finalise_orders([order], now=now, cause=cause)
    return order


def _must_end_in_sight(account_id: int, course_id: int, *, days: int, now: datetime) -> None:
    running = Enrolment.objects.filter(
        account_id=account_id, course_id=course_id, status=EnrolmentStatus.ACTIVE, valid_until__gt=now
    )
    ends_at = running.aggregate(ends_at=Max("valid_until"))["ends_at"] or now
    if ends_at + timedelta(days=days) > now + timedelta(days=MAX_ACCESS_DAYS):
        raise AccessTooLong(course_id=course_id, limit_days=MAX_ACCESS_DAYS)


def _write_request(
    account_id: int, course_id: int, days: int, *, key: str, now: datetime, cause: str
) -> OrderRequest:
    granted = Purchase(
        [LineChoice(course_id, NO_POLICY, None, days)],
        coupon_record_id=None,
        beili=0,
        alipay=ZERO,
        checkout_id=None,
    )
    return OrderRequest.objects.create(
        account_id=account_id,
        order_number=mint_number(now),
        idempotency_key=key,
        fingerprint=granted.fingerprint,
        body=granted.to_json(),
        status=OrderRequestStatus.CREATED,
        request_id=cause.partition(":")[2][:64],
        created_at=now,
        decided_at=now,
    )


def _order_of(request: OrderRequest, *, now: datetime) -> Order:
    return Order(
        request=request,
        account_id=request.account_id,
        order_number=request.order_number,
        trace_id=request.request_id,
        payment_type=PaymentType.COUPON,
        list_total=ZERO,
        course_discount=ZERO,
        global_discount=ZERO,
        beili=0,
        beili_per_yuan=settings.BEILI_PER_YUAN,
        beili_amount=ZERO,
        cash_due=ZERO,
        created_at=now,
        expires_at=now,
        closes_at=now,
    )


def _line_of(order: Order, course: Course, days: int) -> OrderLine:
    return OrderLine(
        order=order,
        course=course,
        course_name=course.name,
        course_img=course.course_img,
        valid_period=days,
        valid_period_display=f"{days}天（客服开通）",
        list_price=ZERO,
        course_discount=ZERO,
        global_discount=ZERO,
        beili_amount=ZERO,
        cash_amount=ZERO,
    )
