"""RSA2 signatures over requests, answers and forms."""

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey


def sign(key: RSAPrivateKey, text: str, *, charset: str = "utf-8", sha1: bool = False) -> str:
    """Base64 of the SHA-256 (RSA2) or, for forgeries, SHA-1 (RSA) signature."""
    algorithm = hashes.SHA1() if sha1 else hashes.SHA256()  # noqa: S303 -- the old RSA sign type, sent only as a fault
    return base64.b64encode(key.sign(text.encode(charset, "replace"), PKCS1v15(), algorithm)).decode()


def is_signed(key: RSAPublicKey, text: str, signature: str, *, charset: str = "utf-8") -> bool:
    try:
        key.verify(
            base64.b64decode(signature, validate=True),
            text.encode(charset, "replace"),
            PKCS1v15(),
            hashes.SHA256(),
        )
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def request_content(params: Mapping[str, str]) -> str:
    """What a merchant signs: all non-empty parameters except `sign`. Unlike in notifications, `sign_type` is
    included.
    """
    return "&".join(
        f"{key}={value}" for key, value in sorted(params.items()) if key != "sign" and value != ""
    )


def form_content(params: Mapping[str, str]) -> str:
    """What Alipay signs in notifications and return URLs: everything except `sign` and `sign_type`."""
    return "&".join(
        f"{key}={value}"
        for key, value in sorted(params.items())
        if key not in {"sign", "sign_type"} and value != ""
    )


def encode_form(params: Mapping[str, str], charset: str = "utf-8") -> str:
    return urlencode(params, encoding=charset, errors="replace")
