"""Takes due refunds as far as they go: ours are sent and proven, reported ones are proven."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction

from payments.domain.calling import Callers, Errand, run
from payments.domain.locks import lock_refund
from payments.domain.refunds import booking, concluding, external
from payments.gateways.protocol import (
    Gateway,
    GatewayError,
    GatewayRejected,
    Gateways,
    GatewayUnreachable,
    RefundIntent,
    RefundMovement,
)
from payments.models import Refund
from payments.states import REFUNDS_UNDER_WAY, RefundKind, RefundStatus
from shop.domain.locks import existing
from shop.domain.orders.timeline import event, record
from shop.domain.work import due_rows
from shop.models import OrderEvent

log = structlog.get_logger(__name__)

# Alipay wants ten seconds before a refund is queried. A refund that Alipay accepted is queried until it is
# proven or the attempts are used up.
ASK_AGAIN_AFTER = timedelta(seconds=12)
# How often to look again at a refund that an unexplained one holds back. An explanation makes it due at once.
HELD_BACK_FOR = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Sending:
    """A refund to be sent or asked about.

    Only one whose intent is noted is sent; `may_send` forbids it while something is unexplained.
    """

    refund: Refund
    may_send: bool

    @property
    def row_id(self) -> int:
        return self.refund.pk

    @property
    def trace_id(self) -> str:
        return self.refund.order.trace_id


@dataclass(frozen=True, slots=True)
class _Told:
    """What the gateway made of it. `movement` is an external refund's, `failure` what stands in the way."""

    is_done: bool = False
    movement: RefundMovement | None = None
    failure: GatewayError | None = None


def send_due_refunds(*, gateways: Gateways, now: datetime, cause: str, callers: Callers | None = None) -> int:
    """Claims and takes on due refunds; returns how many it claimed."""

    def prepare(refund_ids: Sequence[int]) -> list[_Sending]:
        begun = [_begin(pk, now=now, cause=cause) for pk in refund_ids]
        return [sending for sending in begun if sending is not None]

    def settle(answers: Sequence[tuple[_Sending, _Told]]) -> None:
        for sending, told in answers:
            _settle(sending, told, now=now, cause=cause)

    errand = Errand(Refund, prepare, lambda sending: _ask(sending, gateways=gateways), settle, batch=1)
    return run(errand, gateways=gateways, now=now, callers=callers)


def send_refund(refund_id: int, *, gateways: Gateways, now: datetime, cause: str) -> None:
    """Takes one refund as far as it goes: notes that it is sent, sends it, books it once the gateway proves
    it.

    A retry sends the identical request, which Alipay treats as the same refund. While something about the
    payment's refunds is unexplained, nothing is sent: a refund that hasn't been sent waits, and one that has
    is only queried.

    Raises:
        NotFound: no such refund.
        GatewayUnreachable: the outcome is unknown and noted so; the same request goes out again later.
        GatewayRejected: refused for now; the same request goes out again later.
        GatewayNotConfigured: the credentials of its payment are missing.
    """
    sending = _begin(refund_id, now=now, cause=cause)
    if sending is not None:
        _settle(sending, _ask(sending, gateways=gateways), now=now, cause=cause)


def give_up_refunds(*, now: datetime) -> int:
    """Hands refunds that used all their attempts to people; the money is still owed. Returns how many.

    A reported refund that couldn't be proven stays reported, and keeps blocking others of its payment, until
    staff dismiss it.
    """
    exhausted = due_rows.exhausted(Refund, now=now)
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


def _begin(refund_id: int, *, now: datetime, cause: str) -> _Sending | None:
    """Notes what is going to be asked; None where the gateway has nothing to say."""
    refund = existing(Refund.objects.select_related("payment", "order").filter(pk=refund_id).first())
    if refund.kind == RefundKind.EXTERNAL:
        return _Sending(refund, may_send=False) if refund.status == RefundStatus.REPORTED else None
    marked = _mark_sent(refund_id, now=now, cause=cause)
    if marked is None:
        return None
    if marked.payment is None:
        booking.succeed(refund_id, now=now, cause=cause)
        return None
    return _Sending(marked, may_send=not concluding.is_unexplained(marked.payment))


