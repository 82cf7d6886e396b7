"""Taking due refunds as far as they go: ours are sent and proven, reported ones are proven."""

from datetime import datetime, timedelta

import structlog
from django.db import transaction

from payments.domain.locks import lock_refund
from payments.domain.refunds import booking, external
from payments.gateways.protocol import Gateway, GatewayRejected, Gateways, GatewayUnreachable, RefundIntent
from payments.models import Refund
from payments.states import REFUNDS_UNDER_WAY, RefundKind, RefundStatus
from shop.domain import work
from shop.domain.timeline import event, record
from shop.models import OrderEvent

log = structlog.get_logger(__name__)

# Alipay wants ten seconds before a refund is queried. What was taken is asked about until it is proven, or the attempts are used up.
ASK_AGAIN_AFTER = timedelta(seconds=12)
# How often a refund is looked at again that is held back by one that nobody has explained. An explanation makes it due at once.
HELD_BACK_FOR = timedelta(minutes=5)


def send_due_refunds(*, gateways: Gateways, now: datetime, cause: str) -> int:
    """Claims and takes on due refunds, one after the other; returns how many it claimed."""
    return work.drain(Refund, lambda ids: send_refund(ids[0], gateways=gateways, now=now, cause=cause), now=now, batch_size=1)


def send_refund(refund_id: int, *, gateways: Gateways, now: datetime, cause: str) -> None:
    """Takes one refund as far as it goes: notes that it is sent, sends it, books it once the gateway proves it.

    Running it again sends the identical request, which Alipay takes for the same refund. While something about the payment's refunds is
    unexplained, nothing is sent: one that hasn't left yet waits, one that has is only asked about.

    Raises:
        GatewayUnreachable: the outcome is unknown and noted so; the same request goes out again later.
        GatewayRejected: refused for now; the same request goes out again later.
        GatewayNotConfigured: the credentials of its payment are missing.
    """
    if Refund.objects.values_list("kind", flat=True).get(pk=refund_id) == RefundKind.EXTERNAL:
        external.prove_external(refund_id, gateways=gateways, now=now, cause=cause)
        return
    refund = _mark_sent(refund_id, now=now, cause=cause)
    if refund is None:
        return
    if refund.payment is None:
        booking.succeed(refund_id, now=now, cause=cause)
        return
    gateway = gateways.gateway_for(refund.payment)
    try:
        is_done = _ask(refund, gateway, may_send=not external.is_unexplained(refund.payment))
    except GatewayRejected as refusal:
        # A final no is for people to look at; another one (an empty merchant balance) is asked again later.
        if not refusal.is_final:
            raise
        booking.fail(refund_id, refusal.code, now=now, cause=cause)
        return
    except GatewayUnreachable:
        Refund.objects.filter(pk=refund_id, status__in=REFUNDS_UNDER_WAY).update(status=RefundStatus.UNKNOWN)
        raise
    if is_done:
        booking.succeed(refund_id, now=now, cause=cause)
        return
    # Taken, not yet proven.
    wait = max(ASK_AGAIN_AFTER, work.backoff(refund.attempts))
    Refund.objects.filter(pk=refund_id, status__in=REFUNDS_UNDER_WAY).update(status=RefundStatus.UNKNOWN, available_at=now + wait)


def give_up_refunds(*, now: datetime) -> int:
    """Leaves the refunds that used all their attempts to people; the money is still owed. Returns how many.

    A reported refund that couldn't be proven stays reported, and keeps blocking others of its payment, until staff dismiss it.
    """
    exhausted = work.exhausted(Refund, now=now)
    count = 0
    for pk in sorted(exhausted.values_list("pk", flat=True)[:1000]):
        with transaction.atomic(durable=True):
            refund = lock_refund(pk)
            if exhausted.filter(pk=pk).update(available_at=None, dead_at=now):
                if refund.kind == RefundKind.EXTERNAL:
                    log.error("external_refund_unproven", out_request_no=refund.out_request_no, alert=True)
                booking.fail_locked(refund, "attempts_exhausted", now=now, cause="sweep")
                count += 1
    return count


def _ask(refund: Refund, gateway: Gateway, *, may_send: bool) -> bool:
    """Whether the gateway proves the refund. A first call sends it; a later one looks first and repeats it only if it isn't there.

    A repeat may be refused because the first was done (the trade is over then), so a refusal counts only if a query agrees.
    """
    assert refund.payment is not None
    intent = RefundIntent(
        out_trade_no=refund.payment.out_trade_no, out_request_no=refund.out_request_no, amount=refund.amount, reason=refund.reason or "退款"
    )
    if refund.status == RefundStatus.REQUESTED:
        return gateway.refund(intent) or _is_there(gateway, intent)
    if _is_there(gateway, intent):
        return True
    if not may_send:
        return False
    try:
        return gateway.refund(intent) or _is_there(gateway, intent)
    except GatewayRejected:
        if _is_there(gateway, intent):
            return True
        raise


def _is_there(gateway: Gateway, intent: RefundIntent) -> bool:
    movement = gateway.find_refund(intent.out_trade_no, intent.out_request_no)
    if movement is not None and movement.amount != intent.amount:
        raise GatewayUnreachable(f"refund {intent.out_request_no} is there with {movement.amount} instead of {intent.amount}")
    return movement is not None


def _mark_sent(refund_id: int, *, now: datetime, cause: str) -> Refund | None:
    """Notes the intent before the call. From here until the answer the outcome is unknown, also if this process dies.

    Answers the refund as it was before; None when it isn't to be sent (now).
    """
    with transaction.atomic(durable=True):
        refund = lock_refund(refund_id)
        if refund.approved_at is None or refund.status not in {RefundStatus.REQUESTED, *REFUNDS_UNDER_WAY}:
            Refund.objects.filter(pk=refund_id).update(available_at=None)
            return None
        if refund.status != RefundStatus.REQUESTED:
            return refund
        if refund.payment is not None and external.is_unexplained(refund.payment):
            Refund.objects.filter(pk=refund_id).update(available_at=now + HELD_BACK_FOR, attempts=0)
            return None
        Refund.objects.filter(pk=refund_id).update(status=RefundStatus.SENT, sent_at=now)
        record([event(refund.order, OrderEvent.Kind.REFUND_SENT, now=now, cause=cause, out_request_no=refund.out_request_no)])
    return refund
