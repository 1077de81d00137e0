"""How the tests start programs: by themselves, or forked from a server that has imported them already."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from tests.support.fork_server import ENTRIES

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[2]
# Set while programs are forked.
_server: "ForkServer | None" = None


class Ran(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str


class Forked:
    """A forked program, as asyncio's own Process shows one."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._writer = writer
        self._end = asyncio.create_task(self._follow(reader))

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for its end; give its exit status, negative for a signal."""
        return await asyncio.shield(self._end)

    async def _follow(self, reader: asyncio.StreamReader) -> int:
        self.returncode = int(await reader.readline())
        self._writer.close()
        return self.returncode


class ForkServer:
    """Starts programs as forks of one process, which begins when the first is wanted."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._address = b""

    def _begin(self) -> None:
        with socket.socket(socket.AF_UNIX) as door:
            door.bind("")
            door.listen(64)
            self._address = door.getsockname()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(door.fileno())],
                pass_fds=(door.fileno(),), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
            )  # fmt: skip
        assert self._process.stdout
        assert self._process.stdout.readline() == b"ready\n"

    async def start(self, argv: list[str], environment: Mapping[str, str], files: tuple[int, int, int]) -> Forked:
        """Start a program with its three standard files."""
        if not self._process:
            await asyncio.to_thread(self._begin)
        asked = socket.socket(socket.AF_UNIX)
        asked.connect(self._address)
        request = {"argv": argv, "environment": dict(environment), "folder": str(ROOT)}
        socket.send_fds(asked, [json.dumps(request).encode()], files)
        reader, writer = await asyncio.open_unix_connection(sock=asked)
        return Forked(int(await reader.readline()), reader, writer)

    def close(self) -> None:
        """End the server; what it started goes on."""
        if self._process:
            self._process.communicate()


@contextmanager
def forking() -> Iterator[None]:
    """Fork our programs, until the block ends."""
    global _server
    _server = ForkServer()
    try:
        yield
    finally:
        _server.close()
        _server = None


async def start_program(argv: list[str], environment: Mapping[str, str], log: IO[bytes]) -> Process | Forked:
    """Start a program that writes what it says into a file."""
    with open(os.devnull, "rb") as nothing:
        return await _start(argv, environment, (nothing.fileno(), log.fileno(), log.fileno()))


async def run_program(argv: list[str], environment: Mapping[str, str], answer: str = "") -> Ran:
    """Run a program to its end with something on its standard input."""
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(answer.encode())
        given.seek(0)
        files = (given.fileno(), out.fileno(), err.fileno())
        process = await _start(argv, environment, files)
        code = await process.wait()
        out.seek(0)
        err.seek(0)
        return Ran(code, out.read().decode(), err.read().decode())


async def _start(argv: list[str], environment: Mapping[str, str], files: tuple[int, int, int]) -> Process | Forked:
    program = Path(argv[0])
    if _server and program.name in ENTRIES and program.parent == BIN:
        return await _server.start(argv, environment, files)
    stdin, stdout, stderr = files
    return await asyncio.create_subprocess_exec(
        *argv, env=dict(environment), stdin=stdin, stdout=stdout, stderr=stderr, cwd=ROOT
    )
