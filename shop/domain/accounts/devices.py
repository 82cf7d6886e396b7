"""Known devices: a signed cookie says that somebody has logged in here with this name before (OWASP's device
cookie).

Wrong passwords from elsewhere lock a name only for devices that never logged in with it. The cookie logs
nobody in.
"""

import hashlib
import secrets

from django.core.signing import BadSignature, TimestampSigner

KNOWN_DAYS = 180
_SIGNER = "shop.devices"


def note_device(username: str) -> str:
    """A cookie for a device that has just logged in with this name."""
    return _signer().sign(f"{_digest(username)}:{secrets.token_hex(12)}")


def find_device(note: str | None, *, username: str) -> str | None:
    """The device's own id; None if the note is missing, too old, not ours, or about another name."""
    try:
        digest, _, device = _signer().unsign(note or "", max_age=KNOWN_DAYS * 24 * 3600).partition(":")
    except BadSignature:
        return None
    return device if digest == _digest(username) else None


def _signer() -> TimestampSigner:
    return TimestampSigner(salt=_SIGNER)


def _digest(username: str) -> str:
    return hashlib.sha256(username.encode(errors="surrogatepass")).hexdigest()[:32]
