"""Run a peer as a real process: start it, wait for the line that says it serves, and stop it."""

import asyncio
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

READY_S = 15.0
STOP_S = 5.0


class PeerFailed(RuntimeError):
    """A peer ended, or said nothing, before it was ready."""


async def start_ready(argv: list[str], *, prefix: str = "ready", quiet: bool = False) -> tuple[Process, str]:
    """Start a program and return it with the first line of its stdout that begins with `prefix`.

    Raises:
        PeerFailed: when the line does not come within 15 s.
    """
    process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=DEVNULL if quiet else None)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            while line := (await process.stdout.readline()).decode():
                if line.startswith(prefix):
                    return process, line.strip()
    except TimeoutError as error:
        await stop(process)
        raise PeerFailed(f"{argv} was not ready within {READY_S} s") from error
    code = await process.wait()
    raise PeerFailed(f"{argv} ended with {code} before it was ready")


async def stop(process: Process) -> int:
    """End a process with SIGTERM, with SIGKILL after 5 s, and return its exit status."""
    if process.returncode is None:
        try:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
        except ProcessLookupError:
            return await process.wait()
    # Reading to the end lets the pipe's transport close before the loop does.
    if process.stdout is not None:
        await process.stdout.read()
    return await process.wait()


@asynccontextmanager
async def running(argv: list[str], *, prefix: str = "ready", quiet: bool = False) -> AsyncIterator[tuple[Process, str]]:
    """Run a program for the length of a block."""
    process, line = await start_ready(argv, prefix=prefix, quiet=quiet)
    try:
        yield process, line
    finally:
        await stop(process)


def python(module: str, *args: str) -> list[str]:
    """The argument vector that runs a module of ours with this interpreter."""
    return [sys.executable, "-m", module, *args]
