"""Units of systemd over D-Bus: read their state, run start, stop and restart jobs, and see them through."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from dbus_next.message import Message

from agent.host.dbus import Bus, BusRefusal, BusUnavailable, open_bus

CALL_TIMEOUT_S = 5.0
_POLL_S = 0.05
_DAEMON = "org.freedesktop.systemd1"
_ROOT = "/org/freedesktop/systemd1"
_MANAGER = "org.freedesktop.systemd1.Manager"
_UNIT = "org.freedesktop.systemd1.Unit"
_SERVICE = "org.freedesktop.systemd1.Service"
_JOBS = f"type='signal',sender='{_DAEMON}',path='{_ROOT}',interface='{_MANAGER}',member='JobRemoved'"

Reason = Literal["UNIT_NOT_FOUND", "NOT_AUTHORIZED", "JOB_FAILED", "JOB_TIMEOUT", "BUS_UNAVAILABLE", "EXEC_START_ODD"]

_REASONS: dict[str, Reason] = {
    "org.freedesktop.systemd1.NoSuchUnit": "UNIT_NOT_FOUND",
    "org.freedesktop.systemd1.LoadFailed": "UNIT_NOT_FOUND",
    "org.freedesktop.DBus.Error.FileNotFound": "UNIT_NOT_FOUND",
    "org.freedesktop.DBus.Error.AccessDenied": "NOT_AUTHORIZED",
    "org.freedesktop.DBus.Error.AuthFailed": "NOT_AUTHORIZED",
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired": "NOT_AUTHORIZED",
    "org.freedesktop.DBus.Error.ServiceUnknown": "BUS_UNAVAILABLE",
    "org.freedesktop.DBus.Error.NameHasNoOwner": "BUS_UNAVAILABLE",
    "org.freedesktop.DBus.Error.NoReply": "BUS_UNAVAILABLE",
    "org.freedesktop.DBus.Error.Disconnected": "BUS_UNAVAILABLE",
}


class SystemdError(Exception):
    """What was asked of systemd did not happen; `reason` is stable, the message is for people."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message


@dataclass(frozen=True)
class UnitState:
    """What systemd says of a unit now; `started_monotonic_us` is on the host's monotonic clock.

    Of a unit that was stopped cleanly systemd forgets the last run: its invocation, status and times are empty.
    """

    unit: str
    load_state: str
    active_state: str
    sub_state: str
    invocation_id: str
    main_pid: int
    n_restarts: int
    exec_main_status: int
    started_monotonic_us: int
    result: str


@dataclass(frozen=True)
class JobResult:
    """A job that ended as asked, how long it took, and the state read just after it."""

    unit: str
    job: str
    result: str
    seconds: float
    state: UnitState


@dataclass(eq=False)
class _JobWaiter:
    """Collects the ends of jobs from before the call, since a job can end before its reply is read."""

    ended: dict[tuple[str, str], str] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def result(self, sender: str, job: str) -> str:
        while (sender, job) not in self.ended:
            self.changed.clear()
            await self.changed.wait()
        return self.ended[sender, job]


async def _get(bus: Bus, path: str, interface: str, name: str) -> Any:
    reply = await bus.call(_DAEMON, path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name)
    return reply.body[0].value


