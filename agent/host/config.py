"""The validator's flags, through the helper that may read and write them."""

from pathlib import Path
from typing import Any, NamedTuple

from solward.hosts.v1 import link_pb2

from agent.host.admin_rpc import AdminError, AdminRpc
from common.flags.arguments import Argument
from common.flags.runtime import Split, split
from common.semver import parse_version

SOCKET = Path("/run/solward-config/config.sock")
CALL_SECONDS = 20.0


class FlagsError(Exception):
    """The flags could not be read or written; `reason` is stable."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Written(NamedTuple):
    """What came, or would come, of a change.

    Attributes:
        version: the version that is written; 0 for a dry run.
        previous: the one that stood before; 0 for a dry run.
        etag: names what is written.
        diff: its lines, "- --flag value" and "+ --flag value".
        effect: what a running validator can be told of it, and what waits for the next start.
    """

    version: int
    previous: int
    etag: str
    diff: list[str]
    effect: Split


class Flags:
    """Speaks to the config helper."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._rpc = AdminRpc(path, call_s=CALL_SECONDS)

    async def read(self, unit: str, node_version: str) -> link_pb2.FlagsReport:
        """Read the flags that a unit starts with; raises FlagsError."""
        found = await self._call("read", unit)
        report = link_pb2.FlagsReport(
            unit=unit, source=found["source"], program=found["program"], etag=found["etag"],
            changeable=found["changeable"], node_version=node_version,
        )  # fmt: skip
        for name, value, fixed in found["arguments"]:
            report.arguments.add(name=name, value=value, fixed=fixed)
        for number, unix_ms, etag in found["versions"]:
            report.versions.add(version=number, unix_ms=unix_ms, etag=etag)
        return report

    async def preview(self, action: link_pb2.ConfigAction, node_version: str) -> link_pb2.FlagsReport:
        """Read the flags, and say what would come of a change; raises FlagsError."""
        report = await self.read(action.unit, node_version)
        written = await self.write(action, node_version, dry_run=True)
        report.diff.extend(written.diff)
        report.at_next_start.extend(written.effect.at_start)
        return report

    async def write(self, action: link_pb2.ConfigAction, node_version: str, *, dry_run: bool = False) -> Written:
        """Write what is wished, or only say what would come of it; raises FlagsError."""
        changes = [[each.name, list(each.values), each.remove] for each in action.changes]
        request = {
            "unit": action.unit, "etag": action.etag, "changes": changes, "to_version": action.to_version,
            "node_version": node_version, "dry_run": dry_run,
        }  # fmt: skip
        found = await self._call("write", request)
        before, after = (
            [Argument(name, value) for name, value, _ in found[when]] for when in ("before", "after")
        )  # fmt: skip
        effect = split(before, after, parse_version(node_version))
        return Written(found["version"], found["previous_version"], found["etag"], found["diff"], effect)

    async def _call(self, method: str, params: object) -> dict[str, Any]:
        try:
            found = await self._rpc.call(method, params)
        except AdminError as error:
            raise _told(error) from None
        if not isinstance(found, dict):
            raise FlagsError("CONFIG_GARBLED", "the config helper answered with what is not an object")
        return found


def _told(error: AdminError) -> FlagsError:
    """Take the helper's own reason out of its message, "method: REASON: words"."""
    if error.reason == "ADMIN_REFUSED":
        _, _, said = error.message.partition(": ")
        reason, colon, words = said.partition(": ")
        if colon and reason.isupper():
            return FlagsError(reason, words)
    reason = error.reason.replace("ADMIN_", "CONFIG_")
    return FlagsError(reason, error.message.replace("the admin socket", "the config helper"))
