"""Codes that their holders exchange for a coupon of a campaign: made in bulk, each good once."""

import secrets
from datetime import datetime

from django.db import transaction

from shop.domain import limits
from shop.domain.coupons.coupons import issue_coupon
from shop.domain.limits import Rate, Share
from shop.domain.locks import lock_code, lock_coupon
from shop.errors import CodesOverQuantity, CouponCodeNotFound, CouponNotFound
from shop.models import Account, CouponCode, CouponRecord
from shop.numbers import ALPHABET, mint_number

# 80 bits: nobody guesses one.
CODE_LENGTH = 16
MAX_AT_ONCE = 10_000


def make_codes(*, coupon_id: int, count: int, staff: Account, now: datetime) -> str:
    """Makes `count` codes of a campaign; returns the name of their batch.

    Raises:
        CouponNotFound
        CodesOverQuantity: with the codes that are out already, the campaign would promise more coupons than
            it has.
    """
    batch = mint_number(now)
    with transaction.atomic(durable=True):
        coupon = lock_coupon(coupon_id)
        if coupon is None:
            raise CouponNotFound
        out = CouponCode.objects.filter(coupon=coupon, redeemed_at=None, withdrawn_at=None).count()
        left = coupon.quantity - coupon.claimed_count - out
        if not 0 < count <= min(left, MAX_AT_ONCE):
            raise CodesOverQuantity(left=left, most=MAX_AT_ONCE)
        made = [
            CouponCode(coupon=coupon, code=_mint_code(), batch=batch, created_by=staff, created_at=now)
            for _ in range(count)
        ]
        CouponCode.objects.bulk_create(made, batch_size=1000)
    return batch


def redeem_code(*, account: Account, code: str, now: datetime) -> CouponRecord:
    """Exchanges a code for a coupon, once, in whatever case and spacing it was typed.

    Raises:
        TooManyRequests: the buyer tries too often.
        CouponCodeNotFound: no such code, or it has been used or withdrawn.
        CouponNotOpen, CouponAlreadyClaimed, CouponSoldOut: the code stays good.
    """
    limits.spend(Share(Rate.CLAIMS, str(account.pk)))
    with transaction.atomic(durable=True):
        found = lock_code(normalise_code(code))
        if found is None or found.redeemed_at is not None or found.withdrawn_at is not None:
            raise CouponCodeNotFound
        found.record = issue_coupon(found.coupon, account, now=now)
        found.redeemed_at = now
        found.save(update_fields=["record", "redeemed_at"])
    return found.record


def normalise_code(typed: str) -> str:
    """As codes are stored: letters and digits in upper case; an O or I that was meant as a digit is one."""
    kept = "".join(one for one in typed.upper() if one.isascii() and one.isalnum())
    return kept.replace("O", "0").replace("I", "1").replace("L", "1")[: CODE_LENGTH + 4]


def list_codes(*, batch: str) -> list[str]:
    """The codes of a batch that nobody has used and nobody has withdrawn."""
    return list(
        CouponCode.objects.filter(batch=batch, redeemed_at=None, withdrawn_at=None)
        .order_by("pk")
        .values_list("code", flat=True)
    )


def withdraw_codes(coupon_id: int, *, now: datetime) -> int:
    """Ends the codes of a campaign that nobody has used, in the caller's transaction; returns how many."""
    return CouponCode.objects.filter(coupon=coupon_id, redeemed_at=None, withdrawn_at=None).update(
        withdrawn_at=now
    )


def _mint_code() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
