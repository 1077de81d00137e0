"""A long job: asked for by a file, run by systemd as solward-job@ID.service, watched, and found again after a crash."""

import asyncio
import time

import structlog
from google.protobuf.message import DecodeError
from solward.hosts.v1 import link_pb2

from agent.actions.base import Outcome, Tell
from agent.actions.unit import DONE, FAILED, look_at
from agent.host.systemd import Systemd, SystemdError
from agent.jobs import folder
from agent.jobs.folder import JobFiles, Spec, Standing
from agent.permits import Refusal

log = structlog.get_logger(__name__)

POLL_S = 0.5
START_S = 30.0
# How long a unit that has ended may take until its last word is on disk.
LAST_WORD_S = 2.0
GOING = ("active", "activating", "reloading")
# States of a unit without a process.
DOWN = ("inactive", "failed")


class JobAct:
    """One job.

    Args:
        ident: names it: the same step of the same operation is the same job.
        timeout_s: after which it is stopped.
        of_a_node_down: whether the validator must be down for it.
    """

    def __init__(
        self, systemd: Systemd, files: JobFiles, ident: str, spec: Spec, timeout_s: float, *,
        of_a_node_down: bool = False,
    ) -> None:  # fmt: skip
        self._systemd = systemd
        self._files = files
        self._ident = ident
        self._spec = spec
        self._timeout_s = timeout_s
        self._of_a_node_down = of_a_node_down
        self._unit = f"solward-job@{ident}.service"
        self._known: Standing | None = None

    async def look(self) -> link_pb2.UnitState:
        """Read the job's unit, and what it said in an earlier life of this agent; raises Refusal."""
        self._known = await asyncio.to_thread(self._files.standing, self._ident)
        try:
            return await look_at(self._systemd, self._unit)
        except Refusal as refusal:
            if refusal.reason != "UNIT_NOT_FOUND":
                raise
            raise Refusal(
                "JOBS_NOT_SET_UP", "solward-job@.service is not on this host: install solward-agent"
            ) from None

    async def precondition(self, now: link_pb2.UnitState) -> None:
        """Refuse a job that runs already, although this step never began one, or whose validator is not down."""
        if now.active_state in GOING:
            raise Refusal("JOB_RUNS", f"{self._unit} runs already")
        if self._of_a_node_down:
            await self._refuse_running()

    async def _refuse_running(self) -> None:
        # It was down when this was planned: that may be hours ago, and others start it too.
        validator = await look_at(self._systemd, self._spec.unit)
        if validator.active_state not in DOWN:
            raise Refusal("NODE_RUNS", f"{self._spec.unit} is {validator.active_state}, and must be down for this")

    def already_done(self, before: link_pb2.UnitState, now: link_pb2.UnitState) -> bool:
        """Whether it was started in an earlier life of this agent: it runs, or has said something."""
        return now.active_state in GOING or self._known is not None

    async def see_through(self, now: link_pb2.UnitState) -> Outcome:
        """Watch a job that was started before."""
        return await self._watch(lambda _: None)

    async def act(self, tell: Tell) -> Outcome:
        """Start the job and watch it to its end; raises Refusal where the validator runs by now and must not."""
        if self._of_a_node_down:
            await self._refuse_running()
        try:
            await asyncio.to_thread(self._files.ask, self._ident, self._spec)
            await self._systemd.start(self._unit, timeout_s=START_S)
        except OSError as error:
            return Outcome(FAILED, "JOB_NOT_WRITTEN", f"what is asked of the job cannot be written: {error.strerror}")
        except SystemdError as error:
            if (standing := await self._standing()) is not None:
                # It was over before systemd's own job was: a short one may be.
                return self._outcome(standing)
            hint = "; polkit must let the agent start solward-job@*.service" if error.reason == "NOT_AUTHORIZED" else ""
            return Outcome(FAILED, error.reason, f"{error.message}{hint}")
        return await self._watch(tell)

    async def _watch(self, tell: Tell) -> Outcome:
        deadline = time.monotonic() + self._timeout_s
        said = ""
        while True:
            standing = await self._standing()
            if standing and standing.state != folder.RUNNING:
                return self._outcome(standing)
            if standing and standing.message != said:
                said = standing.message
                tell(said)
            if not await self._goes_on():
                return await self._last_word()
            if time.monotonic() >= deadline:
                return await self._stopped()
            await asyncio.sleep(POLL_S)

    async def _goes_on(self) -> bool:
        try:
            active, _ = await self._systemd.glance(self._unit)
        except SystemdError as error:
            # The bus comes back; until then the job's own file tells.
            log.warning("a job cannot be looked at", job=self._unit, reason=error.reason)
            return True
        return active in GOING

    async def _last_word(self) -> Outcome:
        deadline = time.monotonic() + LAST_WORD_S
        while time.monotonic() < deadline:
            standing = await self._standing()
            if standing and standing.state != folder.RUNNING:
                return self._outcome(standing)
            await asyncio.sleep(POLL_S / 5)
        after = await self._after()
        how = f"result {after.result}, exit status {after.exit_status}" if after else "its unit cannot be read"
        return Outcome(FAILED, "JOB_DIED", f"it ended without a word ({how}): journalctl -u {self._unit}", after)

    async def _stopped(self) -> Outcome:
        try:
            await self._systemd.stop(self._unit, timeout_s=START_S)
            ended = "it was stopped"
        except SystemdError as error:
            ended = f"it could not be stopped ({error.reason})"
        why = f"it was not done in {self._timeout_s:g} s; {ended}"
        return Outcome(FAILED, "JOB_TIMEOUT", why, await self._after())

    def _outcome(self, standing: Standing) -> Outcome:
        result = DONE if standing.state == folder.DONE else FAILED
        checks = [
            link_pb2.ArchiveCheck(id=each.id, verdict=each.verdict, reason=each.reason, message=each.message)
            for each in standing.checks
        ]
        return Outcome(
            result, standing.reason, standing.message, figures=dict(standing.figures), checks=checks,
            ledger=_ledger(standing.ledger),
        )  # fmt: skip

    async def _standing(self) -> Standing | None:
        return await asyncio.to_thread(self._files.standing, self._ident)

    async def _after(self) -> link_pb2.UnitState | None:
        try:
            return await look_at(self._systemd, self._unit)
        except Refusal:
            return None


