"""Forms that Alipay signed: notifications, and the buyer's way back."""

import re
from collections.abc import Callable, Mapping, Sequence

from payments.gateways.alipay import wire
from payments.gateways.protocol import InvalidSignature

NOTIFICATION_NEEDS = ("app_id", "seller_id", "trade_no", "out_trade_no", "trade_status", "total_amount", "notify_id", "notify_time")
RETURN_NEEDS = ("app_id", "seller_id", "out_trade_no", "total_amount")
_SIGNATURE = re.compile(r"[A-Za-z0-9+/]{342}==")
_NOT_SIGNED = frozenset({"sign", "sign_type"})
# Values are signed unescaped, joined by & and =: a field that may hold neither can't have swallowed its neighbour.
_FIELDS = {
    "app_id": re.compile(r"\d{1,32}"),
    "seller_id": re.compile(r"\d{1,32}"),
    "trade_no": re.compile(r"[A-Za-z0-9_]{1,64}"),
    "out_trade_no": re.compile(r"[A-Za-z0-9_]{1,64}"),
    "trade_status": re.compile(r"[A-Z_]{1,32}"),
    "total_amount": wire.AMOUNT,
    "notify_time": wire.TIME,
    "notify_type": re.compile(r"[a-z_]{1,64}"),
    "notify_id": re.compile(r"[A-Za-z0-9_-]{1,128}"),
    "refund_fee": wire.AMOUNT,
    "gmt_payment": wire.TIME,
    "gmt_refund": wire.TIME,
    "out_biz_no": re.compile(r"[A-Za-z0-9_-]{1,64}"),
}


def read_signed(form: Mapping[str, str], *, needs: Sequence[str], find_signing_key: Callable[[str, str], str | None]) -> str:
    """Proves a form and returns the fingerprint of the key that signed it.

    Raises:
        InvalidSignature: it isn't Alipay's, or isn't formed as Alipay's are.
    """
    # The algorithm is ours to choose, never the message's; a missing sign_type counts as another one.
    if form.get("sign_type") != "RSA2":
        raise InvalidSignature("sign_type is not RSA2")
    signature = form.get("sign", "")
    if not _SIGNATURE.fullmatch(signature):
        raise InvalidSignature("sign is not the base64 of an RSA-2048 signature")
    signed_by = find_signing_key(signed_text(form), signature)
    if signed_by is None:
        raise InvalidSignature("the signature is wrong")
    for name in needs:
        if not form.get(name):
            raise InvalidSignature(f"{name} is missing")
    for name, value in form.items():
        if value and (pattern := _FIELDS.get(name)) and not pattern.fullmatch(value):
            raise InvalidSignature(f"{name} is not formed as Alipay forms it")
    return signed_by


def signed_text(form: Mapping[str, str]) -> str:
    """What Alipay signed of a notification or a return: all of it but the signature and its kind, as the SDK's `verify` joins it."""
    return "&".join([f"{name}={value}" for name, value in sorted(form.items()) if name not in _NOT_SIGNED])


def find_claimed_app(body: bytes) -> str | None:
    """The app that a notification says it is for, unproven; None if it isn't a form or names none."""
    try:
        return wire.read_form(body).get("app_id")
    except ValueError:
        return None
