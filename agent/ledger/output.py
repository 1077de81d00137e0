"""Reads what agave-ledger-tool writes (agave ledger-tool/src/{blockstore,output}.rs); what does not fit is refused."""

import re
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from agent.ledger.child import ToolError, ToolReason
from common.base58 import decode_key

MAX_SLOT = 2**64 - 1
# What is printed at once is kept in memory.
MAX_SLOTS = 100_000
JSON_LINES = 64
MAX_SHRED_VERSION = 2**16 - 1
_NUMBER = "0|[1-9][0-9]{0,19}"
_HEAD = re.compile(rf"Slot ({_NUMBER})( \(root\)| \(dead\))?")
_BODY = re.compile(
    rf"  num_shreds: ({_NUMBER}), parent_slot: (?:None|Some\(({_NUMBER})\)), next_slots: \[[0-9, ]*\], "
    rf"num_entries: (?:{_NUMBER}), is_full: (true|false)"
)
_END = "Summary of Programs:"
_REPAIRED = re.compile(rf"Successfully repaired ({_NUMBER}) roots")
# The tool says "not longer"; that it may be mended there is foreseen.
_ALIVE = re.compile(rf"Slot ({_NUMBER}) not? longer marked dead")
_HASH = "[1-9A-HJ-NP-Za-km-z]{32,44}"
_MADE = re.compile(
    rf"Successfully created (?:snapshot for slot ({_NUMBER}), hash ({_HASH})|"
    rf"incremental snapshot for slot ({_NUMBER}), hash ({_HASH}), base slot: ({_NUMBER})): (/.+)"
)
_SHRED_VERSION = re.compile(rf"Shred version: ({_NUMBER})")
_VERSION = re.compile(r"\S+ ([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})\b.*")

# The upper bound is looked at by itself: msgspec knows none above 2**63.
Natural = Annotated[int, msgspec.Meta(ge=0)]


class Extent(msgspec.Struct, frozen=True, rename="camel"):
    """How many slots there are, and the first and last of them, where there are any."""

    total: Natural
    first: Natural | None
    last: Natural | None


class Bounds(msgspec.Struct, frozen=True):
    """What the ledger spans: the slots that it has a meta of, and the root markers."""

    slots: Extent
    roots: Extent


class Slot(NamedTuple):
    """What the ledger has of a slot.

    Attributes:
        slot: its number.
        root: whether it is marked as a root.
        parent: None where it is not known, as of a slot that is only known by its children.
        shreds: how many there are before the first that is missing.
        full: whether all shreds are there.
        readable: false where there are shreds that cannot be read; then nothing else is known.
    """

    slot: int
    root: bool
    parent: int | None = None
    shreds: int = 0
    full: bool = False
    readable: bool = True


class BankHash(msgspec.Struct, frozen=True):
    """A slot, and the hash of its bank in base58."""

    slot: Natural
    hash: str


class Made(NamedTuple):
    """What `create-snapshot` says that it made.

    Attributes:
        slot: the slot whose state the archive gives.
        bank_hash: the hash of its bank, in base58; another than that in the archive's name.
        base: for an incremental archive, the slot of the full one that it stands on.
        path: where it is.
        shred_version: what the cluster's shreds bear at that slot.
    """

    slot: int
    bank_hash: str
    base: int | None
    path: Path
    shred_version: int


def odd(line: str) -> ToolError:
    """Say that the tool wrote what was not foreseen."""
    return ToolError(ToolReason.TOOL_ODD_OUTPUT, f"the tool wrote {line[:120]!a}, which was not foreseen")


