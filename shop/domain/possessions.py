"""What a buyer has: courses and 贝里."""

from django.db.models import QuerySet

from shop.models import Account, Enrolment, LedgerTransfer


def list_enrolments(*, account: Account) -> QuerySet[Enrolment]:
    """The buyer's enrolments, newest first."""
    return Enrolment.objects.filter(account=account).select_related("course", "order_line__order").order_by("-id")


def list_beili_transfers(*, account: Account) -> QuerySet[LedgerTransfer]:
    """The buyer's transfers of 贝里, newest first."""
    return (
        LedgerTransfer.objects.filter(account=account, debit__startswith="beili_")
        .exclude(debit="beili_redeemed")
        .select_related("order")
        .order_by("-id")
    )
