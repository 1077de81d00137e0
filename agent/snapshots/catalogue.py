"""What lies in a validator's snapshot folders: archives, bank snapshots, and what looks like one and is not."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from agent.config.files import folder as open_folder
from agent.snapshots.files import Identity, look, subfolder
from agent.snapshots.names import PREFIXES, ArchiveName, Kind, NameRefused, parse

REMOTE = "remote"
BANK = "snapshots"
WORK_PREFIX = "tmp-snapshot-archive-"
FASTBOOT = "fastboot_version"
# A folder of archives holds some dozens of entries.
MAX_ENTRIES = 65_536
_SLOT = re.compile("0|[1-9][0-9]{0,19}")


class TooMany(Exception):
    """A folder has more entries than any snapshot folder has."""


class Places(NamedTuple):
    """Where a validator keeps its snapshots.

    Attributes:
        full: the folder of full archives.
        incremental: the folder of incremental ones; often the same.
        bank: the folder whose snapshots/ holds the bank snapshots; often the same.
    """

    full: Path
    incremental: Path
    bank: Path


class Archive(NamedTuple):
    """An archive: a regular file, not empty, of an archive's name, where the validator looks for such.

    Attributes:
        name: its name, in its parts.
        folder: where it is.
        identity: which file it is.
        links: how many hard links it has.
        remote: whether it was downloaded, and lies in remote/.
        base_present: for an incremental one, whether a full one of its base slot is there; for a full one, true.
    """

    name: ArchiveName
    folder: Path
    identity: Identity
    links: int
    remote: bool
    base_present: bool

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.identity.size


class BankSnapshot(NamedTuple):
    """A bank snapshot: a folder of its slot's name; fastboot says whether a boot can start from it alone."""

    slot: int
    fastboot: bool


class Oddity(NamedTuple):
    """Something that looks like an archive and is not; its name is written so that it can be shown."""

    folder: Path
    name: str
    why: str


class Pair(NamedTuple):
    """A full archive, and the newest incremental one that stands on it."""

    full: Archive
    incremental: Archive | None

    @property
    def slot(self) -> int:
        """The slot that it restores."""
        return (self.incremental or self.full).name.slot


@dataclass
class Catalogue:
    """What was found; archives come newest first, and of the same slot those in remote/ last."""

    archives: list[Archive] = field(default_factory=list)
    bank_snapshots: list[BankSnapshot] = field(default_factory=list)
    oddities: list[Oddity] = field(default_factory=list)
    work_files: int = 0
    work_bytes: int = 0

    def full(self) -> list[Archive]:
        """Give the full archives."""
        return [archive for archive in self.archives if archive.name.base is None]

    def on(self, base: int) -> list[Archive]:
        """Give the incremental archives that stand on a slot."""
        return [archive for archive in self.archives if archive.name.base == base]

    def pairs(self) -> Iterator[Pair]:
        """Give the pairs, that of the newest full archive first."""
        for full in self.full():
            yield Pair(full, next(iter(self.on(full.name.slot)), None))

    def base_slots(self) -> frozenset[int]:
        """Give the slots on which an incremental archive can stand."""
        return frozenset(archive.name.slot for archive in self.full())


def scan(places: Places) -> Catalogue:
    """List the snapshot folders; what vanishes meanwhile is left out.

    Raises: UnsafeFile (a folder is not there, or reached through a link), TooMany, OSError.
    """
    found = Catalogue()
    for path in dict.fromkeys((places.full, places.incremental)):
        kinds = {kind for kind, at in ((Kind.FULL, places.full), (Kind.INCREMENTAL, places.incremental)) if at == path}
        with open_folder(path) as parent:
            _scan_archives(parent, path, kinds, found)
            _scan_remote(parent, path, kinds, found)
    with open_folder(places.bank) as parent:
        _scan_bank(parent, places.bank, found)
    bases = found.base_slots()
    found.archives = sorted(
        (each._replace(base_present=each.name.base is None or each.name.base in bases) for each in found.archives),
        key=lambda each: (-each.name.slot, each.remote, str(each.name), each.folder),
    )
    found.bank_snapshots.sort(reverse=True)
    found.oddities.sort()
    return found


def _entries(parent: int, path: Path) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(parent) as entries:
        for count, entry in enumerate(entries):
            if count >= MAX_ENTRIES:
                raise TooMany(f"{path} holds more than {MAX_ENTRIES} entries")
            try:
                yield entry.name, look(parent, entry.name)
            except FileNotFoundError:
                continue


def _scan_archives(parent: int, path: Path, kinds: set[Kind], found: Catalogue, *, remote: bool = False) -> None:
    for name, status in _entries(parent, path):
        if name.startswith(WORK_PREFIX):
            found.work_files += 1
            found.work_bytes += status.st_size if stat.S_ISREG(status.st_mode) else 0
        elif name.startswith(PREFIXES):
            archive = _archive(name, status, path, kinds)
            if isinstance(archive, Oddity):
                found.oddities.append(archive)
            else:
                found.archives.append(archive._replace(remote=remote))


def _archive(name: str, status: os.stat_result, path: Path, kinds: set[Kind]) -> Archive | Oddity:
    try:
        parsed = parse(name)
    except NameRefused as refused:
        return Oddity(path, _shown(name), str(refused))
    if not stat.S_ISREG(status.st_mode):
        what = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "no regular file"
        return Oddity(path, name, f"it is {what}")
    if not status.st_size:
        return Oddity(path, name, "it is empty")
    if parsed.kind not in kinds:
        return Oddity(path, name, f"the validator looks elsewhere for {parsed.kind} archives")
    return Archive(parsed, path, Identity.of(status), status.st_nlink, remote=False, base_present=True)


def _scan_remote(parent: int, path: Path, kinds: set[Kind], found: Catalogue) -> None:
    if _is_folder(parent, path, REMOTE, found):
        with subfolder(parent, REMOTE) as remote:
            _scan_archives(remote, path / REMOTE, kinds, found, remote=True)


def _scan_bank(parent: int, path: Path, found: Catalogue) -> None:
    if not _is_folder(parent, path, BANK, found):
        return
    with subfolder(parent, BANK) as bank:
        for name, status in _entries(bank, path / BANK):
            if not _SLOT.fullmatch(name):
                continue
            if not stat.S_ISDIR(status.st_mode):
                found.oddities.append(Oddity(path / BANK, name, "it is no folder"))
                continue
            try:
                with subfolder(bank, name) as snapshot:
                    found.bank_snapshots.append(BankSnapshot(int(name), _is_file(snapshot, FASTBOOT)))
            except FileNotFoundError:
                # The validator removes old ones all the time.
                continue


def _is_folder(parent: int, path: Path, name: str, found: Catalogue) -> bool:
    try:
        mode = look(parent, name).st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(mode):
        found.oddities.append(Oddity(path, name, "it is no folder"))
    return stat.S_ISDIR(mode)


def _is_file(parent: int, name: str) -> bool:
    try:
        return stat.S_ISREG(look(parent, name).st_mode)
    except FileNotFoundError:
        return False


def _shown(name: str) -> str:
    # A name of other bytes than UTF-8 comes with surrogates, which cannot be written.
    return name.encode(errors="backslashreplace").decode()
