"""RSA keys in the formats of Alipay's key tool and console."""

import base64
import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

# Both are stateless, so all signatures share them.
_PADDING, _DIGEST = PKCS1v15(), SHA256()


def read_private_key(path: Path) -> RSAPrivateKey:
    """A private key in any form that Alipay's key tool emits: PKCS#1 or PKCS#8, PEM or bare base64.

    Raises:
        OSError, ValueError: it can't be read, or isn't an RSA private key.
    """
    text = path.read_bytes().strip()
    key = (
        load_pem_private_key(text, None)
        if text.startswith(b"-----")
        else load_der_private_key(base64.b64decode(text), None)
    )
    if not isinstance(key, RSAPrivateKey):
        raise ValueError(f"{path.name} is not an RSA private key")  # noqa: TRY004 - the file's content is wrong, not a type
    return key


def read_public_key(path: Path) -> RSAPublicKey:
    """Alipay's public key, PEM or bare base64.

    Raises:
        OSError, ValueError: it can't be read, or isn't an RSA public key.
    """
    text = path.read_bytes().strip()
    key = (
        load_pem_public_key(text)
        if text.startswith(b"-----")
        else load_der_public_key(base64.b64decode(text))
    )
    if not isinstance(key, RSAPublicKey):
        raise ValueError(f"{path.name} is not an RSA public key")  # noqa: TRY004 - the file's content is wrong, not a type
    return key


def fingerprint(key: RSAPublicKey) -> str:
    """A short name for a key: the first 64 bits of the SHA-256 of its SubjectPublicKeyInfo, in hex.

    The output of `openssl pkey -pubin -in KEY.pem -outform DER | sha256sum` begins with it.
    """
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()[:16]


def sign(key: RSAPrivateKey, content: bytes) -> bytes:
    """The RSA2 signature (SHA-256, PKCS#1 v1.5) of the content."""
    return key.sign(content, _PADDING, _DIGEST)


def is_signed_by(key: RSAPublicKey, signature: bytes, content: bytes) -> bool:
    """Whether this is the key's RSA2 signature of the content."""
    try:
        key.verify(signature, content, _PADDING, _DIGEST)
    except InvalidSignature:
        return False
    return True
