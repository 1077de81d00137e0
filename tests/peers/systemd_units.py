"""The units of the systemd peer: each really runs its argument vector as a child, with Restart= around it."""

import asyncio
import ctypes
import os
import signal
import subprocess
import time
from asyncio.subprocess import Process
from collections.abc import Callable
from dataclasses import dataclass, field

STOP_TIMEOUT_S = 10.0
_EXITED, _KILLED = 1, 2
_EXEC_FAILED = 203
_CLEAN_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE)
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class Unit:
    """A service of Type=simple and what systemd would report of it."""

    name: str
    argv: list[str]
    restart: str = "always"
    restart_s: float = 0.1
    output: str | None = None
    load_state: str = "loaded"
    active_state: str = "inactive"
    sub_state: str = "dead"
    invocation_id: bytes = b""
    main_pid: int = 0
    n_restarts: int = 0
    exec_main_pid: int = 0
    exec_main_code: int = 0
    exec_main_status: int = 0
    started_us: int = 0
    result: str = "success"
    job: int = 0
    on_auto_restart: Callable[["Unit"], None] = lambda _: None
    _process: Process | None = field(default=None, repr=False)
    _keeper: asyncio.Task[None] | None = field(default=None, repr=False)

    async def start(self) -> None:
        """Start the service unless it runs; like Type=simple it is active as soon as it is forked."""
        if self.active_state == "active":
            return
        await self._drop_keeper()
        self.n_restarts = 0
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Stop the service: SIGTERM, and SIGKILL after 10 s."""
        keeper = self._keeper
        process = self._process
        await self._drop_keeper()
        if keeper is None:
            return
        if process is not None and process.returncode is None:
            self.active_state, self.sub_state = "deactivating", "stop-sigterm"
            self.result = "success" if await _terminate(process) else "timeout"
        if process is not None:
            self._record(process.returncode or 0, keep_result=True)
        self._settle()

    async def _drop_keeper(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _spawn(self) -> None:
        self.invocation_id = os.urandom(16)
        self.started_us = time.monotonic_ns() // 1000
        self.active_state, self.sub_state, self.result = "active", "running", "success"
        self.exec_main_code = self.exec_main_status = 0
        try:
            self._process = await self._exec()
        except OSError:
            self._process = None
            return
        self.main_pid = self.exec_main_pid = self._process.pid

    async def _exec(self) -> Process:
        out = os.open(self.output or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return await asyncio.create_subprocess_exec(
                *self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out if self.output else None,
                preexec_fn=_die_with_parent,
            )
        finally:
            os.close(out)

    async def _keep(self) -> None:
        """Follow the main process, restarting it as Restart= says, until it is to stay down."""
        while True:
            if self._process is None:
                self.main_pid, self.result = 0, "exit-code"
                self.exec_main_code, self.exec_main_status = _EXITED, _EXEC_FAILED
            else:
                self._record(await self._process.wait())
            if self.restart == "no" or (self.restart == "on-failure" and self.result == "success"):
                self._settle()
                return
            self.active_state, self.sub_state = "activating", "auto-restart"
            await asyncio.sleep(self.restart_s)
            self.n_restarts += 1
            await self._spawn()
            self.on_auto_restart(self)

    def _record(self, code: int, *, keep_result: bool = False) -> None:
        self.main_pid = 0
        self.exec_main_code = _KILLED if code < 0 else _EXITED
        self.exec_main_status = abs(code)
        if keep_result:
            return
        if code < 0:
            self.result = "success" if -code in _CLEAN_SIGNALS else "signal"
        else:
            self.result = "success" if code == 0 else "exit-code"

    def _settle(self) -> None:
        if self.result == "success":
            # An inactive unit is dropped from memory at once, and with it all that was known of its last run.
            self.active_state, self.sub_state, self.invocation_id = "inactive", "dead", b""
            self.exec_main_pid = self.exec_main_code = self.exec_main_status = 0
            self.started_us = self.n_restarts = 0
        else:
            self.active_state, self.sub_state = "failed", "failed"

    def kill(self, number: int) -> None:
        """Send a signal to the main process, if there is one."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)


async def _terminate(process: Process) -> bool:
    """End a process; False when it had to be killed."""
    process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        return False
    return True
