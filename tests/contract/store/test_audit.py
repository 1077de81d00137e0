"""The audit log's rows: added whole, numbered without a gap, read in either direction."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from common.auditlog import Checkpoint, Entry
from common.auditprune import Prune
from common.auditverify import verify
from common.errors import SolwardError
from controlplane.audit.log import AuditLog
from controlplane.store.audit import AuditRepository, EntriesDiffer, EntriesMissing

TRIES = 9
KEY, SIGNING = b"k" * 32, Ed25519PrivateKey.from_private_bytes(b"s" * 32)


@pytest.fixture
def everywhere(engines: list[AsyncEngine]) -> list[AuditRepository]:
    """The log as several control planes see it."""
    return [AuditRepository(engines[number % len(engines)]) for number in range(TRIES)]


@pytest.fixture
def store(everywhere: list[AuditRepository]) -> AuditRepository:
    return everywhere[0]


def entry(sequence: int, principal: str = "bob", method: str = "M", body: str = "{}") -> tuple[Entry, str, str]:
    return Entry(sequence, body, b"\0hash", b"\xffmac"), principal, method


async def numbers(store: AuditRepository) -> list[int]:
    return [one.sequence for one in await store.forward(0, 1000)]


async def test_entries_are_read_in_order_and_backwards(store: AuditRepository) -> None:
    assert (await store.size(), await store.forward(1, 9), await store.backward(None, 9, "", "")) == (0, [], [])
    written = [entry(n, "bob" if n % 2 else "älice ☀", "M" if n < 4 else "N", f'{{"n":{n}}}') for n in range(1, 8)]
    await store.append(written[:3])
    await store.append(written[3:])
    assert await store.size() == 7
    assert await store.forward(2, 3) == [one for one, _, _ in written[1:4]]

    async def back(before: int | None, limit: int, principal: str = "", method: str = "") -> list[int]:
        return [one.sequence for one in await store.backward(before, limit, principal, method)]

    assert await back(None, 3) == [7, 6, 5]
    assert await back(5, 9) == [4, 3, 2, 1]
    assert await back(None, 9, "älice ☀") == [6, 4, 2]
    assert await back(None, 9, "bob", "N") == [7, 5]
    assert await back(7, 9, "bob", "N") == [5]
    assert await back(None, 9, "bo") == []


async def test_batch_is_added_whole_or_not_at_all(store: AuditRepository) -> None:
    await store.append([entry(1), entry(2)])
    with pytest.raises(IntegrityError):
        await store.append([entry(2, body="other"), entry(3)])
    with pytest.raises(IntegrityError):
        await store.append([entry(3), entry(4), entry(1)])
    assert await numbers(store) == [1, 2]


async def test_log_never_has_a_gap(store: AuditRepository) -> None:
    for sequence in (2, 100):
        with pytest.raises(EntriesMissing):
            await store.append([entry(sequence)])
    await store.append([entry(1)])
    with pytest.raises(EntriesMissing):
        await store.append([entry(3), entry(4)])
    assert await numbers(store) == [1]


async def test_writers_side_by_side_take_each_number_once(everywhere: list[AuditRepository]) -> None:
    async def write(store: AuditRepository, mark: str) -> None:
        for _ in range(5):
            while True:
                size = await store.size()
                try:
                    await store.append([entry(size + 1, mark), entry(size + 2, mark)])
                    break
                except IntegrityError:
                    continue

    await asyncio.gather(*(write(store, f"w{number}") for number, store in enumerate(everywhere[:5])))
    assert await numbers(everywhere[0]) == list(range(1, 51))
    for number in range(5):
        mine = [one.sequence for one in await everywhere[0].backward(None, 99, f"w{number}", "")]
        # Pairs that were written together stay together.
        assert [second - first for second, first in zip(mine[::2], mine[1::2], strict=True)] == [1] * 5


async def test_logs_of_several_control_planes_are_one_chain(everywhere: list[AuditRepository]) -> None:
    logs = [AuditLog(store, mac_key=KEY, signing_key=SIGNING, origin="test") for store in everywhere[:3]]
    for log in logs:
        await log.start()

    async def write(log: AuditLog, number: int) -> None:
        # One whose number another control plane took is refused, and may try again.
        while True:
            try:
                await log.append({"reason": f"{number}"})
            except SolwardError as error:
                assert error.reason == "AUDIT_UNAVAILABLE"
            else:
                return

    await asyncio.gather(*(write(log, number) for log in logs for number in range(20)))
    for log in logs:
        await log.close()
    last = AuditLog(everywhere[4], mac_key=KEY, signing_key=SIGNING, origin="test")
    await last.start()
    report = verify([record async for record in last.export()], public_key=SIGNING.public_key(), mac_key=KEY)
    await last.close()
    assert (report.finding, report.entries, report.proved) == (None, 60, 60)


async def test_large_entry_and_what_a_text_cannot_hold(store: AuditRepository) -> None:
    body = '{"r":"' + "☀𝄞\\u0000" * 60_000 + '"}'
    await store.append([entry(1, "bo\0b", "M\0", body)])
    assert (await store.forward(1, 1))[0] == entry(1, body=body)[0]
    assert len(await store.backward(None, 9, "bo\0b", "M")) == 1


async def test_checkpoints_are_kept_once_for_a_size(everywhere: list[AuditRepository]) -> None:
    store = everywhere[0]
    assert await store.last_checkpoint("o", b"key") is None
    points = [Checkpoint("o", size, b"root\0", 2**41 + size, b"\xff" * 64, b"key") for size in (0, 5, 2**40)]
    for point in points:
        results = await asyncio.gather(*(one.add_checkpoint(point) for one in everywhere), return_exceptions=True)
        assert sorted(map(type, results), key=str) == [type(None)] + [IntegrityError] * (TRIES - 1)
    assert await store.last_checkpoint("o", b"key") == points[2]
    assert await store.checkpoints(0, 2**41, "o", b"key") == points
    assert await store.checkpoints(1, 5, "o", b"key") == points[1:2]
    assert await store.checkpoints(6, 9, "o", b"key") == []


def prune(first: int, size: int) -> Prune:
    peaks = tuple(bytes([number]) * 32 for number in range(size.bit_count()))
    return Prune("o", first, size, b"root\0", b"\xffchain", peaks, "user:älice", 2**41, b"\xff" * 64, b"key")


async def test_entries_are_taken_out_once_with_their_record(everywhere: list[AuditRepository]) -> None:
    store = everywhere[0]
    assert (await store.prunes("o", b"key"), await store.tiles(0, 9)) == ([], [])
    await store.append([entry(number) for number in range(1, 11)])
    for size in (3, 4, 9):
        await store.add_checkpoint(Checkpoint("o", size, b"r", size, b"s", b"key"))
    tiles = {0: b"a" * 96}
    results = await asyncio.gather(*(one.prune(prune(1, 4), tiles) for one in everywhere), return_exceptions=True)
    assert [error for error in results if error is None] == [None]
    assert {type(error) for error in results if error is not None} <= {IntegrityError, EntriesDiffer}
    assert (await numbers(store), await store.size()) == ([*range(5, 11)], 10)
    assert [point.size for point in await store.checkpoints(0, 99, "o", b"key")] == [4, 9]
    await store.prune(prune(5, 9), {0: b"b" * 8192, 1: b"c" * 32})
    assert await store.prunes("o", b"key") == [prune(1, 4), prune(5, 9)]
    assert [len(row) for row in await store.tiles(0, 9)] == [256, 1]
    assert await store.tiles(1, 9) == [[b"c" * 32]]
    assert await store.tiles(2, 9) == []


async def test_what_is_not_there_is_not_taken_out(store: AuditRepository) -> None:
    await store.append([entry(number) for number in range(1, 6)])
    for wrong in (prune(1, 5), prune(1, 9), prune(2, 3)):
        with pytest.raises(EntriesDiffer):
            await store.prune(wrong, {0: b"x" * 32})
    assert (await numbers(store), await store.prunes("o", b"key"), await store.tiles(0, 9)) == ([1, 2, 3, 4, 5], [], [])


async def test_checkpoint_of_before_a_time(store: AuditRepository) -> None:
    for size, time_ms in ((3, 100), (7, 200), (9, 300)):
        await store.add_checkpoint(Checkpoint("o", size, b"r", time_ms, b"s", b"key"))

    async def size(time_ms: int, below: int) -> int | None:
        point = await store.checkpoint_before(time_ms, below, "o", b"key")
        return point.size if point else None

    assert [await size(*wanted) for wanted in ((99, 99), (100, 99), (299, 99), (999, 9), (999, 99))] == [
        None,
        3,
        7,
        7,
        9,
    ]


async def test_log_prunes_and_starts_again(everywhere: list[AuditRepository]) -> None:
    log = AuditLog(everywhere[0], mac_key=KEY, signing_key=SIGNING, origin="test")
    await log.start()
    await asyncio.gather(*(log.append({"reason": f"{number}"}) for number in range(300)))
    await log.checkpoint()
    await log.append({"reason": "newest"})
    await log.cut(300, "user:alice")
    await log.close()
    again = AuditLog(everywhere[1], mac_key=KEY, signing_key=SIGNING, origin="test")
    await again.start()
    await again.append({"reason": "more"})
    report = verify([record async for record in again.export()], public_key=SIGNING.public_key(), mac_key=KEY)
    await again.close()
    assert (report.finding, report.entries, report.state.size, len(report.prunes)) == (None, 2, 302, 1)
