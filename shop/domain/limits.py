"""Rate limits for every buyer and every address.

`LIMITS` in the settings holds the numbers. An honest client never reaches one.

A rate is a fixed window that starts with its first request. One command counts any number of rates and
returns how long the caller has to wait, so a refusal's Retry-After is exact. Counting comes before the work,
so parallel requests can't pass together.

Without Valkey (away or full) a rate lets everybody pass, except for staff's login, which then refuses.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

import structlog
from django.conf import settings

from shop import valkey
from shop.errors import DomainError, ServiceUnavailable, TooManyRequests
from shop.metrics import LIMITED
from shop.models import Order

log = structlog.get_logger(__name__)


class Rate(StrEnum):
    """What is counted over time. Each names its `(count, seconds)` in `settings.LIMITS`."""

    CHECKOUTS = "checkouts"
    CLAIMS = "claims"
    ORDER_REQUESTS = "order_requests"
    PAYMENT_STARTS_OF_ORDER = "payment_starts_of_order"
    PAYMENT_STARTS_OF_BUYER = "payment_starts_of_buyer"
    # All attempts, successful ones included: this bounds how much hashing an address can cause.
    LOGINS_OF_ADDRESS = "logins_of_address"
    # The same for devices that logged in with the name before.
    LOGINS_OF_KNOWN_NAME = "logins_of_known_name"
    # Wrong passwords. A right one gives its place back.
    LOGIN_FAILURES_OF_PAIR = "login_failures_of_pair"
    LOGIN_FAILURES_OF_ADDRESS = "login_failures_of_address"
    LOGIN_FAILURES_OF_NAME = "login_failures_of_name"
    LOGIN_FAILURES_OF_DEVICE = "login_failures_of_device"
    REGISTRATIONS_OF_ADDRESS = "registrations_of_address"
    # Wishes for a mail that resets a password.
    RESETS_OF_ADDRESS = "resets_of_address"
    RESETS_OF_MAILBOX = "resets_of_mailbox"
    PASSWORD_CHANGES = "password_changes"  # noqa: S105 - the name of a limit


@dataclass(frozen=True, slots=True)
class Share:
    """One rate of one subject: a buyer's id, an order's number, an address."""

    rate: Rate
    subject: str

    @property
    def key(self) -> str:
        """The subject is hashed: a name that somebody typed isn't stored, and no subject can be two."""
        digest = hashlib.sha256(self.subject.encode(errors="surrogatepass")).hexdigest()
        return f"limit:{self.rate}:{digest[:32]}"


def payment_shares(order: Order) -> tuple[Share, Share]:
    """What opening the cashier counts against: its order, and all orders of its buyer."""
    return Share(Rate.PAYMENT_STARTS_OF_ORDER, order.order_number), Share(
        Rate.PAYMENT_STARTS_OF_BUYER, str(order.account_id)
    )


# KEYS: the shares. ARGV: for each, its count and its window in ms. All are counted, or none when one is used
# up. Answers the 1-based index of the share that is used up and its remaining milliseconds (the longest wait
# of all), or nothing.
_SPEND = """
local blocked, wait = 0, 0
for i, key in ipairs(KEYS) do
    if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[2 * i - 1]) then
        local left = math.max(redis.call('PTTL', key), 1)
        if left > wait then blocked, wait = i, left end
    end
end
if blocked > 0 then return {blocked, wait} end
for i, key in ipairs(KEYS) do
    if redis.call('INCR', key) == 1 then redis.call('PEXPIRE', key, ARGV[2 * i]) end
end
return false
"""
# KEYS: shares to give one use of back to. One whose window has ended meanwhile stays away.
_GIVE_BACK = (
    "for _, key in ipairs(KEYS) do if redis.call('EXISTS', key) == 1 then redis.call('DECR', key) end end"
)


def spend(*shares: Share, is_open_without_valkey: bool = True) -> bool:
    """Counts one use of each share. False when nobody could count it.

    Raises:
        TooManyRequests: one of them is used up; none is counted.
        ServiceUnavailable: Valkey is away or full, and `is_open_without_valkey` is false.
    """
    numbers = [number for share in shares for number in _count_and_window_ms(share.rate)]
    try:
        refusal = valkey.client().eval(_SPEND, len(shares), *(share.key for share in shares), *numbers)
    except valkey.Unreachable as error:
        log.warning("limit_not_counted", limit=shares[0].rate.value, error=str(error))
        if not is_open_without_valkey:
            raise ServiceUnavailable from error
        return False
    if refusal:
        index, wait_ms = refusal
        refuse(shares[index - 1].rate, retry_after_s=-(-wait_ms // 1000))
    return True


def give_back(shares: Sequence[Share]) -> None:
    """Takes one use of each share back: it turned out to be harmless."""
    try:
        valkey.client().eval(_GIVE_BACK, len(shares), *(share.key for share in shares))
    except valkey.Unreachable as error:
        log.warning("limit_not_given_back", limit=shares[0].rate.value, error=str(error))


@contextmanager
def returned_after_failure(*shares: Share) -> Iterator[None]:
    """Takes one use of each share back if the block fails. A refusal of the shop's is no failure.

    Whoever retries while the database is away has tried nothing, and must not be locked out afterwards.
    """
    try:
        yield
    except DomainError:
        raise
    except Exception:
        give_back(shares)
        raise


def refuse(limit: str, *, retry_after_s: int, message: str | None = None) -> NoReturn:
    """Counts a refusal in the metric and raises it.

    Raises:
        TooManyRequests
    """
    LIMITED.labels(str(limit)).inc()
    raise TooManyRequests(message, retry_after_s=max(retry_after_s, 1), limit=str(limit))


def _count_and_window_ms(rate: Rate) -> tuple[int, int]:
    count, seconds = settings.LIMITS[rate.value]
    return count, seconds * 1000
