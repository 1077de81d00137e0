"""The HTTP doors: Prometheus on loopback, and the REST gateway behind TLS."""

import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
from aiohttp import web

from controlplane.api.services import SERVICES
from controlplane.gateway.server import build_app, make_runner
from controlplane.identity.installation import Installation
from controlplane.servers import StartError
from controlplane.settings import Settings


@asynccontextmanager
async def serve_site(runner: web.AppRunner, address: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve an application on HOST:PORT while the block runs; gives the port, which a PORT of 0 leaves open."""
    host, _, port = address.rpartition(":")
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port), ssl_context=tls).start()
        except OSError as error:
            raise StartError(f"{address} cannot be listened on: {error.strerror or error}") from None
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def gateway_site(settings: Settings, installation: Installation, target: str) -> AsyncIterator[int]:
    """Serve the REST gateway, which calls the gRPC server at `target` like any other client."""
    credentials = grpc.ssl_channel_credentials(installation.ca.pem.encode())
    # The gateway dials loopback; the certificate is issued for the first of the server's names.
    options = (("grpc.ssl_target_name_override", settings.server_names[0]),)
    async with grpc.aio.secure_channel(target, credentials, options=options) as channel:
        app = build_app(channel, list(SERVICES), installation.gateway_secret)
        async with serve_site(make_runner(app), settings.gateway_listen, _tls(installation)) as port:
            yield port


def _tls(installation: Installation) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # OpenSSL's Python interface loads from files only; this one is 0600 and gone at once.
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(installation.server_key_pem + installation.server_chain_pem)
        context.load_cert_chain(file.name)
    return context
