"""A change of the flags that the validator starts with; what a running one can be told, it is told at once."""

from solward.hosts.v1 import link_pb2

from agent.actions.base import Outcome, Tell
from agent.actions.unit import DONE, FAILED, look_at
from agent.host.admin_rpc import AdminError
from agent.host.config import Flags, FlagsError
from agent.host.node import Node
from agent.host.systemd import Systemd
from agent.permits import Refusal
from common.flags.runtime import Split


class ConfigAct:
    """Writes flags through the helper, which holds them to root's allowlist."""

    def __init__(self, systemd: Systemd, action: link_pb2.ConfigAction, node: Node | None, flags: Flags) -> None:
        self._systemd = systemd
        self._action = action
        self._node = node
        self._flags = flags

    async def look(self) -> link_pb2.UnitState:
        """Read the unit before; raise Refusal where systemd does not know it."""
        return await look_at(self._systemd, self._action.unit)

    async def precondition(self, now: link_pb2.UnitState) -> None:
        """Refuse if the flags are not as the caller saw them, or could not be written as wished."""
        try:
            await self._flags.write(self._action, await self._version(), dry_run=True)
        except FlagsError as error:
            raise Refusal(error.reason, error.message) from None

    def already_done(self, before: link_pb2.UnitState, now: link_pb2.UnitState) -> bool:
        """Never taken as done: the helper finds its own work and writes nothing twice."""
        return False

    async def see_through(self, now: link_pb2.UnitState) -> Outcome:
        """Do it again, which is harmless."""
        return await self.act(lambda _: None)

    async def act(self, tell: Tell) -> Outcome:
        """Write the flags, then tell the running validator what it can be told."""
        try:
            written = await self._flags.write(self._action, await self._version())
        except FlagsError as error:
            return Outcome(FAILED, error.reason, error.message, await self._after())
        tell(f"version {written.version} of the flags is written")
        figures = {
            "version": str(written.version), "previous_version": str(written.previous), "etag": written.etag,
            "at_next_start": " ".join(written.effect.at_start),
        }  # fmt: skip
        return await self._told(written.effect if self._action.apply_now else Split([], []), figures)

    async def _told(self, effect: Split, figures: dict[str, str]) -> Outcome:
        told: list[str] = []
        for method, params in effect.calls:
            try:
                if self._node is None:
                    raise AdminError("VALIDATOR_UNKNOWN", "agent.yaml names no validator")
                await self._node.admin.call(method, *params)
            except AdminError as error:
                figures["told"] = " ".join(told)
                words = f"the flags are written for the next start, but {method} failed: {error.message}"
                return Outcome(FAILED, error.reason, words, await self._after(), figures=figures)
            told.append(method)
        figures["told"] = " ".join(told)
        return Outcome(DONE, after=await self._after(), figures=figures)

    async def _after(self) -> link_pb2.UnitState | None:
        # By now something is written: not to see the unit must not read as if nothing had been done.
        try:
            return await look_at(self._systemd, self._action.unit)
        except Refusal:
            return None

    async def _version(self) -> str:
        if self._node is None:
            return ""
        return (await self._node.inspect()).version
