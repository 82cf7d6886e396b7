"""The gateway's times: seconds since the epoch inside, Beijing time as text on the wire."""

from datetime import datetime, timedelta, timezone

# China has one time zone without daylight saving time, so a fixed offset is exact.
BEIJING = timezone(timedelta(hours=8))
WIRE = "%Y-%m-%d %H:%M:%S"
DAY_S = 86_400


def beijing(at: float) -> datetime:
    return datetime.fromtimestamp(at, BEIJING)


def format_time(at: float) -> str:
    return beijing(at).strftime(WIRE)


def format_time_ms(at: float) -> str:
    """As `format_time`, with milliseconds, which only gmt_refund in notifications has."""
    moment = beijing(at)
    return f"{moment.strftime(WIRE)}.{moment.microsecond // 1000:03d}"


def parse_time(text: str) -> float | None:
    """None if the text is not exactly `yyyy-MM-dd HH:mm:ss`."""
    try:
        moment = datetime.strptime(text, WIRE).replace(tzinfo=BEIJING)
    except ValueError:
        return None
    # strptime also accepts "2026-1-1 1:1:1"; the gateway doesn't.
    return moment.timestamp() if moment.strftime(WIRE) == text else None


def parse_timeout_s(text: str, now: float) -> float | None:
    """Seconds of a `timeout_express` such as 30m, 2h, 1d, or 1c (until midnight); None if it is invalid or
    outside 1m-15d.
    """
    if text == "1c":
        midnight = beijing(now).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return midnight.timestamp() - now
    units = {"m": 60, "h": 3600, "d": DAY_S}
    if len(text) < 2 or text[-1] not in units or not text[:-1].isascii() or not text[:-1].isdigit():
        return None
    seconds = int(text[:-1]) * units[text[-1]]
    return float(seconds) if 60 <= seconds <= 15 * DAY_S else None
