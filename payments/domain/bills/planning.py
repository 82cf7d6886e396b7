"""Plans the bills to compare: one for each configured app and past day."""

from datetime import date, datetime, time, timedelta

from django.conf import settings
from django.utils import timezone

from payments.gateways.protocol import Gateways
from payments.models import Bill, Payment
from shop.clock import shanghai_date

# How far back bills are requested: longer than any outage of the shop, and than holidays.
MAX_DAYS = 31


def plan_bills(*, gateways: Gateways, now: datetime) -> int:
    """Makes the missing bills of past days due, each from `BILL_HOUR` of the next day on; returns how many.

    Nothing is older than the shop's first payment.
    """
    first = Payment.objects.order_by("id").values_list("created_at", flat=True).first()
    if first is None:
        return 0
    today = shanghai_date(now)
    begins = max(shanghai_date(first), today - timedelta(days=MAX_DAYS))
    days = [begins + timedelta(days=passed) for passed in range((today - begins).days)]
    known = set(Bill.objects.filter(day__gte=begins).values_list("provider", "app_id", "day"))
    missing = [
        Bill(
            provider=gateway.name,
            app_id=gateway.app_id,
            day=day,
            available_at=max(now, _ready_at(day)),
        )
        for gateway in gateways.all
        for day in days
        if (gateway.name, gateway.app_id, day) not in known
    ]
    # Two planners at once plan the same bills.
    Bill.objects.bulk_create(missing, ignore_conflicts=True)
    return len(missing)


def midnight_after(day: date, *, days: int = 1) -> datetime:
    """The midnight that ends the given number of days from the beginning of `day`, Beijing time."""
    return timezone.make_aware(datetime.combine(day + timedelta(days=days), time()))


def _ready_at(day: date) -> datetime:
    return midnight_after(day) + timedelta(hours=settings.BILL_HOUR)
