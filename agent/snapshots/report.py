"""What a verification found: checks with verdicts, and figures."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from agent.snapshots.files import Identity


class Verdict(StrEnum):
    """What a check, or all of them together, came to."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


class Reason(StrEnum):
    """Why a check did not pass; these codes are stable."""

    NAME_REFUSED = "NAME_REFUSED"
    NOT_REGULAR = "NOT_REGULAR"
    GONE = "GONE"
    READ_FAILED = "READ_FAILED"
    ARCHIVE_EMPTY = "ARCHIVE_EMPTY"
    ARCHIVE_TRUNCATED = "ARCHIVE_TRUNCATED"
    ARCHIVE_CORRUPT = "ARCHIVE_CORRUPT"
    MEMBER_REFUSED = "MEMBER_REFUSED"
    MEMBER_MISSING = "MEMBER_MISSING"
    SLOT_MISMATCH = "SLOT_MISMATCH"
    BASE_MISSING = "BASE_MISSING"
    BOMB = "BOMB"
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
    CHECKSUM_UNREADABLE = "CHECKSUM_UNREADABLE"
    HASH_MISMATCH = "HASH_MISMATCH"
    CHANGED_MEANWHILE = "CHANGED_MEANWHILE"


class Fault(Exception):
    """What is wrong with an archive.

    Args:
        reason: the code.
        message: in words.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        id: which: "name", "file", "content", "base", "checksum", "hash" or "unchanged".
        verdict: what it came to.
        message: in words.
        reason: the code, where it did not pass.
    """

    id: str
    verdict: Verdict
    message: str
    reason: Reason | None = None


@dataclass(frozen=True)
class Figures:
    """What was measured on the way; sha256 is empty unless the whole file was read."""

    bytes_read: int = 0
    bytes_decoded: int = 0
    members: int = 0
    version: str = ""
    sha256: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Report:
    """What a verification found.

    Attributes:
        name: the archive's name.
        checks: in the order in which they were made; one that had nothing to compare with is left out.
        figures: what was measured.
        identity: the file that was looked at; None where none was opened.
    """

    name: str
    checks: tuple[Check, ...]
    figures: Figures = Figures()
    identity: Identity | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst of the checks; but nothing is said of a file that was another one at the end."""
        found = {check.verdict for check in self.checks}
        if any(check.reason is Reason.CHANGED_MEANWHILE for check in self.checks):
            return Verdict.INCONCLUSIVE
        return next(verdict for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS) if verdict in found)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The codes of the checks that did not pass."""
        return tuple(_given(check.reason for check in self.checks))


def _given(reasons: Iterable[Reason | None]) -> Iterable[Reason]:
    return (reason for reason in reasons if reason is not None)
