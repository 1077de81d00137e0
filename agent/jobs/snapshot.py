"""Work on snapshot archives, as a job: verify, pin, prune, unpin; each ends by saying what came of it."""

import time
from collections.abc import Callable

from solward.hosts.v1 import link_pb2

from agent.config.files import UnsafeFile
from agent.host.snapshots import Snapshots
from agent.jobs.folder import DONE, FAILED, Check, Standing
from agent.snapshots import pin as pins
from agent.snapshots.catalogue import Archive, Catalogue
from agent.snapshots.pace import Pace, Stopped
from agent.snapshots.pin_files import PinRefused
from agent.snapshots.prune import Ended, carry_out
from agent.snapshots.report import Report, Verdict
from agent.snapshots.verify import Against, verify

Tell = Callable[[str], None]
Stop = Callable[[], bool]

VERBS = link_pb2.SnapshotVerb
POLL_S = 2.0
# Checks whose failure says that an archive is not what it should be; a base that is missing may come back.
NOT_WHOLE = ("content", "checksum", "hash")
GB = 1e9


class SnapshotJob:
    """One job.

    Args:
        tell: shown how far it has come.
        stop: whether it is to stop.
    """

    def __init__(self, snapshots: Snapshots, action: link_pb2.SnapshotAction, tell: Tell, stop: Stop) -> None:
        self._snapshots = snapshots
        self._action = action
        self._tell = tell
        self._stop = stop

    def run(self) -> Standing:
        """Do it, and say what came of it."""
        work = {
            VERBS.SNAPSHOT_VERB_VERIFY: self._verify,
            VERBS.SNAPSHOT_VERB_PIN: self._pin,
            VERBS.SNAPSHOT_VERB_PRUNE: self._prune,
            VERBS.SNAPSHOT_VERB_UNPIN: self._unpin,
        }.get(self._action.verb)
        if work is None:
            return _failed("ACTION_UNKNOWN", "this agent does not know what is asked of it")
        try:
            return work()
        except Stopped:
            return _failed("JOB_STOPPED", "it was stopped before its end")
        except PinRefused as error:
            return _failed(error.reason, str(error))
        except (OSError, UnsafeFile) as error:
            words = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
            return _failed("SNAPSHOTS_UNREADABLE", words)

    def _verify(self) -> Standing:
        catalogue = self._snapshots.scan()
        archive = self._named(catalogue)
        if archive is None:
            return _failed("ARCHIVE_GONE", f"{self._action.archive} is not there any more")
        folder = self._snapshots.findings.folder
        kept = folder if folder.exists() else None
        against = Against(catalogue.base_slots(), self._action.logged_hash or None, kept)
        pace = Pace(self._action.bytes_per_second, self._told(time.monotonic()), self._stop)
        report = verify(archive.folder, str(archive.name), against=against, pace=pace)
        self._note(archive, report)
        return _verified(report)

    def _note(self, archive: Archive, report: Report) -> None:
        if report.verdict is Verdict.PASS:
            self._snapshots.findings.whole(archive.name, report.figures.sha256)
        elif report.verdict is Verdict.FAIL and any(c.id in NOT_WHOLE and c.reason for c in report.checks):
            self._snapshots.findings.bad(archive.name)

    def _pin(self) -> Standing:
        if self._action.next:
            self._await_next()
        catalogue = self._snapshots.scan()
        known = self._snapshots.findings.known(catalogue, lambda _: False)
        places, folder = self._snapshots.places, self._snapshots.pins
        if self._action.archive:
            pin = pins.pin_named(places, self._action.archive, folder)
        else:
            pin = pins.pin_newest(places, folder, bad=known.bad)
        kept = ", ".join(file.name for file in pin.files)
        figures = {"slot": str(pin.slot), "bytes": str(sum(file.size for file in pin.files)), "folder": str(folder)}
        return Standing(state=DONE, message=f"kept {kept}", figures=figures)

    def _await_next(self) -> None:
        """Wait for an archive that is newer than all that are there now; the caller's time limit bounds it."""
        newest = self._newest_slot()
        self._tell(f"waiting for an archive after slot {newest}")
        while self._newest_slot() <= newest:
            if self._stop():
                raise Stopped
            time.sleep(POLL_S)

    def _newest_slot(self) -> int:
        return max((each.name.slot for each in self._snapshots.scan().archives if not each.remote), default=0)

    def _prune(self) -> Standing:
        catalogue = self._snapshots.scan()
        try:
            plan = self._snapshots.plan(catalogue, self._snapshots.list_pins(), self._action.policy)
        except ValueError as error:
            return _failed("POLICY_WRONG", str(error))
        if plan.digest != self._action.plan_digest:
            return _failed("PLAN_CHANGED", "what would be removed is not what was shown; nothing was removed")
        outcome = carry_out(plan, self._stop)
        figures = {"removed": str(len(outcome.removed)), "bytes_freed": str(outcome.bytes_freed)}
        words = f"removed {len(outcome.removed)} archives, {outcome.bytes_freed / GB:.1f} GB"
        checks = tuple(
            Check(str(each.archive.name), "inconclusive", each.reason, each.message) for each in outcome.skipped
        )
        if outcome.ended is Ended.DONE:
            return Standing(state=DONE, message=words, figures=figures, checks=checks)
        why = "a pair that was to stay is gone" if outcome.ended is Ended.KEEPER_GONE else "it was stopped"
        return Standing(state=FAILED, reason=outcome.ended, message=f"{why}; {words}", figures=figures, checks=checks)

    def _unpin(self) -> Standing:
        pins.unpin(self._snapshots.pins, self._action.pin_slot)
        return Standing(state=DONE, message=f"the pin of slot {self._action.pin_slot} is gone")

    def _named(self, catalogue: Catalogue) -> Archive | None:
        return next((each for each in catalogue.archives if str(each.name) == self._action.archive), None)

    def _told(self, began: float) -> Callable[[int, int], None]:
        def told(done: int, whole: int) -> None:
            rate = done / max(time.monotonic() - began, 0.001)
            left = (whole - done) / rate if rate else 0.0
            self._tell(f"{done / GB:.2f} of {whole / GB:.2f} GB, {rate / 1e6:.0f} MB/s, about {left:.0f} s left")

        return told


def _verified(report: Report) -> Standing:
    figures = report.figures
    shown = {
        "archive": report.name, "bytes": str(figures.bytes_read), "bytes_decoded": str(figures.bytes_decoded),
        "members": str(figures.members), "sha256": figures.sha256, "seconds": f"{figures.seconds:.1f}",
    }  # fmt: skip
    checks = tuple(Check(each.id, each.verdict.lower(), each.reason or "", each.message) for each in report.checks)
    if report.verdict is Verdict.PASS:
        words = f"whole: {figures.members} members, SHA-256 {figures.sha256}"
        return Standing(state=DONE, message=words, figures=shown, checks=checks)
    worst = next(each for each in report.checks if each.verdict is report.verdict and each.reason)
    return Standing(state=FAILED, reason=str(worst.reason), message=worst.message, figures=shown, checks=checks)


def _failed(reason: str, message: str) -> Standing:
    return Standing(state=FAILED, reason=reason, message=message)
