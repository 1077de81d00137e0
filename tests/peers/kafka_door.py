"""A door before a real broker: it shakes hands by TLS, asks for a password by SASL, and passes everything else on.

The broker knows neither. Frames, ApiVersions (18), SaslHandshake (17) and SaslAuthenticate (36) are as in Kafka's
protocol guide, SCRAM as in RFC 5802; what the broker says of its own address becomes the door's.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

VERSIONS, HANDSHAKE, AUTHENTICATE = 18, 17, 36
UNSUPPORTED_VERSION, UNSUPPORTED_MECHANISM, AUTH_FAILED = 35, 33, 58
ROUNDS = 4096
_HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}


@dataclass
class Wanted:
    """What the door asks of who comes."""

    broker: int
    tls: ssl.SSLContext | None = None
    mechanism: str = ""
    user: str = "solward"
    password: str = ""


@asynccontextmanager
async def door(wanted: Wanted) -> AsyncIterator[int]:
    """Keep a door for the length of a block; gives its port."""
    visitors: set[asyncio.Task[None]] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        visitors.add(task)
        try:
            port = writer.get_extra_info("sockname")[1]
            await _Visit(wanted, port, reader, writer).run()
        except (OSError, asyncio.IncompleteReadError):
            pass  # Who comes may leave at any time, in any way
        finally:
            visitors.discard(task)
            writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=wanted.tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(visitors):
            task.cancel()
        await asyncio.gather(*visitors, return_exceptions=True)


class _Visit:
    def __init__(self, wanted: Wanted, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._wanted, self._port = wanted, port
        self._reader, self._writer = reader, writer

    async def run(self) -> None:
        broker = await asyncio.open_connection("127.0.0.1", self._wanted.broker)
        try:
            if self._wanted.mechanism and not await self._sign_in(*broker):
                return
            await asyncio.gather(self._pass_up(broker[1]), self._pass_down(broker[0]))
        finally:
            broker[1].close()

    async def _pass_up(self, broker: asyncio.StreamWriter) -> None:
        while data := await self._reader.read(65536):
            broker.write(data)
            await broker.drain()
        broker.close()

    async def _pass_down(self, broker: asyncio.StreamReader) -> None:
        host = b"127.0.0.1"
        theirs, ours = (host + struct.pack(">i", port) for port in (self._wanted.broker, self._port))
        while True:
            self._writer.write(_framed((await _frame(broker)).replace(theirs, ours)))
            await self._writer.drain()

    async def _sign_in(self, broker_in: asyncio.StreamReader, broker_out: asyncio.StreamWriter) -> bool:
        exchange = _Plain(self._wanted) if self._wanted.mechanism == "PLAIN" else _Scram(self._wanted)
        while True:
            frame = await _frame(self._reader)
            key, version, number, client = struct.unpack(">hhih", frame[:10])
            body = frame[10 + max(0, client) :]
            if key == VERSIONS:
                answer = await _versions(version, broker_in, broker_out)
            elif key == HANDSHAKE:
                asked = body[2:].decode()
                error = 0 if asked == self._wanted.mechanism else UNSUPPORTED_MECHANISM
                answer = struct.pack(">hi", error, 1) + _string(self._wanted.mechanism)
            else:
                assert key == AUTHENTICATE, f"a request of kind {key} before the password"
                said = exchange.answer(body[4:])
                error, words = (0, struct.pack(">h", -1)) if said is not None else (AUTH_FAILED, _string("no"))
                answer = struct.pack(">h", error) + words + struct.pack(">i", len(said or b"")) + (said or b"")
                answer += struct.pack(">q", 0) if version else b""
            self._writer.write(_framed(struct.pack(">i", number) + answer))
            await self._writer.drain()
            if exchange.done is not None:
                return exchange.done


class _Plain:
    """One message: nothing, the user, the password."""

    def __init__(self, wanted: Wanted) -> None:
        self._right = f"\0{wanted.user}\0{wanted.password}".encode()
        self.done: bool | None = None

    def answer(self, said: bytes) -> bytes | None:
        self.done = said == self._right
        return b"" if self.done else None


class _Scram:
    """Two messages each way."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._hash = _HASHES[wanted.mechanism]
        self._first = self._second = ""
        self._salt = secrets.token_bytes(16)
        self.done: bool | None = None

    def answer(self, said: bytes) -> bytes | None:
        text = said.decode()
        if not self._first:
            self._first = text.removeprefix("n,,")
            nonce = dict(part.split("=", 1) for part in self._first.split(","))["r"] + secrets.token_hex(8)
            self._second = f"r={nonce},s={base64.b64encode(self._salt).decode()},i={ROUNDS}"
            return self._second.encode()
        bare, _, proof = text.rpartition(",p=")
        signed = f"{self._first},{self._second},{bare}".encode()
        salted = hashlib.pbkdf2_hmac(self._hash, self._wanted.password.encode(), self._salt, ROUNDS)
        client_key = self._mac(salted, b"Client Key")
        signature = self._mac(hashlib.new(self._hash, client_key).digest(), signed)
        right = bytes(one ^ other for one, other in zip(client_key, signature, strict=True))
        self.done = hmac.compare_digest(base64.b64decode(proof), right)
        return b"v=" + base64.b64encode(self._mac(self._mac(salted, b"Server Key"), signed)) if self.done else None

    def _mac(self, key: bytes, text: bytes) -> bytes:
        return hmac.new(key, text, self._hash).digest()


async def _versions(version: int, broker_in: asyncio.StreamReader, broker_out: asyncio.StreamWriter) -> bytes:
    """Say what the broker can do, and what the door can; in the oldest form, which every client takes."""
    if version > 0:
        return struct.pack(">hi", UNSUPPORTED_VERSION, 1) + struct.pack(">hhh", VERSIONS, 0, 0)
    broker_out.write(_framed(struct.pack(">hhih", VERSIONS, 0, 0, -1)))
    answer = (await _frame(broker_in))[4:]
    error, count = struct.unpack(">hi", answer[:6])
    ours = struct.pack(">hhh", HANDSHAKE, 0, 1) + struct.pack(">hhh", AUTHENTICATE, 0, 1)
    return struct.pack(">hi", error, count + 2) + answer[6 : 6 + 6 * count] + ours


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


def _framed(content: bytes) -> bytes:
    return struct.pack(">i", len(content)) + content


def _string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()
