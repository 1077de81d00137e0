"""One Yellowstone subscription, kept up: the smallest filter that tells of every slot, and made anew when it ends."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import grpc
import grpc.aio
import structlog
from yellowstone import geyser_pb2
from yellowstone.geyser_pb2_grpc import GeyserStub

from agent.geyser.ends import End, of_error, of_status
from agent.geyser.plugin_settings import StreamSettings
from agent.jito.channel import ours_alone
from agent.secret_file import SettingsFileError, read_line
from common.bell import Bell
from common.breaker import Breaker, BreakerOpen

log = structlog.get_logger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
# A subscription that stood for so long was no failure.
LASTED_S: Final = 30.0
# A limit of streams is freed only once the server has seen that our last one is gone.
LIMITED_WAIT_S: Final = 5.0
FILTER: Final = "solward"
OPTIONS: Final = (
    # Blocks are beyond the usual 4 MB.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
)
Call = grpc.aio.StreamStreamCall[geyser_pb2.SubscribeRequest, geyser_pb2.SubscribeUpdate]


class Listener(Protocol):
    """Who is told what comes; times are of `time.monotonic`, in seconds."""

    def began(self) -> None:
        """A subscription stands; what comes from now on is of it."""

    def slot(self, update: geyser_pb2.SubscribeUpdateSlot, at: float) -> None:
        """A slot's status has come."""

    def block(self, meta: geyser_pb2.SubscribeUpdateBlockMeta) -> None:
        """What a block holds has come."""

    def ended(self, end: End, stood_s: float | None) -> None:
        """A subscription ended; `stood_s` is None for one that never stood."""


