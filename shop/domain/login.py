"""Logging in, with a limit on guessing."""

import hashlib
from datetime import datetime
from typing import NewType

from django.contrib.auth import authenticate
from django.db import connection
from knox.crypto import hash_token
from knox.models import AuthToken

from shop import valkey
from shop.errors import LoginFailed, NotAuthenticated, TooManyRequests
from shop.models import Account

# Ten wrong passwords for one name in a quarter of an hour are not a person's.
MAX_FAILURES = 10
WINDOW_S = 15 * 60

# The primary key under which a token is stored: its SHA-512.
TokenDigest = NewType("TokenDigest", str)

# Who calls with a token, as a part of other statements too. Parameters: digest, now.
CALLER = """
    SELECT account.id FROM knox_authtoken AS token JOIN shop_account AS account ON account.id = token.user_id
    WHERE token.digest = %(digest)s AND token.expiry > %(now)s AND account.is_active
"""


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


def digest_of(token: bytes) -> TokenDigest:
    """The digest of a token.

    Raises:
        NotAuthenticated: it can't be a token.
    """
    try:
        return TokenDigest(hash_token(token.decode("ascii")))
    except (UnicodeDecodeError, ValueError, TypeError) as error:
        raise NotAuthenticated from error


def find_caller(digest: TokenDigest, *, now: datetime) -> int:
    """The id of the account that the token logs in.

    Every request pays for this, so it is bare SQL, for a third of the ORM's price.

    Raises:
        NotAuthenticated: the token is unknown or over, or the account is blocked.
    """
    with connection.cursor() as cursor:
        cursor.execute(CALLER, {"digest": digest, "now": now})
        found = cursor.fetchone()
    if found is None:
        raise NotAuthenticated
    account_id: int = found[0]
    return account_id


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
