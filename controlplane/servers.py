"""The gRPC servers: both doors lead through the same guard to the same services."""

import asyncio
from collections.abc import Callable, Sequence

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection

from controlplane.api.services import SERVICES
from controlplane.guard.chain import GuardChain
from controlplane.identity.installation import Installation
from controlplane.identity.live import LivePki
from controlplane.settings import Settings

Register = Callable[[grpc.aio.Server], None]

# A caller without a credential can make the server hold a whole message on each stream, so the door that takes
# anybody takes small messages; an agent's batches are larger, but an agent has a name that can be revoked.
TLS_MESSAGE, TLS_STREAMS = 64 * 1024, 500
MTLS_MESSAGE, MTLS_STREAMS = 1024 * 1024, 500


def _options(message_bytes: int, streams: int) -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.max_receive_message_length", message_bytes),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.max_concurrent_streams", streams),
        # Pings: answered, but not from a peer that floods; a dead peer is noticed within 40 s.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 2),
        # What says nothing costs a place: a handshake is short, and who has no call under way may come again.
        ("grpc.server_handshake_timeout_ms", 10_000),
        ("grpc.max_connection_idle_ms", 300_000),
        ("grpc.so_reuseport", 0),
    )


class StartError(Exception):
    """Why the control plane cannot start; the message says what to do."""


class Servers:
    """Two doors to the same services: 7443 wants a client certificate, 7444 takes bearer tokens."""

    def __init__(
        self, settings: Settings, installation: Installation, chain: GuardChain, register: Sequence[Register]
    ) -> None:
        self._settings = settings
        self._health = HealthServicer()
        self._mtls = self._server(chain, register, _options(MTLS_MESSAGE, MTLS_STREAMS))
        self._tls = self._server(chain, register, _options(TLS_MESSAGE, TLS_STREAMS))
        pki = installation.pki
        self.mtls_port = _listen(self._mtls, "mtls_listen", settings.mtls_listen, _credentials(pki, verify=True))
        self.tls_port = _listen(self._tls, "tls_listen", settings.tls_listen, _credentials(pki, verify=False))

    async def start(self) -> None:
        """Open both doors and report healthy."""
        await self._mtls.start()
        await self._tls.start()
        for name in ("", *(service.full_name for service in SERVICES)):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Report unhealthy, take no new calls, and let those under way end within the drain time."""
        await self._health.enter_graceful_shutdown()
        await asyncio.gather(*(server.stop(self._settings.drain_seconds) for server in (self._mtls, self._tls)))

    def _server(
        self, chain: GuardChain, register: Sequence[Register], options: tuple[tuple[str, int], ...]
    ) -> grpc.aio.Server:
        server = grpc.aio.server(interceptors=(chain,), options=options)
        for add in register:
            add(server)
        add_HealthServicer_to_server(self._health, server)  # type: ignore[no-untyped-call]
        if self._settings.reflection:
            names = [service.full_name for service in SERVICES]
            names.append(reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)  # type: ignore[no-untyped-call]
        return server


def _credentials(pki: LivePki, *, verify: bool) -> grpc.ServerCredentials:
    """Give credentials that show, at each handshake, the certificate of that moment.

    Args:
        pki: where certificate and roots come from.
        verify: want a client certificate, of an authority that is trusted at that moment.
    """
    shown = (pki.server, pki.roots_pem)

    def configuration() -> grpc.ServerCertificateConfiguration:
        server, roots_pem = shown
        return grpc.ssl_server_certificate_configuration(
            [(server.key_pem, server.chain_pem)], roots_pem if verify else None
        )

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        # Called by gRPC's own threads; None leaves what is shown as it is.
        nonlocal shown
        latest = (pki.server, pki.roots_pem)
        if latest == shown:
            return None
        shown = latest
        return configuration()

    return grpc.dynamic_ssl_server_credentials(
        configuration(),
        fetch,  # type: ignore[arg-type] # its documentation lets None say that nothing is new
        require_client_authentication=verify,
    )


def _listen(server: grpc.aio.Server, setting: str, address: str, credentials: grpc.ServerCredentials) -> int:
    try:
        return server.add_secure_port(address, credentials)
    except RuntimeError:
        raise StartError(f"{setting}: {address} is taken or not an address of this machine") from None
