"""A read-through cache in Valkey of what an order's buyer is answered. PostgreSQL is the truth.

Reads are monotonic: no poller sees an older state after a newer one was served, however slow a process is.

- Before querying PostgreSQL, a reader stores a ticket (a lease token) under the order's key. It replaces the
  ticket with the answer only if the ticket is still there.
- A writer deletes whatever is under the order's key, ticket or answer, once its change is committed. An
  answer that was read before a change is therefore never cached after it.
- A reader that doesn't find its own ticket afterwards deletes what it finds, unless that is what it read
  itself. This keeps reads monotonic even while the writer's own deletion is still on its way.

- Deletions get lost while Valkey is away, and when it is killed before it has persisted them. After such a
  gap a process neither believes nor fills the cache until everything cached before has expired.
- A process that starts doesn't know whether Valkey was away just before. An empty cache is safe: whatever is
  found there later was read from PostgreSQL after the process looked.

One statement reads an answer, so its version and its body belong to the same moment. A deletion that is lost
because its process was killed costs `REMEMBERED_S` at most, and `TICKET_MS` more if somebody was reading just
then.
"""

import hashlib
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction

from shop import valkey
from shop.domain.callers import TokenDigest, find_caller, find_login

log = structlog.get_logger(__name__)

REMEMBERED_S = 10
# Longer than a read takes. A slower reader caches nothing, and a reader that dies keeps others from caching
# for this long.
TICKET_MS = 1000
# Longer than a request takes between looking up its token's owner and caching that owner.
ENDED_S = 60
# Fifty courses with long names, bought and paid back, take 80 kB; a timeline grows with whatever its buyer
# does.
LARGEST_BODY = 128 * 1024
_ENDED = "ended"
# A starting process scans at most this many keys, which takes a tenth of a second. With more keys than that,
# the shop is in use.
FEW_KEYS = 10_000

# KEYS[1] order; ARGV: the reader's ticket, the answer, TTL in s.
_REMEMBER = """
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
elseif held and held ~= ARGV[2] then
    redis.call('DEL', KEYS[1])
end
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the buyer of an order is answered: status, version, and a body in JSON.

    After `good_until` (seconds since 1970) it has to be read again.

    A request that isn't an order has version 0. Versions only grow, and a request's status changes once
    (unless it was given up and is retried), so no pair of status and version repeats.
    """

    account_id: int
    status: str
    version: int
    good_until: int | None
    body: str

    @property
    def etag(self) -> str:
        """A digest of the whole body: parts of it change with time alone, which no version counts."""
        return f'"{hashlib.blake2b(self.body.encode(), digest_size=12).hexdigest()}"'


# Reads an account's order by its number, as it is now, in one statement; None if the account has no such
# order.
Read = Callable[[int, str, datetime], Answer | None]


def answer_poll(digest: TokenDigest, order_number: str, *, read: Read, now: datetime) -> Answer | None:
    """The answer to the token's buyer, or None if they have no such order.

    Costs no SQL if both the token and the order were just asked for.

    Raises:
        NotAuthenticated: the token logs nobody in.
    """
    try:
        owner, held = valkey.client().mget(valkey.poller_key(digest), valkey.answer_key(order_number))
    except valkey.Unreachable:
        valkey.note_outage()
        return read(find_caller(digest, now=now), order_number, now)
    is_known = owner is not None and owner != _ENDED and _is_believed()
    account_id, ends_at = (int(owner), now) if is_known else find_login(digest, now=now)
    answer = _answer_in(held, now=now)
    if answer is None:
        answer = read_answer(account_id=account_id, order_number=order_number, read=read, now=now)
    if answer is None or answer.account_id != account_id:
        return None
    if not is_known and _is_believed():
        _remember_poller(digest, account_id, left=ends_at - now)
    return answer


