"""Forms that Alipay signed: notifications, and the buyer's way back.

Alipay signs names and values unescaped, joined by = and &. Whoever holds a genuine message can therefore move
the borders between its fields without breaking the signature: a refund's sum can become part of its
neighbour's value, or of its name. What we act on is read from the signed text in the one way that doesn't
depend on where the sender put the borders, and a form that puts them elsewhere around a field that we use is
refused. All the other fields are free to look as they like.
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
# What the report, the inbox and the choice of keys are made from.
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
    """A form that is proven to be Alipay's.

    `fields` are those of the signed text, the same wherever the sender put the borders.
    """

    fields: Mapping[str, str]
    verified_by: str


def read_signed(
    form: Mapping[str, str], *, needs: Sequence[str], find_signing_key: Callable[[str, str], str | None]
) -> SignedForm:
    """Proves a form and reads what Alipay signed of it.

    Raises:
        InvalidSignature: it isn't Alipay's, or isn't formed as Alipay's are.
    """
    # The algorithm is ours to choose, never the message's; a missing sign_type counts as another one.
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
    """What Alipay signed of a notification or a return: all of it but the signature and its kind, as the
    SDK's `verify` joins it.
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
    """The fields of the signed text, cut at every & that a name and = follow.

    Raises:
        InvalidSignature: the form has a field that we use where the text hasn't, or the other way round.
    """
    if not any("&" in value for value in form.values()):
        # Nearly always: each & of the text is a border then, and the fields are the form's own.
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
    """The app that a notification says it is for, unproven; None if it isn't a form or names none."""
    try:
        return wire.read_form(body).get("app_id")
    except ValueError:
        return None
