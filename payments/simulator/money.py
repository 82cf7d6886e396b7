"""Yuan on the wire, whole fen inside."""

import re

AMOUNT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,2}))?")


def parse_yuan(text: object) -> int | None:
    """An amount such as "19.90", 19.9 or 1 in fen; None unless it is an amount with at most two decimals."""
    match = AMOUNT.fullmatch(str(text))
    if match is None:
        return None
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))


def parse_difference(text: str) -> int | None:
    """Like `parse_yuan`, but may be negative."""
    fen = parse_yuan(text.removeprefix("-"))
    return fen if fen is None or not text.startswith("-") else -fen


def format_yuan(fen: int) -> str:
    """Always two decimals, as the gateway writes amounts."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"
