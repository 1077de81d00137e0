"""A systemd that owns org.freedesktop.systemd1 on a private bus and really runs its units' processes.

Run it with `python -m tests.peers.systemd --bus-address ADDR --unit sol.service='["sleep", "60"]'`; it prints
`ready` when it serves. It speaks the part of the Manager, Unit and Service interfaces that an agent uses.
"""

import argparse
import asyncio
import json
import signal
import sys
from dataclasses import dataclass, field
from typing import Any

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import MessageType
from dbus_next.message import Message
from dbus_next.signature import Variant

from tests.peers.systemd_units import Unit

_ROOT = "/org/freedesktop/systemd1"
_MANAGER = "org.freedesktop.systemd1.Manager"
_UNIT = "org.freedesktop.systemd1.Unit"
_SERVICE = "org.freedesktop.systemd1.Service"
_PROPERTIES = "org.freedesktop.DBus.Properties"
NO_SUCH_UNIT = "org.freedesktop.systemd1.NoSuchUnit"
DENIED = {
    "interactive": (
        "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
        "Interactive authentication required.",
    ),
    "access": ("org.freedesktop.DBus.Error.AccessDenied", "Access denied"),
}


class BusError(Exception):
    """An error reply: its D-Bus name and text."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name, self.text = name, text


def unit_path(name: str) -> str:
    """The object path of a unit: what is not a letter or digit becomes _ and two hex digits."""
    escaped = "".join(
        char if char.isascii() and char.isalnum() and not (index == 0 and char.isdigit()) else f"_{ord(char):02x}"
        for index, char in enumerate(name)
    )
    return f"{_ROOT}/unit/{escaped}"


def unit_properties(unit: Unit) -> dict[str, Variant]:
    """The properties of the Unit interface."""
    job = f"{_ROOT}/job/{unit.job}" if unit.job else "/"
    return {
        "Id": Variant("s", unit.name),
        "Names": Variant("as", [unit.name]),
        "Description": Variant("s", unit.name),
        "LoadState": Variant("s", unit.load_state),
        "ActiveState": Variant("s", unit.active_state),
        "SubState": Variant("s", unit.sub_state),
        "InvocationID": Variant("ay", unit.invocation_id),
        "Job": Variant("(uo)", [unit.job, job]),
        "NeedDaemonReload": Variant("b", False),
    }


def service_properties(unit: Unit) -> dict[str, Variant]:
    """The properties of the Service interface."""
    return {
        "Type": Variant("s", "simple"),
        "Restart": Variant("s", unit.restart),
        "RestartUSec": Variant("t", int(unit.restart_s * 1_000_000)),
        "MainPID": Variant("u", unit.main_pid),
        "NRestarts": Variant("u", unit.n_restarts),
        "ExecMainPID": Variant("u", unit.exec_main_pid),
        "ExecMainCode": Variant("i", unit.exec_main_code),
        "ExecMainStatus": Variant("i", unit.exec_main_status),
        "ExecMainStartTimestampMonotonic": Variant("t", unit.started_us),
        "Result": Variant("s", unit.result),
    }


@dataclass
class Job:
    """A job in hand: start, stop or restart of a unit."""

    ident: int
    verb: str
    unit: Unit
    task: asyncio.Task[None] | None = None

    @property
    def path(self) -> str:
        """Its object path."""
        return f"{_ROOT}/job/{self.ident}"


@dataclass
class Manager:
    """Answers method calls on the bus, and runs jobs."""

    bus: MessageBus
    units: dict[str, Unit]
    deny: frozenset[str] = frozenset()
    deny_error: str = "interactive"
    job_delay_s: float = 0.0
    job_result: str = "done"
    _jobs: dict[str, Job] = field(default_factory=dict)
    _subscribers: set[str] = field(default_factory=set)
    _last_job: int = 0

    def __post_init__(self) -> None:
        for unit in self.units.values():
            unit.on_auto_restart = self._auto_restarted

    def handle(self, msg: Message) -> Message | bool | None:
        """Answer one message; None leaves it to the library (Peer, Introspectable)."""
        if msg.message_type is not MessageType.METHOD_CALL or not str(msg.path).startswith(_ROOT):
            return None
        try:
            if msg.interface == _PROPERTIES:
                return self._properties(msg)
            if msg.interface == _MANAGER:
                return self._manager(msg)
        except BusError as error:
            return Message.new_error(msg, error.name, error.text)
        return None

    def _manager(self, msg: Message) -> Message | None:
        match msg.member, msg.body:
            case "Subscribe", []:
                if msg.sender in self._subscribers:
                    raise BusError("org.freedesktop.systemd1.AlreadySubscribed", "Client is already subscribed.")
                self._subscribers.add(msg.sender)
                return Message.new_method_return(msg)
            case "Unsubscribe", []:
                self._subscribers.discard(msg.sender)
                return Message.new_method_return(msg)
            case "LoadUnit", [name]:
                self._instantiate(name)
                return Message.new_method_return(msg, "o", [unit_path(name)])
            case "GetUnit", [name]:
                return Message.new_method_return(msg, "o", [unit_path(self._known(name, "not loaded").name)])
            case "StartUnit" | "StopUnit" | "RestartUnit", [name, str()]:
                return self._enqueue(msg, name, msg.member.removesuffix("Unit").lower())
            case "KillUnit", [name, _, number]:
                self._permit(self._known(name)).kill(number)
                return Message.new_method_return(msg)
        return None

    def _instantiate(self, name: str) -> None:
        """Make a unit of its template, as systemd does when it is first asked for."""
        prefix, at, rest = name.partition("@")
        template = self.units.get(f"{prefix}@.service") if at and rest not in ("", ".service") else None
        if template is None or name in self.units:
            return
        instance = rest.removesuffix(".service")
        argv = [word.replace("%i", instance) for word in template.argv]
        self.units[name] = Unit(name, argv, "no", output=template.output)
        self.units[name].on_auto_restart = self._auto_restarted

    def _known(self, name: str, what: str = "not found") -> Unit:
        self._instantiate(name)
        unit = self.units.get(name)
        if unit is None:
            raise BusError(NO_SUCH_UNIT, f"Unit {name} {what}.")
        return unit

    def _permit(self, unit: Unit) -> Unit:
        if unit.name in self.deny:
            raise BusError(*DENIED[self.deny_error])
        return unit

    def _properties(self, msg: Message) -> Message | None:
        unit = next((one for one in self.units.values() if unit_path(one.name) == msg.path), None)
        if unit is None:
            name = _unescape(str(msg.path).rpartition("/")[2])
            unit = Unit(name, [], load_state="not-found")
        match msg.member, msg.body:
            case "Get", [interface, name]:
                values = _values(unit, interface)
                if name not in values:
                    raise BusError("org.freedesktop.DBus.Error.UnknownProperty", f"Unknown property {name}")
                return Message.new_method_return(msg, "v", [values[name]])
            case "GetAll", [interface]:
                return Message.new_method_return(msg, "a{sv}", [_values(unit, interface)])
        return None

    def _enqueue(self, msg: Message, name: str, verb: str) -> Message:
        # The real manager looks the unit up before it asks polkit.
        unit = self._permit(self._known(name))
        job = self._jobs.get(name)
        if job is None or job.verb != verb:
            if job is not None and job.task is not None:
                job.task.cancel()
                self._finish(job, "canceled")
            job = self._new_job(unit, verb)
            job.task = asyncio.create_task(self._run(job))
        return Message.new_method_return(msg, "o", [job.path])

    def _new_job(self, unit: Unit, verb: str) -> Job:
        self._last_job += 1
        job = Job(self._last_job, verb, unit)
        self._jobs[unit.name] = job
        unit.job = job.ident
        self._emit("JobNew", "uos", [job.ident, job.path, unit.name])
        return job

    async def _run(self, job: Job) -> None:
        await asyncio.sleep(self.job_delay_s)
        if self.job_result == "done":
            if job.verb in ("stop", "restart"):
                await job.unit.stop()
            if job.verb in ("start", "restart"):
                await job.unit.start()
        self._finish(job, self.job_result)

    def _finish(self, job: Job, result: str) -> None:
        if self._jobs.get(job.unit.name) is job:
            del self._jobs[job.unit.name]
            job.unit.job = 0
        self._emit("JobRemoved", "uoss", [job.ident, job.path, job.unit.name, result])

    def _auto_restarted(self, unit: Unit) -> None:
        """Announce the job that systemd itself makes for an automatic restart."""
        if unit.name not in self._jobs:
            self._finish(self._new_job(unit, "restart"), "done")

    def _emit(self, member: str, signature: str, body: list[Any]) -> None:
        # Without a subscriber the real manager is silent.
        if self._subscribers:
            self.bus.send(Message.new_signal(_ROOT, _MANAGER, member, signature, body))

    async def close(self) -> None:
        """End all jobs and processes."""
        for job in list(self._jobs.values()):
            if job.task is not None:
                job.task.cancel()
        for unit in self.units.values():
            unit.kill(signal.SIGKILL)
            await unit.stop()


def _values(unit: Unit, interface: str) -> dict[str, Variant]:
    if interface == _UNIT:
        return unit_properties(unit)
    if interface == _SERVICE and unit.load_state == "loaded":
        return service_properties(unit)
    raise BusError("org.freedesktop.DBus.Error.UnknownInterface", f"Unknown interface {interface}.")


def _unescape(text: str) -> str:
    first, *rest = text.split("_")
    return first + "".join(chr(int(part[:2], 16)) + part[2:] for part in rest)


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="tests.peers.systemd")
    parser.add_argument("--bus-address", required=True)
    parser.add_argument("--unit", action="append", default=[], metavar="NAME=ARGV_JSON")
    parser.add_argument("--restart", default="always", choices=("always", "on-failure", "no"))
    parser.add_argument("--restart-s", type=float, default=0.1)
    parser.add_argument("--output", help="file that the units' output is appended to")
    parser.add_argument("--deny", action="append", default=[], metavar="NAME")
    parser.add_argument("--deny-error", default="interactive", choices=tuple(DENIED))
    parser.add_argument("--job-delay-ms", type=float, default=0.0)
    parser.add_argument("--job-result", default="done", help="end every job with this result")
    parser.add_argument("--start", action="store_true", help="start every unit that is no template, as at boot")
    return parser.parse_args(argv)


async def _stop_without_bus(bus: MessageBus, stop: asyncio.Event) -> None:
    try:
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
    except (OSError, EOFError) as error:
        print(f"the bus went away: {error}", file=sys.stderr)
    stop.set()


async def serve(args: argparse.Namespace) -> None:
    """Run the peer until SIGTERM, or until the bus goes away."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    units = {}
    for item in args.unit:
        name, _, argv = item.partition("=")
        units[name] = Unit(name, json.loads(argv), args.restart, args.restart_s, args.output)
    bus = await MessageBus(bus_address=args.bus_address).connect()
    manager = Manager(bus, units, frozenset(args.deny), args.deny_error, args.job_delay_ms / 1000, args.job_result)
    bus.add_message_handler(manager.handle)
    if args.start:
        for unit in units.values():
            if "@." not in unit.name:
                await unit.start()
    await bus.request_name("org.freedesktop.systemd1")
    gone = asyncio.create_task(_stop_without_bus(bus, stop))
    print("ready", flush=True)
    await stop.wait()
    gone.cancel()
    await manager.close()
    bus.disconnect()  # type: ignore[no-untyped-call]


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    asyncio.run(serve(parse(sys.argv[1:] if argv is None else argv)))


if __name__ == "__main__":
    main()
