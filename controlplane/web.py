"""The HTTP doors: Prometheus on loopback, and the REST gateway behind TLS."""

import asyncio
import ctypes
import os
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import structlog
from aiohttp import web

from common import sdnotify
from controlplane.api.services import SERVICES
from controlplane.gateway.server import Trust, build_app
from controlplane.gateway.site import Caps, Limits, connections, listening
from controlplane.gateway.upstream import Upstream
from controlplane.identity.external import load_pair
from controlplane.identity.installation import Installation
from controlplane.networks import Admission, network
from controlplane.servers import StartError
from controlplane.settings import Settings

log = structlog.get_logger(__name__)

FOLLOW_SECONDS = 5.0
_M_MMAP_THRESHOLD, _LARGE_BYTES = -3, 128 * 1024
_FILES = ("ca.pem", "server.key", "server.pem", "secret", "csrf")


@asynccontextmanager
async def serve_site(
    app: web.Application, address: str, tls: ssl.SSLContext | None = None, caps: Caps | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[int]:  # fmt: skip
    """Serve an application on HOST:PORT while the block runs; gives the port, which a PORT of 0 leaves open."""
    # A client that goes away must end its call.
    runner = web.AppRunner(app, handler_cancellation=True)
    host, _, port = address.rpartition(":")
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = listening(connections(runner, limits), host.strip("[]"), int(port), tls, caps or Caps())
        try:
            port_taken = await stack.enter_async_context(site)
        except OSError as error:
            raise StartError(f"{address} cannot be listened on: {error.strerror or error}") from None
        yield port_taken


class GatewayKeys(NamedTuple):
    """All that a gateway needs to know: its own certificate, the roots, and what shows who it is."""

    ca_pem: bytes
    server_key_pem: bytes
    server_chain_pem: bytes
    secret: str
    csrf_secret: str

    @classmethod
    def of(cls, installation: Installation) -> "GatewayKeys":
        """Take them out of an installation."""
        return cls(
            installation.pki.roots_pem, installation.pki.server.key_pem, installation.pki.server.chain_pem,
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


class GatewayDoor(NamedTuple):
    """A gateway that serves: its port, and what is renewed while it does."""

    port: int
    tls: ssl.SSLContext
    upstream: Upstream

    def renew(self, keys: GatewayKeys) -> None:
        """Show another certificate, and trust other roots, from the next connection on."""
        load_pair(self.tls, keys.server_key_pem, keys.server_chain_pem)
        self.upstream.trust(keys.ca_pem)


@asynccontextmanager
async def gateway_site(settings: Settings, keys: GatewayKeys, target: str) -> AsyncIterator[GatewayDoor]:
    """Serve the REST gateway, which calls the gRPC server at `target` like any other client."""
    # The gateway dials loopback; the certificate is issued for the first of the server's names.
    upstream = Upstream(target, settings.server_names[0], keys.ca_pem)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(upstream.close)
        proxies = tuple(map(network, settings.trusted_proxies))
        admission = Admission.of(settings.allow_networks, settings.deny_networks)
        trust = Trust(keys.secret, keys.csrf_secret, proxies, admission, tuple(settings.cors_origins))
        caps = Caps(
            settings.gateway_connections, settings.gateway_connections_per_ip, proxies, settings.gateway_share_port
        )  # fmt: skip
        app = build_app(upstream, list(SERVICES), trust, describe=settings.reflection)
        tls = _tls(keys)
        port = await stack.enter_async_context(serve_site(app, settings.gateway_listen, tls, caps))
        yield GatewayDoor(port, tls, upstream)


async def serve_gateway(settings: Settings, keys: GatewayKeys, folder: Path) -> None:
    """Serve the gateway apart from the control plane, until SIGTERM or SIGINT; raises StartError."""
    _keep_large_blocks_apart()
    stop, renew = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, renew.set)
    target = settings.gateway_target or f"127.0.0.1:{settings.tls_listen.rpartition(':')[2]}"
    async with gateway_site(settings, keys, target) as door:
        background = [
            asyncio.create_task(sdnotify.watchdog()),
            asyncio.create_task(follow_keys(door, keys, folder, renew)),
        ]
        sdnotify.notify("READY=1")
        log.info("gateway serves", rest=door.port, target=target)
        await stop.wait()
        sdnotify.notify("STOPPING=1")
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)


async def follow_keys(door: GatewayDoor, keys: GatewayKeys, folder: Path, hurry: asyncio.Event) -> None:
    """Take over what the control plane leaves anew, for ever; half of it, while it is written, is left alone."""
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(FOLLOW_SECONDS):
                await hurry.wait()
        hurry.clear()
        try:
            latest = await asyncio.to_thread(GatewayKeys.take_over, folder)
            if latest == keys:
                continue
            door.renew(latest)
            keys = latest
            log.info("the gateway's certificate is new")
        except OSError as error:
            # ssl.SSLError is one too: key and certificate do not belong together yet.
            log.warning("the gateway's certificate cannot be renewed; trying again", why=str(error))


def _write_for_group(path: Path, content: bytes) -> None:
    # Written anew and renamed, so that a gateway that starts meanwhile never reads half of it.
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), 0o640)
    new.rename(path)


def _keep_large_blocks_apart() -> None:
    """Have the C library give each large block pages of its own, for the life of this process.

    uvloop keeps 256 KiB for each TLS connection and uses the first of it. Within the heap, where glibc puts blocks of
    a size that was once freed (mallopt(3), M_MMAP_THRESHOLD), the rest lies on pages that handshakes have used before:
    ten thousand connections then hold twice the memory. The numbers are those of malloc.h.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def _tls(keys: GatewayKeys) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_pair(context, keys.server_key_pem, keys.server_chain_pem)
    return context
