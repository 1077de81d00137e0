"""Archives made of a ledger, and checked to the last account, by agave-ledger-tool, as a job."""

from collections.abc import Callable
from pathlib import Path

from solward.hosts.v1 import link_pb2

from agent.host.snapshots import Snapshots
from agent.jobs.folder import DONE, FAILED, Check, Standing
from agent.ledger.child import ToolError, ToolReason
from agent.ledger.deep import deep_check
from agent.ledger.made import create
from agent.ledger.tool import LedgerTool
from agent.snapshots.catalogue import Archive, Catalogue

Tell = Callable[[str], None]
Stop = Callable[[], bool]

MAKE = link_pb2.SNAPSHOT_VERB_MAKE


class ArchiveJob:
    """One job.

    Args:
        tool: agave-ledger-tool, on the validator's ledger.
        scratch: a folder on a disk with room for all accounts, unpacked.
        tell: shown how far it has come.
        stop: whether it is to stop.
    """

    def __init__(
        self, tool: LedgerTool, snapshots: Snapshots, scratch: Path, action: link_pb2.SnapshotAction, tell: Tell,
        stop: Stop,
    ) -> None:  # fmt: skip
        self._tool = tool
        self._snapshots = snapshots
        self._scratch = scratch
        self._action = action
        self._tell = tell
        self._stop = stop

    def run(self) -> Standing:
        """Do it, and say what came of it."""
        try:
            return self._make() if self._action.verb == MAKE else self._check()
        except ToolError as error:
            return Standing(state=FAILED, reason=error.reason, message=str(error))
        except OSError as error:
            words = f"{error.filename}: {error.strerror}"
            return Standing(state=FAILED, reason="SNAPSHOTS_UNREADABLE", message=words)

    def _make(self) -> Standing:
        places, incremental = self._snapshots.places, self._action.incremental
        made = create(
            self._tool,
            self._action.make_slot or None,
            places.incremental if incremental else places.full,
            self._scratch,
            self._tell,
            self._stop,
            incremental=incremental,
        )
        figures = {
            "archive": str(made.name), "slot": str(made.name.slot), "bytes": str(made.size),
            "bank_hash": made.bank_hash, "shred_version": str(made.shred_version),
        }  # fmt: skip
        return Standing(state=DONE, message=f"made {made.name}", figures=figures)

    def _check(self) -> Standing:
        catalogue = self._snapshots.scan()
        archive = _find(catalogue, self._action.archive)
        if archive is None:
            return Standing(
                state=FAILED, reason="ARCHIVE_GONE", message=f"{self._action.archive} is not there any more"
            )
        base = _base(catalogue, archive)
        if archive.name.base is not None and base is None:
            words = f"there is no full archive of slot {archive.name.base}"
            return Standing(state=FAILED, reason="BASE_MISSING", message=words)
        # Hard links stay on a filesystem.
        links = archive.folder if archive.folder.stat().st_dev != self._scratch.stat().st_dev else None
        try:
            deep = deep_check(self._tool, archive, base, self._scratch, self._tell, self._stop, links=links)
        except ToolError as error:
            # Of a pair it cannot be told which of them it is.
            if error.reason is ToolReason.DEEP_HASH_MISMATCH and base is None:
                self._snapshots.findings.bad(archive.name)
            raise
        words = f"every account is as it should be; bank hash {deep.bank_hash}"
        figures = {"archive": str(archive.name), "slot": str(deep.slot), "bank_hash": deep.bank_hash}
        return Standing(state=DONE, message=words, figures=figures, checks=(Check("deep", "pass", "", words),))


def _find(catalogue: Catalogue, name: str) -> Archive | None:
    return next((each for each in catalogue.archives if str(each.name) == name), None)


def _base(catalogue: Catalogue, archive: Archive) -> Archive | None:
    if archive.name.base is None:
        return None
    return next((each for each in catalogue.full() if each.name.slot == archive.name.base), None)
