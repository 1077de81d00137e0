"""The log as it is written: durable, in one chain, with its heads signed in time."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from common.auditlines import Record
from common.auditlog import Checkpoint, Entry
from common.auditverify import verify
from common.errors import SolwardError
from controlplane.audit.log import AuditLog, AuditSettings
from controlplane.store.audit import AuditRepository
from controlplane.store.tables import metadata

KEY = b"k" * 32
SIGNING = Ed25519PrivateKey.from_private_bytes(b"s" * 32)


async def make_engine(path: Path) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")

    @event.listens_for(engine.sync_engine, "connect")
    def _pragmas(connection: object, _: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=200"):
            connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    return engine


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    made = await make_engine(tmp_path / "state.db")
    yield made
    await made.dispose()


def make_log(repository: AuditRepository, signing: Ed25519PrivateKey = SIGNING, **settings: float) -> AuditLog:
    chosen = AuditSettings(**settings)  # type: ignore[arg-type]
    return AuditLog(repository, mac_key=KEY, signing_key=signing, origin="test/audit", settings=chosen)


async def opened(engine: AsyncEngine, **settings: Any) -> AuditLog:
    log = make_log(AuditRepository(engine), **settings)
    await log.start()
    return log


async def exported(log: AuditLog, from_sequence: int = 1) -> list[Record]:
    return [record async for record in log.export(from_sequence)]


async def assert_whole(log: AuditLog, entries: int) -> None:
    report = verify(await exported(log), public_key=SIGNING.public_key(), mac_key=KEY)
    assert report.finding is None
    assert (report.entries, report.proved) == (entries, entries)


class Failing(AuditRepository):
    """A store whose writes fail in chosen ways."""

    fail_before = False
    fail_after = False
    wait: asyncio.Event | None = None

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self.added = asyncio.Event()

    async def add_checkpoint(self, point: Checkpoint) -> None:
        await super().add_checkpoint(point)
        self.added.set()

    async def append(self, entries: Sequence[tuple[Entry, str, str]]) -> None:
        if self.wait is not None:
            await self.wait.wait()
        if self.fail_before:
            raise OperationalError("INSERT", {}, Exception("no disk"))
        await super().append(entries)
        if self.fail_after:
            raise OperationalError("COMMIT", {}, Exception("connection lost"))


async def test_entries_are_numbered_durable_and_verify(engine: AsyncEngine) -> None:
    log = await opened(engine)
    fields = {"principal": "alice", "method": "a/B", "phase": "call", "allowed": True}
    assert [await log.append(fields) for _ in range(3)] == [1, 2, 3]
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT principal, method, body FROM audit_entries"))).all()
    assert [row.principal for row in rows] == ["alice"] * 3
    assert json.loads(rows[0].body)["phase"] == "call"
    await assert_whole(log, 3)
    await log.close()


async def test_concurrent_appends_get_every_number_once(engine: AsyncEngine) -> None:
    log = await opened(engine, checkpoint_entries=50)
    numbers = await asyncio.gather(*(log.append({"reason": str(index)}) for index in range(300)))
    assert sorted(numbers) == list(range(1, 301))
    await assert_whole(log, 300)
    await log.close()


async def test_a_restart_goes_on_where_the_log_ended(engine: AsyncEngine) -> None:
    for turn in range(3):
        log = await opened(engine)
        assert log.size == turn * 2
        await log.append({"reason": "one"})
        await log.append({"reason": "two"})
        await log.close()
    log = await opened(engine)
    records = await exported(log)
    sizes = [record.size for record in records if isinstance(record, Checkpoint)]
    assert sizes == [2, 4, 6]
    await assert_whole(log, 6)
    await log.close()


async def test_an_empty_log_has_a_checkpoint_too(engine: AsyncEngine) -> None:
    log = await opened(engine)
    await assert_whole(log, 0)
    await assert_whole(log, 0)
    assert (await log.checkpoint()).size == 0
    await log.close()
    log = await opened(engine)
    await log.append({})
    await assert_whole(log, 1)
    await log.close()


async def test_listing_is_newest_first_filtered_and_paged(engine: AsyncEngine) -> None:
    log = await opened(engine)
    for index in range(10):
        await log.append({"principal": "ab"[index % 2], "method": "xyz"[index % 3]})
    page = await log.list(limit=4)
    assert [entry.sequence for entry in page.entries] == [10, 9, 8, 7]
    page = await log.list(limit=4, before=page.before, principal="a")
    assert ([entry.sequence for entry in page.entries], page.before) == ([5, 3, 1], None)
    page = await log.list(limit=1, method="x", principal="b")
    assert ([entry.sequence for entry in page.entries], page.before) == ([10], 10)
    page = await log.list(limit=1, method="x", principal="b", before=10)
    assert ([entry.sequence for entry in page.entries], page.before) == ([4], None)
    assert await log.list(principal="c") == ([], None)
    await log.close()


async def test_an_export_from_the_middle_verifies_after_its_beginning(engine: AsyncEngine) -> None:
    log = await opened(engine, checkpoint_entries=5)
    for _ in range(4):
        await asyncio.gather(*(log.append({}) for _ in range(5)))
        await log.checkpoint()
    public = SIGNING.public_key()
    first = verify((await exported(log))[:12], public_key=public)
    assert (first.ok, first.state.size) == (True, 10)
    records = await exported(log, 11)
    assert records[0].sequence == 11  # type: ignore[union-attr]
    assert verify(records, public_key=public, after=first.state).ok
    assert [type(record) for record in await exported(log, 99)] == [Checkpoint]
    await log.close()


async def test_checkpoints_are_signed_after_enough_entries(engine: AsyncEngine) -> None:
    repository = Failing(engine)
    log = make_log(repository, checkpoint_entries=3)
    await log.start()
    for _ in range(3):
        await log.append({})
    await repository.added.wait()
    await log.close()


async def test_checkpoints_are_signed_after_a_while_if_there_is_news(engine: AsyncEngine) -> None:
    repository = Failing(engine)
    log = make_log(repository, checkpoint_interval_s=0.05)
    await log.start()
    await asyncio.sleep(0.2)
    assert not repository.added.is_set()
    await log.append({})
    await repository.added.wait()
    await log.close()


async def test_closed_log_refuses(engine: AsyncEngine) -> None:
    log = await opened(engine)
    await log.close()
    await log.close()
    with pytest.raises(SolwardError, match="closed"):
        await log.append({})


async def test_fields_of_the_log_itself_are_a_mistake(engine: AsyncEngine) -> None:
    log = await opened(engine)
    with pytest.raises(ValueError, match="none named"):
        await log.append({"sequence": 1})
    await log.close()


@pytest.mark.parametrize("how", ["fail_before", "fail_after"])
async def test_a_failed_write_leaves_no_gap_and_no_fork(engine: AsyncEngine, how: str) -> None:
    repository = Failing(engine)
    log = make_log(repository)
    await log.start()
    await log.append({"reason": "before"})
    setattr(repository, how, True)
    for _ in range(2):
        with pytest.raises(SolwardError) as caught:
            await log.append({"reason": "doubtful"})
        assert caught.value.reason == "AUDIT_UNAVAILABLE"
    setattr(repository, how, False)
    number = await log.append({"reason": "after"})
    # What reached the store in spite of the failure stays in the chain.
    assert number == (2 if how == "fail_before" else 4)
    await assert_whole(log, number)
    await log.close()


async def test_a_full_queue_and_a_slow_store_refuse_in_time(engine: AsyncEngine) -> None:
    repository = Failing(engine)
    log = make_log(repository, queue_entries=2, timeout_s=0.3)
    await log.start()
    repository.wait = asyncio.Event()
    first = asyncio.create_task(log.append({"reason": "in the store"}))
    await asyncio.sleep(0.05)
    waiting = [asyncio.create_task(log.append({"reason": "in the queue"})) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(SolwardError, match="too many"):
        await log.append({"reason": "too many"})
    results = await asyncio.gather(first, *waiting, return_exceptions=True)
    assert [getattr(result, "reason", None) for result in results] == ["AUDIT_UNAVAILABLE"] * 3
    repository.wait.set()
    number = await log.append({"reason": "after"})
    await assert_whole(log, number)
    await log.close()


async def test_a_caller_who_left_is_not_logged_later(engine: AsyncEngine) -> None:
    repository = Failing(engine)
    log = make_log(repository)
    await log.start()
    repository.wait = asyncio.Event()
    tasks = [asyncio.create_task(log.append({"reason": str(index)})) for index in range(2)]
    await asyncio.sleep(0.05)
    late = asyncio.create_task(log.append({"reason": "left"}))
    await asyncio.sleep(0.05)
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    repository.wait.set()
    await asyncio.gather(*tasks)
    assert await log.append({}) == 3
    await log.close()


async def test_close_writes_what_waits(engine: AsyncEngine) -> None:
    log = await opened(engine)
    tasks = [asyncio.create_task(log.append({})) for _ in range(20)]
    await asyncio.sleep(0)
    await log.close()
    assert sorted(await asyncio.gather(*tasks)) == list(range(1, 21))


async def test_close_gives_up_on_a_store_that_hangs(engine: AsyncEngine) -> None:
    repository = Failing(engine)
    log = make_log(repository, timeout_s=0.2)
    await log.start()
    repository.wait = asyncio.Event()
    task = asyncio.create_task(log.append({}))
    await asyncio.sleep(0.01)
    await log.close()
    with pytest.raises(SolwardError):
        await task


@pytest.mark.parametrize(
    ("damage", "kind", "sequence"),
    [
        ("UPDATE audit_entries SET body = replace(body, 'alice', 'mallory') WHERE sequence = 4", "edited", 4),
        ("DELETE FROM audit_entries WHERE sequence = 3", "missing", 3),
        ("DELETE FROM audit_entries WHERE sequence >= 5", "truncated", 5),
        ("DELETE FROM audit_entries", "truncated", 1),
        ("UPDATE audit_checkpoints SET root = zeroblob(32)", "forged_checkpoint", 1),
    ],
)
async def test_a_damaged_log_stops_the_start(engine: AsyncEngine, damage: str, kind: str, sequence: int) -> None:
    log = await opened(engine)
    for _ in range(6):
        await log.append({"principal": "alice"})
    await log.close()
    async with engine.begin() as connection:
        await connection.execute(text(damage))
    with pytest.raises(SolwardError) as caught:
        await opened(engine)
    assert caught.value.reason == "AUDIT_CORRUPT"
    assert caught.value.metadata == {"kind": kind, "sequence": str(sequence)}


async def test_a_log_of_another_key_stops_the_start(engine: AsyncEngine) -> None:
    log = await opened(engine)
    await log.append({})
    await log.close()
    other = make_log(AuditRepository(engine), signing=Ed25519PrivateKey.generate())
    with pytest.raises(SolwardError) as caught:
        await other.start()
    assert caught.value.reason == "AUDIT_CORRUPT"


async def test_a_store_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}")
    log = make_log(AuditRepository(engine))
    with pytest.raises(SolwardError) as caught:
        await log.start()
    assert caught.value.reason == "AUDIT_UNAVAILABLE"
    await engine.dispose()


async def test_two_writers_on_one_store_do_not_fork_it(engine: AsyncEngine) -> None:
    one, two = await opened(engine), await opened(engine)
    await one.append({"reason": "one"})
    with pytest.raises(SolwardError, match="written"):
        await two.append({"reason": "its number is taken"})
    assert await two.append({"reason": "two"}) == 2
    await one.close()
    await two.close()
    log = await opened(engine)
    await assert_whole(log, 2)
    await log.close()


async def test_rows_lost_while_running_are_noticed(engine: AsyncEngine) -> None:
    repository = Failing(engine)
    log = make_log(repository)
    await log.start()
    for _ in range(3):
        await log.append({})
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM audit_entries WHERE sequence > 1"))
    repository.fail_before = True
    with pytest.raises(SolwardError):
        await log.append({})
    repository.fail_before = False
    with pytest.raises(SolwardError) as caught:
        await log.append({})
    assert caught.value.reason == "AUDIT_CORRUPT"
    await log.close()
