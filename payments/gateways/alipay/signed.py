"""Forms signed by Alipay: notifications, and the buyer's return.

Alipay signs names and values unescaped, joined by = and &. So anybody who has a genuine message can move the
boundaries between its fields without breaking the signature: a refund's amount can become part of the value,
or of the name, of its neighbour. The fields that the shop uses are therefore read from the signed text, in a
way that doesn't depend on the sender's boundaries, and a form with other boundaries around one of them is
refused. All other fields are unrestricted.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from payments.gateways.alipay import wire
from payments.gateways.protocol import InvalidSignature

NOTIFICATION_NEEDS = (
    "app_id",
    "seller_id",
    "trade_no",
    "out_trade_no",
    "trade_status",
    "total_amount",
    "notify_id",
    "notify_time",
    "notify_type",
)
RETURN_NEEDS = ("app_id", "seller_id", "out_trade_no", "total_amount")
# The fields that the report, the inbox and the choice of the app depend on.
_USED = frozenset({*NOTIFICATION_NEEDS, "gmt_payment", "refund_fee", "gmt_refund", "out_biz_no"})
_FORMS = {
    "app_id": re.compile(r"[0-9]{1,32}"),
    "seller_id": re.compile(r"[0-9]{1,32}"),
    "trade_no": re.compile(r"[A-Za-z0-9_]{1,64}"),
    "out_trade_no": re.compile(r"[A-Za-z0-9_]{1,64}"),
    "trade_status": re.compile(r"[A-Z_]{1,32}"),
    "total_amount": wire.AMOUNT,
    "notify_type": re.compile(r"[a-z_]{1,64}"),
    "notify_id": re.compile(r"[A-Za-z0-9_-]{1,128}"),
    "refund_fee": wire.AMOUNT,
    "gmt_payment": wire.TIME,
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_BORDER = re.compile(rf"(?:^|&)({_NAME.pattern})=")
_SIGNATURE = re.compile(r"[A-Za-z0-9+/]{342}==")
_NOT_SIGNED = frozenset({"sign", "sign_type"})


@dataclass(frozen=True, slots=True)
class SignedForm:
    """A form with a verified signature. `fields` are those of the signed text, whatever boundaries the sender
    chose.
    """

    fields: Mapping[str, str]
    verified_by: str


def read_signed(
    form: Mapping[str, str], *, needs: Sequence[str], find_signing_key: Callable[[str, str], str | None]
) -> SignedForm:
    """Verifies a form and reads the signed fields.

    Raises:
        InvalidSignature: Alipay didn't sign it, or it doesn't have the form of Alipay's messages.
    """
    # The algorithm is pinned: a message that names another one, or none, is refused.
    if form.get("sign_type") != "RSA2":
        raise InvalidSignature("sign_type is not RSA2")
    signature = form.get("sign", "")
    if not _SIGNATURE.fullmatch(signature):
        raise InvalidSignature("sign is not the base64 of an RSA-2048 signature")
    text = signed_text(form)
    verified_by = find_signing_key(text, signature)
    if verified_by is None:
        raise InvalidSignature("the signature is wrong")
    _check_names(form)
    fields = _read_borders(text, form)
    _check_values(form, needs)
    return SignedForm(fields, verified_by)


def signed_text(form: Mapping[str, str]) -> str:
    """The text that Alipay signs for a notification or a return: all fields but `sign` and `sign_type`,
    joined like in the SDK's `verify`.
    """
    return "&".join([f"{name}={value}" for name, value in sorted(form.items()) if name not in _NOT_SIGNED])


def _check_names(form: Mapping[str, str]) -> None:
    lower_names = {_find_lower_name(name) for name in form}
    if None in lower_names:
        raise InvalidSignature("a field's name is not formed as Alipay's are")
    if len(lower_names) != len(form):
        raise InvalidSignature("two names differ only by case")


@lru_cache(maxsize=256)  # the names are nearly always the same thirty
def _find_lower_name(name: str) -> str | None:
    return name.lower() if _NAME.fullmatch(name) else None


def _read_borders(text: str, form: Mapping[str, str]) -> dict[str, str]:
    """The fields of the signed text, split at every & that is followed by a name and =.

    Raises:
        InvalidSignature: the form and the text differ in a field that the shop uses.
    """
    if not any("&" in value for value in form.values()):
        # The usual case: each & in the text is a boundary, so the fields are those of the form.
        return {name: value for name, value in form.items() if name not in _NOT_SIGNED}
    borders = list(_BORDER.finditer(text))
    names = [border[1] for border in borders]
    for name in _USED.intersection(names):
        if name not in form or names.count(name) > 1:
            raise InvalidSignature(f"{name} is hidden in another field")
    ends = [*(border.start() for border in borders[1:]), len(text)]
    return {name: text[border.end() : end] for name, border, end in zip(names, borders, ends, strict=True)}


def _check_values(form: Mapping[str, str], needs: Sequence[str]) -> None:
    for name in needs:
        if not form.get(name):
            raise InvalidSignature(f"{name} is missing")
    for name, pattern in _FORMS.items():
        if (value := form.get(name)) and not pattern.fullmatch(value):
            raise InvalidSignature(f"{name} is not formed as Alipay forms it")


def find_claimed_app(body: bytes) -> str | None:
    """The app that a notification claims to be for, before verification; None if it isn't a form or names
    none.
    """
    try:
        return wire.read_form(body).get("app_id")
    except ValueError:
        return None
