"""How long personal data of notifications is kept.

The books keep what they are proved by: numbers, amounts, states and times.
"""

import json
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from payments.domain.locks import lock_handled_notifications
from payments.models.notification import read_fields
from shop.domain import sql

# What stays of a notification's form: whose money it was, Alipay's account names and channels among them,
# goes.
KEPT_FIELDS = (
    "notify_time", "notify_type", "notify_id", "app_id", "auth_app_id", "charset", "version", "sign_type",
    "trade_no", "out_trade_no",
    "out_biz_no", "seller_id", "trade_status", "total_amount", "receipt_amount", "invoice_amount",
    "buyer_pay_amount", "point_amount",
    "refund_fee", "send_back_fee", "gmt_create", "gmt_payment", "gmt_refund", "gmt_close",
)  # fmt: skip
# The `notification_personal_data` index loses these rows.
_REDACT = """
    UPDATE payments_notification AS notification SET raw_body = '', form = kept.form::jsonb
    FROM unnest(%s::bigint[], %s::text[]) AS kept(id, form) WHERE notification.id = kept.id
"""


def purge_personal_data(*, now: datetime, limit: int) -> int:
    """Takes personal data out of up to `limit` notifications that were handled over `PERSONAL_DATA_DAYS` days
    ago; returns how many. 0 days: never.
    """
    if not settings.PERSONAL_DATA_DAYS:
        return 0
    return _redact(before=now - timedelta(days=settings.PERSONAL_DATA_DAYS), account_id=None, limit=limit)


def redact_notifications_of(account_id: int, *, now: datetime) -> int:
    """Takes personal data out of every handled notification of the account's payments; returns how many."""
    return _redact(before=now, account_id=account_id, limit=None)


def _redact(*, before: datetime, account_id: int | None, limit: int | None) -> int:
    with transaction.atomic():
        found = lock_handled_notifications(before=before, account_id=account_id, limit=limit)
        ids, bodies = [pk for pk, _ in found], [_kept(body) for _, body in found]
        return sql.write(_REDACT, [ids, bodies])


def _kept(raw_body: str) -> str:
    fields = read_fields(raw_body, None)
    return json.dumps({name: fields[name] for name in KEPT_FIELDS if name in fields})
