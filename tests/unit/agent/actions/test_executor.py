"""The executor: every step done exactly once, whenever the agent dies and whatever its disk says."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solward.hosts.v1 import link_pb2

from agent.actions.executor import Executor
from agent.allowlist import Allowlist
from agent.journal import Journal, JournalError
from common.clock import now_ms
from common.permits import open_receipt
from tests.unit.agent.fakes import UNIT, FakeSystemd, command, make_identity, unit_state

KEY = Ed25519PrivateKey.generate()
IDENTITY = make_identity(KEY)
DONE, REFUSED = link_pb2.RECEIPT_RESULT_DONE, link_pb2.RECEIPT_RESULT_REFUSED


class Died(BaseException):
    """The process ended here."""


class Life:
    """One life of the agent on a host that outlives it."""

    def __init__(self, folder: Path, systemd: FakeSystemd, worker: ThreadPoolExecutor) -> None:
        self.journal = Journal(folder)
        self.room: list[int] = []
        self.make_room: Callable[[], None] = lambda: self.room.append(1)
        allowed = Allowlist({UNIT: frozenset({"validator.start", "validator.stop", "validator.restart"})})
        self.executor = Executor(systemd, self.journal, allowed, lambda: IDENTITY, worker, lambda: self.make_room())
        self.told: list[str] = []

    async def do(self, asked: link_pb2.Command) -> link_pb2.Receipt:
        signed = await self.executor.carry_out(asked, self.told.append)
        assert signed
        receipt = open_receipt(signed, IDENTITY.key.public_key())
        assert receipt
        assert signed.certificate_serial == IDENTITY.serial
        return receipt


class Host:
    """The disk and the systemd that every life of the agent finds as the last one left them."""

    def __init__(self, folder: Path, worker: ThreadPoolExecutor) -> None:
        self.folder, self.worker, self.systemd = folder, worker, FakeSystemd()
        self.lives: list[Life] = []

    def boot(self) -> Life:
        self.lives.append(Life(self.folder, self.systemd, self.worker))
        return self.lives[-1]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with ThreadPoolExecutor(1) as worker:
        made = Host(tmp_path, worker)
        yield made
        for life in made.lives:
            life.journal.close()


def die(*_: object) -> None:
    raise Died


async def test_the_receipt_says_what_was_done(host: Host) -> None:
    asked, before = command(KEY), host.systemd.units[UNIT]
    receipt = await host.boot().do(asked)
    permit = link_pb2.Permit.FromString(asked.permit.permit)
    assert receipt.result == DONE
    assert (receipt.permit_id, receipt.operation, receipt.step) == (permit.id, "operations/one", "act")
    assert (receipt.action, receipt.request_sha256) == ("validator.restart", permit.request_sha256)
    assert receipt.before.invocation_id == before.invocation_id
    assert receipt.after.invocation_id == host.systemd.units[UNIT].invocation_id != before.invocation_id
    assert receipt.start_unix_ms <= receipt.end_unix_ms <= now_ms()
    assert receipt.job_ms == pytest.approx(10)


async def test_a_step_told_again_gets_the_same_receipt_and_is_not_done_again(host: Host) -> None:
    life = host.boot()
    first = await life.do(command(KEY))
    assert await life.do(command(KEY)) == first
    # Also when the permit is over by now, and in another life.
    late = command(KEY, permit={"expire_unix_ms": now_ms() - 1})
    assert await host.boot().do(late) == first
    assert host.systemd.jobs == ["restart"]


async def test_the_same_step_with_another_request_is_refused(host: Host) -> None:
    life = host.boot()
    await life.do(command(KEY))
    other = await life.do(command(KEY, link_pb2.UNIT_VERB_STOP))
    assert (other.result, other.reason) == (REFUSED, "STEP_REUSED")
    assert host.systemd.jobs == ["restart"]


@pytest.mark.parametrize("verb", [link_pb2.UNIT_VERB_START, link_pb2.UNIT_VERB_STOP, link_pb2.UNIT_VERB_RESTART])
@pytest.mark.parametrize("moment", ["before the job", "after the job", "before the receipt is kept"])
async def test_death_at_any_moment_leaves_it_done_once(host: Host, verb: link_pb2.UnitVerb, moment: str) -> None:
    if verb == link_pb2.UNIT_VERB_START:
        host.systemd.units[UNIT] = unit_state("inactive")
    before = host.systemd.units[UNIT]
    effects: list[str] = []

    def effect(name: str) -> None:
        effects.append(name)
        if moment == "after the job":
            die()

    host.systemd.after_job = effect
    life = host.boot()
    if moment == "before the job":
        host.systemd.on_job = die
    elif moment == "before the receipt is kept":
        life.journal.end = die  # type: ignore[method-assign]
    with pytest.raises(Died):
        await life.do(command(KEY, verb))
    host.systemd.on_job, host.systemd.after_job = lambda _: None, effects.append

    receipt = await host.boot().do(command(KEY, verb))
    assert receipt.result == DONE
    assert len(effects) == 1
    assert receipt.before.invocation_id == before.invocation_id
    assert receipt.after.active_state == ("inactive" if verb == link_pb2.UNIT_VERB_STOP else "active")
    assert receipt.after.invocation_id == host.systemd.units[UNIT].invocation_id


async def test_a_step_that_was_begun_is_not_done_under_a_permit_that_is_over(host: Host) -> None:
    host.systemd.on_job = die
    with pytest.raises(Died):
        await host.boot().do(command(KEY))
    host.systemd.on_job = lambda _: None
    late = await host.boot().do(command(KEY, permit={"expire_unix_ms": now_ms() - 1}))
    assert (late.result, late.reason) == (REFUSED, "PERMIT_EXPIRED")
    assert host.systemd.jobs == ["restart"]


async def test_a_step_that_was_done_is_told_of_though_its_permit_is_over(host: Host) -> None:
    host.systemd.after_job = die
    with pytest.raises(Died):
        await host.boot().do(command(KEY))
    host.systemd.after_job = lambda _: None
    life = host.boot()
    receipt = await life.do(command(KEY, permit={"expire_unix_ms": now_ms() - 1}))
    assert receipt.result == DONE
    assert host.systemd.jobs == ["restart"]
    assert "earlier attempt" in life.told[0]


@pytest.mark.parametrize(("state", "result"), [("activating", DONE), ("failed", link_pb2.RECEIPT_RESULT_FAILED)])
async def test_a_restart_that_is_under_way_or_failed_is_not_begun_again(host: Host, state: str, result: int) -> None:
    anew = unit_state(state, invocation_id="cd" * 16)

    def slow_start(verb: str) -> None:
        if verb == "restart":
            host.systemd.units[UNIT] = anew
            die()

    host.systemd.on_job = slow_start
    with pytest.raises(Died):
        await host.boot().do(command(KEY))
    receipt = await host.boot().do(command(KEY))
    assert receipt.result == result
    assert receipt.after.invocation_id == anew.invocation_id
    assert host.systemd.jobs.count("restart") == 1


async def test_refusals_change_nothing_and_are_not_remembered(host: Host) -> None:
    life = host.boot()
    refused = await life.do(command(KEY, expected="cd" * 16))
    assert (refused.result, refused.reason) == (REFUSED, "INVOCATION_CHANGED")
    unknown = await life.do(command(KEY, unit="ssh.service"))
    assert (unknown.result, unknown.reason) == (REFUSED, "NOT_ON_ALLOWLIST")
    assert host.systemd.jobs == []
    assert (await life.do(command(KEY, expected="ab" * 16))).result == DONE


async def test_what_the_control_plane_did_not_sign_is_not_answered(host: Host) -> None:
    life = host.boot()
    assert await life.executor.carry_out(command(Ed25519PrivateKey.generate()), life.told.append) is None
    assert (host.systemd.jobs, life.told) == ([], [])


async def test_on_a_full_disk_the_spool_gives_way(host: Host) -> None:
    life = host.boot()
    begin, full = life.journal.begin, [True]

    def refuse(*arguments: object) -> None:
        if full[0]:
            raise JournalError("database or disk is full")
        begin(*arguments)  # type: ignore[arg-type]

    life.journal.begin = refuse  # type: ignore[method-assign]

    def make_room() -> None:
        full[0] = False

    life.make_room = make_room
    assert (await life.do(command(KEY))).result == DONE
    assert host.systemd.jobs == ["restart"]


async def test_without_a_journal_nothing_is_done(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    life = host.boot()
    monkeypatch.setattr(life.journal, "_database", _Full(life.journal._database))
    receipt = await life.do(command(KEY))
    assert (receipt.result, receipt.reason) == (REFUSED, "JOURNAL_UNAVAILABLE")
    assert (host.systemd.jobs, life.room) == ([], [1])
    monkeypatch.undo()


async def test_a_receipt_that_cannot_be_kept_is_still_given(host: Host) -> None:
    life = host.boot()

    def refuse(*_: object) -> None:
        raise JournalError("database or disk is full")

    life.journal.end = refuse  # type: ignore[method-assign]
    assert (await life.do(command(KEY))).result == DONE
    # And the next life finds the unit itself to tell that it was done.
    assert (await host.boot().do(command(KEY))).result == DONE
    assert host.systemd.jobs == ["restart"]


class _Full:
    """A database on a disk that takes nothing more."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        if statement.startswith("SELECT"):
            return self._database.execute(statement, values)
        raise sqlite3.OperationalError("database or disk is full")

    def close(self) -> None:
        self._database.close()


async def test_a_control_plane_that_was_taken_the_place_of_is_refused(host: Host) -> None:
    life = host.boot()
    assert (await life.do(command(KEY, permit={"operation": "operations/new", "term": 7}))).result == DONE
    refused = await life.do(command(KEY, permit={"operation": "operations/old", "term": 6}))
    assert (refused.result, refused.reason) == (REFUSED, "PERMIT_FENCED")
    # It is remembered over the agent's death, and a stream of the old one is left.
    later = host.boot()
    assert (await later.do(command(KEY, permit={"operation": "operations/old", "term": 6}))).reason == "PERMIT_FENCED"
    assert not await later.executor.welcome(6)
    # What is only said, and not signed, is not remembered.
    assert await later.executor.welcome(2**63 - 1)
    assert (await later.do(command(KEY, permit={"operation": "operations/next", "term": 8}))).result == DONE
    assert (
        await later.do(command(KEY, permit={"operation": "operations/seventh", "term": 7}))
    ).reason == "PERMIT_FENCED"
