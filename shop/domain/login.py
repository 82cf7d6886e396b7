"""Logging in, with a limit on guessing."""

import hashlib
from datetime import datetime

from django.contrib.auth import authenticate
from knox.models import AuthToken

from shop import valkey
from shop.errors import LoginFailed, TooManyRequests
from shop.models import Account

# Ten wrong passwords for one name in a quarter of an hour are not a person's.
MAX_FAILURES = 10
WINDOW_S = 15 * 60


def log_in(*, username: str, password: str) -> Account:
    """The account that the credentials are for.

    Raises:
        LoginFailed: they are for none; it isn't told which of the two is wrong.
        TooManyRequests: too many wrong passwords for this name lately.
    """
    # Hashed, so that what people type by mistake into the name's field isn't stored.
    key = f"login:failures:{hashlib.sha256(username.encode()).hexdigest()[:32]}"
    if _failures(key) >= MAX_FAILURES:
        raise TooManyRequests
    account = authenticate(username=username, password=password)
    if not isinstance(account, Account):
        _note_failure(key)
        raise LoginFailed
    return account


def purge_tokens(*, now: datetime) -> int:
    """Deletes tokens that have ended; returns how many. They were worthless already."""
    return int(AuthToken.objects.filter(expiry__lte=now).delete()[0])


def _failures(key: str) -> int:
    try:
        return int(valkey.client().get(key) or 0)
    except valkey.Unreachable:
        # Buyers can log in without Valkey; password hashing slows guessing meanwhile.
        return 0


def _note_failure(key: str) -> None:
    try:
        pipeline = valkey.client().pipeline(transaction=True)
        pipeline.incr(key)
        pipeline.expire(key, WINDOW_S)
        pipeline.execute()
    except valkey.Unreachable:
        return
