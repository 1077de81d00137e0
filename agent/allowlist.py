"""The allowlist: what this host's root lets the agent do, whatever the control plane says."""

import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import msgspec

UnitName = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9:_.@\\-]{1,240}\.service$")]
Action = Annotated[
    str,
    msgspec.Meta(pattern=r"^(validator\.(start|stop|restart|vote|config|snapshot|ledger)|geyser\.(plugin|restart))$"),
]
PluginName = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]
PluginConfig = Annotated[str, msgspec.Meta(pattern=r"^/[A-Za-z0-9._/-]{1,4000}$")]
KeypairFile = Annotated[str, msgspec.Meta(pattern=r"^/[A-Za-z0-9._/-]{1,4000}$")]


AdminMethod = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z]{1,64}$")]
# What the admin helper passes where root lists nothing: it tells of the node and changes nothing.
READS = (
    "startProgress", "startTime", "pid", "rpcAddress", "contactInfo", "isGeneratingSnapshots",
    "validatorAdmissionTicketStatus", "listPlugins",
)  # fmt: skip


FlagName = Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9][a-z0-9-]{0,63}|\*)$")]
Word = Annotated[str, msgspec.Meta(max_length=4096)]
JobName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
ProgramPath = Annotated[str, msgspec.Meta(pattern=r"^(/[A-Za-z0-9._/-]{1,4000})?$")]
SourcePlace = Annotated[str, msgspec.Meta(pattern=r"^(unit|/[A-Za-z0-9._/-]{1,4000}\.(sh|yaml|yml))$")]


class ConfigEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where a unit's flags stand, and which of them may be changed.

    Attributes:
        source: "unit", or the path of a script (.sh) or YAML file.
        program: what must be started; flags of anything else are not touched.
        flags: names; "*" is every flag that is not guarded.
    """

    source: SourcePlace
    program: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    flags: tuple[FlagName, ...] = ()


class JobEntry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A long job of this host: the argument vector that solward-job@NAME.service runs."""

    argv: Annotated[tuple[Word, ...], msgspec.Meta(min_length=1, max_length=256)]


RegionName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class Bundles(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Bundles that may be sent to a block engine.

    Attributes:
        max_tip_lamports: what one may tip.
        regions: where they may be sent; none: in every region that the agent's settings know.
    """

    max_tip_lamports: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    regions: tuple[RegionName, ...] = ()


class AllowlistError(Exception):
    """An allowlist that cannot be trusted or read; the agent then allows nothing and does not start."""


class _File(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    units: dict[UnitName, list[Action]]
    voters: tuple[KeypairFile, ...] = ()
    plugins: dict[PluginName, PluginConfig] = {}
    admin: tuple[AdminMethod, ...] = READS
    config: dict[UnitName, ConfigEntry] = {}
    jobs: dict[JobName, JobEntry] = {}
    ledger_tool: ProgramPath = ""
    bundles: Bundles | None = None


class Allowlist:
    """Which actions are allowed on which unit.

    Attributes:
        voters: keypair files that voting may be turned on with.
        admin: methods that the admin helper passes to the validator's socket.
        config: units whose flags may be changed, and how far.
        jobs: what solward-job@NAME.service runs, by name.
        ledger_tool: the path of agave-ledger-tool; empty: there is none.
        bundles: which bundles may be sent; None: none.
        plugins: which may be loaded, loaded anew and let go of, by the names that the validator lists, and the file of
            each.
    """

    def __init__(
        self,
        units: dict[str, frozenset[str]],
        voters: tuple[str, ...] = (),
        admin: tuple[str, ...] = READS,
        config: Mapping[str, ConfigEntry] = MappingProxyType({}),
        jobs: Mapping[str, JobEntry] = MappingProxyType({}),
        ledger_tool: str = "",
        bundles: Bundles | None = None,
        plugins: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.plugins = plugins
        self.bundles = bundles
        self.ledger_tool = ledger_tool
        self.units = units
        self.voters = voters
        self.admin = admin
        self.config = config
        self.jobs = jobs

    def allows(self, action: str, unit: str) -> bool:
        """Whether an action may be done to a unit."""
        return action in self.units.get(unit, ())


def load(path: Path, owner: str) -> Allowlist:
    """Read the allowlist.

    Args:
        path: the file.
        owner: the user who must own it, and who alone may write it and its folder.

    Raises: AllowlistError.
    """
    try:
        owner_uid = pwd.getpwnam(owner).pw_uid
        # Opened once and checked through the handle, so that what was checked is what is read.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except KeyError:
        raise AllowlistError(f"the allowlist's owner {owner} is not a user of this host") from None
    except OSError as error:
        raise AllowlistError(f"the allowlist {path} cannot be opened: {error.strerror}") from None
    with os.fdopen(handle, "rb") as file:
        _refuse_foreign(os.fstat(file.fileno()), path, owner, owner_uid)
        _refuse_foreign(path.parent.stat(), path.parent, owner, owner_uid)
        content = file.read(1 << 20)
    try:
        parsed = msgspec.yaml.decode(content, type=_File)
    except msgspec.MsgspecError as error:
        raise AllowlistError(f"{path}: {error}") from None
    units = {unit: frozenset(actions) for unit, actions in parsed.units.items()}
    return Allowlist(
        units, parsed.voters, parsed.admin, parsed.config, parsed.jobs, parsed.ledger_tool, parsed.bundles,
        parsed.plugins,
    )  # fmt: skip


def canary_regions(allowed: Bundles | None, wanted: tuple[str, ...], tip_lamports: int) -> tuple[str, ...]:
    """Give the regions where the agent may send bundles of its own; raises AllowlistError where root allows none."""
    if allowed is None or tip_lamports > allowed.max_tip_lamports:
        most = "no bundles" if allowed is None else f"tips of {allowed.max_tip_lamports:,} lamports at the most"
        raise AllowlistError(
            f"jito.canary would tip {tip_lamports:,} lamports, and the allowlist allows {most}: change one of them"
        )
    regions = tuple(name for name in wanted if not allowed.regions or name in allowed.regions)
    if not regions:
        raise AllowlistError(f"jito.canary: the allowlist's bundles.regions have none of {', '.join(wanted)}")
    return regions


def _refuse_foreign(info: os.stat_result, path: Path, owner: str, owner_uid: int) -> None:
    if info.st_uid not in (owner_uid, 0):
        raise AllowlistError(f"{path} must belong to {owner}: chown {owner} {path}")
    # In a sticky folder nobody else can put another file in this one's place.
    sticky = stat.S_ISDIR(info.st_mode) and info.st_mode & stat.S_ISVTX
    if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
        raise AllowlistError(f"{path} must not be writable by others: chmod go-w {path}")
