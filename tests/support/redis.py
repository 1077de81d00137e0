"""A real Redis for tests: a server of its own on a free port of loopback, behind a password, empty at first."""

import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_ports

READY_S = 10.0


class RedisServer:
    """One server; every method waits until it is so, so that a loop calls them in a thread.

    Args:
        folder: where everything of it goes.
        durable: whether what was written is there again after a kill.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder = folder
        self.port = free_ports(1)[0]
        self.password = secrets.token_urlsafe(24)
        self._durable = durable
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Give the URL, with its password."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = (
            f"port {self.port}", "bind 127.0.0.1", f"requirepass {self.password}", f"dir {self.folder}", 'save ""',
            f"appendonly {'yes' if self._durable else 'no'}", "appendfsync always",
        )  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            # Its settings come on standard input: a password has no place in a process list.
            self._server = subprocess.Popen(["redis-server", "-"], stdin=subprocess.PIPE, stdout=log, stderr=log)
        assert self._server.stdin
        self._server.stdin.write("\n".join(settings).encode())
        self._server.stdin.close()
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and self._server.poll() is None:
            if self._answers():
                return
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"Redis did not start:\n{(self.folder / 'log').read_text()}")

    def kill(self) -> None:
        """Stop at once, as a crash would."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def restart(self) -> None:
        """Kill, and start again on the same port."""
        self.kill()
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it stand still for the length of a block: it takes connections, and never answers."""
        assert self._server
        self._server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._server.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
                client.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                return client.recv(64).startswith(b"+OK")
        except OSError:
            return False


@contextmanager
def redis(*, durable: bool = False) -> Iterator[RedisServer]:
    """Run a Redis for the length of a block; nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="solward-redis-") as folder:
        server = RedisServer(Path(folder), durable=durable)
        server.start()
        try:
            yield server
        finally:
            server.kill()