def _ask(sending: _Sending, *, gateways: Gateways) -> _Told:
    """The calls; no database."""
    refund = sending.refund
    assert refund.payment is not None
    if refund.kind == RefundKind.EXTERNAL:
        return _Told(movement=external.find_movement(refund, gateways=gateways))
    gateway = gateways.gateway_for(refund.payment)
    try:
        return _Told(is_done=_send(refund, gateway, may_send=sending.may_send))
    except GatewayError as failure:
        return _Told(failure=failure)


def _settle(sending: _Sending, told: _Told, *, now: datetime, cause: str) -> None:
    """
    Raises:
        GatewayUnreachable, GatewayRejected: it is to be sent or asked about again.
    """
    refund_id, under_way = (
        sending.row_id,
        Refund.objects.filter(pk=sending.row_id, status__in=REFUNDS_UNDER_WAY),
    )
    match told:
        case _Told(movement=RefundMovement() as movement):
            external.book_external(refund_id, movement, now=now, cause=cause)
        case _Told(is_done=True):
            booking.succeed(refund_id, now=now, cause=cause)
        case _Told(failure=GatewayRejected(is_final=True) as refusal):
            # Left to people. Any other refusal (an empty merchant balance) is retried later.
            booking.fail(refund_id, refusal.code, now=now, cause=cause)
        case _Told(failure=GatewayUnreachable() as silence):
            under_way.update(status=RefundStatus.UNKNOWN)
            raise silence
        case _Told(failure=GatewayError() as failure):
            raise failure
        case _:
            # Taken, not yet proven.
            wait = max(ASK_AGAIN_AFTER, due_rows.backoff(sending.refund.attempts))
            under_way.update(status=RefundStatus.UNKNOWN, available_at=now + wait)


def _send(refund: Refund, gateway: Gateway, *, may_send: bool) -> bool:
    """Sends the refund; returns whether the gateway proves it.

    The first call sends it. Later calls query it first, and repeat it only if the gateway doesn't know it.

    A repeat may be refused because the first call was done (the trade is over then), so a refusal counts only
    if a query agrees.
    """
    assert refund.payment is not None
    intent = RefundIntent(
        out_trade_no=refund.payment.out_trade_no,
        out_request_no=refund.out_request_no,
        amount=refund.amount,
        reason=refund.reason or "退款",
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
        raise GatewayUnreachable(
            f"refund {intent.out_request_no} is there with {movement.amount} instead of {intent.amount}"
        )
    return movement is not None


def _mark_sent(refund_id: int, *, now: datetime, cause: str) -> Refund | None:
    """Notes the intent before the call.

    From here until the answer the outcome is unknown, also if this process dies.

    Answers the refund as it was before; None when it isn't to be sent (now).
    """
    with transaction.atomic(durable=True):
        refund = lock_refund(refund_id)
        if refund.approved_at is None or refund.status not in {RefundStatus.REQUESTED, *REFUNDS_UNDER_WAY}:
            Refund.objects.filter(pk=refund_id).update(available_at=None)
            return None
        if refund.status != RefundStatus.REQUESTED:
            return refund
        if refund.payment is not None and concluding.is_unexplained(refund.payment):
            Refund.objects.filter(pk=refund_id).update(available_at=now + HELD_BACK_FOR, attempts=0)
            return None
        Refund.objects.filter(pk=refund_id).update(status=RefundStatus.SENT, sent_at=now)
        record(
            [
                event(
                    refund.order,
                    OrderEvent.Kind.REFUND_SENT,
                    now=now,
                    cause=cause,
                    out_request_no=refund.out_request_no,
                )
            ]
        )
    return refund
