"""Jobs: asked for once, watched to their last word, and found again by whoever comes later."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from solward.hosts.v1 import link_pb2

from agent.actions import job as jobs
from agent.actions.job import JobAct
from agent.host.systemd import SystemdError, UnitState
from agent.jobs.folder import DONE, FAILED, RUNNING, JobFiles, Spec, Standing
from agent.permits import Refusal

IDENT = f"{'a' * 32}-act"
UNIT = f"solward-job@{IDENT}.service"
SPEC = Spec(kind="snapshot", unit="sol.service", action=b"what")


class Job:
    """A systemd that knows one template, and a job in it that does as the test says."""

    def __init__(self, files: JobFiles, works: Callable[["Job"], None]) -> None:
        self.files = files
        self.works = works
        self.active = "inactive"
        self.validator = "active"
        self.started = self.stopped = 0
        self.trouble: SystemdError | None = None
        self.known = True

    async def state(self, unit: str) -> UnitState:
        if unit == SPEC.unit:
            return UnitState(unit, "loaded", self.validator, "x", "", 0, 0, 0, 0, "success")
        assert unit == UNIT
        if not self.known:
            raise SystemdError("UNIT_NOT_FOUND", f"unit {unit} not found")
        return UnitState(unit, "loaded", self.active, "x", "", 0, 0, 1, 0, "exit-code")

    async def glance(self, unit: str) -> tuple[str, str]:
        return self.active, ""

    async def start(self, unit: str, *, timeout_s: float) -> None:
        if self.trouble:
            raise self.trouble
        assert self.files.asked(IDENT) == SPEC
        self.started += 1
        self.active = "active"
        self.works(self)

    async def stop(self, unit: str, *, timeout_s: float) -> None:
        self.stopped += 1
        self.active = "inactive"

    def says(self, state: str, message: str = "", **more: str) -> None:
        self.files.stand(IDENT, Standing(state=state, message=message, **more))  # type: ignore[arg-type]

    def act(self, timeout_s: float = 5.0, *, down: bool = False) -> JobAct:
        return JobAct(self, self.files, IDENT, SPEC, timeout_s, of_a_node_down=down)  # type: ignore[arg-type]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobFiles:
    monkeypatch.setattr(jobs, "POLL_S", 0.01)
    monkeypatch.setattr(jobs, "LAST_WORD_S", 0.05)
    for name in ("asked", "standings"):
        (tmp_path / name).mkdir()
    return JobFiles(tmp_path / "asked", tmp_path / "standings")


async def run(job: Job, timeout_s: float = 5.0) -> tuple[link_pb2.ReceiptResult, str, str, list[str]]:
    said: list[str] = []
    act = job.act(timeout_s)
    await act.precondition(await act.look())
    outcome = await act.act(said.append)
    return outcome.result, outcome.reason, outcome.message, said


async def test_a_job_is_watched_to_its_end(files: JobFiles) -> None:
    def works(job: Job) -> None:
        async def later() -> None:
            for part in ("a third", "two thirds"):
                job.says(RUNNING, part)
                await asyncio.sleep(0.05)
            job.says(DONE, "all of it")
            job.active = "inactive"

        job.task = asyncio.create_task(later())  # type: ignore[attr-defined]

    result, _, message, said = await run(Job(files, works))
    assert (result, message) == (link_pb2.RECEIPT_RESULT_DONE, "all of it")
    assert said == ["a third", "two thirds"]


async def test_a_job_that_fails_says_why(files: JobFiles) -> None:
    result, reason, message, _ = await run(
        Job(files, lambda job: job.says(FAILED, "it is empty", reason="ARCHIVE_EMPTY"))
    )
    assert (result, reason, message) == (link_pb2.RECEIPT_RESULT_FAILED, "ARCHIVE_EMPTY", "it is empty")


async def test_a_job_that_dies_without_a_word(files: JobFiles) -> None:
    def dies(job: Job) -> None:
        job.says(RUNNING, "a third")
        job.active = "failed"

    result, reason, message, _ = await run(Job(files, dies))
    assert (result, reason) == (link_pb2.RECEIPT_RESULT_FAILED, "JOB_DIED")
    assert f"journalctl -u {UNIT}" in message


async def test_a_job_that_takes_too_long_is_stopped(files: JobFiles) -> None:
    job = Job(files, lambda job: job.says(RUNNING, "for ever"))
    result, reason, _, _ = await run(job, timeout_s=0.05)
    assert (result, reason, job.stopped) == (link_pb2.RECEIPT_RESULT_FAILED, "JOB_TIMEOUT", 1)


async def test_a_host_without_the_template_or_the_leave_to_start_it(files: JobFiles) -> None:
    job = Job(files, lambda _: None)
    job.known = False
    with pytest.raises(Refusal) as refusal:
        await job.act().look()
    assert refusal.value.reason == "JOBS_NOT_SET_UP"
    job.known, job.trouble = True, SystemdError("NOT_AUTHORIZED", "Interactive authentication required.")
    _, reason, message, _ = await run(job)
    assert reason == "NOT_AUTHORIZED"
    assert "polkit must let the agent start" in message


async def test_a_later_life_watches_what_an_earlier_one_began(files: JobFiles) -> None:
    job = Job(files, lambda job: job.says(RUNNING, "a third"))
    first = job.act()
    before = await first.look()
    dying = asyncio.create_task(first.act(lambda _: None))
    await asyncio.sleep(0.05)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)

    second = job.act()
    now = await second.look()
    assert second.already_done(before, now)
    job.says(DONE, "all of it")
    job.active = "inactive"
    outcome = await second.see_through(now)
    assert (outcome.result, job.started) == (link_pb2.RECEIPT_RESULT_DONE, 1)
    # Also where it had ended before anybody looked.
    third = job.act()
    assert third.already_done(before, await third.look())


async def test_one_that_was_noted_and_never_begun_is_begun(files: JobFiles) -> None:
    job = Job(files, lambda job: job.says(DONE, "all of it"))
    act = job.act()
    before = await act.look()
    assert not act.already_done(before, before)


@pytest.mark.parametrize(
    "ident", ["x", "../" + "a" * 32 + "-act", "A" * 32 + "-act", "a" * 32 + "-", "a" * 32 + "-a/b"]
)
def test_names_that_are_none_of_a_job(files: JobFiles, ident: str) -> None:
    with pytest.raises(ValueError, match="names no job"):
        files.ask(ident, SPEC)


def test_what_somebody_else_could_have_written_is_not_done(files: JobFiles, tmp_path: Path) -> None:
    files.ask(IDENT, SPEC)
    path = tmp_path / "asked" / f"{IDENT}.json"
    path.chmod(0o666)
    with pytest.raises(ValueError, match="somebody else"):
        files.asked(IDENT)
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic"):
        files.asked(IDENT)


def test_a_standing_that_nobody_can_read_is_none(files: JobFiles, tmp_path: Path) -> None:
    path = tmp_path / "standings" / f"{IDENT}.json"
    assert files.standing(IDENT) is None
    for content in (b"", b"{}", b"[" * 100_000, b'{"state": "done", "more": 1}', b"x" * 300_000):
        path.write_bytes(content)
        assert files.standing(IDENT) is None, content[:40]


@pytest.mark.parametrize("active", ["active", "activating", "deactivating", "reloading"])
async def test_what_needs_a_node_that_is_down_is_not_begun_where_it_runs_by_now(files: JobFiles, active: str) -> None:
    job = Job(files, lambda job: job.says(DONE))
    job.validator = active
    act = job.act(down=True)
    with pytest.raises(Refusal) as refused:
        await act.precondition(await act.look())
    assert refused.value.reason == "NODE_RUNS"
    # As where an earlier life of the agent had begun the step.
    with pytest.raises(Refusal):
        await act.act(lambda _: None)
    assert not job.started
    job.validator = "inactive"
    await act.precondition(await act.look())
    assert (await act.act(lambda _: None)).result == link_pb2.RECEIPT_RESULT_DONE


async def test_a_start_waits_for_the_job_that_writes_to_the_ledger(files: JobFiles) -> None:
    job = Job(files, lambda _: None)
    files.ask(IDENT, Spec(kind="validator.ledger", unit="sol.service", action=b"what"))
    # One that was asked for and does not run holds nobody up; nor does one of another kind.
    await jobs.until_none_works(job, files, "validator.ledger", 0)  # type: ignore[arg-type]
    job.active = "deactivating"
    await jobs.until_none_works(job, files, "validator.snapshot", 0)  # type: ignore[arg-type]
    with pytest.raises(Refusal, match=IDENT) as refused:
        await jobs.until_none_works(job, files, "validator.ledger", 0.01)  # type: ignore[arg-type]
    assert refused.value.reason == "LEDGER_BUSY"
    waiting = asyncio.create_task(jobs.until_none_works(job, files, "validator.ledger", 60))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    job.says(DONE)
    await asyncio.wait_for(waiting, 10)
