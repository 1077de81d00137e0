"""How fast the audit log is written, durably, and verified, on one core."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from common.auditlines import Record
from common.auditverify import verify
from controlplane.audit.log import AuditLog
from controlplane.audit.publish import STREAM, Publisher
from controlplane.store.audit import AuditRepository
from controlplane.store.redis import RedisStore
from controlplane.store.tables import metadata
from tests.support.redis import redis

IN_FLIGHT = 64
ENTRIES = 20_000
MAC_KEY = b"k" * 32
FIELDS = {
    "call": "0123456789abcdef0123456789abcdef",
    "phase": "decision",
    "principal": "user:alice",
    "kind": "user",
    "peer": "192.0.2.17:51322",
    "method": "solward.validator.v1.ValidatorService/Restart",
    "resource": "hosts/validator-1",
    "allowed": True,
    "code": "OK",
    "request_digest": "ab" * 32,
    "request": {"host": "hosts/validator-1", "reason": "maintenance window", "timeout_seconds": 300},
}


async def run() -> list[dict[str, Any]]:
    """Measure durable appends, without and with the live stream, and offline verification."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-audit-") as folder:
        engine = await _engine(Path(folder) / "state.db")
        signing = Ed25519PrivateKey.generate()
        log = AuditLog(AuditRepository(engine), mac_key=MAC_KEY, signing_key=signing, origin="bench/audit")
        await log.start()
        append_s = await _append(log)
        records = [record async for record in log.export()]
        await log.close()
        await engine.dispose()
        streamed_s = await _streamed(Path(folder) / "streamed.db")
    verify_s = await asyncio.to_thread(_verify, records, signing)
    return [
        _row("audit_append_per_s", ENTRIES / append_s, 2000, f"{IN_FLIGHT} in flight, SQLite WAL, FULL"),
        _row("audit_append_streamed_per_s", ENTRIES / streamed_s, 2000, "the same, each entry in the Redis stream too"),
        _row("audit_verify_per_s", ENTRIES / verify_s, 100_000, f"{ENTRIES} entries, with the MAC key"),
    ]


async def _streamed(path: Path) -> float:
    """Append while every entry is published, too; the stream must have all of it at the end."""
    engine, signing = await _engine(path), Ed25519PrivateKey.generate()
    log = AuditLog(AuditRepository(engine), mac_key=MAC_KEY, signing_key=signing, origin="bench/audit")
    await log.start()
    with redis() as server:
        store = RedisStore(server.url)
        task = asyncio.create_task(Publisher(log, store).run())
        elapsed = await _append(log)
        async with asyncio.timeout(60):
            while await store.client.xlen(STREAM) < log.size:
                await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.close()
    await log.close()
    await engine.dispose()
    return elapsed


async def _engine(path: Path) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")

    @event.listens_for(engine.sync_engine, "connect")
    def _durable(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    return engine


async def _append(log: AuditLog) -> float:
    async def client() -> None:
        for _ in range(ENTRIES // IN_FLIGHT):
            await log.append(FIELDS)

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as clients:
        for _ in range(IN_FLIGHT):
            clients.create_task(client())
    elapsed = time.perf_counter() - begin
    return elapsed * ENTRIES / log.size


def _verify(records: list[Record], signing: Ed25519PrivateKey) -> float:
    begin = time.perf_counter()
    report = verify(records, public_key=signing.public_key(), mac_key=MAC_KEY)
    elapsed = time.perf_counter() - begin
    if not report.ok:
        raise AssertionError(f"the log does not verify: {report.finding}")
    return elapsed * ENTRIES / report.entries


def _row(name: str, value: float, aim: float, detail: str) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value),
        "unit": "1/s",
        "aim": aim,
        "met": value >= aim,
        "detail": detail,
    }
