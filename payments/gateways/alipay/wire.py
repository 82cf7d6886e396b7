"""How Alipay writes: forms, times, amounts, texts and the states of trades."""

import re
import unicodedata
from datetime import datetime
from decimal import Decimal
from typing import Final
from urllib.parse import unquote_to_bytes
from zoneinfo import ZoneInfo

from payments.gateways.protocol import TradeStatus

BEIJING = ZoneInfo("Asia/Shanghai")
MAX_FIELDS = 100
MAX_SUBJECT_CHARACTERS, MAX_SUBJECT_BYTES = 128, 256
# The last four are letters to Unicode and blank to people.
_FORBIDDEN = frozenset("/=&\u115f\u1160\u3164\uffa0")
_FEN = Decimal("0.01")
AMOUNT: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,2})?")
TIME: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,3})?", re.ASCII)
# Ours, and whatever another program of the merchant's or the console makes: graphic ASCII.
REFUND_NUMBER: Final = re.compile(r"[!-~]{1,64}")
STATUSES: Final = {
    "WAIT_BUYER_PAY": TradeStatus.WAITING,
    "TRADE_SUCCESS": TradeStatus.PAID,
    "TRADE_FINISHED": TradeStatus.FINISHED,
    "TRADE_CLOSED": TradeStatus.CLOSED,
}


def read_form(body: bytes) -> dict[str, str]:
    """The fields of an ASCII form, each once, in UTF-8: what `parse_qsl` finds when it is strict, in half its
    time.

    Raises:
        ValueError: it is another kind of body.
    """
    pairs = body.decode("ascii").split("&")
    if len(pairs) > MAX_FIELDS:
        raise ValueError("too many fields")
    form: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError("a field has no value")
        form[_unquoted(name)] = _unquoted(value)
    if len(form) != len(pairs):
        raise ValueError("a field comes twice")
    if any("\x00" in value for value in form.values()):
        raise ValueError("a field holds a NUL")
    return form


def _unquoted(text: str) -> str:
    plain = text.replace("+", " ")
    return unquote_to_bytes(plain).decode() if "%" in plain else plain


def plain_subject(text: str, *, fallback: str = "在线课程") -> str:
    """A subject that Alipay takes and shows, and that can't blur the borders of signed fields. Never blank.

    Alipay documents 256 without saying of what, and counts bytes in some places: a text within 128 characters
    and 256 bytes, in UTF-8 as in GB18030 (of which its GBK is a part), is within any reading. It forbids `/ =
    &`. Control characters, emoji and other symbols that its bills can't write become spaces.
    """
    kept = "".join(char if _is_plain(char) else " " for char in unicodedata.normalize("NFC", text))
    subject = _cut(" ".join(kept.split())).strip()
    return subject if any(unicodedata.category(char)[0] != "M" for char in subject) else fallback


def _is_plain(char: str) -> bool:
    if char in _FORBIDDEN or not char.isprintable() or char > "\uffff":
        return False
    return unicodedata.category(char)[0] in "LMN" or len(char.encode("gbk", "ignore")) > 0


def _cut(text: str) -> str:
    size = 0
    for position, char in enumerate(text):
        size += max(len(char.encode()), len(char.encode("gb18030")))
        if size > MAX_SUBJECT_BYTES or position == MAX_SUBJECT_CHARACTERS:
            return text[:position]
    return text


def yuan(text: str) -> Decimal:
    """An amount with exactly two places.

    Raises:
        ArithmeticError: it isn't a number.
    """
    return Decimal(text).quantize(_FEN)


def beijing_time(moment: datetime) -> str:
    """A moment as Alipay writes it."""
    return moment.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def from_beijing_time(text: str | None) -> datetime | None:
    """The moment that Alipay means, or None for no text.

    Raises:
        ValueError: it isn't a time.
    """
    return datetime.fromisoformat(text).replace(tzinfo=BEIJING) if text else None


def find_time(text: str | None) -> datetime | None:
    """As `from_beijing_time`, for a time that only informs: None also for what isn't one."""
    try:
        return from_beijing_time(text) if text and TIME.fullmatch(text) else None
    except ValueError:
        return None
