"""Why a server is not reached: a certificate for another name, and a port that does not speak TLS."""

import contextlib
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from common import diagnose as module
from common.diagnose import diagnose

Serve = Callable[[socket.socket], None]


def certificate() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("cp.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


PEM, PRIVATE = certificate()


def asked(serve: Serve, host: str) -> str:
    """Diagnose a server that takes one connection."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def run() -> None:
            taken, _ = door.accept()
            with taken:
                serve(taken)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            return diagnose(f"{host}:{door.getsockname()[1]}", PEM.decode())
        finally:
            thread.join()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_certificate_for_another_name_says_where_names_are_added(tmp_path: Path, host: str) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_bytes(PEM + PRIVATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)

    def serve(taken: socket.socket) -> None:
        with contextlib.suppress(OSError):
            context.wrap_socket(taken, server_side=True).close()

    said = asked(serve, host)
    assert said.startswith(f"the server's certificate is not for {host}: add it to server_names on the control plane")


def http(taken: socket.socket) -> None:
    taken.recv(4096)
    taken.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def silent(taken: socket.socket) -> None:
    while taken.recv(4096):
        pass


def gone(taken: socket.socket) -> None:
    taken.recv(4096)


@pytest.mark.parametrize("serve", [http, silent, gone])
def test_port_without_tls_is_told(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.5)
    assert "does not speak TLS" in asked(serve, "127.0.0.1")
