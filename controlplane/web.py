"""The HTTP doors: Prometheus on loopback, and the REST gateway behind TLS."""

import asyncio
import os
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import grpc
import grpc.aio
import structlog
from aiohttp import web

from common import sdnotify
from controlplane.api.services import SERVICES
from controlplane.gateway.server import Trust, build_app
from controlplane.gateway.site import Caps, listening, make_runner
from controlplane.identity.installation import Installation
from controlplane.networks import Admission, network
from controlplane.servers import StartError
from controlplane.settings import Settings

log = structlog.get_logger(__name__)

_FILES = ("ca.pem", "server.key", "server.pem", "secret", "csrf")


@asynccontextmanager
async def serve_site(
    runner: web.AppRunner, address: str, tls: ssl.SSLContext | None = None, caps: Caps | None = None
) -> AsyncIterator[int]:
    """Serve an application on HOST:PORT while the block runs; gives the port, which a PORT of 0 leaves open."""
    host, _, port = address.rpartition(":")
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = listening(runner.server, host.strip("[]"), int(port), tls, caps or Caps())  # type: ignore[arg-type]
        try:
            port_taken = await stack.enter_async_context(site)
        except OSError as error:
            raise StartError(f"{address} cannot be listened on: {error.strerror or error}") from None
        yield port_taken


class GatewayKeys(NamedTuple):
    """All that a gateway needs to know: its own certificate, the authority's, and what shows who it is."""

    ca_pem: bytes
    server_key_pem: bytes
    server_chain_pem: bytes
    secret: str
    csrf_secret: str

    @classmethod
    def of(cls, installation: Installation) -> "GatewayKeys":
        """Take them out of an installation."""
        return cls(
            installation.ca.pem.encode(), installation.server_key_pem, installation.server_chain_pem,
            installation.gateway_secret, installation.csrf_secret,
        )  # fmt: skip

    def hand_over(self, folder: Path) -> None:
        """Leave them for a gateway that runs apart, readable by the folder's group alone; raises OSError."""
        secrets = (self.secret.encode(), self.csrf_secret.encode())
        pems = (self.ca_pem, self.server_key_pem, self.server_chain_pem)
        for name, content in zip(_FILES, (*pems, *secrets), strict=True):
            _write_for_group(folder / name, content)

    @classmethod
    def take_over(cls, folder: Path) -> "GatewayKeys":
        """Read what the control plane left; raises OSError."""
        ca_pem, key, chain, secret, csrf = ((folder / name).read_bytes() for name in _FILES)
        return cls(ca_pem, key, chain, secret.decode(), csrf.decode())


@asynccontextmanager
async def gateway_site(settings: Settings, keys: GatewayKeys, target: str) -> AsyncIterator[int]:
    """Serve the REST gateway, which calls the gRPC server at `target` like any other client."""
    credentials = grpc.ssl_channel_credentials(keys.ca_pem)
    # The gateway dials loopback; the certificate is issued for the first of the server's names.
    options = (("grpc.ssl_target_name_override", settings.server_names[0]),)
    async with grpc.aio.secure_channel(target, credentials, options=options) as channel:
        proxies = tuple(map(network, settings.trusted_proxies))
        admission = Admission.of(settings.allow_networks, settings.deny_networks)
        trust = Trust(keys.secret, keys.csrf_secret, proxies, admission, tuple(settings.cors_origins))
        caps = Caps(settings.gateway_connections, settings.gateway_connections_per_ip, proxies)
        runner = make_runner(build_app(channel, list(SERVICES), trust, describe=settings.reflection))
        async with serve_site(runner, settings.gateway_listen, _tls(keys), caps) as port:
            yield port


async def serve_gateway(settings: Settings, keys: GatewayKeys) -> None:
    """Serve the gateway apart from the control plane, until SIGTERM or SIGINT; raises StartError."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    target = settings.gateway_target or f"127.0.0.1:{settings.tls_listen.rpartition(':')[2]}"
    async with gateway_site(settings, keys, target) as port:
        watchdog = asyncio.create_task(sdnotify.watchdog())
        sdnotify.notify("READY=1")
        log.info("gateway serves", rest=port, target=target)
        await stop.wait()
        sdnotify.notify("STOPPING=1")
        watchdog.cancel()
        await asyncio.gather(watchdog, return_exceptions=True)


def _write_for_group(path: Path, content: bytes) -> None:
    # Written anew and renamed, so that a gateway that starts meanwhile never reads half of it.
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), 0o640)
    new.rename(path)


def _tls(keys: GatewayKeys) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # OpenSSL's Python interface loads from files only; this one is 0600 and gone at once.
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(keys.server_key_pem + keys.server_chain_pem)
        context.load_cert_chain(file.name)
    return context
