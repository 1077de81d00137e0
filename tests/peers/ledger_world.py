"""What the peer of agave-ledger-tool works on: a ledger in a file, archives that say what they hold, and faults."""

import fcntl
import hashlib
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.base58 import encode

FILE = "peer-blockstore.json"
GENESIS = "genesis.bin"
VERSION = "4.2.1"
ROOT = Path(__file__).resolve().parents[2]

Slots = dict[int, dict[str, Any]]


# What tests make ledgers with.


def chain(slots: Iterable[int], parent: int | None = None, **more: object) -> Slots:
    """Give whole slots, each the child of the one before it.

    Args:
        slots: which.
        parent: of the first; by default the slot below it.
        more: what is so of each: full, shreds, readable.
    """
    made: Slots = {}
    for slot in slots:
        made[slot] = {"parent": max(slot - 1, 0) if parent is None else parent, "full": True, "shreds": 32, **more}
        parent = slot
    return made


def placeholder() -> dict[str, Any]:
    """Give what is kept of a slot that is only known by its children."""
    return {"parent": None, "full": False, "shreds": 0}


def write(
    ledger: Path, slots: Slots, *, roots: Iterable[int] = (), dead: Iterable[int] = (), fault: object = None
) -> Path:
    """Write a ledger.

    Args:
        ledger: its folder.
        slots: what it has of each slot: parent, full, shreds, and readable where it is not.
        roots: the slots that are marked as roots.
        dead: those that are marked dead.
        fault: {"command": one or "" for all} with "slow_s", "deaf" (to SIGTERM), "die_after" so many slots are written
            (once), "odd" (a text in place of the output), "huge" (so many lines of it), or "code" and "stderr".
            For create-snapshot, once the archive is half made: "stall_s", "die", "disk_full"; and then "link" (it makes
            a symbolic link), "empty", "unmade", "long" (a line of so many characters), "silent" (no line of it),
            "versionless", and "says", with what the line is to say of slot, hash, base, path, or all of it: line.
            For verify "disk_full", "stall_s", "mildly" (it ends with 0 after an error), and "says" as above.
    """
    (ledger / "rocksdb").mkdir(parents=True, exist_ok=True)
    (ledger / "rocksdb" / "CURRENT").write_text("MANIFEST-000004\n")
    (ledger / "rocksdb" / "LOCK").touch()
    Store(ledger / FILE, slots, set(roots), set(dead), fault or {}).save()
    _write_genesis(ledger, fault or {})
    return ledger


def fault(ledger: Path, **how: object) -> None:
    """Give a ledger another fault, or none."""
    store = Store.load(ledger)
    store.fault = how
    store.save()
    _write_genesis(ledger, how)


def _write_genesis(ledger: Path, fault: object) -> None:
    (ledger / GENESIS).write_text(json.dumps({"creation_time": 0, "fault": fault}))


def archive_hash(slot: int) -> str:
    """Give the hash in the name of a slot's archive."""
    return encode(hashlib.sha256(b"accounts of %d" % slot).digest())


def bank_hash(slot: int) -> str:
    """Give the hash of a slot's bank."""
    return encode(hashlib.sha256(b"bank of %d" % slot).digest())


def archive(folder: Path, slot: int, base: int | None = None, raw: str | None = None, **wrong: object) -> Path:
    """Write an archive.

    Args:
        folder: where.
        slot: its slot, of its name too.
        base: of an incremental one.
        raw: what is in it, in place of what belongs there.
        wrong: what it says besides, or else: slot, hash, capitalization, lattice, deltas.
    """
    of = "" if base is None else f"incremental-snapshot-{base}-"
    path = folder / f"{of or 'snapshot-'}{slot}-{archive_hash(slot)}.tar.zst"
    path.write_text(json.dumps({"slot": slot, "hash": archive_hash(slot), **wrong}) if raw is None else raw)
    return path


def program(folder: Path, version: str = VERSION) -> Path:
    """Write a file that can be run as the tool."""
    path = folder / "agave-ledger-tool"
    path.write_text(
        f"#!{sys.executable} -IS\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        f"from tests.peers.ledger_tool import main\nsys.exit(main(sys.argv[1:], {version!r}))\n"
    )
    path.chmod(0o755)
    return path


@contextmanager
def locked(ledger: Path) -> Iterator[None]:
    """Hold a ledger as a running validator does."""
    with (ledger / "rocksdb" / "LOCK").open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


class Failed(Exception):
    """What the tool says, to stderr, before it ends with 1."""


class Panicked(Exception):
    """What the tool says of a panic before it ends with 101."""


class Store:
    """What is in the file."""

    def __init__(self, path: Path, slots: Slots, roots: set[int], dead: set[int], fault: Any) -> None:
        self.path, self.slots, self.roots, self.dead, self.fault = path, slots, roots, dead, fault

    @classmethod
    def load(cls, ledger: Path) -> "Store":
        raw = json.loads((ledger / FILE).read_text())
        slots = {int(slot): about for slot, about in raw["slots"].items()}
        return cls(ledger / FILE, slots, set(raw["roots"]), set(raw["dead"]), raw["fault"])

    def save(self) -> None:
        slots = {str(slot): self.slots[slot] for slot in sorted(self.slots)}
        raw = {"slots": slots, "roots": sorted(self.roots), "dead": sorted(self.dead), "fault": self.fault}
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(raw, indent=1))
        new.replace(self.path)

    def wrote(self) -> None:
        """Save after a slot was written; here it dies in the middle, once."""
        left = self.fault.get("die_after")
        if left is not None:
            self.fault["die_after"] = left - 1
            if left <= 1:
                self.fault = {}
                self.save()
                die()
        self.save()

    def children(self, slot: int) -> list[int]:
        return [child for child in sorted(self.slots) if self.slots[child]["parent"] == slot and child != slot]

    def ancestors(self, slot: int) -> Iterator[int]:
        """Go up the parents, over whatever they are, as AncestorIterator does."""
        while slot and (parent := self.slots.get(slot, {}).get("parent")) is not None:
            yield parent
            slot = parent


def die() -> None:
    """End as if by a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)
