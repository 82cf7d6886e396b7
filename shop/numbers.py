"""Numbers that leave the house: sortable by time, not guessable, digits and upper-case letters only."""

import secrets
from datetime import datetime

from django.utils import timezone

# Crockford's base 32: no I, L, O or U, so that a number can be read out on the phone.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_CHARS = 13  # 65 bits


def mint_number(now: datetime) -> str:
    """A new number of 30 characters: Beijing time to the millisecond, then 65 random bits.

    Uniqueness is the database's affair (a unique constraint); a clash is about as likely as a wrong RSA
    signature that verifies.
    """
    stamp = timezone.localtime(now).strftime("%Y%m%d%H%M%S%f")[:17]
    bits = secrets.randbits(5 * _RANDOM_CHARS)
    return stamp + "".join([ALPHABET[bits >> shift & 31] for shift in range(0, 5 * _RANDOM_CHARS, 5)])