class Systemd:
    """A client of systemd's manager, which connects again by itself when the bus went away.

    Args:
        address: a D-Bus address; None means the system bus.
        call_timeout_s: seconds that one method call may take.
    """

    def __init__(self, address: str | None = None, *, call_timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._address = address
        self._call_timeout_s = call_timeout_s
        self._bus: Bus | None = None
        self._connecting = asyncio.Lock()
        self._waiters: set[_JobWaiter] = set()

    async def connect(self) -> None:
        """Connect to the bus and ask for the signals that end jobs.

        Raises:
            SystemdError: BUS_UNAVAILABLE.
        """
        await self._connected()

    async def close(self) -> None:
        """Leave the bus."""
        bus, self._bus = self._bus, None
        if bus is not None:
            await bus.close()

    async def state(self, unit: str) -> UnitState:
        """Read the state of a service unit.

        Raises:
            SystemdError: UNIT_NOT_FOUND, BUS_UNAVAILABLE.
        """
        bus = await self._connected()
        with _typed_errors():
            # LoadUnit and not GetUnit: systemd forgets units that are inactive.
            reply = await bus.call(_DAEMON, _ROOT, _MANAGER, "LoadUnit", "s", unit)
            path = str(reply.body[0])
            load_state = await _get(bus, path, _UNIT, "LoadState")
            if load_state == "not-found":
                raise SystemdError("UNIT_NOT_FOUND", f"unit {unit} not found")
            # One by one, since unmarshalling the hundreds of others would cost far more than these.
            active, sub, invocation, *service = await asyncio.gather(
                _get(bus, path, _UNIT, "ActiveState"),
                _get(bus, path, _UNIT, "SubState"),
                _get(bus, path, _UNIT, "InvocationID"),
                _get(bus, path, _SERVICE, "MainPID"),
                _get(bus, path, _SERVICE, "NRestarts"),
                _get(bus, path, _SERVICE, "ExecMainStatus"),
                _get(bus, path, _SERVICE, "ExecMainStartTimestampMonotonic"),
                _get(bus, path, _SERVICE, "Result"),
            )
        return UnitState(unit, load_state, active, sub, bytes(invocation).hex(), *service)

    async def glance(self, unit: str) -> tuple[str, str]:
        """Read a unit's active state and invocation only: a third of the cost of `state`, for every second.

        Raises:
            SystemdError: BUS_UNAVAILABLE.
        """
        bus = await self._connected()
        with _typed_errors():
            reply = await bus.call(_DAEMON, _ROOT, _MANAGER, "LoadUnit", "s", unit)
            path = str(reply.body[0])
            active, invocation = await asyncio.gather(
                _get(bus, path, _UNIT, "ActiveState"), _get(bus, path, _UNIT, "InvocationID")
            )
        return active, bytes(invocation).hex()

    async def exec_start(self, unit: str) -> list[str]:
        """Read the argument vector of a service's only ExecStart, as systemd parsed it: variables stand as written.

        Raises:
            SystemdError: UNIT_NOT_FOUND, BUS_UNAVAILABLE, or EXEC_START_ODD where there is none, more than one, or one
                with a prefix ("+", "!", "-", "@", ":"), which this does not write again.
        """
        bus = await self._connected()
        with _typed_errors():
            path = str((await bus.call(_DAEMON, _ROOT, _MANAGER, "LoadUnit", "s", unit)).body[0])
            if await _get(bus, path, _UNIT, "LoadState") == "not-found":
                raise SystemdError("UNIT_NOT_FOUND", f"unit {unit} not found")
            commands = await _get(bus, path, _SERVICE, "ExecStartEx")
        if len(commands) != 1 or commands[0][2] or not commands[0][1] or commands[0][0] != commands[0][1][0]:
            raise SystemdError("EXEC_START_ODD", f"{unit} has not exactly one ExecStart without a prefix")
        return [str(word) for word in commands[0][1]]

    async def reload(self) -> None:
        """Have systemd read its units anew (daemon-reload).

        Raises:
            SystemdError: NOT_AUTHORIZED, BUS_UNAVAILABLE.
        """
        bus = await self._connected()
        with _typed_errors():
            await bus.call(_DAEMON, _ROOT, _MANAGER, "Reload")

    async def start(self, unit: str, *, timeout_s: float) -> JobResult:
        """Start a unit and wait for the job's end.

        Args:
            unit: its full name, such as `sol.service`.
            timeout_s: seconds that the job may take.

        Raises:
            SystemdError: any reason.
        """
        return await self._job("StartUnit", unit, timeout_s)

    async def stop(self, unit: str, *, timeout_s: float) -> JobResult:
        """Stop a unit and wait for the job's end; as `start`."""
        return await self._job("StopUnit", unit, timeout_s)

    async def restart(self, unit: str, *, timeout_s: float) -> JobResult:
        """Restart a unit and wait for the job's end; as `start`."""
        return await self._job("RestartUnit", unit, timeout_s)

    async def verify(
        self,
        unit: str,
        wanted: Literal["active", "inactive"],
        settle_s: float,
        *,
        deadline_s: float | None = None,
    ) -> UnitState:
        """Read a unit again and again until its state has not changed for a while, and check that one.

        A job that is done says only that it ended: the process may die a moment later.

        Args:
            unit: its full name.
            wanted: the state it should settle in; a unit that failed counts as inactive.
            settle_s: seconds without a change of state, process or number of restarts.
            deadline_s: seconds to wait in all; by default three times `settle_s`, and one second more.

        Raises:
            SystemdError: JOB_FAILED when it settled in another state, JOB_TIMEOUT when it did not settle
                (a unit that is restarted again and again), or as `state`.
        """
        begun = since = time.monotonic()
        deadline = begun + (3 * settle_s + 1 if deadline_s is None else deadline_s)
        state = await self.state(unit)
        while (now := time.monotonic()) - since < settle_s:
            if now >= deadline:
                raise SystemdError("JOB_TIMEOUT", f"{unit} has not settled: {_shown(state)}")
            await asyncio.sleep(min(_POLL_S, since + settle_s - now))
            newer = await self.state(unit)
            if newer != state:
                state, since = newer, time.monotonic()
        good = ("active",) if wanted == "active" else ("inactive", "failed")
        if state.active_state not in good:
            raise SystemdError("JOB_FAILED", f"{unit} should be {wanted}: {_shown(state)}")
        return state

    async def _job(self, method: str, unit: str, timeout_s: float) -> JobResult:
        begun = time.monotonic()
        waiter = _JobWaiter()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                job, result = await self._run_job(method, unit, waiter)
        except TimeoutError as error:
            raise SystemdError("JOB_TIMEOUT", f"{method} {unit} has not ended in {timeout_s:g} s") from error
        finally:
            self._waiters.discard(waiter)
        seconds = time.monotonic() - begun
        if result != "done":
            raise SystemdError("JOB_FAILED", f"{method} {unit} ended as {result}")
        return JobResult(unit, job, result, seconds, await self.state(unit))

    async def _run_job(self, method: str, unit: str, waiter: _JobWaiter) -> tuple[str, str]:
        bus = await self._connected()
        with _typed_errors():
            try:
                # Before each job, because a systemd that was started anew has forgotten its subscribers.
                await bus.call(_DAEMON, _ROOT, _MANAGER, "Subscribe")
            except BusRefusal as refusal:
                if refusal.name != "org.freedesktop.systemd1.AlreadySubscribed":
                    raise
            reply = await bus.call(_DAEMON, _ROOT, _MANAGER, method, "ss", unit, "replace")
            job = str(reply.body[0])
            return job, await bus.while_connected(waiter.result(str(reply.sender), job))

    async def _connected(self) -> Bus:
        async with self._connecting:
            if self._bus is not None and self._bus.connected:
                return self._bus
            await self.close()
            with _typed_errors():
                bus = await open_bus(self._address, self._call_timeout_s)
                # Kept before the next call, so that `close` releases it if that call fails.
                self._bus = bus
                await bus.on_signal(_JOBS, self._on_signal)
            return bus

    def _on_signal(self, message: Message) -> None:
        if message.member != "JobRemoved" or len(message.body) != 4:
            return
        _, job, _, result = message.body
        # The sender is kept, so that no other client of the bus can end our job with a signal of its own.
        for waiter in self._waiters:
            waiter.ended[str(message.sender), job] = result
            waiter.changed.set()


@contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except BusUnavailable as error:
        raise SystemdError("BUS_UNAVAILABLE", str(error)) from error
    except BusRefusal as error:
        raise SystemdError(_REASONS.get(error.name, "JOB_FAILED"), str(error)) from error


def _shown(state: UnitState) -> str:
    return (
        f"{state.active_state}/{state.sub_state}, pid {state.main_pid}, restarts {state.n_restarts}, "
        f"exit status {state.exec_main_status}, result {state.result}"
    )
