"""`solward-agent config-helper`: reads and writes the validator's flags, as far as root's allowlist lets it.

To write a unit is to be root, so the agent may not. This helper may, and does nothing else: it changes the arguments of
the one program that root named, never the program itself, and of the flags only those that root listed.
"""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from agent.allowlist import Allowlist, ConfigEntry
from agent.config.sources import ConfigError, Launch, ScriptSource, Source, UnitSource, YamlSource
from agent.config.versions import Version, Versions, etag
from agent.host.systemd import Systemd, SystemdError
from agent.line_rpc import BAD_REQUEST, REFUSED, LineRpc, Refused
from common.flags.arguments import Argument, Change, WrongFlag, change, difference, refused_at_start
from common.flags.catalogue import CATALOGUE
from common.semver import parse_version

# How many versions a reader is shown.
SHOWN = 50


class WriteRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is to be written.

    Attributes:
        unit: the validator's unit.
        etag: what must stand now; empty: anything.
        changes: as (name, values, remove).
        to_version: instead of changes: a version to go back to.
        node_version: the validator's version, by which flags are judged.
        dry_run: only say what would come of it.
    """

    unit: str
    etag: str = ""
    changes: list[tuple[str, list[str], bool]] = []
    to_version: int = 0
    node_version: str = ""
    dry_run: bool = False


class ConfigHelper:
    """Answers `read` and `write`.

    Args:
        allowlist: root's.
        systemd: the host's.
        folder: where versions are kept.
    """

    def __init__(self, allowlist: Allowlist, systemd: Systemd, folder: Path) -> None:
        self._allowlist = allowlist
        self._systemd = systemd
        self._folder = folder
        self._one_at_a_time = asyncio.Lock()
        self.rpc = LineRpc(self._handle)

    async def _handle(self, method: str, params: list[Any]) -> Any:
        try:
            async with self._one_at_a_time:
                if method == "read":
                    (unit,) = msgspec.convert(params, tuple[str])
                    return await self._read(unit)
                if method == "write":
                    (request,) = msgspec.convert(params, tuple[WriteRequest])
                    return await self._write(request)
        except msgspec.ValidationError as error:
            raise Refused(BAD_REQUEST, f"REQUEST_WRONG: {error}") from None
        except WrongFlag as error:
            raise Refused(REFUSED, f"{error.reason}: {error}") from None
        except (ConfigError, SystemdError) as error:
            raise Refused(REFUSED, f"{error.reason}: {error.message}") from None
        raise Refused(-32601, f"METHOD_UNKNOWN: {method[:64]}")

    async def _read(self, unit: str) -> dict[str, Any]:
        entry, source = self._source(unit)
        launch = await self._launch(entry, source)
        versions = await asyncio.to_thread(Versions(self._folder, unit).all)
        return {
            "source": entry.source,
            "program": launch.program,
            "etag": etag(launch),
            "arguments": _shown(launch),
            "versions": [[each.number, each.unix_ms, each.etag] for each in versions[:SHOWN]],
            "changeable": list(entry.flags),
        }

    async def _write(self, request: WriteRequest) -> dict[str, Any]:
        entry, source = self._source(request.unit)
        versions = Versions(self._folder, request.unit)
        now = await self._launch(entry, source)
        # A command that is told again finds its own work: then there is nothing left to do.
        seen = await asyncio.to_thread(versions.by_etag, request.etag) if request.etag else None
        before = seen.launch if seen and request.etag != etag(now) else now
        wanted = await asyncio.to_thread(_wanted, request, before, versions, entry.source)
        if request.etag not in ("", etag(now)) and etag(wanted) != etag(now):
            raise ConfigError(
                "CONFIG_CHANGED", "the flags are not as they were when this was asked: look at them again"
            )
        _refuse_unlisted(entry, before.arguments, wanted.arguments)
        lines = difference(before.arguments, wanted.arguments)
        answer = {
            "etag": etag(wanted), "diff": lines, "version": 0, "previous_version": 0,
            "before": _shown(before), "after": _shown(wanted),
        }  # fmt: skip
        if request.dry_run:
            return answer
        previous, written = await asyncio.to_thread(_kept, versions, before, wanted, entry.source)
        if etag(wanted) != etag(now):
            await source.write(wanted.arguments)
        await self._must_stand(entry, source, wanted)
        return answer | {"version": written.number, "previous_version": previous.number}

    async def _launch(self, entry: ConfigEntry, source: Source) -> Launch:
        launch = await source.read()
        if entry.program not in (launch.program, Path(launch.program).name):
            raise ConfigError(
                "PROGRAM_ODD", f"what is started is {launch.program[:200]!r}, and root lets {entry.program} be changed"
            )
        return launch

    async def _must_stand(self, entry: ConfigEntry, source: Source, wanted: Launch) -> None:
        found = etag(await self._launch(entry, source))
        if found != etag(wanted):
            raise ConfigError(
                "CONFIG_NOT_IN_FORCE", "what was written is not what stands: another drop-in of the unit comes later"
            )

    def _source(self, unit: str) -> tuple[ConfigEntry, Source]:
        entry = self._allowlist.config.get(unit)
        if entry is None:
            raise ConfigError(
                "NOT_ON_ALLOWLIST",
                f"root has not said where the flags of {unit[:240]!r} stand (config in /etc/solward/allowlist.yaml)",
            )
        if entry.source == "unit":
            return entry, UnitSource(unit, self._systemd)
        kind = ScriptSource if entry.source.endswith(".sh") else YamlSource
        return entry, kind(Path(entry.source))


def _shown(launch: Launch) -> list[list[str | bool | None]]:
    return [[each.name, each.value, each.fixed] for each in launch.arguments]


def _wanted(request: WriteRequest, before: Launch, versions: Versions, source: str) -> Launch:
    version = parse_version(request.node_version)
    if not request.to_version:
        changes = [Change(name, tuple(values), remove) for name, values, remove in request.changes]
        return Launch(before.program, change(before.arguments, changes, version))
    wanted = versions.get(request.to_version, source).launch
    # The validator may have been upgraded since; while it is down nobody can tell, and what it ran with is tried.
    if version and (refused := refused_at_start(wanted.arguments, version)):
        why = f"stands in version {request.to_version}; {version} does not start with it"
        raise WrongFlag(refused[0], "FLAG_REMOVED", why)
    return wanted


def _kept(versions: Versions, before: Launch, wanted: Launch, source: str) -> tuple[Version, Version]:
    """Keep both; an attempt before this one may have kept them already."""
    known = versions.by_etag(etag(before))
    newest = versions.all()[:1]
    if newest and newest[0].etag == etag(wanted) and known:
        return known, newest[0]
    return versions.keep(before, source), versions.keep(wanted, source)


def _refuse_unlisted(entry: ConfigEntry, before: list[Argument], after: list[Argument]) -> None:
    changed = {line[2:].split(" ", 1)[0].removeprefix("--") for line in difference(before, after)}
    for name in sorted(changed):
        flag = CATALOGUE.get(name)
        free = flag is not None and not flag.guarded and "*" in entry.flags
        if not free and name not in entry.flags:
            why = "root has not listed it on this host (config in /etc/solward/allowlist.yaml)"
            raise WrongFlag(name, "FLAG_NOT_LISTED", why)
