"""A real OpenTelemetry collector, rotel, that writes all it is sent to its log."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import rotel

from tests.support.ports import free_ports

BINARY = Path(rotel.__file__).parent / "rotel-agent"
READY_S = 20.0


class Rotel:
    """One running collector."""

    def __init__(self, port: int, log: Path) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self._log = log

    @property
    def log(self) -> str:
        """What it was sent, in words, and what it had to say about it."""
        return self._log.read_text(errors="replace")

    async def until(self, holds: Callable[[str], object], seconds: float = READY_S) -> None:
        """Wait until something holds of the log."""
        try:
            async with asyncio.timeout(seconds):
                while not holds(self.log):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"not within {seconds:g} s:\n{self.log[-4000:]}") from None


@asynccontextmanager
async def rotel_server(folder: Path) -> AsyncIterator[Rotel]:
    """Run a collector for the length of a block."""
    grpc_port, http_port = free_ports(2)
    log = folder / "rotel.log"
    signals = [f"--debug-log={signal}" for signal in ("metrics", "traces", "logs")]
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            str(BINARY), "start", f"--otlp-grpc-endpoint=127.0.0.1:{grpc_port}",
            f"--otlp-http-endpoint=127.0.0.1:{http_port}", "--exporter=blackhole", *signals,
            "--debug-log-verbosity=detailed", stdout=out, stderr=out, cwd=folder,
        )  # fmt: skip
    try:
        async with asyncio.timeout(READY_S):
            while True:
                if process.returncode is not None:
                    raise RuntimeError(f"rotel ended with {process.returncode}:\n{log.read_text()}")
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", grpc_port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                break
        yield Rotel(grpc_port, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