class GeyserStream:
    """Keeps one subscription up.

    Args:
        source: what it is called.
        loaded: rung when a plugin was loaded, so that what failed before says nothing any more.
    """

    def __init__(
        self, source: str, wanted: StreamSettings, listener: Listener, loaded: Bell | None = None
    ) -> None:  # fmt: skip
        self._loaded = loaded or Bell()
        self._heard = self._loaded.times
        self._source = source
        self._wanted = wanted
        self._listener = listener
        self._breaker = Breaker(f"geyser stream {source}")
        self._pings = count(1)
        self._failures = 0
        self._began_at: float | None = None
        self._slot_at = self._ping_at = 0.0

    @property
    def up(self) -> bool:
        """Whether the subscription stands."""
        return self._began_at is not None

    @property
    def silent_s(self) -> float:
        """How long ago the last slot came, or the subscription began."""
        return time.monotonic() - max(self._slot_at, self._began_at or 0.0)

    async def run(self) -> None:
        """Keep it up until cancelled."""
        try:
            while True:
                await self._until_let()
                end = await self._once()
                stood_s = None if self._began_at is None else time.monotonic() - self._began_at
                came, self._began_at = self._slot_at > 0.0, None
                if not came:
                    self._breaker.failed()
                self._failures = 0 if came and (stood_s or 0.0) >= LASTED_S else self._failures + 1
                self._listener.ended(end, stood_s)
                await self._pause(self._wait_s(end))
        finally:
            self._began_at = None
            self._breaker.close()

    async def _until_let(self) -> None:
        while True:
            try:
                self._breaker.before()
            except BreakerOpen as open_:
                await self._pause(max(0.05, open_.retry_s))
            else:
                return

    async def _pause(self, seconds: float) -> None:
        """Wait before the next try; not where a plugin was loaded since: another one may be there now."""
        if await self._loaded.after(self._heard, seconds):
            self._heard = self._loaded.times
            self._failures = 0
            self._breaker.succeeded()

    def _wait_s(self, end: End) -> float:
        if end.lasting:
            return random.uniform(LONGEST_WAIT_S / 2, LONGEST_WAIT_S)  # noqa: S311
        first = LIMITED_WAIT_S if end.kind == "limited" else FIRST_WAIT_S
        ceiling = min(LONGEST_WAIT_S, first * 2 ** min(self._failures, 8))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311

    async def _once(self) -> End:
        """Subscribe, pass on what comes, and say why it ended."""
        self._slot_at = self._ping_at = 0.0
        try:
            with ours_alone():
                async with self._channel() as channel:
                    return await self._follow(channel)
        except SettingsFileError as error:
            return End("file", str(error), lasting=True)
        except TimeoutError:
            return self._silence()
        except grpc.aio.AioRpcError as error:
            return of_error(error)

    def _silence(self) -> End:
        after = f"{self._wanted.silent_seconds:g} s"
        if not self.up:
            return End("timeout", f"nothing has answered for {after}")
        pings = "though pings came" if self._ping_at else "and no ping either"
        return End("silent", f"no slot has come for {after}, {pings}")

    @asynccontextmanager
    async def _channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """Open a channel for one subscription alone: what was wrong with the last one is not taken along."""
        parts = urlsplit(self._wanted.url)
        secure = parts.scheme == "https"
        # An address of IPv6 stands in brackets.
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        target = f"{host}:{parts.port or (443 if secure else 80)}"
        if secure:
            credentials = grpc.ssl_channel_credentials(await asyncio.to_thread(self._roots))
            channel = grpc.aio.secure_channel(target, credentials, options=OPTIONS)
        else:
            channel = grpc.aio.insecure_channel(target, options=OPTIONS)
        try:
            yield channel
        finally:
            await channel.close()

    def _roots(self) -> bytes | None:
        path = self._wanted.ca_file
        try:
            return path.read_bytes() if path else None
        except OSError as error:
            raise SettingsFileError(
                f"streams.{self._source}.ca_file: {path} cannot be read: {error.strerror}"
            ) from None

    async def _metadata(self) -> tuple[tuple[str, str], ...]:
        """Read the token, each time anew, so that another one is taken up without a restart."""
        path = self._wanted.token_file
        if path is None:
            return ()
        field = f"streams.{self._source}.token_file"
        token = await asyncio.to_thread(read_line, path, field)
        if not (token.isascii() and token.isprintable()):
            raise SettingsFileError(f"{field}: {path} must hold printable ASCII, as a header does")
        return (("x-token", token),)

    async def _follow(self, channel: grpc.aio.Channel) -> End:
        metadata = await self._metadata()
        stub: Any = GeyserStub(channel)
        call: Call = stub.Subscribe(metadata=metadata)
        try:
            async with asyncio.timeout(self._wanted.silent_seconds) as patience:
                # With the open, and not later: what stands between cuts streams that say nothing.
                await self._write(call, _request(counts=self._wanted.counts))
                await call.initial_metadata()
                while True:
                    update = await call.read()
                    if not isinstance(update, geyser_pb2.SubscribeUpdate):
                        return await _end(call)
                    if await self._take(call, update):
                        patience.reschedule(asyncio.get_running_loop().time() + self._wanted.silent_seconds)
        finally:
            call.cancel()

    async def _take(self, call: Call, update: geyser_pb2.SubscribeUpdate) -> bool:
        """Take in one update; whether it told of a slot."""
        now = time.monotonic()
        self._begin(now)
        kind: str | None = update.WhichOneof("update_oneof")
        if kind == "slot":
            if not self._slot_at:
                self._breaker.succeeded()
            self._slot_at = now
            self._listener.slot(update.slot, now)
        elif kind == "block_meta":
            self._listener.block(update.block_meta)
        elif kind == "ping":
            self._ping_at = now
            ping = geyser_pb2.SubscribeRequestPing(id=next(self._pings) & 0x7FFFFFFF)
            await self._write(call, geyser_pb2.SubscribeRequest(ping=ping))
        return kind == "slot"

    def _begin(self, now: float) -> None:
        # A server that refuses sends headers as well, so it is the first update that counts.
        if self._began_at is None:
            self._began_at = now
            self._listener.began()

    async def _write(self, call: Call, request: geyser_pb2.SubscribeRequest) -> None:
        try:
            await call.write(request)
        except asyncio.InvalidStateError:
            # It is over; why is said where it is read.
            log.debug("a stream was over before it was written to", source=self._source)


async def _end(call: Call) -> End:
    code = await call.code()
    if code is grpc.StatusCode.OK:
        return End("ended", "the server ended the stream in peace")
    return of_status(code, await call.details())


def _request(*, counts: bool) -> geyser_pb2.SubscribeRequest:
    """Ask for every status of every slot, and of blocks what they hold where that is counted."""
    request = geyser_pb2.SubscribeRequest(commitment=geyser_pb2.PROCESSED)
    request.slots[FILTER].interslot_updates = True
    request.slots[FILTER].filter_by_commitment = False
    if counts:
        request.blocks_meta[FILTER].SetInParent()
    return request
