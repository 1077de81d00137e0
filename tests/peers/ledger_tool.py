"""A peer of agave-ledger-tool: its command line and its words (agave ledger-tool/src/*.rs, 4.2.1).

It works on `<ledger>/peer-blockstore.json` in place of a RocksDB. What is written there is written slot by slot, so
that a death in the middle leaves a half. Faults are in that file too: the tool inherits nothing of the environment.
They are in genesis.bin as well, for a command that works on another ledger with the same genesis.

Its archives are texts that say what they hold, so that it can find one whose name says something else.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

from common.base58 import encode
from tests.peers.ledger_world import (
    FILE,
    GENESIS,
    VERSION,
    Failed,
    Panicked,
    Slots,
    Store,
    archive,
    archive_hash,
    bank_hash,
    chain,
    die,
    fault,
    locked,
    placeholder,
    program,
    write,
)  # fmt: skip

# The tool logs to stderr as it goes, and colours it on a terminal only.
LOG = "[2026-01-01T00:00:00.000000000Z INFO  solana_ledger::blockstore] Opening blockstore at "
WRITING = ("purge", "remove-dead-slot", "repair-roots")
ARCHIVE = re.compile(r"(?:snapshot|incremental-snapshot-([0-9]+))-([0-9]+)-([1-9A-HJ-NP-Za-km-z]+)\.tar\.(?:zst|lz4)")

# What tests make ledgers with comes along.
__all__ = [
    "FILE", "GENESIS", "Slots", "Store", "archive", "archive_hash", "bank_hash", "chain", "fault", "locked", "main",
    "placeholder", "program", "write",
]  # fmt: skip


def main(argv: list[str], version: str = VERSION) -> int:
    """Do a command; gives the exit code."""
    if argv == ["--version"]:
        print(f"agave-ledger-tool {version} (src:00000000; feat:3746964731, client:Agave)")
        return 0
    args = _parser().parse_args(argv)
    args.version = version
    try:
        with ExitStack() as held:
            store = _open(args, held)
            if store.fault.get("command", "") in ("", args.command) and (code := _faulty(store.fault)) is not None:
                return code
            COMMANDS[args.command](store, args)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    except Panicked as panic:
        print(
            f"\nthread 'main' ({os.getpid()}) panicked at runtime/src/snapshot_bank_utils.rs:275:9:\n{panic}\n"
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
            file=sys.stderr,
        )
        return 101
    sys.stdout.flush()
    return 0


def _open(args: argparse.Namespace, held: ExitStack) -> Store:
    ledger = Path(args.ledger)
    if not ledger.is_dir():
        raise Failed(f"Unable to access ledger path '{ledger}': No such file or directory (os error 2)")
    if args.command in ("create-snapshot", "verify"):
        _open_genesis(args, ledger)
    print(f'{LOG}"{ledger}/rocksdb"', file=sys.stderr)
    lock = ledger / "rocksdb" / "LOCK"
    try:
        if args.command in WRITING or _is_primary(args):
            _lock(lock, held)
        return Store.load(ledger)
    except BlockingIOError:
        why = f"IO error: While lock file: {lock}: Resource temporarily unavailable"
    except FileNotFoundError:
        why = (
            f"IO error: No such file or directory: While opening a file for sequentially reading: {lock.parent}/CURRENT"
        )
    raise Failed(f'Failed to open blockstore at "{ledger}": Error {{ message: "{why}" }}')


def _lock(lock: Path, held: ExitStack) -> None:
    file = held.enter_context(lock.open("r+b"))
    # RocksDB takes a lock of fcntl; a peer of a validator may hold one of flock.
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_primary(args: argparse.Namespace) -> bool:
    """Say whether a command that loads a bank opens the ledger for writing."""
    return getattr(args, "startup", "always") != "always"


def _open_genesis(args: argparse.Namespace, ledger: Path) -> None:
    """Read the genesis; where a ledger that is opened for writing holds nothing else, the rest is made."""
    if not (ledger / GENESIS).is_file():
        raise Failed("Exiting. Failed to open genesis config: No such file or directory (os error 2)")
    if _is_primary(args) and not (ledger / FILE).exists():
        fault = json.loads((ledger / GENESIS).read_text())["fault"]
        write(ledger, {}, fault=fault)


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


def _load(store: Store, args: argparse.Namespace, halt: int) -> int | None:
    """Load the newest archives, and replay up to a slot; gives the full one's slot."""
    ledger = store.path.parent
    snapshots = Path(args.snapshots or ledger)
    full = _newest(snapshots, None)
    start = full[0] if full else 0
    incremental = _newest(Path(args.incremental_snapshot_archive_path or snapshots), start) if full else None
    start = incremental[0] if incremental else start
    exiting = "Exiting. Failed to load and process ledger: "
    span = f"{exiting}failed to process blockstore from starting slot {start} to ending slot {halt}; "
    if halt < start:
        raise Failed(f"{span}the ending slot is less than the starting slot. The starting slot is either the latest")
    if halt != start and start not in {halt, *store.ancestors(halt)}:
        raise Failed(f"{span}the blockstore does not contain a replayable sequence of blocks between these slots.")
    accounts = _accounts(args, ledger, exiting)
    for kind in ("run", "snapshot"):
        (accounts / kind).mkdir(parents=True, exist_ok=True)
        for each in (accounts / kind).iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    held = snapshots if _is_primary(args) else ledger / "ledger_tool"
    (held / "snapshots" / str(start)).mkdir(parents=True, exist_ok=True)
    for each in filter(None, (full, incremental)):
        try:
            _unpack(*each, accounts / "run", store.fault)
        except Failed as error:
            named = (str(one[1]) if one else "none" for one in (full, incremental))
            told = "{}, full snapshot archive: {}, incremental snapshot archive: {}".format(error, *named)
            if store.fault.get("mildly"):
                print(told, file=sys.stderr)
                continue
            raise Failed(f"{exiting}failed to load bank forks: failed to load bank: {told}") from None
    time.sleep(store.fault.get("stall_s", 0))
    return full[0] if full else None


