"""Channels to the control plane: TLS with its authority, and the agent's certificate where it has one."""

import grpc
import grpc.aio

from agent.identity import Identity
from agent.settings import Settings

_OPTIONS = (
    # A dead peer is noticed within 30 s even when nothing is said.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    # Every attempt starts from nothing: no back-off or broken connection of an earlier channel is shared.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
)


def mtls_channel(settings: Settings, identity: Identity) -> grpc.aio.Channel:
    """Open a fresh channel as this agent."""
    credentials = grpc.ssl_channel_credentials(identity.roots_pem, identity.key_pem, identity.certificate_pem)
    return grpc.aio.secure_channel(f"{settings.server}:{settings.mtls_port}", credentials, options=_OPTIONS)


def tls_channel(settings: Settings, roots_pem: bytes) -> grpc.aio.Channel:
    """Open a fresh channel as nobody yet, to enroll."""
    credentials = grpc.ssl_channel_credentials(roots_pem)
    return grpc.aio.secure_channel(f"{settings.server}:{settings.tls_port}", credentials, options=_OPTIONS)
