"""The gateway's way to the gRPC server: a channel that is changed for another when other roots are trusted."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

Codec = Callable[[Any], Any] | None

# How long streams that are under way may go on over the channel before.
LINGER_SECONDS = 3600.0


class Upstream:
    """Makes calls over the newest channel; those under way go on over theirs.

    Args:
        target: the gRPC server, HOST:PORT.
        name: what its certificate is issued for.
        roots_pem: whom to trust.
    """

    def __init__(self, target: str, name: str, roots_pem: bytes) -> None:
        self._target = target
        self._options = (("grpc.ssl_target_name_override", name), ("grpc.use_local_subchannel_pool", 1))
        self._roots_pem = roots_pem
        self._channel = self._open()
        self._closing: set[asyncio.Task[None]] = set()

    def trust(self, roots_pem: bytes) -> None:
        """Trust other roots from now on."""
        if roots_pem == self._roots_pem:
            return
        before, self._roots_pem = self._channel, roots_pem
        self._channel = self._open()
        task = asyncio.create_task(before.close(LINGER_SECONDS), name="upstream before")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """End every call and close."""
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._channel.close()

    def unary_unary(self, method: str, request_serializer: Codec, response_deserializer: Codec) -> Callable[..., Any]:
        """As a channel's."""
        return self._callable(lambda channel: channel.unary_unary(method, request_serializer, response_deserializer))

    def unary_stream(self, method: str, request_serializer: Codec, response_deserializer: Codec) -> Callable[..., Any]:
        """As a channel's."""
        return self._callable(lambda channel: channel.unary_stream(method, request_serializer, response_deserializer))

    def stream_unary(self, method: str, request_serializer: Codec, response_deserializer: Codec) -> Callable[..., Any]:
        """As a channel's."""
        return self._callable(lambda channel: channel.stream_unary(method, request_serializer, response_deserializer))

    def _callable(self, make: Callable[[grpc.aio.Channel], Any]) -> Callable[..., Any]:
        made = (self._channel, make(self._channel))

        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal made
            if made[0] is not self._channel:
                made = (self._channel, make(self._channel))
            return made[1](*arguments, **options)

        return call

    def _open(self) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(self._roots_pem)
        return grpc.aio.secure_channel(self._target, credentials, options=self._options)
