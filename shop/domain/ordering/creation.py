"""Turns stored order requests into orders, a batch at a time: lock, decide in memory, write with a few
multi-row statements, commit once.

A request that breaks a rule is rejected alone. The result is the same as deciding the requests one by one, by
id.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction

from shop import valkey
from shop.domain import ledger, sql
from shop.domain.checkout import cart
from shop.domain.ordering.decision import Plan, decide
from shop.domain.ordering.order_batch import PendingRequest, lock_pending, lock_world
from shop.domain.orders import fulfilment
from shop.domain.orders.timeline import event, open_timelines
from shop.domain.polling.answer_cache import mark_changed
from shop.domain.work import due_rows
from shop.errors import DomainError, OrderFailed, StaleState
from shop.models import Order, OrderEvent, OrderLine, OrderRequest, PricePolicy
from shop.states import CouponRecordStatus, OrderRequestStatus, OrderStatus, PaymentType
from shop.tracing import batch_did

log = structlog.get_logger(__name__)

# Larger batches gain nothing measurable, and their rows are locked longer.
BATCH_SIZE = 64
_PERIOD_LABELS = dict(PricePolicy.Period.choices)


def create_due_orders(*, now: datetime, cause: str) -> int:
    """Claims and decides due requests, batch after batch; returns how many it claimed."""
    return due_rows.drain(
        OrderRequest, lambda ids: create_orders(ids, now=now, cause=cause), now=now, batch_size=BATCH_SIZE
    )


def create_orders(request_ids: Sequence[int], *, now: datetime, cause: str) -> None:
    """Decides those of these requests that are pending, in one transaction. Then takes the courses out of the
    carts.
    """
    with transaction.atomic(durable=True):
        requests = lock_pending(request_ids)
        if not requests:
            return
        world = lock_world(requests, now=now)
        plans, rejections = decide(requests, world)
        _write(plans, now=now, cause=cause)
        _close_requests(plans, rejections, now=now)
    _empty_carts(plans)
    batch_did(
        "orders_created",
        [request.request_id for request in requests],
        {"created": len(plans), "refused": len(rejections)},
    )


def _write(plans: Sequence[Plan], *, now: datetime, cause: str) -> None:
    if not plans:
        return
    orders = [_order(plan, now=now) for plan in plans]
    sql.insert(orders)
    made = list(zip(orders, plans, strict=True))
    sql.insert([line for order, plan in made for line in _lines(order, plan)])
    _reserve_coupons(
        [(record_id, order.pk) for order, plan in made for record_id in plan.purchase.coupon_record_ids]
    )
    sql.insert(ledger.hold_transfers(orders, now=now))
    open_timelines([entry for order, plan in made for entry in _events(order, plan, now=now, cause=cause)])
    fulfilment.finalise_orders([order for order in orders if order.cash_due == 0], now=now, cause=cause)


def _order(plan: Plan, *, now: datetime) -> Order:
    quote = plan.quote
    expires_at = now + timedelta(seconds=settings.ORDER_TTL_S)
    closes_at = expires_at + timedelta(seconds=settings.ORDER_GRACE_S)
    return Order(
        request=plan.request.row,
        account_id=plan.request.account_id,
        order_number=plan.request.order_number,
        trace_id=plan.request.request_id,
        status=OrderStatus.AWAITING_PAYMENT,
        payment_type=PaymentType.ALIPAY
        if quote.cash_due
        else PaymentType.BEILI
        if quote.beili
        else PaymentType.COUPON,
        list_total=quote.list_total,
        course_discount=quote.course_discount,
        global_discount=quote.global_discount,
        global_coupon_record_id=plan.purchase.coupon_record_id,
        beili=quote.beili,
        beili_per_yuan=settings.BEILI_PER_YUAN,
        beili_amount=quote.beili_amount,
        cash_due=quote.cash_due,
        created_at=now,
        expires_at=expires_at,
        closes_at=closes_at,
        available_at=closes_at,
    )


def _lines(order: Order, plan: Plan) -> list[OrderLine]:
    return [
        OrderLine(
            order=order,
            course_id=choice.course_id,
            policy=policy,
            course_name=policy.course.name,
            course_img=policy.course.course_img,
            valid_period=policy.valid_period,
            valid_period_display=_PERIOD_LABELS[policy.valid_period],
            starts_on=policy.course.starts_on,
            list_price=line.list_price,
            coupon_record_id=choice.coupon_record_id,
            course_discount=line.course_discount,
            global_discount=line.global_discount,
            beili_amount=line.beili_amount,
            cash_amount=line.cash_amount,
        )
        for choice, policy, line in zip(plan.purchase.lines, plan.policies, plan.quote.lines, strict=True)
    ]


_RESERVE = sql.statement(
    """
    UPDATE shop_couponrecord AS record SET status = {CouponRecordStatus.RESERVED}, order_id = pair.order_id
    FROM unnest(%s::bigint[], %s::bigint[]) AS pair(id, order_id) WHERE record.id = pair.id
        AND record.status = {CouponRecordStatus.UNUSED}
