"""The registry: which agents are connected, over which stream, and what they last said of their units."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
from solward.hosts.v1 import link_pb2

from common.errors import SolwardError

# More takeovers than this within the period mean that two machines share one identity.
FLAPS = 3
FLAP_SECONDS = 60.0
# Messages waiting for a slow agent; past this the stream is cut and the agent resumes.
QUEUE = 256


class AgentLink:
    """One open stream to one agent."""

    def __init__(self, host_uid: str, name: str, expires_ms: int, hello: link_pb2.Hello) -> None:
        self.host_uid = host_uid
        self.name = name
        self.expires_ms = expires_ms
        self.hello = hello
        # What the host's root lets be acted on; nothing else of it is of interest here.
        self.allowed = frozenset(entry.unit for entry in hello.allowed_units)
        self._outgoing: asyncio.Queue[link_pb2.ConnectResponse | None] = asyncio.Queue(QUEUE)
        self._acked = 0
        self._ack_waiting = False
        self._error: SolwardError | None = None

    def send(self, message: link_pb2.ConnectResponse) -> None:
        """Queue a message; an agent that does not read is cut off."""
        try:
            self._outgoing.put_nowait(message)
        except asyncio.QueueFull:
            self.close(SolwardError(grpc.StatusCode.UNAVAILABLE, "TOO_SLOW", "the agent does not read its stream"))

    def acknowledge(self, sequence: int) -> None:
        """Acknowledge a batch; acknowledgements that wait are merged into one."""
        self._acked = sequence
        if not self._ack_waiting:
            self._ack_waiting = True
            self.send(link_pb2.ConnectResponse(ack=link_pb2.Ack()))

    def close(self, error: SolwardError | None) -> None:
        """End the stream, with the error that the agent is told; None for an end in peace."""
        if self._error is None:
            self._error = error
        # Whatever still waits is void; the closing mark must find room.
        while self._outgoing.full():
            self._outgoing.get_nowait()
        self._outgoing.put_nowait(None)

    async def next(self, timeout_s: float) -> link_pb2.ConnectResponse | None:
        """Wait for the next message to go out; None when the stream ends; raises the closing error."""
        async with asyncio.timeout(timeout_s):
            message = await self._outgoing.get()
        if message is None:
            if self._error:
                raise self._error
            return None
        if message.HasField("ack"):
            self._ack_waiting = False
            message.ack.sequence = self._acked
        return message


@dataclass(slots=True)
class KnownHost:
    """What is known of a host that has connected since the start."""

    uid: str
    name: str
    link: AgentLink | None = None
    # The unit that is the host's validator, as its allowlist last told.
    validator: str = ""
    units: dict[str, link_pb2.UnitReport] = field(default_factory=dict)
    dropped_samples: int = 0
    takeovers: deque[float] = field(default_factory=deque)

    @property
    def connected(self) -> bool:
        """Whether the stream is open now."""
        return self.link is not None


class Links:
    """Every agent's stream; at most one for a host."""

    def __init__(self) -> None:
        self._hosts: dict[str, KnownHost] = {}
        self._changed = asyncio.Condition()

    def known(self) -> list[KnownHost]:
        """Every host that has connected since the start, in name order."""
        return sorted(self._hosts.values(), key=lambda host: host.name)

    def get(self, host_uid: str) -> KnownHost | None:
        """Find a host that has connected since the start."""
        return self._hosts.get(host_uid)

    def is_open(self, host_uid: str) -> bool:
        """Whether a host's agent is connected."""
        host = self._hosts.get(host_uid)
        return host is not None and host.connected

    def open_links(self) -> list[AgentLink]:
        """Every open stream."""
        return [host.link for host in self._hosts.values() if host.link]

    async def attach(self, link: AgentLink, *, successor: bool = False) -> bool:
        """Make a stream the host's own; the one before is told SUPERSEDED.

        Args:
            link: the new stream.
            successor: it showed the newest token; an agent whose stream was cut behind its back comes so, and
                is no sign of a second machine.

        Returns: False when the host changed streams so often that two machines must share its identity.
        """
        host = self._hosts.setdefault(link.host_uid, KnownHost(link.host_uid, link.name))
        host.name = link.name
        if host.link:
            host.link.close(_superseded())
            if not successor and _flaps(host):
                return False
        host.link = link
        host.validator = _validator_of(link.hello)
        host.dropped_samples = link.hello.dropped_samples
        await self.changed()
        return True

    def detach(self, link: AgentLink) -> None:
        """Forget a stream that has ended, unless a newer one took its place."""
        host = self._hosts.get(link.host_uid)
        if host and host.link is link:
            host.link = None

    def cut(self, host_uid: str, error: SolwardError) -> None:
        """End a host's stream and forget what it said."""
        host = self._hosts.pop(host_uid, None)
        if host and host.link:
            host.link.close(error)

    def drain(self) -> None:
        """End every stream: the server stops, and agents are to come back to it or to another."""
        for link in self.open_links():
            link.close(_stopping())

    async def changed(self) -> None:
        """Wake whoever waits for a host to connect or for a unit to change."""
        async with self._changed:
            self._changed.notify_all()

    async def wait_changed(self, timeout_s: float) -> None:
        """Wait until any host connects, disconnects or reports a unit; TimeoutError when none does."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait()

    async def wait_until(self, holds: Callable[[], bool], timeout_s: float) -> None:
        """Wait until something holds of the hosts; TimeoutError when it does not in time."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(holds)


def _validator_of(hello: link_pb2.Hello) -> str:
    for allowed in hello.allowed_units:
        if any(action.startswith("validator.") for action in allowed.actions):
            return allowed.unit
    return ""


def _flaps(host: KnownHost) -> bool:
    now = time.monotonic()
    host.takeovers.append(now)
    while host.takeovers and now - host.takeovers[0] > FLAP_SECONDS:
        host.takeovers.popleft()
    return len(host.takeovers) > FLAPS


def _stopping() -> SolwardError:
    return SolwardError(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING", "the control plane stops: connect again")


def _superseded() -> SolwardError:
    return SolwardError(
        grpc.StatusCode.ABORTED, "SUPERSEDED", "another stream with this host's identity took this one's place"
    )
