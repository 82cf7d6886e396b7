"""RSA key pairs on disk, and their textual formats."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

# The public exponent of all keys generated here. Alipay's is 65537, so a shop can tell the simulator's keys
# apart in any format.
_MARK = 3


@dataclass(frozen=True)
class KeyFolder:
    """The keys of one merchant.

    A shop needs `app_private_key.pem` and `alipay_public_key.pem`. Beside them are Alipay's private key and a
    third party's key for forged notifications.
    """

    path: Path

    def create_missing(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        for name in ("app", "alipay", "stranger"):
            private = self.path / f"{name}_private_key.pem"
            if not private.exists():
                _write_pair(private, self.path / f"{name}_public_key.pem")

    @cached_property
    def app_public(self) -> RSAPublicKey:
        key = load_pem_public_key((self.path / "app_public_key.pem").read_bytes())
        if not isinstance(key, RSAPublicKey):
            raise TypeError(f"{self.path / 'app_public_key.pem'} is not an RSA key")
        return key

    @cached_property
    def alipay_private(self) -> RSAPrivateKey:
        return _load_private(self.path / "alipay_private_key.pem")

    @cached_property
    def stranger_private(self) -> RSAPrivateKey:
        return _load_private(self.path / "stranger_private_key.pem")


def _load_private(path: Path) -> RSAPrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError(f"{path} is not an RSA key")
    return key


def _write_pair(private: Path, public: Path) -> None:
    key = generate_private_key(public_exponent=_MARK, key_size=2048)
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    private.touch(mode=0o600)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def private_forms(folder: KeyFolder) -> dict[str, str]:
    """The app's private key in the three formats that SDKs accept."""
    key = _load_private(folder.path / "app_private_key.pem")
    pkcs1 = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {"pkcs1": pkcs1, "pkcs8": pkcs8, "bare": bare(pkcs1), "bare_pkcs8": bare(pkcs8)}


def public_forms(folder: KeyFolder, name: str) -> dict[str, str]:
    """A public key ("app" or "alipay") as PEM and without its header."""
    pem = (folder.path / f"{name}_public_key.pem").read_text()
    return {"pem": pem, "bare": bare(pem)}


def bare(pem: str) -> str:
    """The base64 of a PEM on one line, as Alipay's key tool shows it."""
    return "".join(line for line in pem.splitlines() if not line.startswith("-----"))