""",
    CouponRecordStatus,
)


def _reserve_coupons(pairs: Sequence[tuple[int, int]]) -> None:
    if not pairs:
        return
    if sql.write(
        _RESERVE, [[record_id for record_id, _ in pairs], [order_id for _, order_id in pairs]]
    ) != len(pairs):
        raise StaleState("a coupon was taken although its row is locked")


def _events(order: Order, plan: Plan, *, now: datetime, cause: str) -> list[OrderEvent]:
    kinds = OrderEvent.Kind
    events = [
        event(
            order,
            kinds.PLACED,
            now=now,
            cause=cause,
            list_total=str(order.list_total),
            alipay=str(order.cash_due),
        )
    ]
    if coupon_record_ids := plan.purchase.coupon_record_ids:
        saved = order.course_discount + order.global_discount
        events.append(
            event(
                order,
                kinds.COUPONS_RESERVED,
                now=now,
                cause=cause,
                coupons=len(coupon_record_ids),
                saved=str(saved),
            )
        )
    if order.beili:
        events.append(event(order, kinds.BEILI_HELD, now=now, cause=cause, beili=order.beili))
    return events


_CLOSE = sql.statement(
    "UPDATE shop_orderrequest SET status = {OrderRequestStatus.CREATED}, decided_at = %s, available_at = "
    "NULL, last_error = '' WHERE id = ANY(%s)",
    OrderRequestStatus,
)


def _close_requests(
    plans: Sequence[Plan], rejections: Sequence[tuple[PendingRequest, DomainError]], *, now: datetime
) -> None:
    if plans:
        sql.write(_CLOSE, [now, [plan.request.row.pk for plan in plans]])
    if not rejections:
        return
    for request, refusal in rejections:
        _reject(request.row, refusal, now=now)
    OrderRequest.objects.bulk_update(
        [request.row for request, _ in rejections],
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
    """Rejects requests that used all their attempts; returns how many. Nothing was taken from their buyers,
    who can order again.
    """
    refusal = OrderFailed()
    with transaction.atomic(durable=True):
        buried = OrderRequest.objects.filter(
            pk__in=due_rows.bury_exhausted(OrderRequest, now=now), status=OrderRequestStatus.PENDING
        )
        mark_changed(list(buried.values_list("order_number", flat=True)))
        return buried.update(
            status=OrderRequestStatus.REJECTED,
            decided_at=now,
            error_slug=refusal.slug,
            error_message=refusal.text,
        )


def _empty_carts(plans: Sequence[Plan]) -> None:
    """Takes the bought courses out of the carts.

    A cart that keeps them is a nuisance, not a loss: the checkout can't be used again.
    """
    try:
        cart.remove_from_carts(
            [
                (plan.request.account_id, [choice.course_id for choice in plan.purchase.lines])
                for plan in plans
            ]
        )
    except valkey.Unreachable as error:
        log.warning("cart_not_emptied", error=str(error))