def _accounts(args: argparse.Namespace, ledger: Path, exiting: str) -> Path:
    if args.accounts is None:
        return ledger / "accounts" if _is_primary(args) else ledger / "ledger_tool" / "accounts"
    if not _is_primary(args):
        try:
            with ExitStack() as held:
                _lock(ledger / "rocksdb" / "LOCK", held)
        except BlockingIOError:
            why = "custom accounts path is not supported with read-only blockstore access"
            raise Failed(exiting + why) from None
    return Path(args.accounts.split(",")[0])


def _newest(folder: Path, base: int | None) -> tuple[int, Path] | None:
    found = [(match, path) for path in folder.iterdir() if (match := ARCHIVE.fullmatch(path.name))]
    of = [(int(match[2]), path) for match, path in found if match[1] == (None if base is None else str(base))]
    return max(of, default=None)


def _unpack(slot: int, path: Path, run: Path, fault: Any) -> None:
    """Unpack an archive, and look whether it holds what its name says."""
    (run / f"{slot}.0").write_text("accounts\n")
    if fault.get("disk_full"):
        raise Failed("I/O error: No space left on device (os error 28)")
    try:
        bank = json.loads(path.read_text())
    except ValueError:
        raise Failed("Unpack error: Archive error: failed to read entire block") from None
    if bank["slot"] != slot:
        raise Failed(f"snapshot slot mismatch: deserialized bank: {bank['slot']}, snapshot archive: {slot}")
    if "deltas" in bank:
        raise Failed(f"snapshot slot deltas are invalid: {bank['deltas']}")
    if "capitalization" in bank:
        raise Failed(f"capitalization mismatch: expected: {bank['capitalization']}, calculated: 5")
    if bank["hash"] != (named := path.name.split("-")[-1].split(".")[0]):
        said = f"SnapshotHash({bank['hash']}), snapshot archive: SnapshotHash({named})"
        raise Failed(f"snapshot hash mismatch: deserialized bank: {said}")
    if "lattice" in bank:
        said = f"accounts lattice hashes do not match, expected: {bank['lattice']}, calculated: {named}"
        print(
            f"[2026-01-01T00:00:00.000000000Z ERROR solana_runtime::bank] Verifying accounts failed: {said}",
            file=sys.stderr,
        )
        print("[2026-01-01T00:00:00.000000000Z INFO  solana_runtime::bank] Verifying accounts... Done", file=sys.stderr)
        raise Panicked(f"Snapshot bank for slot {slot} failed to verify")


def _verify(store: Store, args: argparse.Namespace) -> None:
    _load(store, args, args.halt_at_slot)
    if args.print_bank_hash:
        told = {"slot": args.halt_at_slot, "hash": bank_hash(args.halt_at_slot), **store.fault.get("says", {})}
        if args.output == "display":
            print(f"Bank hash for slot {told['slot']}: {told['hash']}\n")
        else:
            print(json.dumps(told, indent=2 if args.output == "json" else None))


