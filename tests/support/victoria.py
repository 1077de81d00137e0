"""A real VictoriaMetrics for tests: a server of its own on a free port of loopback, empty at first."""

import itertools
import json
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_ports

READY_S = 20.0
_shown = itertools.count()


class VictoriaServer:
    """One server; every method waits until it is so, so that a loop calls them in a thread.

    Args:
        folder: where everything of it goes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        command = [
            "victoria-metrics", f"-storageDataPath={self.folder / 'data'}", f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=1", "-dedup.minScrapeInterval=1ms", "-search.latencyOffset=0s",
            "-search.maxPointsPerTimeseries=200000",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and self._server.poll() is None:
            try:
                if self.get("/health") == b"OK":
                    return
            except OSError:
                time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"VictoriaMetrics did not start:\n{(self.folder / 'log').read_text()}")

    def get(self, path: str) -> bytes:
        """Get a page."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as reply:
            body: bytes = reply.read()
        return body

    def show(self) -> None:
        """Let what was written be found: as soon as what is written after it is."""
        name = f"shown_{next(_shown)}"
        line = {"metric": {"__name__": name}, "values": [1], "timestamps": [int(time.time() - 60) * 1000]}
        request = urllib.request.Request(f"{self.url}/api/v1/import", json.dumps(line).encode(), method="POST")
        urllib.request.urlopen(request, timeout=10).close()
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            self.get("/internal/force_flush")
            if self.get(f"/api/v1/export?match[]={name}"):
                return
            time.sleep(0.05)
        raise RuntimeError("VictoriaMetrics does not show what was written")

    def stop(self) -> None:
        """Ask it to end; all it holds is written then."""
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            self._server.wait(30)
            self._server = None

    def kill(self) -> None:
        """Stop at once, as a crash would."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it stand still for the length of a block: it takes connections, and never answers."""
        assert self._server
        self._server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._server.send_signal(signal.SIGCONT)


@contextmanager
def victoria() -> Iterator[VictoriaServer]:
    """Run a VictoriaMetrics for the length of a block; nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="solward-victoria-") as folder:
        server = VictoriaServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()