def read_answer(*, account_id: int, order_number: str, read: Read, now: datetime) -> Answer | None:
    """The answer to the buyer, remembered or read, or None if the buyer has no such order."""
    key, ticket = valkey.answer_key(order_number), f"{random.getrandbits(96):024x}"
    try:
        held = valkey.client().set(key, ticket, nx=True, get=True, px=TICKET_MS)
    except valkey.Unreachable:
        valkey.note_outage()
        return read(account_id, order_number, now)
    answer = _answer_in(held, now=now)
    if answer is not None:
        return answer if answer.account_id == account_id else None
    answer = read(account_id, order_number, now)
    _remember(key, ticket, answer)
    return answer


def forget_pollers(digests: Collection[str]) -> None:
    """The tokens have ended. A request that saw one valid just before can no longer cache it."""
    pipeline = valkey.client().pipeline(transaction=False)
    for digest in digests:
        pipeline.set(valkey.poller_key(digest), _ENDED, ex=ENDED_S)
    try:
        pipeline.execute()
    except valkey.Unreachable as error:
        log.warning("pollers_not_forgotten", tokens=len(digests), error=str(error))


def believe_an_empty_store() -> None:
    """Call it when a process starts. Otherwise the process caches nothing until it has known Valkey for a
    while.
    """
    valkey.clear_outage_if(_remembers_nothing)


def mark_changed(order_numbers: Collection[str]) -> None:
    """Makes pollers of these orders read PostgreSQL again once the caller's transaction has committed."""
    if order_numbers:
        transaction.on_commit(lambda: _forget(order_numbers))


def _remembers_nothing() -> bool:
    """Whether the cache holds no answer, no ticket and no poller: SCAN returns every key that was there
    from beginning to end.
    """
    try:
        if valkey.client().dbsize() > FEW_KEYS:
            return False
        return not any(
            True
            for key in (valkey.answer_key("*"), valkey.poller_key("*"))
            for _ in valkey.client().scan_iter(match=key, count=1000)
        )
    except valkey.Unreachable:
        return False


def _is_believed() -> bool:
    """Whether Valkey has been reachable for longer than any entry lives.

    Call it after the read, which may itself have ended a gap.
    """
    return valkey.has_been_up(REMEMBERED_S + TICKET_MS / 1000)


def _answer_in(held: str | None, *, now: datetime) -> Answer | None:
    """The cached answer, unless the entry is a ticket, may be stale after a gap, or has expired by time
    alone.
    """
    head, is_answer, body = (held or "").partition("\n")
    if not is_answer or not _is_believed():
        return None
    account_id, status, version, good_until = head.split(":")
    ends = int(good_until) or None
    if ends is not None and now.timestamp() >= ends:
        return None
    return Answer(int(account_id), status, int(version), ends, body)


def _remember(key: str, ticket: str, answer: Answer | None) -> None:
    """Replaces the ticket with the answer.

    If the answer can't be cached, the key is deleted with whatever it holds, which is always safe.
    """
    try:
        if answer is None or len(answer.body) > LARGEST_BODY or not _is_believed():
            valkey.client().delete(key)
        else:
            head = f"{answer.account_id}:{answer.status}:{answer.version}:{answer.good_until or 0}"
            text = f"{head}\n{answer.body}"
            valkey.client().eval(_REMEMBER, 1, key, ticket, text, str(REMEMBERED_S))
            if not _is_believed():  # since this very command, which met Valkey again
                valkey.client().delete(key)
    except valkey.Unreachable as error:
        valkey.note_outage()
        log.warning("answer_not_remembered", error=str(error))


def _remember_poller(digest: TokenDigest, account_id: int, *, left: timedelta) -> None:
    """Never for longer than the token is valid."""
    remembered_ms = min(REMEMBERED_S * 1000, int(left.total_seconds() * 1000))
    if remembered_ms <= 0:
        return
    try:
        valkey.client().set(valkey.poller_key(digest), account_id, nx=True, px=remembered_ms)
    except valkey.Unreachable as error:
        log.warning("poller_not_remembered", error=str(error))


def _forget(order_numbers: Collection[str]) -> None:
    try:
        valkey.client().delete(*map(valkey.answer_key, order_numbers))
    except valkey.Unreachable as error:
        log.warning("change_not_marked", orders=len(order_numbers), error=str(error))
