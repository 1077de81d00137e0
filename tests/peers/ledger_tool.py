"""A peer of agave-ledger-tool: its command line and its words (agave ledger-tool/src/{blockstore,output}.rs, 4.2.1).

It works on `<ledger>/peer-blockstore.json` in place of a RocksDB. What is written there is written slot by slot, so
that a death in the middle leaves a half. Faults are in that file too: the tool inherits nothing of the environment.
"""

import argparse
import fcntl
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from common.base58 import encode

FILE = "peer-blockstore.json"
ROOT = Path(__file__).resolve().parents[2]
# The tool logs to stderr as it goes, and colours it on a terminal only.
LOG = "[2026-01-01T00:00:00.000000000Z INFO  solana_ledger::blockstore] Opening blockstore at "
WRITING = ("purge", "remove-dead-slot", "repair-roots")

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
    """
    (ledger / "rocksdb").mkdir(parents=True, exist_ok=True)
    (ledger / "rocksdb" / "CURRENT").write_text("MANIFEST-000004\n")
    (ledger / "rocksdb" / "LOCK").touch()
    Store(ledger / FILE, slots, set(roots), set(dead), fault or {}).save()
    return ledger


def fault(ledger: Path, **how: object) -> None:
    """Give a ledger another fault, or none."""
    store = Store.load(ledger)
    store.fault = how
    store.save()


def program(folder: Path) -> Path:
    """Write a file that can be run as the tool."""
    path = folder / "agave-ledger-tool"
    path.write_text(
        f"#!{sys.executable} -IS\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.peers.ledger_tool import main\nsys.exit(main(sys.argv[1:]))\n"
    )
    path.chmod(0o755)
    return path


@contextmanager
def locked(ledger: Path) -> Iterator[None]:
    """Hold a ledger as a running validator does."""
    with (ledger / "rocksdb" / "LOCK").open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


# The tool.


class Failed(Exception):
    """What the tool says, to stderr, before it ends with 1."""


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


def main(argv: list[str]) -> int:
    """Do a command; gives the exit code."""
    args = _parser().parse_args(argv)
    try:
        with ExitStack() as held:
            store = _open(args, held)
            if store.fault.get("command", "") in ("", args.command) and (code := _faulty(store.fault)) is not None:
                return code
            COMMANDS[args.command](store, args)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.flush()
    return 0


def _open(args: argparse.Namespace, held: ExitStack) -> Store:
    ledger = Path(args.ledger)
    if not ledger.is_dir():
        raise Failed(f"Unable to access ledger path '{ledger}': No such file or directory (os error 2)")
    print(f'{LOG}"{ledger}/rocksdb"', file=sys.stderr)
    lock = ledger / "rocksdb" / "LOCK"
    try:
        if args.command in WRITING:
            file = held.enter_context(lock.open("r+b"))
            # RocksDB takes a lock of fcntl; a peer of a validator may hold one of flock.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Store.load(ledger)
    except BlockingIOError:
        why = f"IO error: While lock file: {lock}: Resource temporarily unavailable"
    except FileNotFoundError:
        why = (
            f"IO error: No such file or directory: While opening a file for sequentially reading: {lock.parent}/CURRENT"
        )
    raise Failed(f'Failed to open blockstore at "{ledger}": Error {{ message: "{why}" }}')


def _faulty(fault: dict[str, Any]) -> int | None:
    """Do what a fault says; gives the exit code where it ends the command."""
    if fault.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(fault.get("slow_s", 0))
    if "odd" in fault or "code" in fault:
        for _ in range(fault.get("huge", 1)):
            sys.stdout.write(fault.get("odd", ""))
        print(fault.get("stderr", ""), file=sys.stderr)
        return int(fault.get("code", 0))
    return None


def _bounds(store: Store, args: argparse.Namespace) -> None:
    slots, roots = sorted(store.slots), sorted(store.roots)
    empty = {"total": 0, "first": None, "last": None}
    told: dict[str, Any] = {"slots": empty, "roots": empty}
    if slots:
        past = sum(slot > (roots[-1] if roots else 0) for slot in slots)
        told = {
            **({"allSlots": slots} if args.all else {}),
            "slots": _extent(slots),
            "roots": {**(_extent(roots) if roots else empty), "numAfterLastRoot": past},
        }
    if args.output == "json":
        print(json.dumps(told, indent=2))
    elif args.output == "json-compact":
        print(json.dumps(told, separators=(",", ":")))
    elif not slots:
        print("Ledger is empty\n")
    else:
        more = f"{len(slots)} slots {slots[0]} to {slots[-1]}" if slots[1:] else f"slot {slots[0]}"
        print(f"Ledger has data for {more}")
        print(f"  with {len(roots)} rooted slots from {roots[0]} to {roots[-1]}" if roots else "  with no rooted slots")
        print(f"  and {past} slots past the last root\n" if roots else "")


def _extent(slots: list[int]) -> dict[str, Any]:
    return {"total": len(slots), "first": slots[0], "last": slots[-1]}


def _dead_slots(store: Store, args: argparse.Namespace) -> None:
    for slot in sorted(store.dead):
        if slot >= args.starting_slot:
            print(slot)


def _list_roots(store: Store, args: argparse.Namespace) -> None:
    roots = [slot for slot in sorted(store.roots) if slot >= args.start_root][: args.num_roots]
    for slot in reversed(roots):
        if slot > args.max_height:
            continue
        if slot not in store.slots:
            raise Failed("Failed to complete command: Blockstore(SlotUnavailable)")
        print(f"{slot}: {encode(hashlib.sha256(str(slot).encode()).digest())}")


def _output_slot(store: Store, slot: int, args: argparse.Namespace) -> None:
    """Print a slot; raises Failed with the Debug form of what is wrong."""
    root, dead = slot in store.roots, slot in store.dead
    text = args.output == "display"
    if text and root and dead:
        print(f"Slot {slot} is marked as both a root and dead, this shouldn't be possible", file=sys.stderr)
    if text:
        print(f"Slot {slot}{' (root)' if root else ' (dead)' if dead else ''}")
    if dead and not args.allow_dead_slots:
        raise Failed("DeadSlot")
    about = store.slots.get(slot)
    if about is None:
        return
    if not about.get("readable", True):
        raise Failed('InvalidShredData(Custom("could not reconstruct entries"))')
    parent = "None" if about["parent"] is None else f"Some({about['parent']})"
    if text:
        print(
            f"  num_shreds: {about['shreds']}, parent_slot: {parent}, next_slots: {store.children(slot)}, "
            f"num_entries: {about['shreds'] // 2}, is_full: {'true' if about['full'] else 'false'}"
        )


def _slot(store: Store, args: argparse.Namespace) -> None:
    for slot in args.slots:
        try:
            _output_slot(store, slot, args)
        except Failed as error:
            raise Failed(f"Failed to complete command: Blockstore({error})") from None


def _print(store: Store, args: argparse.Namespace) -> None:
    if args.output == "json":
        print('{"ledger":[')
    slots = [slot for slot in sorted(store.slots) if args.starting_slot <= slot <= args.ending_slot]
    if args.only_rooted:
        slots = [slot for slot in slots if slot in store.roots]
    for slot in slots[: args.num_slots]:
        try:
            _output_slot(store, slot, args)
        except Failed as error:
            print(error, file=sys.stderr)
    print("\n]}" if args.output == "json" else "Summary of Programs:")


def _purge(store: Store, args: argparse.Namespace) -> None:
    if not store.slots:
        raise Failed('Failed to complete command: BadArgument("blockstore is empty")')
    start, end = args.start, min(args.end, max(store.slots))
    if end < start:
        why = f"starting slot {start} should be less than or equal to ending slot {end}"
        raise Failed(f'Failed to complete command: BadArgument("{why}")')
    for slot in sorted(store.slots.keys() | store.dead | store.roots):
        if start <= slot <= end and (slot in store.dead or not args.dead_slots_only):
            store.slots.pop(slot, None)
            store.roots.discard(slot)
            store.dead.discard(slot)
            store.wrote()


def _remove_dead_slot(store: Store, args: argparse.Namespace) -> None:
    for slot in args.slots:
        store.dead.discard(slot)
        store.wrote()
        print(f"Slot {slot} not longer marked dead")


def _repair_roots(store: Store, args: argparse.Namespace) -> None:
    before = max(store.roots, default=0) if args.before is None else args.before
    until = max(0, before - args.repair_limit) if args.until is None else args.until
    if before <= until:
        print("thread 'main' panicked at: assertion failed: start_root > end_root", file=sys.stderr)
        sys.exit(101)
    number = before - until - 1
    if args.until is not None and number > args.repair_limit:
        why = (
            f"Requested range {number} too large, max {args.repair_limit}. Either adjust `--until` value, or pass a "
            "larger `--repair-limit` to override the limit"
        )
        raise Failed(f'Failed to complete command: BadArgument("{why}")')
    if before not in store.roots:
        raise Failed("Failed to complete command: Blockstore(SlotNotRooted)")
    lost = [slot for slot in store.ancestors(before) if slot >= until and slot not in store.roots]
    for slot in lost:
        store.roots.add(slot)
        store.wrote()
    print(f"Successfully repaired {len(lost)} roots")


COMMANDS: dict[str, Callable[[Store, argparse.Namespace], None]] = {
    "bounds": _bounds,
    "dead-slots": _dead_slots,
    "list-roots": _list_roots,
    "print": _print,
    "purge": _purge,
    "remove-dead-slot": _remove_dead_slot,
    "repair-roots": _repair_roots,
    "slot": _slot,
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # clap ends with 1 where argparse ends with 2.
        self.exit(1, f"error: {message}\n\nUSAGE:\n    agave-ledger-tool --ledger <DIR> <SUBCOMMAND>\n")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) >= 2**64:
        raise argparse.ArgumentTypeError(f"Unable to parse input as slot: {text}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="agave-ledger-tool", allow_abbrev=False)
    parser.add_argument("-l", "--ledger", default="ledger")
    parser.add_argument("--output", choices=("display", "json", "json-compact"), default="display")
    parser.add_argument("-v", "--verbose", action="count")
    below = parser.add_subparsers(required=True, parser_class=_Parser)
    _commands(below.add_parser("blockstore", allow_abbrev=False).add_subparsers(dest="command", required=True))
    # They are there at the top as well, hidden.
    _commands(below)
    return parser


def _commands(below: Any) -> None:
    def add(command: str, *numbers: tuple[str, int | None], flags: Iterable[str] = (), slots: bool = False) -> None:
        parser = below.add_parser(command, allow_abbrev=False)
        parser.set_defaults(command=command)
        for name, default in numbers:
            parser.add_argument(name, type=_number, default=default, **({"nargs": "?"} if name == "end" else {}))
        for flag in flags:
            parser.add_argument(flag, action="store_true")
        if slots:
            parser.add_argument("slots", type=_number, nargs="+")

    span = (("--starting-slot", 0), ("--ending-slot", 2**64 - 1), ("--num-slots", 2**64 - 1))
    add("bounds", flags=["--all"])
    add("dead-slots", ("--starting-slot", 0))
    add("list-roots", ("--start-root", 0), ("--num-roots", 1), ("--max-height", 2**64 - 1))
    add("print", *span, flags=["--allow-dead-slots", "--only-rooted"])
    add("slot", flags=["--allow-dead-slots"], slots=True)
    add("purge", ("start", None), ("end", 2**64 - 1), ("--batch-size", 1000), flags=["--dead-slots-only"])
    add("remove-dead-slot", slots=True)
    add("repair-roots", ("--before", None), ("--until", None), ("--repair-limit", 2000))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
