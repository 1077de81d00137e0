"""What a compliance report says, before it is written in any format; plain data."""

import re
from dataclasses import asdict, dataclass, field
from typing import Any

# C0 and C1 controls, marks without width, line separators, bidirectional controls, tags, surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
LONGEST = 160


@dataclass(frozen=True, slots=True)
class Section:
    """One table of a report.

    Args:
        key: names it for programs.
        title: names it for people.
        about: what it counts, in a sentence.
        columns: its headings.
        rows: its cells, made safe to show.
        left_out: how many rows there are beyond those.
    """

    key: str
    title: str
    about: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Integrity:
    """The proof that the log behind a report is whole.

    Args:
        origin: names the log.
        intact: whether every entry, signature and root was found to be as it was written.
        finding: what was not, in words.
        entries: entries verified.
        size: how many entries the newest checkpoint covers, those that were pruned among them.
        root: its Merkle tree head, hexadecimal.
        signature: its Ed25519 signature, hexadecimal.
        signed: when it was signed.
        public_key: the key that it verifies with, hexadecimal.
        checkpoints: good checkpoints.
    """

    origin: str
    intact: bool
    finding: str
    entries: int
    size: int
    root: str
    signature: str
    signed: str
    public_key: str
    checkpoints: int


@dataclass(frozen=True, slots=True)
class Content:
    """One report.

    Args:
        begin: from when, RFC 3339.
        end: until when.
        made: when it was made.
        by: for whom.
        integrity: the proof.
        figures: what a reader wants to see first, by name.
        sections: the tables.
    """

    begin: str
    end: str
    made: str
    by: str
    integrity: Integrity
    figures: dict[str, int] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        """Give it as JSON types."""
        data = asdict(self)
        data["sections"] = {
            section.key: {
                "title": section.title,
                "left_out": section.left_out,
                "rows": [dict(zip(section.columns, row, strict=True)) for row in section.rows],
            }
            for section in self.sections
        }
        return data


def shown(value: object) -> str:
    """Make what an entry says safe to show: one line, bounded, nothing that hides or turns text."""
    text = _UNSAFE.sub("\ufffd", str(value))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
