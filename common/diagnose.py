"""Why a control plane cannot be reached: refused TLS says nothing by itself, so every step is tried here."""

import datetime as dt
import socket
import ssl
from pathlib import Path

from common.pki import load_certificates, trouble

CONNECT_SECONDS = 5.0
# X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
_NAME_MISMATCH = (62, 64)
# How OpenSSL calls an answer that is no TLS record.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING")


def diagnose(server: str, ca_pem: str, pair: tuple[str, str] | None = None) -> str:
    """Say what is wrong between here and a server, in one sentence, and what to do about it.

    Args:
        server: HOST:PORT.
        ca_pem: the authorities that its certificate must come from.
        pair: files of the client certificate and of its key, where one is shown.
    """
    host, _, port = server.rpartition(":")
    wrong = _authority_trouble(ca_pem) or (_own_trouble(pair[0], ca_pem) if pair else None)
    if wrong:
        return wrong
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS) as plain:
            return _handshake(plain, host.strip("[]"), server, ca_pem, pair)
    except socket.gaierror:
        return f"the name {host} cannot be resolved: check it, or your DNS"
    except ConnectionRefusedError:
        return f"nothing listens on {server}: is solward-controlplane running there?"
    except TimeoutError:
        return f"{server} does not answer: a firewall between here and there?"
    except OSError as error:
        return f"{server} cannot be reached: {error.strerror or error}"


def _handshake(plain: socket.socket, host: str, server: str, ca_pem: str, pair: tuple[str, str] | None) -> str:
    context = ssl.create_default_context(cadata=ca_pem)
    try:
        if pair:
            context.load_cert_chain(*pair)
        with context.wrap_socket(plain, server_hostname=host):
            return f"{server} answers, but not with gRPC of a control plane: is it the TLS port (7444)?"
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _NAME_MISMATCH:
            return (
                f"the server's certificate is not for {host}: add it to server_names on the control plane, "
                "or connect under one of its names"
            )
        now = dt.datetime.now(dt.UTC)
        return (
            f"{server} shows a certificate that cannot be trusted ({error.verify_message}); this machine's clock "
            f"says {now:%Y-%m-%d %H:%M:%S} UTC: check the clock, and that the CA file is of this control plane"
        )
    except (TimeoutError, ConnectionResetError):
        return f"{server} does not speak TLS: is it the control plane's port (7444)?"
    except ssl.SSLError as error:
        if error.reason in _NOT_TLS:
            return f"{server} does not speak TLS: is it the control plane's port (7444)?"
        return f"{server} refuses TLS ({error.reason}): is it the port for bearer tokens (7444), not for certificates?"


def _authority_trouble(ca_pem: str) -> str | None:
    try:
        authorities = load_certificates(ca_pem.encode())
    except ValueError:
        return "the CA file holds no PEM certificate"
    now = dt.datetime.now(dt.UTC)
    if any(one.not_valid_before_utc <= now < one.not_valid_after_utc for one in authorities):
        return None
    last = max(authorities, key=lambda one: one.not_valid_after_utc)
    return (
        f"the certificate authority holds from {last.not_valid_before_utc:%Y-%m-%d} to "
        f"{last.not_valid_after_utc:%Y-%m-%d}, but this machine's clock says {now:%Y-%m-%d}: check the clock, or get "
        "the roots of today (pki/ca.pem of the control plane)"
    )


def _own_trouble(certificate: str, ca_pem: str) -> str | None:
    try:
        chain = load_certificates(Path(certificate).read_bytes())
    except ValueError:
        return f"{certificate} holds no PEM certificate"
    said = trouble(chain, load_certificates(ca_pem.encode()), dt.datetime.now(dt.UTC))
    return f"{certificate}: {said}" if said else None
