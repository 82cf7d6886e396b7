"""Who calls: the account behind a token, by the digest of the token.

`login.py` issues and `tokens.py` ends them.
"""

from datetime import datetime
from typing import NewType

from knox.crypto import hash_token

from shop import clock
from shop.domain import sql
from shop.errors import NotAuthenticated

# The primary key under which a token is stored: its SHA-512.
TokenDigest = NewType("TokenDigest", str)


# The account that a token logs in, and when the token expires. Other statements contain it. Parameters:
# digest, `clock.sql_present(now)`.
CALLER = f"""
    SELECT account.id, token.expiry FROM knox_authtoken AS token
    JOIN shop_account AS account ON account.id = token.user_id
    WHERE token.digest = %(digest)s AND token.expiry > {clock.PRESENT} AND account.is_active
"""  # noqa: S608 - statements of ours


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

    Raises:
        NotAuthenticated: as `find_login`.
    """
    return find_login(digest, now=now)[0]


def find_login(digest: TokenDigest, *, now: datetime) -> tuple[int, datetime]:
    """The id of the account that the token logs in, and when the token expires.

    Every request runs this, so it is bare SQL, which is three times cheaper than the ORM.

    Raises:
        NotAuthenticated: the token is unknown, ended or expired, or the account is disabled.
    """
    found = sql.read_row(CALLER, {"digest": digest, **clock.sql_present(now)})
    if found is None:
        raise NotAuthenticated
    account_id, expires_at = found
    return account_id, expires_at