def _create_snapshot(store: Store, args: argparse.Namespace) -> None:
    if args.slot is None and not store.roots:
        raise Panicked("Failed to get root")
    slot = max(store.roots) if args.slot is None else args.slot
    if not store.slots.get(slot, {}).get("full"):
        raise Failed(f"Error: snapshot slot {slot} does not exist in blockstore or is not full.")
    out = Path(args.out or args.snapshots or store.path.parent)
    base = _load(store, args, slot)
    if args.incremental and base is None:
        if int(args.version.split(".")[0]) < 4:
            raise Failed("Unable to create incremental snapshot without a base full snapshot")
        raise Panicked("assertion failed: bank.accounts().accounts_db.latest_full_snapshot_slot().is_some()")
    if args.incremental and slot <= (base or 0):
        why = f"Slot must be greater than full snapshot slot. slot: {slot}, full snapshot slot: {base}"
        raise Failed(f"Unable to create incremental snapshot: {why}")
    print(f"Creating a version 1.2.0 {'incremental ' if args.incremental else ''}snapshot of slot {slot}", flush=True)
    # It is gone once the tool is done, well or not, and left where it is killed.
    temporary = store.path.parent / ".tmpAb12Cd"
    (temporary / str(slot)).mkdir(parents=True)
    try:
        path = _archive(store.fault, out, slot, base if args.incremental else None)
    finally:
        shutil.rmtree(temporary)
    if int(args.version.split(".")[0]) < 3:
        _remove_old(out)
    _say_created(store.fault, slot, base if args.incremental else None, path)


def _archive(fault: dict[str, Any], out: Path, slot: int, base: int | None) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    half = out / f"tmp-snapshot-archive-{slot}.tar.zst"
    half.write_text("{")
    (out / f"tmp-snapshot-archive-{slot}-Ab12Cd").mkdir()
    time.sleep(fault.get("stall_s", 0))
    if fault.get("die"):
        die()
    if fault.get("disk_full"):
        why = f"failed to archive account storage file '{out}/1.0': No space left on device (os error 28)"
        kind = "snapshot" if base is None else "incremental snapshot"
        raise Failed(f"Unable to create {kind}: failed to archive snapshot package: {why}")
    (out / f"tmp-snapshot-archive-{slot}-Ab12Cd").rmdir()
    half.unlink()
    path = archive(out, slot, base)
    if fault.get("link"):
        path.rename(out / "elsewhere")
        path.symlink_to(out / "elsewhere")
    if fault.get("empty"):
        path.write_text("")
    if fault.get("unmade"):
        path.unlink()
    return path


def _remove_old(out: Path, kept: int = 2) -> None:
    every = [path for path in out.iterdir() if (match := ARCHIVE.fullmatch(path.name)) and match[1] is None]
    for path in sorted(every, key=lambda path: int(path.name.split("-")[1]))[:-kept]:
        path.unlink()


def _say_created(fault: dict[str, Any], slot: int, base: int | None, path: Path) -> None:
    said: dict[str, Any] = {"slot": slot, "hash": bank_hash(slot), "base": base, "path": path, **fault.get("says", {})}
    line = f"Successfully created snapshot for slot {said['slot']}, hash {said['hash']}: {said['path']}"
    if said["base"] is not None:
        of = f"slot {said['slot']}, hash {said['hash']}, base slot: {said['base']}"
        line = f"Successfully created incremental snapshot for {of}: {said['path']}"
    if "long" in fault:
        print("x" * fault["long"])
    if not fault.get("silent"):
        print(said.get("line", line))
    if not fault.get("versionless"):
        print("Shred version: 4084")


COMMANDS: dict[str, Callable[[Store, argparse.Namespace], None]] = {
    "bounds": _bounds,
    "create-snapshot": _create_snapshot,
    "dead-slots": _dead_slots,
    "list-roots": _list_roots,
    "print": _print,
    "purge": _purge,
    "remove-dead-slot": _remove_dead_slot,
    "repair-roots": _repair_roots,
    "slot": _slot,
    "verify": _verify,
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
    _banks(below)
    return parser


def _banks(below: Any) -> None:
    """Add the commands that load a bank; their flags come behind them."""
    making = below.add_parser("create-snapshot", allow_abbrev=False)
    making.add_argument("slot", type=lambda text: None if text == "ROOT" else _number(text))
    making.add_argument("out", nargs="?")
    making.add_argument("--incremental", action="store_true")
    making.set_defaults(command="create-snapshot")
    checking = below.add_parser("verify", allow_abbrev=False)
    checking.add_argument("--halt-at-slot", type=_number, required=True)
    checking.add_argument("--print-bank-hash", action="store_true")
    checking.set_defaults(command="verify")
    for parser in (making, checking):
        parser.add_argument("--accounts")
        # Before 3.1 the second name is another name of the first: who gives both is refused.
        parser.add_argument("--snapshots", "--snapshot-archive-path")
        parser.add_argument("--incremental-snapshot-archive-path")
        startup = ("always", "never", "when-newest")
        parser.add_argument("--use-snapshot-archives-at-startup", dest="startup", choices=startup, default="always")


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
