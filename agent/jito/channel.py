"""The channel to one region of the block engine, made anew when it is stale."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import grpc
import grpc.aio
import structlog

log = structlog.get_logger(__name__)

OPTIONS = (
    # As searchers run it in production: a dead peer is noticed within 11 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 1_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # The leaders of an epoch, over all regions, are more than the usual 4 MB.
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
)
# What runs on a channel that was left may end in peace.
_GRACE_S = 1.0


@contextmanager
def ours_alone() -> Iterator[None]:
    """Let only a cancellation that is meant for this task pass.

    gRPC cancels the calls of a channel that is closed: to whoever waits for one, that is a connection that broke.

    Raises: grpc.aio.AioRpcError UNAVAILABLE.
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        nothing = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.UNAVAILABLE, nothing, nothing, details="the channel was left"
        ) from None


class RegionChannel:
    """One channel at a time.

    Args:
        url: https, or http for an engine on this machine.
        roots: authorities to trust, PEM; None: those that gRPC brings.
    """

    def __init__(self, region: str, url: str, roots: bytes | None) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        self.target = f"{parts.hostname}:{parts.port or (443 if secure else 80)}"
        self._region = region
        self._credentials = grpc.ssl_channel_credentials(roots) if secure else None
        self._channel: grpc.aio.Channel | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel that is used now."""
        if self._channel is None:
            if self._credentials:
                self._channel = grpc.aio.secure_channel(self.target, self._credentials, options=OPTIONS)
            else:
                self._channel = grpc.aio.insecure_channel(self.target, options=OPTIONS)
        return self._channel

    def renew(self, stale: grpc.aio.Channel) -> None:
        """Leave a channel that is open and yet says nothing; nothing happens if another has taken its place."""
        if self._channel is not stale:
            return
        log.warning("the channel to a block engine is stale and made anew", region=self._region)
        self._channel = None
        task = asyncio.create_task(stale.close(_GRACE_S))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close it."""
        if self._channel:
            await self._channel.close()
        await asyncio.gather(*self._closing, return_exceptions=True)
