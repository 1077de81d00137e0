"""What surveys of a ledger planned, kept under its digest: a repair carries out what was shown."""

import re
from pathlib import Path

import msgspec

from agent.ledger.remedy import Plan
from common.files import write_private

KEEP = 50
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Plans:
    """The plans, in a folder of the jobs' own.

    Args:
        folder: made where it is not there yet, by the first that keeps one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, plan: Plan) -> None:
        """Keep a plan; old ones are forgotten. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_private(self._path(plan.digest), msgspec.json.encode(plan))
        known = sorted(self._folder.glob("*.json"), key=lambda each: each.stat().st_mtime)
        for old in known[:-KEEP]:
            old.unlink(missing_ok=True)

    def find(self, digest: str) -> Plan | None:
        """Give the plan of a digest; None where it is not kept, or is not what it was any more."""
        try:
            plan = msgspec.json.decode(self._path(digest).read_bytes(), type=Plan)
        except (OSError, ValueError):
            return None
        return plan if plan.digest == digest == plan.sealed().digest else None

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"{digest[:80]!r} is no digest of a plan")
        return self._folder / f"{digest}.json"