def _ledger(report: bytes) -> link_pb2.LedgerReport | None:
    try:
        return link_pb2.LedgerReport.FromString(report) if report else None
    except DecodeError:
        return None


async def until_none_works(systemd: Systemd, files: JobFiles, kind: str, within_s: float) -> None:
    """Wait until no job of a kind is at work on this host; raises Refusal LEDGER_BUSY where one still is."""
    deadline = time.monotonic() + within_s
    while unfinished := await asyncio.to_thread(files.unfinished, kind):
        units = [f"solward-job@{ident}.service" for ident in unfinished]
        at_work = [unit for unit in units if await _is_at_work(systemd, unit)]
        if not at_work:
            return
        if time.monotonic() >= deadline:
            raise Refusal("LEDGER_BUSY", f"{at_work[0]} works on the ledger of this validator")
        await asyncio.sleep(POLL_S)


async def _is_at_work(systemd: Systemd, unit: str) -> bool:
    try:
        active, _ = await systemd.glance(unit)
    except SystemdError as error:
        if error.reason == "UNIT_NOT_FOUND":
            return False
        raise Refusal(error.reason, error.message) from None
    return active in (*GOING, "deactivating")


async def stop_job(systemd: Systemd, ident: str) -> Outcome:
    """Stop a job, which then says itself how far it came; one that has ended already is left so."""
    try:
        await systemd.stop(f"solward-job@{ident}.service", timeout_s=START_S)
    except SystemdError as error:
        return Outcome(FAILED, error.reason, error.message)
    return Outcome(DONE, message="the job was told to stop")
