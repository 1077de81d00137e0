"""Attacks on the audit log: its rows, its keys, its store, and what is written into it."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solward.auth.v1 import auth_pb2
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from common import auditlines, auditlog
from common.auditlog import Checkpoint
from common.auditverify import Kind, verify
from common.errors import SolwardError
from controlplane.audit.log import AuditLog, AuditSettings
from controlplane.audit.redact import redact
from controlplane.store.audit import AuditRepository
from controlplane.store.tables import metadata

KEY = b"k" * 32
SIGNING = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
CALL = {"principal": "user:alice", "method": "solward.validator.v1.ValidatorService/Restart"}


@asynccontextmanager
async def engine_of(path: Path) -> AsyncIterator[AsyncEngine]:
    """Open a store as the control plane does, on one connection, so that its limits can be set."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", pool_size=1, max_overflow=0, pool_timeout=1)

    @event.listens_for(engine.sync_engine, "connect")
    def _pragmas(connection: Any, _: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=100"):
            connection.execute(f"PRAGMA {pragma}")

    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def running(path: Path, signing: Ed25519PrivateKey = SIGNING, **settings: Any) -> AsyncIterator[AuditLog]:
    async with engine_of(path) as engine:
        log = AuditLog(
            AuditRepository(engine),
            mac_key=KEY,
            signing_key=signing,
            origin="test/audit",
            settings=AuditSettings(**settings),
        )
        await log.start()
        try:
            yield log
        finally:
            await log.close()


async def write(log: AuditLog, count: int) -> None:
    for _ in range(count):
        await log.append({**CALL, "phase": "call", "allowed": True, "reason": "maintenance " * 99})


async def found(log: AuditLog, held: Checkpoint | None = None, mac: bool = False) -> tuple[Kind, int] | None:
    """Export as a client would, line by line, and verify offline."""
    lines = [auditlines.encode(record) async for record in log.export()]
    report = verify(
        (auditlines.decode(line) for line in lines),
        public_key=SIGNING.public_key(),
        held=held,
        mac_key=KEY if mac else None,
    )
    return None if report.finding is None else (report.finding.kind, report.finding.sequence)


async def tamper(path: Path, *statements: str) -> None:
    async with engine_of(path) as engine, engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def recompute(path: Path, first: int) -> None:
    """Edit an entry and recompute the chain after it, with everything but the keys."""
    async with engine_of(path) as engine:
        entries = await AuditRepository(engine).forward(1, 1000)
        chain = auditlog.GENESIS
        async with engine.begin() as connection:
            for entry in entries:
                if entry.sequence >= first:
                    fields = {
                        name: value for name, value in json.loads(entry.body).items() if name not in auditlog.RESERVED
                    }
                    if entry.sequence == first:
                        fields["principal"] = "user:innocent"
                    time_ms = 1_700_000_000_000
                    entry = auditlog.seal(
                        fields,
                        sequence=entry.sequence,
                        time_ms=time_ms,
                        previous=chain,
                        mac=auditlog.Mac(b"x"),
                    )
                    query = text("UPDATE audit_entries SET body = :body, hash = :hash WHERE sequence = :sequence")
                    values = {"body": entry.body, "hash": entry.hash, "sequence": entry.sequence}
                    await connection.execute(query, values)
                chain = entry.hash


@pytest.mark.parametrize(
    ("statements", "kind", "sequence"),
    [
        (["UPDATE audit_entries SET body = replace(body, 'alice', 'bob') WHERE sequence = 5"], "edited", 5),
        (["DELETE FROM audit_entries WHERE sequence = 5"], "missing", 5),
        (
            [
                "DELETE FROM audit_entries WHERE sequence = 5",
                "UPDATE audit_entries SET sequence = sequence - 1 WHERE sequence > 5",
            ],
            "missing",
            5,
        ),
        (
            [
                "UPDATE audit_entries SET sequence = -sequence WHERE sequence > 5",
                "UPDATE audit_entries SET sequence = 1 - sequence WHERE sequence < 0",
                "INSERT INTO audit_entries SELECT 6, principal, method, body, hash, mac "
                "FROM audit_entries WHERE sequence = 2",
            ],
            "inserted",
            2,
        ),
        (
            [
                "UPDATE audit_entries SET sequence = 99 WHERE sequence = 4",
                "UPDATE audit_entries SET sequence = 4 WHERE sequence = 7",
                "UPDATE audit_entries SET sequence = 7 WHERE sequence = 99",
            ],
            "reordered",
            4,
        ),
        (["DELETE FROM audit_entries WHERE sequence > 7"], "truncated", 8),
    ],
)
async def test_case_33_rows_changed_in_the_store(
    tmp_path: Path, statements: list[str], kind: str, sequence: int
) -> None:
    path = tmp_path / "state.db"
    async with running(path) as log:
        await write(log, 5)
        await log.checkpoint()
        await write(log, 5)
        await tamper(path, *statements)
        assert await found(log) == (kind, sequence)
        assert await found(log, mac=True) == (kind, sequence)
    with pytest.raises(SolwardError) as caught:
        async with running(path):
            pass
    assert caught.value.reason == "AUDIT_CORRUPT"


async def test_case_33_chain_recomputed_without_the_keys(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with running(path) as log:
        await write(log, 5)
        held = await log.checkpoint()
        await write(log, 5)
        await log.checkpoint()
        await recompute(path, 8)
        assert await found(log) == (Kind.EDITED, 6)
        assert await found(log, held) == (Kind.EDITED, 6)
        assert await found(log, mac=True) == (Kind.EDITED, 8)


async def test_case_33_log_swapped_for_an_older_backup(tmp_path: Path) -> None:
    path, backup = tmp_path / "state.db", tmp_path / "backup.db"
    async with running(path) as log:
        await write(log, 4)
    shutil.copy(path, backup)
    async with running(path) as log:
        await write(log, 3)
        held = await log.checkpoint()
    shutil.copy(backup, path)
    async with running(path) as log:
        assert await found(log) is None
        assert await found(log, held) == (Kind.TRUNCATED, 5)
        # Writing on until the log is long enough again does not hide it.
        await write(log, 5)
        assert await found(log) is None
        assert await found(log, held) == (Kind.FORKED, 7)


async def test_case_33_two_control_planes_fork_the_log(tmp_path: Path) -> None:
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    async with running(one) as log:
        await write(log, 4)
    shutil.copy(one, two)
    async with running(one) as first, running(two) as second:
        await write(first, 2)
        await second.append({"principal": "user:mallory"})
        await write(second, 1)
        held = await first.checkpoint()
        assert await found(first, held) is None
        assert await found(second, held) == (Kind.FORKED, 6)


async def test_case_33_signing_key_swapped(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with running(path) as log:
        await write(log, 4)
    stranger = Ed25519PrivateKey.generate()
    with pytest.raises(SolwardError, match=r"another key|false"):
        async with running(path, stranger):
            pass
    await tamper(path, "DELETE FROM audit_checkpoints")
    async with running(path, stranger) as log:
        assert await found(log) == (Kind.FOREIGN_KEY, 1)


async def test_case_33_checkpoint_forged_in_the_store(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with running(path) as log:
        await write(log, 4)
        await log.checkpoint()
        await write(log, 1)
        await tamper(path, "UPDATE audit_checkpoints SET time_ms = time_ms + 1 WHERE size = 4")
        assert await found(log) == (Kind.FORGED_CHECKPOINT, 1)


@pytest.mark.parametrize(
    ("statements", "kind", "sequence"),
    [
        (["DELETE FROM audit_entries WHERE sequence < 9"], "missing", 6),
        (["UPDATE audit_entries SET body = replace(body, 'alice', 'bob') WHERE sequence = 8"], "edited", 8),
        (["DELETE FROM audit_entries WHERE sequence = 8"], "missing", 8),
        (["DELETE FROM audit_entries WHERE sequence > 8"], "truncated", 9),
        (
            [
                "UPDATE audit_entries SET sequence = 99 WHERE sequence = 7",
                "UPDATE audit_entries SET sequence = 7 WHERE sequence = 9",
                "UPDATE audit_entries SET sequence = 9 WHERE sequence = 99",
            ],
            "reordered",
            7,
        ),
    ],
)
async def test_case_33_rows_of_a_pruned_log_changed(
    tmp_path: Path, statements: list[str], kind: str, sequence: int
) -> None:
    path = tmp_path / "state.db"
    async with running(path) as log:
        await write(log, 5)
        await log.checkpoint()
        await write(log, 5)
        await log.cut(5, "user:alice")
        assert await found(log, mac=True) is None
        await tamper(path, *statements)
        assert await found(log) == (kind, sequence)
        assert await found(log, mac=True) == (kind, sequence)


async def test_case_33_rows_deleted_as_if_they_had_been_pruned(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with running(path) as log:
        await write(log, 5)
        await log.checkpoint()
        await write(log, 5)
        await tamper(
            path, "DELETE FROM audit_entries WHERE sequence <= 5", "DELETE FROM audit_checkpoints WHERE size < 5"
        )
        lines = [auditlines.encode(record) async for record in log.export()]
        finding = verify(map(auditlines.decode, lines), public_key=SIGNING.public_key()).finding
        assert finding is not None
        assert (finding.kind, finding.sequence) == (Kind.MISSING, 1)
        assert "no signed record" in finding.message


async def test_case_33_backup_of_before_a_prune_is_older_to_who_holds_a_checkpoint(tmp_path: Path) -> None:
    path, backup = tmp_path / "state.db", tmp_path / "backup.db"
    async with running(path) as log:
        await write(log, 4)
    shutil.copy(path, backup)
    async with running(path) as log:
        await write(log, 6)
        await log.checkpoint()
        await write(log, 1)
        await log.cut(4, "policy")
        held = await log.checkpoint()
        assert await found(log, held) is None
    shutil.copy(backup, path)
    async with running(path) as log:
        assert await found(log, held) == (Kind.TRUNCATED, 5)
        await write(log, 9)
        assert await found(log, held) == (Kind.FORKED, held.size)


async def test_case_34_store_full_or_locked_prunes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with running(path, timeout_s=1.0) as log:
        await write(log, 3)
        await log.checkpoint()
        await write(log, 1)
        async with engine_of(path) as engine, engine.connect() as connection:
            await connection.execute(text("BEGIN EXCLUSIVE"))
            with pytest.raises(SolwardError) as caught:
                await log.cut(3, "user:alice")
            assert caught.value.reason == "AUDIT_UNAVAILABLE"
            await connection.rollback()
        assert (log.first, await found(log, mac=True)) == (1, None)
        await log.cut(3, "user:alice")
        assert (log.first, await found(log, mac=True)) == (4, None)


async def test_case_34_store_locked_fails_closed_then_recovers(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with running(path, timeout_s=2.0) as log:
        await write(log, 2)
        async with engine_of(path) as engine, engine.connect() as connection:
            await connection.execute(text("BEGIN EXCLUSIVE"))
            attempts = [write(log, 1) for _ in range(20)]
            refused = await asyncio.gather(*attempts, return_exceptions=True)
            assert {getattr(one, "reason", None) for one in refused} == {"AUDIT_UNAVAILABLE"}
            # Reads go on.
            assert (await log.list(limit=1)).entries[0].sequence == 2
            await connection.rollback()
        await write(log, 2)
        assert log.size == 4
        assert await found(log, mac=True) is None


async def test_case_34_disk_full_fails_closed_then_recovers(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with engine_of(path) as engine:
        log = AuditLog(AuditRepository(engine), mac_key=KEY, signing_key=SIGNING, origin="test/audit")
        await log.start()
        await write(log, 2)
        async with engine.connect() as connection:
            used = await connection.scalar(text("PRAGMA page_count"))
            await connection.execute(text(f"PRAGMA max_page_count = {used}"))
        with pytest.raises(SolwardError, match="full") as caught:
            await write(log, 100)
        assert caught.value.reason == "AUDIT_UNAVAILABLE"
        written = log.size
        for _ in range(3):
            with pytest.raises(SolwardError):
                await log.append({**CALL, "reason": "x" * 4000})
        assert (await log.list(limit=1)).entries[0].sequence == written
        async with engine.connect() as connection:
            await connection.execute(text("PRAGMA max_page_count = 1000000"))
        await write(log, 2)
        assert log.size == written + 2
        assert await found(log, mac=True) is None
        await log.close()


async def test_case_34_waiting_entries_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with running(path, queue_entries=10, timeout_s=1.0) as log:
        results = await asyncio.gather(*(write(log, 1) for _ in range(50)), return_exceptions=True)
        refused = [one for one in results if isinstance(one, SolwardError)]
        assert len(refused) == 40
        assert {one.reason for one in refused} == {"AUDIT_UNAVAILABLE"}
        assert log.size == 10


@pytest.mark.parametrize(
    "hostile",
    [
        'ok\r\n{"sequence":99,"principal":"user:root"}',
        "\x1b]0;owned\x07\x1b[2J",
        "\u202efdp.exe\u2066",
        "\x00\x7f\x9b",
        "\udcff\ud800",
        "A" * 5_000_000,
        '","sequence":77,"time":"2026-01-01T00:00:00.000Z"}',
    ],
)
async def test_case_35_hostile_text_stays_inside_its_field(tmp_path: Path, hostile: str) -> None:
    async with running(tmp_path / "state.db") as log:
        await log.append({**CALL, "reason": hostile, "peer": hostile, hostile: hostile})
        await write(log, 1)
        assert await found(log, mac=True) is None
        entry = (await log.list()).entries[1]
        assert entry.body.isprintable()
        assert len(entry.body) < auditlog.MAX_BODY
        body = json.loads(entry.body)
        assert (body["sequence"], body["principal"]) == (1, "user:alice")
        line = auditlines.encode(entry)
        assert line.isascii()
        assert line.isprintable()


async def test_case_36_no_secret_reaches_the_store(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    canary = "canary-3f9c1b"
    requests = [
        auth_pb2.LoginRequest(username="alice", password=canary, totp_code=canary),
        auth_pb2.RefreshSessionRequest(refresh_token=canary),
        auth_pb2.VerifySecondFactorRequest(totp_code=canary, call_digest="ab"),
        auth_pb2.Session(username="alice", access_token=canary, refresh_token=canary),
        auth_pb2.SecondFactorProof(proof=canary),
    ]
    async with running(path) as log:
        for request in requests:
            await log.append({**CALL, "request": redact(request)})
        files = await asyncio.to_thread(lambda: [file.read_bytes() for file in tmp_path.iterdir()])
        stored = b"".join(files)
        assert b"[redacted]" in stored
        assert canary.encode() not in stored
        lines = [auditlines.encode(record) async for record in log.export()]
        assert canary not in "".join(lines)
