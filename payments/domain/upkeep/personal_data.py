"""A buyer's personal data, all of it: handed out, or erased.

Orders, money and the ledger stay, under a name that says nothing.
"""

from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import QuerySet
from knox.models import AuthToken

from payments.domain.upkeep import retention
from payments.errors import AccountInUse, AccountIsStaff
from payments.models import Notification, Payment, Refund, RefundLine
from payments.models.notification import read_fields
from payments.states import NotificationStatus, RefundStatus
from shop.domain.accounts import tokens
from shop.domain.checkout import cart, store
from shop.domain.locks import lock_account
from shop.models import (
    Account,
    CouponRecord,
    Enrolment,
    LedgerTransfer,
    Order,
    OrderEvent,
    OrderLine,
    OrderRequest,
)
from shop.states import OrderRequestStatus, OrderStatus

_UNSETTLED_REFUNDS = (
    RefundStatus.REPORTED,
    RefundStatus.REQUESTED,
    RefundStatus.SENT,
    RefundStatus.UNKNOWN,
    RefundStatus.FAILED,
)
_UNSETTLED_NOTIFICATIONS = (
    NotificationStatus.RECEIVED,
    NotificationStatus.ASKED,
    NotificationStatus.QUARANTINED,
)
# Secrets, and what only means something to the program.
_HELD_BACK = frozenset({"password", "digest", "token_key", "raw_body", "fingerprint", "business_key"})


def export_account(account: Account) -> dict[str, Any]:
    """Every row about the buyer by its table, with values as `DjangoJSONEncoder` writes them, and the cart.

    No password and no token.
    """
    found = {
        name: [_shown(row) for row in rows.order_by("pk").values()]
        for name, rows in _rows_of(account).items()
    }
    choices = cart.read_choices(account_id=account.pk).values()
    return {
        **found,
        "cart": [
            {"course_id": one.course_id, "policy_id": one.policy_id, "price_seen": one.price_seen}
            for one in choices
        ],
    }


def anonymise_account(account_id: int, *, now: datetime) -> Account:
    """Erases who the buyer is, ends all logins and disables the account, for good.

    The second time changes nothing.

    Raises:
        NotFound: no such account.
        AccountIsStaff: what staff did stays signed with their name.
        AccountInUse: an order, a refund or a notification is still under way.
    """
    with transaction.atomic(durable=True):
        account = lock_account(account_id)
        if account.is_staff or account.is_superuser:
            raise AccountIsStaff
        if what := _under_way(account):
            raise AccountInUse(under_way=what)
        tokens.end_logins([account.pk])
        account.username = f"anonymised-{account.pk}"
        account.first_name = account.last_name = account.email = account.phone = ""
        account.last_login = None
        account.set_unusable_password()
        account.is_active = False
        account.save(
            update_fields=[
                "username",
                "first_name",
                "last_name",
                "email",
                "phone",
                "last_login",
                "password",
                "is_active",
            ]
        )
        account.groups.clear()
        account.user_permissions.clear()
        Refund.objects.filter(order__account=account).exclude(reason="").update(reason="")
        retention.redact_notifications_of(account.pk, now=now)
        admin_log = LogEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(Account), object_id=str(account.pk)
        )
        admin_log.update(object_repr=account.username)
        transaction.on_commit(lambda: _forget(account), robust=True)
    return account


def _rows_of(account: Account) -> dict[str, QuerySet[Any]]:
    orders = Order.objects.filter(account=account)
    payments = Payment.objects.filter(order__account=account)
    refunds = Refund.objects.filter(order__account=account)
    return {
        "account": Account.objects.filter(pk=account.pk),
        "logins": AuthToken.objects.filter(user=account),
        "order_requests": OrderRequest.objects.filter(account=account),
        "orders": orders,
        "order_lines": OrderLine.objects.filter(order__in=orders),
        "order_events": OrderEvent.objects.filter(order__in=orders),
        "payments": payments,
        "notifications": Notification.objects.filter(payment__in=payments),
        "refunds": refunds,
        "refund_lines": RefundLine.objects.filter(refund__in=refunds),
        "coupons": CouponRecord.objects.filter(account=account),
        "enrolments": Enrolment.objects.filter(account=account),
        "transfers": LedgerTransfer.objects.filter(account=account),
    }


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    if "raw_body" in row:
        row |= {"form": read_fields(row["raw_body"], row["form"])}
    return {name: value for name, value in row.items() if name not in _HELD_BACK}


def _under_way(account: Account) -> list[str]:
    waiting: dict[str, QuerySet[Any]] = {
        "order_requests": OrderRequest.objects.filter(account=account, status=OrderRequestStatus.PENDING),
        "orders": Order.objects.filter(account=account, status=OrderStatus.AWAITING_PAYMENT),
        "refunds": Refund.objects.filter(order__account=account, status__in=_UNSETTLED_REFUNDS),
        "notifications": Notification.objects.filter(
            payment__order__account=account, status__in=_UNSETTLED_NOTIFICATIONS
        ),
    }
    return [name for name, rows in waiting.items() if rows.exists()]


def _forget(account: Account) -> None:
    """What Valkey holds of the buyer. It ends by itself if Valkey is away now."""
    cart.clear_cart(account=account)
    store.remove_checkouts(account_id=account.pk)
