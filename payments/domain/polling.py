"""Asking the gateway about payments that no notification came for."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from payments.domain import settlement
from payments.gateways.protocol import Gateway
from payments.models import Payment
from payments.states import PaymentStatus
from shop.domain import work

# One query is a network call of up to ten seconds; a task makes few of them and hands over.
QUERIES_PER_RUN = 2
# While the gateway says that nothing was paid, we ask again and again, until the attempt's deadline and a while beyond it.
ASK_UNTIL_AFTER_EXPIRY = timedelta(hours=1)


def query_due_payments(*, gateway: Gateway, now: datetime, cause: str) -> int:
    """Queries due payments, one after the other; returns how many."""
    queried = 0
    for _ in range(QUERIES_PER_RUN):
        ids = work.claim(Payment, now=now, limit=1)
        if not ids:
            break
        queried += 1
        work.run_split(
            ids,
            lambda part: query_payment(part[0], gateway=gateway, now=now, cause=cause),
            lambda pk, error: work.put_back(Payment, pk, now=now, error=error),
        )
    return queried


def query_payment(payment_id: int, *, gateway: Gateway, now: datetime, cause: str) -> None:
    """Asks about one open payment, outside any transaction, and applies the answer in one.

    Raises:
        GatewayUnreachable, GatewayRejected: nothing has changed.
    """
    payment = Payment.objects.get(pk=payment_id)
    if payment.status != PaymentStatus.OPEN:
        return
    report = gateway.query(payment.out_trade_no)
    with transaction.atomic(durable=True):
        if report is not None:
            settlement.apply_trades([report], now=now, cause=cause)
        next_query = (
            now + timedelta(seconds=settings.PAYMENT_QUERY_INTERVAL_S) if now < payment.expires_at + ASK_UNTIL_AFTER_EXPIRY else None
        )
        # An answer is no failure: the count of attempts starts anew.
        Payment.objects.filter(pk=payment_id, status=PaymentStatus.OPEN).update(available_at=next_query, attempts=0)