class Json:
    """Gathers the lines of a JSON text of a known, small size."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def take(self, line: str) -> None:
        """Take a line; raises ToolError."""
        if len(self._lines) >= JSON_LINES:
            raise odd(line)
        self._lines.append(line)

    def bounds(self) -> Bounds:
        """Give what `bounds` wrote; raises ToolError."""
        text = "\n".join(self._lines)
        try:
            found = msgspec.json.decode(text, type=Bounds)
        except ValueError:
            raise odd(text) from None
        for extent in (found.slots, found.roots):
            ends = (extent.first, extent.last)
            if (extent.total == 0) != (None in ends) or not (extent.first or 0) <= (extent.last or 0) <= MAX_SLOT:
                raise odd(text)
        return found

    def bank_hash(self) -> BankHash:
        """Give what `verify --print-bank-hash` wrote; raises ToolError."""
        text = "\n".join(self._lines)
        try:
            found = msgspec.json.decode(text, type=BankHash)
            decode_key(found.hash)
        except ValueError:
            raise odd(text) from None
        if found.slot > MAX_SLOT:
            raise odd(text)
        return found


class Numbers:
    """Takes what `dead-slots` writes: a slot a line, each above the last."""

    def __init__(self, first: int) -> None:
        self.slots: list[int] = []
        self._next = first

    def take(self, line: str) -> None:
        """Take a line; raises ToolError."""
        if not re.fullmatch(_NUMBER, line) or not self._next <= int(line) <= MAX_SLOT:
            raise odd(line)
        if len(self.slots) >= MAX_SLOTS:
            raise ToolError(ToolReason.TOOL_ODD_OUTPUT, f"the tool wrote more than {MAX_SLOTS} slots")
        self.slots.append(int(line))
        self._next = int(line) + 1


class Printed:
    """Takes what `print` writes: a line and mostly a second for each slot, and a last one.

    Args:
        first: no slot is below it.
        last: none is above it.
        most: there are not more.
    """

    def __init__(self, first: int, last: int, most: int) -> None:
        self.slots: list[Slot] = []
        self._next, self._last, self._most = first, last, most
        # The first line of a slot whose second has not come.
        self._open: Slot | None = None
        self._ended = False

    def take(self, line: str) -> None:
        """Take a line; raises ToolError."""
        if self._ended:
            raise odd(line)
        if self._open is not None and (body := _BODY.fullmatch(line)):
            self._keep(self._whole(self._open, body, line))
            return
        # Where the shreds of a slot cannot be read there is no second line: why goes to stderr.
        if self._open is not None:
            self._keep(self._open._replace(readable=False))
        self._ended = line == _END
        if not self._ended:
            self._open = self._head(line)

    def result(self) -> list[Slot]:
        """Give the slots; raises ToolError where the tool did not come to its end."""
        if not self._ended:
            raise ToolError(ToolReason.TOOL_ODD_OUTPUT, "the tool did not write to its end")
        return self.slots

    def _keep(self, slot: Slot) -> None:
        self.slots.append(slot)
        self._open = None

    def _head(self, line: str) -> Slot:
        head = _HEAD.fullmatch(line)
        if head is None or len(self.slots) >= self._most:
            raise odd(line)
        slot = int(head[1])
        if not self._next <= slot <= self._last:
            raise odd(line)
        self._next = slot + 1
        return Slot(slot, head[2] == " (root)")

    @staticmethod
    def _whole(head: Slot, body: re.Match[str], line: str) -> Slot:
        shreds, parent = int(body[1]), None if body[2] is None else int(body[2])
        # Only the first slot of all is its own parent.
        if shreds > MAX_SLOT or (parent is not None and parent >= head.slot and (parent, head.slot) != (0, 0)):
            raise odd(line)
        return head._replace(parent=parent, shreds=shreds, full=body[3] == "true")


class Repaired:
    """Takes what `repair-roots` writes."""

    def __init__(self) -> None:
        self.count: int | None = None

    def take(self, line: str) -> None:
        """Take a line; raises ToolError."""
        match = _REPAIRED.fullmatch(line)
        if match is None or self.count is not None:
            raise odd(line)
        self.count = int(match[1])

    def result(self) -> int:
        """Give how many there were; raises ToolError where the tool did not say."""
        if self.count is None:
            raise ToolError(ToolReason.TOOL_ODD_OUTPUT, "the tool did not say how many roots it repaired")
        return self.count


class Alive:
    """Takes what `remove-dead-slot` writes: a line for each slot, in the order in which they were named."""

    def __init__(self, slots: list[int]) -> None:
        self._left = slots[::-1]

    def take(self, line: str) -> None:
        """Take a line; raises ToolError."""
        match = _ALIVE.fullmatch(line)
        if match is None or not self._left or int(match[1]) != self._left.pop():
            raise odd(line)

    def end(self) -> None:
        """Look whether all were said; raises ToolError."""
        if self._left:
            raise ToolError(ToolReason.TOOL_ODD_OUTPUT, f"the tool did not say that slot {self._left[-1]} is done")


class Archived:
    """Takes what `create-snapshot` writes.

    A line that says something else is passed over, unlike those of the other commands: hours of work would be thrown
    away for it.
    """

    def __init__(self) -> None:
        self._made: Made | None = None
        self._shred_version: int | None = None

    def take(self, line: str) -> None:
        """Take a line; raises ToolError."""
        if line.startswith("Successfully created"):
            if self._made is not None:
                raise odd(line)
            self._made = self._read(line)
        elif line.startswith("Shred version:"):
            match = _SHRED_VERSION.fullmatch(line)
            if match is None or self._shred_version is not None or int(match[1]) > MAX_SHRED_VERSION:
                raise odd(line)
            self._shred_version = int(match[1])

    def result(self) -> Made:
        """Give what was made; raises ToolError where the tool did not say all of it."""
        if self._made is None or self._shred_version is None:
            what = "which archive it made" if self._made is None else "the shred version"
            raise ToolError(ToolReason.TOOL_ODD_OUTPUT, f"the tool did not say {what}")
        return self._made._replace(shred_version=self._shred_version)

    @staticmethod
    def _read(line: str) -> Made:
        match = _MADE.fullmatch(line)
        if match is None or not line.isprintable():
            raise odd(line)
        slot, bank_hash = int(match[1] or match[3]), match[2] or match[4]
        base = None if match[5] is None else int(match[5])
        try:
            decode_key(bank_hash)
        except ValueError:
            raise odd(line) from None
        if slot > MAX_SLOT or (base is not None and base >= slot):
            raise odd(line)
        return Made(slot, bank_hash, base, Path(match[6]), 0)


class Version:
    """Takes what `--version` writes: one line, with the version's three numbers behind the program's name."""

    def __init__(self) -> None:
        self._version: tuple[int, int, int] | None = None

    def take(self, line: str) -> None:
        """Take a line; raises ToolError."""
        match = _VERSION.fullmatch(line)
        if match is None or self._version is not None:
            raise odd(line)
        self._version = (int(match[1]), int(match[2]), int(match[3]))

    def result(self) -> tuple[int, int, int]:
        """Give the version; raises ToolError where the tool did not say."""
        if self._version is None:
            raise ToolError(ToolReason.TOOL_ODD_OUTPUT, "the tool did not say its version")
        return self._version


def nothing(line: str) -> None:
    """Take what a command writes that writes nothing; raises ToolError."""
    raise odd(line)
