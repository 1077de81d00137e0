"""A stream socket that knows when its bytes arrived: the kernel's receive timestamps, not the event loop's.

A busy loop, or a processor that had to wake up, then adds nothing to what is measured.
"""

import asyncio
import errno
import socket
import ssl
import struct
import time
from dataclasses import dataclass
from time import perf_counter

_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")
_CONTROL_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)
_CHUNK = 256 * 1024


Address = tuple[socket.AddressFamily, str]


@dataclass(frozen=True)
class Endpoint:
    """Where to connect: a host name or address, a port, and the TLS context of an encrypted one."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


class Wire:
    """An open connection; `sent_at` is the `perf_counter` time just before the last write."""

    def __init__(self, sock: socket.socket, endpoint: Endpoint) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        if endpoint.tls is not None:
            self._tls = endpoint.tls.wrap_bio(self._incoming, self._outgoing, server_hostname=endpoint.host)
        self.sent_at = 0.0

    @classmethod
    async def open(cls, endpoint: Endpoint, address: Address) -> "Wire":
        """Connect to a resolved address of the endpoint, and shake hands if it is encrypted.

        Raises:
            OSError: when the peer cannot be reached or trusted.
        """
        family, host = address
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            await asyncio.get_running_loop().sock_connect(sock, (host, endpoint.port))
            wire = cls(sock, endpoint)
            await wire._handshake()
        except BaseException:
            sock.close()
            raise
        return wire

    async def _handshake(self) -> None:
        if self._tls is None:
            return
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                data, _ = await self._arrived()
                if not data:
                    raise ConnectionResetError(errno.ECONNRESET, "closed during the TLS handshake") from None
                self._incoming.write(data)
            else:
                await self._flush()
                return

    async def send(self, data: bytes) -> None:
        """Write all of it, and remember when that began."""
        if self._tls is None:
            await self._write(data)
        else:
            self._tls.write(data)
            await self._flush()

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await self._write(data)

    async def _write(self, data: bytes) -> None:
        self.sent_at = perf_counter()
        try:
            written = self._sock.send(data)
        except BlockingIOError:
            written = 0
        if written < len(data):
            await self._loop.sock_sendall(self._sock, memoryview(data)[written:])

    async def receive(self) -> tuple[bytes, float]:
        """Read what came next, and the `perf_counter` time at which its last byte reached this host.

        Empty bytes mean that the peer closed.
        """
        if self._tls is None:
            return await self._arrived()
        while True:
            data, at = await self._arrived()
            if not data:
                return b"", at
            self._incoming.write(data)
            # A record may be incomplete, or a session ticket that carries nothing for us.
            if plain := self._decrypted(self._tls):
                return plain, at

    def _decrypted(self, tls: ssl.SSLObject) -> bytes:
        parts = []
        try:
            while part := tls.read(_CHUNK):
                parts.append(part)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            return b"".join(parts)
        return b"".join(parts)

    async def _arrived(self) -> tuple[bytes, float]:
        while True:
            try:
                data, control, _, _ = self._sock.recvmsg(_CHUNK, _CONTROL_BYTES)
            except BlockingIOError:
                await self._readable()
            else:
                return data, self._arrival(control)

    def _arrival(self, control: list[tuple[int, int, bytes]]) -> float:
        now = perf_counter()
        for level, kind, stamp in control:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(stamp) == _TIMESPEC.size:
                seconds, nanos = _TIMESPEC.unpack(stamp)
                age = float(time.time_ns() - seconds * 1_000_000_000 - nanos) / 1e9
                # The stamp is of the wall clock: after a step of that clock it says nothing.
                if 0 <= age <= now - self.sent_at:
                    return now - age
        return now

    async def _readable(self) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._sock.fileno(), _wake, ready)
        try:
            await ready
        finally:
            self._loop.remove_reader(self._sock.fileno())

    def idle(self) -> bool:
        """Whether the connection is open and silent, so that it can carry another request."""
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Close it at once."""
        self._sock.close()


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
