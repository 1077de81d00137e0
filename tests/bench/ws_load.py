"""`python -m tests.bench.ws_load PORT TOKENS CLIENTS WARM_S MEASURED_S`: lean WebSocket clients, on plain sockets.

Prints "all there" once every client is subscribed, and then one line of JSON: the delay of every frame, in
milliseconds, and the sizes of some.
"""

import datetime as dt
import json
import select
import socket
import ssl
import sys
import time
from pathlib import Path

_TIME = b'"time":"'
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SUBSCRIBE = json.dumps({"subscribe": ["fleet"]}).encode()


def main() -> None:
    """Connect, read, and tell."""
    port, tokens, clients = int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), int(sys.argv[3])
    warm_s, measured_s = map(float, sys.argv[4:6])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    waiting = select.epoll()
    held: dict[int, ssl.SSLSocket] = {}
    for number in range(clients):
        place = number % len(tokens)
        one = _connect(context, port, tokens[place], f"127.0.0.{2 + place}")
        held[one.fileno()] = one
        waiting.register(one.fileno(), select.EPOLLIN)
        if number % 100 == 99:
            # What came meanwhile is read, so that nobody is slow.
            _read(waiting, held, time.time(), [], [])
    print("all there", flush=True)
    _read(waiting, held, time.time() + warm_s, [], [])
    delays: list[float] = []
    sizes: list[int] = []
    _read(waiting, held, time.time() + measured_s, delays, sizes)
    print(json.dumps({"delays": delays, "sizes": sizes[:1000]}), flush=True)


def _connect(context: ssl.SSLContext, port: int, token: str, address: str) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(address, 0))
    one = context.wrap_socket(plain, server_hostname="localhost")
    one.sendall(
        b"GET /api/rpc/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer "
        + token.encode()
        + b"\r\n\r\n"
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = one.recv(4096)
        answer += part
        if not part:
            break
    assert b" 101 " in answer, answer
    # A mask of zeros is a mask.
    one.sendall(bytes((0x81, 0x80 | len(_SUBSCRIBE), 0, 0, 0, 0)) + _SUBSCRIBE)
    one.setblocking(False)
    return one


def _read(
    waiting: select.epoll, held: dict[int, ssl.SSLSocket], until: float, delays: list[float], sizes: list[int]
) -> None:
    while True:
        ready = waiting.poll(max(0.0, min(0.5, until - time.time())), 20_000)
        for number, event in ready:
            try:
                data = held[number].recv(65_536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                continue
            now = time.time()
            assert data, (event, "the door closed a socket")
            if data[0] == 0x89:
                # A ping; an empty one is answered by an empty pong.
                held[number].send(bytes((0x8A, 0x80, 0, 0, 0, 0)))
                continue
            found = data.find(_TIME)
            if found >= 0:
                sizes.append(len(data))
                delays.append((now - _seconds(data[found + len(_TIME) : data.index(b'"', found + len(_TIME))])) * 1000)
        if time.time() >= until:
            return


_seen: dict[bytes, float] = {}


def _seconds(text: bytes) -> float:
    """Read an RFC 3339 time; the same one comes ten thousand times."""
    if text not in _seen:
        whole, _, rest = text.decode().rstrip("Z").partition(".")
        moment = dt.datetime.fromisoformat(whole).replace(tzinfo=dt.UTC)
        _seen[text] = (moment - _EPOCH).total_seconds() + float(f"0.{rest or 0}")
    return _seen[text]


if __name__ == "__main__":
    main()
