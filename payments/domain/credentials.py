"""Payments whose app is no longer configured: nobody can query, close or refund them."""

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Count, F, Q

from payments.models import Payment
from payments.states import PaymentStatus


@dataclass(frozen=True, slots=True)
class MissingApp:
    """An app without credentials.

    `open_count` payments wait to be queried; `refundable_count` are paid and not fully refunded.
    """

    provider: str
    app_id: str
    open_count: int
    refundable_count: int


_OPEN = Q(status=PaymentStatus.OPEN) | Q(available_at__isnull=False)
_REFUNDABLE = Q(status=PaymentStatus.PAID, refunded_amount__lt=F("amount"))


def list_missing_apps(*, configured: Collection[tuple[str, str]]) -> list[MissingApp]:
    """The apps, by provider and app id, that payments still need and that aren't among the configured
    ones.
    """
    found = (
        Payment.objects.filter(_OPEN | _REFUNDABLE)
        .values_list("provider", "app_id")
        .annotate(open_count=Count("pk", filter=_OPEN), refundable_count=Count("pk", filter=_REFUNDABLE))
        .order_by("provider", "app_id")
    )
    return [MissingApp(*row) for row in found if row[:2] not in configured]
