"""TLS on this machine: an authority of our own with a certificate for loopback, and a front that ends TLS for
servers that don't speak it.
"""

import asyncio
import contextlib
import ipaddress
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from project.local.ports import LOOPBACK, find_free_port


@dataclass(frozen=True)
class Certificate:
    """Paths of PEM files: whose word counts, and a server's certificate with its key."""

    authority: Path
    certificate: Path
    key: Path


def make_certificate(folder: Path, *, address: str = LOOPBACK) -> Certificate:
    """An authority that nobody else knows, and a certificate of it for one IP address, valid for a day."""
    folder.mkdir(parents=True, exist_ok=True)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "course-shop local authority")])
    signed = _builder(authority_name, authority_name, authority_key.public_key())
    signed = signed.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)  # noqa: FBT003 - signs certificates and lists
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        signed.add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    server = _builder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)]), authority_name, key.public_key()
    )
    server = server.add_extension(names, critical=False)
    server = server.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
    )
    made = Certificate(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    made.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    made.certificate.write_bytes(
        server.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    made.key.touch(mode=0o600)
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


class TlsFront(threading.Thread):
    """Listens with TLS and passes everything on to a port of this machine."""

    def __init__(self, certificate: Certificate, target_port: int, *, protocol: str = "") -> None:
        super().__init__(name="tls-front", daemon=True)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.certificate, certificate.key)
        if protocol:
            self._context.set_alpn_protocols([protocol])
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = find_free_port()

    def start(self) -> None:
        """Returns when it listens."""
        super().start()
        self._up.wait(10)

    def run(self) -> None:
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, LOOPBACK, self.port, ssl=self._context)
        )
        self._up.set()
        self._loop.run_forever()
        for writer in self._writers:
            writer.transport.abort()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0.1))  # they end, and close what they hold
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.join(5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, self._target_port)
        except OSError:
            writer.close()
            return
        both = {writer, inner_writer}
        self._writers |= both
        await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))
        self._writers -= both


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one of the two ends; then the other one is ended, too."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
    )
    return builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
