"""Asks agave-ledger-tool, by its own command line, what a ledger holds, and has it write."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.ledger import child, output
from agent.ledger.child import Limits, Stop, Take, ToolError, ToolReason
from agent.ledger.output import MAX_SLOT, MAX_SLOTS, BankHash, Bounds, Made, Slot
from agent.ledger.room import check_given
from agent.snapshots.catalogue import Places

# An argument vector holds 128 KiB and more.
SLOTS_AT_ONCE = 2000
LIMITS = Limits()
VERSION_S = 30.0
_CURRENT = Path("rocksdb", "CURRENT")
_GENESIS = Path("genesis.bin")


def never() -> bool:
    """Never stop."""
    return False


@dataclass(frozen=True)
class LedgerTool:
    """The tool, and the ledger that it works on.

    Every method raises ToolError. The reading ones work beside a running node, though they slow it; the writing ones
    are refused then (LEDGER_LOCKED).

    Attributes:
        program: agave-ledger-tool, as an absolute path.
        ledger: the validator's ledger, as an absolute path.
        limits: how long a command may take.
        stop: asked about five times a second; once it says True the running command is ended.
        snapshots: where the validator keeps its archives; by default in its ledger. A snapshot is made from the newest.
    """

    program: Path
    ledger: Path
    limits: Limits = LIMITS
    stop: Stop = never
    snapshots: Places | None = None

    def version(self) -> tuple[int, int, int]:
        """Give the tool's version."""
        said = output.Version()
        self._check_program()
        child.run(
            [str(self.program), "--version"],
            said.take,
            seconds=VERSION_S,
            grace_s=self.limits.grace_s,
            stop=self.stop,
        )
        return said.result()

    def check_version(self, oldest: tuple[int, int, int], why: str) -> None:
        """Refuse a tool that is older than it may be: TOOL_TOO_OLD.

        Args:
            oldest: a version that will do.
            why: what is wrong with those before it.
        """
        version = self.version()
        if version < oldest:
            said, needed = (".".join(map(str, numbers)) for numbers in (version, oldest))
            raise ToolError(ToolReason.TOOL_TOO_OLD, f"the tool is of version {said}, and {needed} is needed: {why}")

    def bounds(self) -> Bounds:
        """Give what the ledger spans."""
        lines = output.Json()
        self._read(["--output", "json"], ["bounds"], lines.take)
        return lines.bounds()

    def dead_slots(self, start: int = 0) -> list[int]:
        """Give the slots from one on that are marked dead."""
        numbers = output.Numbers(start)
        self._read([], ["dead-slots", "--starting-slot", _slot(start)], numbers.take)
        return numbers.slots

    def slots(self, first: int, last: int = MAX_SLOT, most: int = MAX_SLOTS) -> list[Slot]:
        """Give what the ledger has of the slots of a range, of so many of them at most.

        `print` and not `slot`: that one ends at the first slot that cannot be read. Its JSON holds whole blocks, and
        not whether a slot is full.
        """
        span = ["--starting-slot", _slot(first), "--ending-slot", _slot(last), "--num-slots", str(_count(most))]
        printed = output.Printed(first, last, most)
        self._read([], ["print", *span, "--allow-dead-slots"], printed.take)
        return printed.result()

    def repair_roots(self, before: int, until: int, limit: int) -> int:
        """Mark the ancestors of a root as roots, down to one of them; gives how many were not.

        Args:
            before: the root, which must be marked.
            until: the lowest slot that is marked.
            limit: the tool refuses to look at more slots.
        """
        if before <= until:
            raise ValueError(f"root {before} is not above slot {until}")
        repaired = output.Repaired()
        span = ["--before", _slot(before), "--until", _slot(until), "--repair-limit", str(_count(limit))]
        self._write(["repair-roots", *span], repaired.take)
        return repaired.result()

    def remove_dead_slots(self, slots: Sequence[int]) -> None:
        """Take the mark of being dead from slots; one that has none is passed over."""
        for start in range(0, len(slots), SLOTS_AT_ONCE):
            some = list(slots[start : start + SLOTS_AT_ONCE])
            alive = output.Alive(some)
            self._write(["remove-dead-slot", *map(_slot, some)], alive.take)
            alive.end()

    def purge(self, start: int, end: int) -> None:
        """Delete the slots of a range, with their marks; the tool fails where the ledger ends below it."""
        if start > end:
            raise ValueError(f"slot {start} is above slot {end}")
        self._write(["purge", _slot(start), _slot(end)], output.nothing)

    def create_snapshot(self, slot: int | None, out: Path, accounts: Path, *, incremental: bool = False) -> Made:
        """Load the newest archive, replay the ledger up to a slot, and make a snapshot archive of that.

        Give the tool no folder of the validator's: it empties the run/ and snapshot/ of `accounts`, and before 3.0 it
        removes all but the newest archives of `out`. The node must be down.

        Args:
            slot: whose state it gives; None for the newest root.
            out: a folder, as an absolute path; the archive is made there.
            accounts: a folder, as an absolute path, that takes all accounts, unpacked: some hundred GB.
            incremental: what changed since the newest full archive, and not the whole state.
        """
        words = ["create-snapshot", "ROOT" if slot is None else _slot(slot), str(check_given(out))]
        # In a list of accounts' paths a comma ends one.
        words += ["--accounts", str(check_given(accounts, but=","))]
        places = self.snapshots or Places(self.ledger, self.ledger, self.ledger)
        archived = output.Archived()
        more = ["--incremental"] if incremental else []
        self._run([*words, *_archives(places.full, places.incremental), *more], archived.take, self.limits.write_s)
        return archived.result()

    def verify(self, slot: int, archives: Path) -> tuple[BankHash, bytes]:
        """Load the newest archive of a folder as a node does at its boot, with every check of it, and replay nothing.

        The ledger must be one of our own that holds no more than its genesis.bin, and is refused otherwise
        (WORK_UNUSABLE): the tool makes the rest, and unpacks the accounts, some hundred GB, in place of those in it.

        Args:
            slot: the archive's.
            archives: the folder, as an absolute path, that holds the archive, and for an incremental one its base.

        Returns: the bank's hash, and the end of what the tool wrote to stderr.
        """
        # With `when-newest` the tool opens the ledger for writing, and makes it where there is none; without, it opens
        # it for reading, and fails.
        startup = ["--use-snapshot-archives-at-startup", "when-newest"]
        words = ["verify", *_archives(archives, archives), *startup, "--halt-at-slot", _slot(slot), "--print-bank-hash"]
        if (self.ledger / "rocksdb").exists() or (self.ledger / "accounts").exists():
            raise ToolError(ToolReason.WORK_UNUSABLE, f"{self.ledger} holds more than a genesis")
        lines = output.Json()
        stderr = self._run(["--output", "json", *words], lines.take, self.limits.read_s, needs=_GENESIS)
        return lines.bank_hash(), stderr

    def _read(self, flags: Sequence[str], command: Sequence[str], take: Take) -> None:
        self._run([*flags, "blockstore", *command], take, self.limits.read_s)

    def _write(self, command: Sequence[str], take: Take) -> None:
        self._run(["blockstore", *command], take, self.limits.write_s)

    def _run(self, words: Sequence[str], take: Take, seconds: float, needs: Path = _CURRENT) -> bytes:
        self._check_program()
        self._check_ledger(needs)
        argv = [str(self.program), "-l", str(self.ledger), *words]
        return child.run(argv, take, seconds=seconds, grace_s=self.limits.grace_s, stop=self.stop)

    def _check_program(self) -> None:
        _check_absolute(self.program)
        if not (self.program.is_file() and os.access(self.program, os.X_OK)):
            raise ToolError(ToolReason.TOOL_MISSING, f"{self.program} is no program that can be run")

    def _check_ledger(self, needs: Path) -> None:
        _check_absolute(self.ledger)
        # A command that writes would make a new, empty ledger in its place.
        if not os.access(self.ledger / needs, os.R_OK):
            raise ToolError(ToolReason.LEDGER_MISSING, f"{self.ledger} holds no ledger that can be read")


def _check_absolute(path: Path) -> None:
    if not path.is_absolute():
        raise ToolError(ToolReason.TOOL_NOT_ABSOLUTE, f"{path} is no absolute path")


def _archives(full: Path, incremental: Path) -> list[str]:
    """Give the flags that say where archives are: those that all versions from 2.0 on have, behind the command."""
    return ["--snapshots", str(check_given(full)), "--incremental-snapshot-archive-path", str(check_given(incremental))]


def _slot(slot: int) -> str:
    if not 0 <= slot <= MAX_SLOT:
        raise ValueError(f"{slot} is no slot")
    return str(slot)


def _count(count: int) -> int:
    if not 1 <= count <= MAX_SLOT:
        raise ValueError(f"{count} is no count")
    return count
