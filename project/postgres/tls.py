"""TLS to PostgreSQL: verified, or refused before the first connection.

libpq's modes in between don't protect against anybody who can answer in the server's place.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

VERIFIED = ("verify-full", "verify-ca")
# TLS with anybody's certificate, or only if the server wants it.
UNVERIFIED = ("require", "prefer", "allow")
_HOW = "sslmode=verify-full&sslrootcert=/path/of/ca.pem (or sslrootcert=system)"


def refuse_unverified(options: Mapping[str, Any], *, environment: Mapping[str, str], is_meant: bool) -> None:
    """Refuses TLS that wouldn't be verified, unless that `is_meant`.

    `options` are those of the address; libpq reads `environment` (PGSSLMODE, PGSSLROOTCERT) for what they
    leave out. Without `sslmode` no TLS is promised, as with `redis://`.

    Raises:
        ImproperlyConfigured: the address asks for TLS that wouldn't be verified, or its options are invalid.
    """
    mode = str(options.get("sslmode") or environment.get("PGSSLMODE") or "")
    authority = str(options.get("sslrootcert") or environment.get("PGSSLROOTCERT") or "")
    if mode in VERIFIED:
        if not authority and not (Path.home() / ".postgresql" / "root.crt").exists():
            raise ImproperlyConfigured(
                f"DATABASE_URL has sslmode={mode} and no sslrootcert, so nothing could be verified. Write "
                f"{_HOW}."
            )
    elif mode in UNVERIFIED:
        if not is_meant:
            raise ImproperlyConfigured(
                f"DATABASE_URL has sslmode={mode}: TLS without a look at whose certificate it is. Write "
                f"{_HOW}, "
                "or set DATABASE_TLS_UNVERIFIED=true if that is meant."
            )
    elif mode not in ("", "disable"):
        raise ImproperlyConfigured(
            f"DATABASE_URL has sslmode={mode!r}, which PostgreSQL doesn't know. Write {_HOW}."
        )
    elif options.get("sslrootcert"):
        raise ImproperlyConfigured(
            f"DATABASE_URL has sslrootcert, which counts for nothing without sslmode. Write {_HOW}."
        )
