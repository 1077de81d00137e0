"""A JSON-RPC server that holds each answer for an exact time, and remembers for how long it really did.

It waits in epoll and spins through the last millisecond; the holding time of each answer, from the kernel's
own timestamp of the request (so that the server's waking up is not counted against the probe) to just before
send, is told by `GET /held` as lists of seconds by method, in the order of the calls.
"""

import argparse
import json
import select
import socket
import struct
import time
from dataclasses import dataclass, field

_SO_TIMESTAMPNS = 35
_SPIN_NS = 1_000_000
_BODY = b'{"jsonrpc":"2.0","result":%d,"id":1}'


@dataclass
class Server:
    """One listening socket, its clients, and the answers that wait for their time."""

    listener: socket.socket
    clients: dict[int, socket.socket] = field(default_factory=dict)
    pending: list[tuple[int, int, str, socket.socket]] = field(default_factory=list)
    held: dict[str, list[float]] = field(default_factory=dict)
    calls: int = 0

    def serve(self) -> None:
        """Answer for ever."""
        poll = select.epoll()
        poll.register(self.listener, select.EPOLLIN)
        while True:
            for fd, _ in poll.poll(self._patience_s()):
                if fd == self.listener.fileno():
                    client, _ = self.listener.accept()
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    client.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
                    self.clients[client.fileno()] = client
                    poll.register(client, select.EPOLLIN)
                else:
                    self._read(self.clients[fd], poll)
            self._answer_due()

    def _patience_s(self) -> float:
        if not self.pending:
            return -1
        left = min(self.pending)[0] - time.perf_counter_ns()
        # epoll counts in whole milliseconds.
        return 0 if left < 2 * _SPIN_NS else (left - _SPIN_NS) // 1_000_000 / 1000

    def _read(self, client: socket.socket, poll: select.epoll) -> None:
        data, control, _, _ = client.recvmsg(65_536, 64)
        now = time.perf_counter_ns() - _age_ns(control)
        if not data:
            poll.unregister(client)
            del self.clients[client.fileno()]
            self.pending = [one for one in self.pending if one[3] is not client]
            client.close()
        elif data.startswith(b"GET /held"):
            self._send(client, json.dumps(self.held).encode())
        else:
            request = json.loads(data.partition(b"\r\n\r\n")[2])
            self.pending.append((now + int(request["params"][0] * 1e6), now, request["method"], client))

    def _answer_due(self) -> None:
        for answer in sorted(self.pending):
            due, since, method, client = answer
            now = time.perf_counter_ns()
            if now < due:
                break
            self.pending.remove(answer)
            self.calls += 1
            head_and_body = self._response(_BODY % self.calls)
            held = time.perf_counter_ns() - since
            client.sendall(head_and_body)
            self.held.setdefault(method, []).append(held / 1e9)

    def _response(self, body: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
            len(body),
            body,
        )

    def _send(self, client: socket.socket, body: bytes) -> None:
        client.sendall(self._response(body))


def _age_ns(control: list[tuple[int, int, bytes]]) -> int:
    """How long ago the kernel took the request in, by the timestamp it puts beside the data."""
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanos = struct.unpack("ll", data)
            return time.time_ns() - int(seconds) * 1_000_000_000 - int(nanos)
    return 0


def main() -> None:
    """Run the program; prints `ready PORT`."""
    parser = argparse.ArgumentParser(prog="tests.bench.probe_server")
    parser.add_argument("--port", type=int, default=0)
    with socket.create_server(("127.0.0.1", parser.parse_args().port), backlog=64) as listener:
        print(f"ready {listener.getsockname()[1]}", flush=True)
        Server(listener).serve()


if __name__ == "__main__":
    main()
