"""Authorities for tests: somebody else's root, and an agent's link to a control plane in this process."""

import asyncio
import datetime as dt
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from common.pki import key_pem, new_key
from controlplane.identity.ca import authority_usage
from controlplane.identity.rotation import Rotation
from tests.support.plane import Machine, Plane

DAY = dt.timedelta(days=1)


@dataclass
class ForeignRoot:
    """A root that is not ours, which signs what it is asked to, faults included."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    path_length: int | None = None
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        self.certificate = self._sign("Some Root", "Some Root", self.key.public_key(), self.path_length)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def sign(self, csr_pem: bytes, *extensions: x509.ExtensionType, **options: Any) -> bytes:
        """Sign a request as an authority; gives the chain as PEM."""
        request = x509.load_pem_x509_csr(csr_pem)
        public = request.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        made = self._sign("Solward CA below", "Some Root", public, 0, *extensions, **options)
        return made.public_bytes(serialization.Encoding.PEM) + self.pem

    def _sign(
        self, subject: str, issuer: str, public: ec.EllipticCurvePublicKey, path_length: int | None,
        *extensions: x509.ExtensionType, begin: dt.timedelta = -DAY, end: dt.timedelta = 900 * DAY, ca: bool = True,
    ) -> x509.Certificate:  # fmt: skip
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begin)
            .not_valid_after(now + end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True)
            .add_extension(authority_usage(), critical=True)
            # Not how our own code would name the key: what is issued must name it as it stands here.
            .add_extension(x509.SubjectKeyIdentifier(hashes_of(public)), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(self.key, hashes.SHA256())


def hashes_of(public: ec.EllipticCurvePublicKey) -> bytes:
    """Name a key as another authority might."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint))
    return digest.finalize()[:20]


async def rotating(plane: Plane, step: Callable[[Rotation], Any]) -> Any:
    """Do as an operator does on the control plane's host, and let the running one take it in."""
    done = await asyncio.to_thread(lambda: step(Rotation(plane.settings)))
    await plane.app.pki_life.look()
    return done


def serial_at(port: int, machine: Machine | None = None) -> str:
    """Give the serial of the certificate that is shown on a port; blocks."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if machine:
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(key_pem(machine.key) + machine.certificate_pem.encode())
            context.load_cert_chain(file.name)
    with socket.create_connection(("127.0.0.1", port), 5) as plain, context.wrap_socket(plain) as tls:
        shown = tls.getpeercert(binary_form=True)
    assert shown
    return f"{x509.load_der_x509_certificate(shown).serial_number:x}"


@asynccontextmanager
async def task(work: Any) -> AsyncIterator[None]:
    """Run a coroutine for the length of a block."""
    running = asyncio.create_task(work)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(holds: Callable[[], Any], what: str = "") -> None:
    """Wait until something holds; it may be a coroutine function."""
    async with asyncio.timeout(15):
        while True:
            found = holds()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.05)
