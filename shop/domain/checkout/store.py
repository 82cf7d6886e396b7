"""Where checkouts are stored in Valkey: a few small ones for each buyer, one per tab. A new one replaces the
buyer's oldest.

A priced checkout repeats the same words for every coupon and course. Compressed it takes a tenth of the
space.
"""

import base64
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec
from django.conf import settings

from shop import valkey
from shop.domain.checkout.snapshot import Result

# Level 1 is three times faster than zlib's default, for results a tenth larger.
_LEVEL = 1

# Longer than a worker ever needs for a checkout.
_AGAIN_MS = 2000

# KEYS: the buyer's ids, newest first; the new checkout; the due list; the flag that it is queued. ARGV: id,
# stored request, TTL in s, the most checkouts of a buyer, the keys' prefix, the suffixes of result and flag,
# and the flag's TTL.
_ADD = """
redis.call('LPUSH', KEYS[1], ARGV[1])
for _, old in ipairs(redis.call('LRANGE', KEYS[1], ARGV[4], -1)) do
    redis.call('DEL', ARGV[5] .. old, ARGV[5] .. old .. ARGV[6], ARGV[5] .. old .. ARGV[7])
end
redis.call('LTRIM', KEYS[1], 0, ARGV[4] - 1)
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
redis.call('SET', KEYS[4], '1', 'PX', ARGV[8])
redis.call('RPUSH', KEYS[3], ARGV[1])
"""
# KEYS: checkout, its result. ARGV: the result. Written once, lives as long as its checkout, and not at all
# without it.
_FINISH = """
local left = redis.call('PTTL', KEYS[1])
if left > 0 then redis.call('SET', KEYS[2], ARGV[1], 'PX', left, 'NX') end
"""


@dataclass(frozen=True, slots=True)
class CheckoutRequest:
    """Whose checkout it is, and what to price."""

    account_id: int
    course_ids: tuple[int, ...]
    created_at: datetime
    expires_at: datetime

    def to_json(self) -> str:
        """What is stored; `from_json` reads it."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, stored: str) -> "CheckoutRequest":
        return _REQUEST.decode(stored)


_REQUEST = msgspec.json.Decoder(CheckoutRequest)


def add_checkout(checkout_id: str, request: CheckoutRequest) -> None:
    """Stores a new checkout and makes it due. Beyond `MAX_CHECKOUTS`, the buyer's oldest are removed."""
    keys = [
        valkey.checkouts_of_key(request.account_id), valkey.checkout_key(checkout_id), valkey.DUE_CHECKOUTS,
        valkey.queued_key(checkout_id),
    ]  # fmt: skip
    numbers = [str(settings.CHECKOUT_TTL_S), str(settings.MAX_CHECKOUTS)]
    place = [valkey.CHECKOUT_PREFIX, valkey.RESULT_SUFFIX, valkey.QUEUED_SUFFIX]
    valkey.client().eval(
        _ADD, len(keys), *keys, checkout_id, request.to_json(), *numbers, *place, str(_AGAIN_MS)
    )


def queue_again(checkout_id: str) -> bool:
    """Makes a checkout due again if it was queued longer than `_AGAIN_MS` ago, so the due list doesn't grow
    while workers are down.
    """
    if not valkey.client().set(valkey.queued_key(checkout_id), "1", nx=True, px=_AGAIN_MS):
        return False
    valkey.client().rpush(valkey.DUE_CHECKOUTS, checkout_id)
    return True


def find_latest(*, account_id: int) -> str | None:
    """The id of the buyer's newest checkout."""
    latest: str | None = valkey.client().lindex(valkey.checkouts_of_key(account_id), 0)
    return latest


def remove_checkouts(*, account_id: int) -> None:
    """Removes all checkouts of a buyer."""
    key = valkey.checkouts_of_key(account_id)
    ids: list[str] = valkey.client().lrange(key, 0, -1)
    kinds = (valkey.checkout_key, valkey.checkout_result_key, valkey.queued_key)
    valkey.client().delete(key, *(key_of(pk) for pk in ids for key_of in kinds))


def store_results(results: Iterable[tuple[str, Result]]) -> None:
    """Stores the results of checkouts by their ids. A checkout that was replaced meanwhile gets none."""
    pipeline = valkey.client().pipeline(transaction=False)
    for checkout_id, result in results:
        pipeline.eval(
            _FINISH,
            2,
            valkey.checkout_key(checkout_id),
            valkey.checkout_result_key(checkout_id),
            _packed(result),
        )
    pipeline.execute()


def read_checkouts(checkout_ids: Iterable[str]) -> list[tuple[str, CheckoutRequest, Result | None]]:
    """The id, request and result of those that exist; the result is None while a checkout is pending."""
    ids = list(checkout_ids)
    values = valkey.client().mget(
        [key for pk in ids for key in (valkey.checkout_key(pk), valkey.checkout_result_key(pk))]
    )
    return [
        (checkout_id, CheckoutRequest.from_json(request), _unpacked(result) if result else None)
        for checkout_id, request, result in zip(ids, values[::2], values[1::2], strict=True)
        if request is not None
    ]


def _packed(result: Result) -> str:
    return base64.b64encode(zlib.compress(result.to_json(), _LEVEL)).decode()


def _unpacked(text: str) -> Result:
    return Result.from_json(zlib.decompress(base64.b64decode(text)))
