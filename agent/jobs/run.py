"""`solward-agent job ID`: does what the agent asked of a job, as the validator's user, and says how it stands."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from solward.hosts.v1 import link_pb2

from agent.allowlist import Allowlist
from agent.host.snapshots import Snapshots
from agent.jobs.archives import ArchiveJob
from agent.jobs.folder import DONE, FAILED, RUNNING, JobFiles, Standing
from agent.jobs.ledger import LedgerJob
from agent.jobs.plans import Plans
from agent.jobs.snapshot import SnapshotJob
from agent.ledger.tool import LedgerTool
from agent.permits import LEDGER, SNAPSHOT, TOOL_VERBS
from agent.settings import Settings


def run(ident: str, settings: Settings, allowlist: Allowlist) -> bool:
    """Do a job to its end; gives whether it was done."""
    # What a job leaves is for the agent, another user, to read; nothing of it is secret.
    os.umask(0o022)
    files = JobFiles(settings.jobs_dir, settings.job_results_dir)

    def tell(message: str) -> None:
        # To the journal, for people, and to the file, for the agent.
        print(message, flush=True)
        files.stand(ident, Standing(state=RUNNING, message=message))

    ended = _work(ident, settings, allowlist, files, tell)
    print(f"{ended.state}: {ended.reason} {ended.message}", file=sys.stderr)
    files.stand(ident, ended)
    return ended.state == DONE


def _work(
    ident: str, settings: Settings, allowlist: Allowlist, files: JobFiles, tell: Callable[[str], None]
) -> Standing:
    try:
        spec = files.asked(ident)
    except (OSError, ValueError) as error:
        return Standing(state=FAILED, reason="JOB_UNREADABLE", message=f"what is asked cannot be read: {error}")
    # The agent has looked there already; this process has the validator's rights, and looks for itself.
    if not allowlist.allows(spec.kind, spec.unit) or settings.validator is None:
        why = f"root lets no {spec.kind} act on {spec.unit}, or agent.yaml names no validator"
        return Standing(state=FAILED, reason="NOT_ON_ALLOWLIST", message=why)
    request, stop = link_pb2.ActionRequest.FromString(spec.action), _until_told_to_stop()
    snapshots = Snapshots(settings, settings.validator)
    program, ledger = Path(allowlist.ledger_tool), settings.validator.ledger
    tool = LedgerTool(program, ledger, stop=stop, snapshots=snapshots.places)
    if spec.kind == SNAPSHOT and request.snapshot.unit == spec.unit:
        if request.snapshot.verb in TOOL_VERBS:
            scratch = settings.validator.scratch_dir
            return ArchiveJob(tool, snapshots, scratch, request.snapshot, tell, stop).run()
        return SnapshotJob(snapshots, request.snapshot, tell, stop).run()
    if spec.kind == LEDGER and request.ledger.unit == spec.unit:
        plans = Plans(settings.job_results_dir / "plans")
        return LedgerJob(tool, snapshots, plans, request.ledger, tell, stop).run()
    return Standing(state=FAILED, reason="ACTION_UNKNOWN", message="what is asked is not known here")


def _until_told_to_stop() -> Callable[[], bool]:
    told = False

    def note(_number: int, _frame: object) -> None:
        nonlocal told
        told = True

    signal.signal(signal.SIGTERM, note)
    return lambda: told
