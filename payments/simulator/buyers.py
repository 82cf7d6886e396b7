"""Buyers: any login name at the cashier has an account."""

import hashlib
from dataclasses import dataclass

DEFAULT_ACCOUNT = "buyer@example.com"


@dataclass(frozen=True)
class Buyer:
    user_id: str
    masked: str


def find_buyer(account: str) -> Buyer:
    """The buyer with this login name; the same name always has the same id.

    A 16-digit name that starts with 2088 is itself the id.
    """
    name = account.strip() or DEFAULT_ACCOUNT
    if len(name) == 16 and name.isascii() and name.isdigit() and name.startswith("2088"):
        return Buyer(name, f"{name[:4]}****{name[-4:]}")
    digits = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % 10**12
    return Buyer(f"2088{digits:012d}", mask_account(name))


def mask_account(name: str) -> str:
    """`csq***@example.com` and `159****1825`, as answers and notifications mask accounts."""
    if "@" in name:
        local, _, domain = name.partition("@")
        return f"{local[:3]}***@{domain}"
    return f"{name[:3]}****{name[-4:]}"
