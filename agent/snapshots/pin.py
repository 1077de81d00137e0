"""Archives pinned: hard links that keep them when the validator removes its own, on the same filesystem."""

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.config import files as config_files
from agent.config.files import UnsafeFile
from agent.snapshots import pin_files
from agent.snapshots.catalogue import Archive, Catalogue, Pair, Places, scan
from agent.snapshots.files import Identity, look, names, subfolder
from agent.snapshots.pin_files import MANIFEST, PinReason, PinRefused, Raced
from common.clock import now_ms

ATTEMPTS = 4
_SLOT = re.compile("0|[1-9][0-9]{0,19}")


class Checked(NamedTuple):
    """What is known of an archive that was verified: which file that was, and its hash, empty if not taken."""

    identity: Identity
    sha256: str


class PinnedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An archive of a pin, as its manifest has it."""

    name: str
    size: int
    inode: int
    sha256: str


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    slot: int
    pinned_unix_ms: int
    files: tuple[PinnedFile, ...]


class Pin(NamedTuple):
    """A pin.

    Attributes:
        slot: the slot that it restores.
        pinned_unix_ms: when it was made; 0 if that is not known.
        files: its archives, the full one first.
        trouble: what is wrong with it; empty if nothing is.
    """

    slot: int
    pinned_unix_ms: int
    files: tuple[PinnedFile, ...]
    trouble: str = ""


def pin_newest(
    places: Places,
    pins: Path,
    *,
    bad: Collection[str] = (),
    checked: Mapping[str, Checked] | None = None,
    clock: Callable[[], int] = now_ms,
) -> Pin:
    """Pin the newest full archive and the newest incremental one on it.

    Args:
        places: where the validator keeps its snapshots.
        pins: the folder of pins, on the same filesystem.
        bad: names that are known to be bad and are passed over.
        checked: what is known of archives by their names: another file of that name is refused.
        clock: milliseconds since the epoch.

    Raises: PinRefused, UnsafeFile, OSError.
    """

    def choose(catalogue: Catalogue) -> Pair:
        good = [each for each in catalogue.archives if str(each.name) not in bad]
        for pair in Catalogue(good).pairs():
            return pair
        raise PinRefused(PinReason.NOTHING_TO_PIN, "there is no full archive that is not known to be bad")

    return _pin(places, pins, choose, checked or {}, clock)


def pin_named(
    places: Places,
    name: str,
    pins: Path,
    *,
    checked: Mapping[str, Checked] | None = None,
    clock: Callable[[], int] = now_ms,
) -> Pin:
    """Pin one archive; an incremental one with the full one that it stands on.

    Args:
        places, pins, checked, clock: as for pin_newest().
        name: the archive's name.

    Raises: PinRefused, UnsafeFile, OSError.
    """

    def choose(catalogue: Catalogue) -> Pair:
        archive = next((each for each in catalogue.archives if str(each.name) == name), None)
        if archive is None:
            raise PinRefused(PinReason.NOTHING_TO_PIN, f"there is no archive {name[:160]!a}")
        if archive.name.base is None:
            return Pair(archive, None)
        full = next((each for each in catalogue.full() if each.name.slot == archive.name.base), None)
        if full is None:
            raise PinRefused(PinReason.NOTHING_TO_PIN, f"the full archive of slot {archive.name.base} is not there")
        return Pair(full, archive)

    return _pin(places, pins, choose, checked or {}, clock)


def list_pins(pins: Path) -> list[Pin]:
    """Give the pins, the newest slot first; one that is not whole says what its trouble is.

    Raises: UnsafeFile, OSError.
    """
    with config_files.folder(pins) as handle:
        slots = sorted((int(name) for name in names(handle) if _SLOT.fullmatch(name)), reverse=True)
        return [_read(handle, pins, slot) for slot in slots]


def unpin(pins: Path, slot: int) -> None:
    """Remove a pin; its archives go with it where nothing else links to them.

    Raises: PinRefused, UnsafeFile, OSError.
    """
    with pin_files.opened(pins) as handle:
        pin_files.remove(handle, slot)


def _pin(
    places: Places,
    pins: Path,
    choose: Callable[[Catalogue], Pair],
    checked: Mapping[str, Checked],
    clock: Callable[[], int],
) -> Pin:
    with pin_files.opened(pins) as handle:
        for _ in range(ATTEMPTS):
            pair = choose(scan(places))
            archives = [pair.full] if pair.incremental is None else [pair.full, pair.incremental]
            made = Pin(pair.slot, clock(), tuple(_file(archive, checked) for archive in archives))
            manifest = _Manifest(made.slot, made.pinned_unix_ms, made.files)
            try:
                pin_files.make(handle, made.slot, archives, msgspec.json.encode(manifest) + b"\n")
            except Raced:
                # The listing is made anew: the validator has gone on to other archives.
                continue
            return made
    raise PinRefused(PinReason.BUSY, f"the archives went away {ATTEMPTS} times before they were linked")


def _file(archive: Archive, checked: Mapping[str, Checked]) -> PinnedFile:
    name = str(archive.name)
    known = checked.get(name)
    if known is not None and known.identity != archive.identity:
        raise PinRefused(PinReason.NOT_AS_CHECKED, f"{name} is another file than the one that was verified")
    return PinnedFile(name, archive.size, archive.identity.inode, known.sha256 if known else "")


def _read(pins: int, path: Path, slot: int) -> Pin:
    try:
        manifest = msgspec.json.decode(config_files.read(path / str(slot) / MANIFEST), type=_Manifest)
    except (UnsafeFile, OSError, msgspec.MsgspecError) as error:
        return Pin(slot, 0, (), f"it has no manifest that can be read: {error}")
    return Pin(slot, manifest.pinned_unix_ms, manifest.files, _trouble(pins, slot, manifest))


def _trouble(pins: int, slot: int, manifest: _Manifest) -> str:
    if manifest.slot != slot or not manifest.files:
        return "its manifest is of another pin"
    with subfolder(pins, str(slot)) as handle:
        for file in manifest.files:
            try:
                status = look(handle, file.name)
            except OSError:
                return f"{file.name} is not there"
            if (status.st_ino, status.st_size) != (file.inode, file.size):
                return f"{file.name} is another file than the one that was pinned"
    return ""
