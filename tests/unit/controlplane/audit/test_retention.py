"""Retention: what is pruned is gone whole and on record, and the rest proves itself as before."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.auditlines import Record, decode, encode
from common.auditlog import Checkpoint, Entry, sign
from common.auditprune import POLICY, Prune
from common.auditverify import Kind, verify
from common.errors import SolwardError
from common.merkle import Tree, verify_consistency
from controlplane.audit.log import AuditLog, AuditSettings
from controlplane.audit.retention import DAY_MS, Retention
from controlplane.store.audit import AuditRepository
from controlplane.store.database import close_engine, migrate, open_engine

KEY = b"k" * 32
SIGNING = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
PUBLIC = SIGNING.public_key()


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


def make_log(engine: AsyncEngine, clock: Clock) -> AuditLog:
    return AuditLog(
        AuditRepository(engine), mac_key=KEY, signing_key=SIGNING, origin="test/audit",
        settings=AuditSettings(checkpoint_entries=10**6), clock_ms=clock,
    )  # fmt: skip


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    made = open_engine(f"sqlite+aiosqlite:///{tmp_path / 'state.db'}")
    await migrate(made)
    yield made
    await close_engine(made)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def audit(engine: AsyncEngine, clock: Clock) -> AsyncIterator[AuditLog]:
    log = make_log(engine, clock)
    await log.start()
    yield log
    await log.close()


async def write(log: AuditLog, count: int) -> Checkpoint:
    """Write entries and sign what they make."""
    await asyncio.gather(*(log.append({"principal": "alice", "reason": f"entry {number}"}) for number in range(count)))
    return await log.checkpoint()


async def exported(log: AuditLog) -> list[Record]:
    return [decode(encode(record)) async for record in log.export()]


async def prune_at(log: AuditLog, engine: AsyncEngine, clock: Clock, by: str = POLICY) -> list[Prune]:
    """Prune everything that was signed by now."""
    return await Retention(log, AuditRepository(engine), 0).prune(clock.ms, by)


async def test_rest_of_a_pruned_log_verifies_and_proofs_hold(
    audit: AuditLog, engine: AsyncEngine, clock: Clock
) -> None:
    early = await write(audit, 300)
    late = await write(audit, 400)
    clock.ms += DAY_MS
    held = await write(audit, 50)
    clock.ms -= 1
    (prune,) = await prune_at(audit, engine, clock, "user:alice")
    assert (prune.first, prune.size, prune.by, prune.root) == (1, 700, "user:alice", late.root)
    clock.ms += DAY_MS
    head = await write(audit, 5)
    report = verify(await exported(audit), public_key=PUBLIC, mac_key=KEY, held=held)
    assert (report.finding, report.entries, report.proved) == (None, 57, 757)
    assert (report.prunes, report.held_compared) == ((prune,), True)
    # Also to who holds a checkpoint over what is gone.
    for point in (early, late, held):
        proof = await audit.growth(point.size, head)
        assert verify_consistency(point.size, head.size, point.root, head.root, proof)
        assert await audit.proofs.root(point.size) == point.root
    assert not verify(await exported(audit), public_key=PUBLIC, held=early).held_compared
    assert [entry.sequence for entry in (await audit.list(limit=1000)).entries] == [*range(757, 700, -1)]


async def test_prune_is_recorded_before_and_after(audit: AuditLog, engine: AsyncEngine, clock: Clock) -> None:
    await write(audit, 3)
    clock.ms += 1000
    await audit.append({"reason": "stays"})
    await prune_at(audit, engine, clock, "user:alice")
    bodies = [record.body for record in await exported(audit) if isinstance(record, Entry)]
    assert ['"phase":"decision"' in bodies[1], '"phase":"outcome"' in bodies[2]] == [True, True]
    assert '"principal":"user:alice"' in bodies[1]
    assert '"resource":"auditEntries/1-3"' in bodies[1]


async def test_start_after_prunes_goes_on(audit: AuditLog, engine: AsyncEngine, clock: Clock) -> None:
    for count in (257, 1, 300):
        await write(audit, count)
        clock.ms += DAY_MS
        await audit.append({"reason": "newer"})
        await prune_at(audit, engine, clock)
    head = await write(audit, 1)
    await audit.close()
    again = make_log(engine, clock)
    await again.start()
    assert (again.size, again.first, len(again.prunes)) == (audit.size, audit.first, 3)
    newer = await write(again, 2)
    for size in range(1, head.size + 1, 7):
        root = await again.proofs.root(size)
        proof = await again.growth(size, newer)
        assert verify_consistency(size, newer.size, root, newer.root, proof)
    assert verify(await exported(again), public_key=PUBLIC, mac_key=KEY).finding is None
    await again.close()


async def test_death_within_a_prune_leaves_all_or_nothing(audit: AuditLog, engine: AsyncEngine, clock: Clock) -> None:
    await write(audit, 20)
    clock.ms += 1000
    await audit.append({"reason": "stays"})
    for statement in ("audit_prunes", "audit_checkpoints", "audit_tiles"):
        trigger = "BEFORE DELETE" if statement == "audit_checkpoints" else "BEFORE INSERT"
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO audit_checkpoints VALUES (2, x'00', 1, x'00')"))
            await connection.execute(
                text(f"CREATE TRIGGER fail {trigger} ON {statement} BEGIN SELECT RAISE(ABORT, 'died'); END")
            )
        with pytest.raises(SolwardError, match="died"):
            await prune_at(audit, engine, clock)
        async with engine.begin() as connection:
            await connection.execute(text("DROP TRIGGER fail"))
            await connection.execute(text("DELETE FROM audit_checkpoints WHERE size = 2"))
        assert audit.first == 1
        report = verify(await exported(audit), public_key=PUBLIC, mac_key=KEY)
        assert (report.finding, report.entries) == (None, audit.size)
    assert (await prune_at(audit, engine, clock))[0].size >= 20
    assert verify(await exported(audit), public_key=PUBLIC, mac_key=KEY).finding is None


async def test_large_prune_goes_in_steps(
    audit: AuditLog, engine: AsyncEngine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controlplane.audit.retention.STEP", 100)
    for _ in range(6):
        await write(audit, 40)
    clock.ms += 1000
    await audit.append({"reason": "stays"})
    prunes = await prune_at(audit, engine, clock)
    assert [(prune.first, prune.size) for prune in prunes] == [(1, 80), (81, 160), (161, 240)]
    report = verify(await exported(audit), public_key=PUBLIC, mac_key=KEY)
    assert (report.finding, len(report.prunes)) == (None, 3)


async def test_policy_is_kept_by_people_too(audit: AuditLog, engine: AsyncEngine) -> None:
    retention = Retention(audit, AuditRepository(engine), 30)
    with pytest.raises(SolwardError, match="30 days") as caught:
        retention.must_allow(round(time.time() * 1000) - 29 * DAY_MS)
    assert caught.value.reason == "RETENTION_KEEPS"
    with pytest.raises(SolwardError, match="time that is over"):
        retention.must_allow(2**42)
    retention.must_allow(1)


async def test_newest_entry_is_never_pruned(audit: AuditLog, engine: AsyncEngine, clock: Clock) -> None:
    await write(audit, 4)
    assert await prune_at(audit, engine, clock) == []
    await write(audit, 1)
    assert [prune.size for prune in await prune_at(audit, engine, clock)] == [4]
    await write(audit, 1)
    assert verify(await exported(audit), public_key=PUBLIC).finding is None


def forge(prune: Prune, **changes: object) -> Prune:
    return prune._replace(**changes)  # type: ignore[arg-type]


async def test_cut_without_a_true_record_is_named(audit: AuditLog, engine: AsyncEngine, clock: Clock) -> None:
    await write(audit, 5)
    clock.ms += 1
    await write(audit, 5)
    clock.ms += 1
    await prune_at(audit, engine, clock)
    records = await exported(audit)
    prune = records[0]
    assert isinstance(prune, Prune)
    tampered: list[tuple[list[Record], Kind]] = [
        (records[1:], Kind.MISSING),
        ([prune, *records[2:]], Kind.MISSING),
        ([prune, prune, *records[1:]], Kind.FORGED_PRUNE),
        ([records[1], prune, *records[2:]], Kind.MISSING),
        ([forge(prune, by="user:innocent"), *records[1:]], Kind.FORGED_PRUNE),
        ([forge(prune, size=prune.size - 1), *records[1:]], Kind.FORGED_PRUNE),
        ([forge(prune, chain=bytes(32)), *records[1:]], Kind.FORGED_PRUNE),
        ([forge(prune, peaks=prune.peaks[::-1]), *records[1:]], Kind.FORGED_PRUNE),
        ([forge(prune, public_key=bytes(32)), *records[1:]], Kind.FOREIGN_KEY),
    ]
    for changed, kind in tampered:
        finding = verify(changed, public_key=PUBLIC).finding
        assert finding is not None
        assert finding.kind is kind


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_prunes",
        "DELETE FROM audit_tiles",
        "UPDATE audit_tiles SET leaves = zeroblob(length(leaves)) WHERE number = 0",
        "UPDATE audit_prunes SET pruned_by = 'user:innocent'",
        "DELETE FROM audit_entries WHERE sequence = (SELECT min(sequence) FROM audit_entries)",
    ],
)
async def test_start_refuses_a_pruned_log_that_was_tampered_with(
    audit: AuditLog, engine: AsyncEngine, clock: Clock, statement: str
) -> None:
    await write(audit, 5)
    clock.ms += 1
    await write(audit, 5)
    await prune_at(audit, engine, clock)
    await audit.close()
    async with engine.begin() as connection:
        await connection.execute(text(statement))
    with pytest.raises(SolwardError) as caught:
        await make_log(engine, clock).start()
    assert caught.value.reason == "AUDIT_CORRUPT"


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(["write", "sign", "prune", "restart"]), min_size=4, max_size=14))
async def test_whatever_is_done_honest_logs_verify_and_tampered_ones_do_not(
    tmp_path_factory: pytest.TempPathFactory, seed: int, deeds: list[str]
) -> None:
    chance, clock = random.Random(seed), Clock()
    engine = open_engine(f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('log') / 'state.db'}")
    await migrate(engine)
    log = make_log(engine, clock)
    await log.start()
    heads: list[Checkpoint] = []
    for deed in [*deeds, "write"]:
        clock.ms += 1000
        if deed == "write":
            for _ in range(chance.choice([1, 3, 20])):
                await log.append({"reason": f"{chance.random()}"})
        elif deed == "sign":
            heads.append(await log.checkpoint())
        elif deed == "prune":
            await prune_at(log, engine, clock)
        else:
            await log.close()
            log = make_log(engine, clock)
            await log.start()
    records = await exported(log)
    head = records[-1]
    assert isinstance(head, Checkpoint)
    report = verify(records, public_key=PUBLIC, mac_key=KEY)
    assert (report.finding, report.state.size) == (None, log.size)
    for held in heads:
        assert not verify(records, public_key=PUBLIC, held=held).finding
        proof = await log.growth(held.size, head)
        assert held.size in (0, head.size) or verify_consistency(held.size, head.size, held.root, head.root, proof)
    place = chance.randrange(len(records) - 1)
    damaged = [*records[:place], *records[place + 1 :]] if chance.random() < 0.5 else _edited(records, place, chance)
    finding = verify(damaged, public_key=PUBLIC, mac_key=KEY).finding
    # A checkpoint in the middle may be left out: the ones after it cover the same.
    assert finding or isinstance(records[place], Checkpoint)
    await log.close()
    await close_engine(engine)


def _edited(records: list[Record], place: int, chance: random.Random) -> list[Record]:
    record = records[place]
    if isinstance(record, Entry):
        changed: Record = record._replace(body=record.body.replace("0.", "1.", 1))
        changed = changed if changed != record else record._replace(mac=bytes(32))
    elif isinstance(record, Prune):
        changed = record._replace(time_ms=record.time_ms + chance.randint(1, 9))
    else:
        changed = sign(SIGNING, origin=record.origin, size=record.size, root=Tree().root(), time_ms=1)
    return [*records[:place], changed, *records[place + 1 :]]
