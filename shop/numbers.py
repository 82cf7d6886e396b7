"""Public numbers of orders, checkouts and coupons: sortable by time, unguessable, digits and upper-case
letters.
"""

import secrets
from datetime import datetime

from django.utils import timezone

# Crockford's base 32: no I, L, O or U, so that a number can be read out over the phone.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_CHARS = 13  # 65 bits


def mint_number(now: datetime) -> str:
    """A new number of 30 characters: Beijing time to the millisecond, then 65 random bits.

    A unique constraint in the database rules out a collision, which is too unlikely to need a retry.
    """
    stamp = timezone.localtime(now).strftime("%Y%m%d%H%M%S%f")[:17]
    bits = secrets.randbits(5 * _RANDOM_CHARS)
    return stamp + "".join([ALPHABET[bits >> shift & 31] for shift in range(0, 5 * _RANDOM_CHARS, 5)])
