"""A job's two files: what is asked of it, which the agent writes, and how it stands, which the job itself writes.

Files and not the journal: they are there after a vacuum, a power cut, and where the agent may not read the journal.
What a job says besides is in the journal, under its unit.
"""

import os
import re
import stat
from pathlib import Path
from typing import Annotated

import msgspec

from common.files import write_private

# An operation's uid and a step's id.
IDENT = re.compile(r"[0-9a-f]{32}-[a-z0-9.-]{1,32}")
MAX_BYTES = 256 << 10
# Files of so many jobs are kept.
KEEP = 200

Text = Annotated[str, msgspec.Meta(max_length=4096)]
RUNNING, DONE, FAILED = "running", "done", "failed"


class Spec(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is asked of a job.

    Attributes:
        kind: what the allowlist calls it: "validator.snapshot".
        unit: the validator's, which root's allowlist must let be acted on so.
        action: a serialized ActionRequest.
    """

    kind: Text
    unit: Text
    action: bytes


class Check(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One thing that was looked at."""

    id: Text
    verdict: Text
    reason: Text
    message: Text


class Standing(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How a job stands: `state` is "running", "done" or "failed"; a reason is stable; `ledger` a LedgerReport."""

    state: Text
    message: Text = ""
    reason: Text = ""
    figures: dict[Text, Text] = {}
    checks: tuple[Check, ...] = ()
    ledger: bytes = b""


class JobFiles:
    """The files of all jobs.

    Args:
        specs: the agent's folder; nobody else may write it.
        standings: the folder that jobs write to, as the validator's user.
    """

    def __init__(self, specs: Path, standings: Path) -> None:
        self._specs = specs
        self._standings = standings

    def ask(self, ident: str, spec: Spec) -> None:
        """Write what is asked of a job; what old jobs were asked is forgotten."""
        path = self._path(self._specs, ident)
        write_private(path, msgspec.json.encode(spec))
        path.chmod(0o644)
        known = sorted(self._specs.glob("*.json"), key=lambda each: each.stat().st_mtime)
        for old in known[:-KEEP]:
            old.unlink(missing_ok=True)

    def unfinished(self, kind: str) -> list[str]:
        """List the jobs of a kind that have not said how they ended."""
        found = []
        for path in self._specs.glob("*.json"):
            try:
                spec = self.asked(path.stem)
            except (OSError, ValueError):
                continue
            standing = self.standing(path.stem)
            if spec.kind == kind and (standing is None or standing.state == RUNNING):
                found.append(path.stem)
        return found

    def asked(self, ident: str) -> Spec:
        """Read what is asked of a job; raises OSError, ValueError."""
        path = self._path(self._specs, ident)
        return msgspec.json.decode(_read(path, {0, path.parent.stat().st_uid}), type=Spec)

    def stand(self, ident: str, standing: Standing) -> None:
        """Write how a job stands; what old jobs left is forgotten."""
        path = self._path(self._standings, ident)
        write_private(path, msgspec.json.encode(standing))
        path.chmod(0o644)
        if standing.state != RUNNING:
            known = sorted(self._standings.glob("*.json"), key=lambda each: each.stat().st_mtime)
            for old in known[:-KEEP]:
                old.unlink(missing_ok=True)

    def standing(self, ident: str) -> Standing | None:
        """Read how a job stands; None where it has not said yet, or says what nobody can read."""
        path = self._path(self._standings, ident)
        try:
            return msgspec.json.decode(_read(path, None), type=Standing)
        except (OSError, ValueError):
            return None

    @staticmethod
    def _path(folder: Path, ident: str) -> Path:
        if not IDENT.fullmatch(ident):
            raise ValueError(f"{ident[:80]!r} names no job")
        return folder / f"{ident}.json"


def _read(path: Path, owners: set[int] | None) -> bytes:
    """Read a small regular file that belongs to one of some users."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_BYTES:
            raise ValueError(f"{path.name} is no small file")
        if owners is not None and (about.st_uid not in owners or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
            raise ValueError(f"{path.name} may have been written by somebody else")
        return file.read()
