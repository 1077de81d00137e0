"""TailEntries and PruneEntries as callers meet them: resumed without a gap, refused with a reason, codes asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import pytest
from solward.audit.v1 import audit_pb2 as pb

from common.clock import now_ms
from common.errors import info_of, status_of
from tests.support.plane import Person, Plane
from tests.support.stream import entries

AUDIT = "solward.audit.v1.AuditService"
WAIT_S = 10.0


@asynccontextmanager
async def tail(
    plane: Plane, who: Person, after: int | None
) -> AsyncIterator["grpc.aio.UnaryStreamCall[object, pb.Entry]"]:
    invoke = plane.channel().unary_stream(
        f"/{AUDIT}/TailEntries", pb.TailEntriesRequest.SerializeToString, pb.Entry.FromString
    )
    call = invoke(
        pb.TailEntriesRequest(after_sequence=after),
        metadata=(("authorization", f"Bearer {who.token}"),),
        timeout=WAIT_S,
    )
    try:
        yield call
    finally:
        call.cancel()


async def read(call: "grpc.aio.UnaryStreamCall[object, pb.Entry]", count: int) -> list[int]:
    return [(await call.read()).sequence for _ in range(count)]


async def test_tail_begins_where_it_is_told_and_goes_on(plane: Plane) -> None:
    admin = await plane.sign_in()
    size = plane.app.auditing.log.size
    async with tail(plane, admin, 0) as call:
        assert await read(call, size) == [*range(1, size + 1)]
        number = await plane.app.auditing.log.append({"reason": "new"})
        assert await read(call, 1) == [number]
    async with tail(plane, admin, number - 1) as call:
        assert await read(call, 1) == [number]


async def test_tail_of_only_new_entries(plane: Plane) -> None:
    admin = await plane.sign_in()
    async with tail(plane, admin, None) as call:
        reading = asyncio.create_task(read(call, 1))
        written: list[int] = []
        while not reading.done():
            written.append(await plane.app.auditing.log.append({"reason": "new"}))
            await asyncio.sleep(0.01)
        assert (await reading)[0] in written


async def test_tail_beyond_the_end_and_of_pruned_entries_is_refused(plane: Plane) -> None:
    admin = await plane.sign_in()
    await plane.app.auditing.log.checkpoint()
    await asyncio.sleep(0.01)
    await plane.app.auditing.log.append({"reason": "stays"})
    (prune,) = await plane.app.auditing.retention.prune(now_ms(), "user:alice")
    for after, reason in ((2**40, "AFTER_THE_END"), (1, "ENTRIES_PRUNED")):
        async with tail(plane, admin, after) as call:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await read(call, 1)
            assert info_of(status_of(caught.value)).reason == reason
    async with tail(plane, admin, 0) as call:
        assert await read(call, 1) == [prune.size + 1]


async def test_person_prunes_with_a_code_after_a_look(plane: Plane) -> None:
    admin = await plane.sign_in()
    point = await plane.app.auditing.log.checkpoint()
    await asyncio.sleep(0.01)
    await plane.app.auditing.log.append({"reason": "stays"})
    request = pb.PruneEntriesRequest(validate_only=True)
    request.before.FromMilliseconds(now_ms() - 1)
    planned = await plane.call(f"{AUDIT}/PruneEntries", request, pb.PruneEntriesResponse, admin)
    assert (planned.first, planned.last, plane.app.auditing.log.first) == (1, point.size, 1)
    request.validate_only = False
    alone = (("solward-break-glass", "nobody else is there tonight"),)
    done = await plane.confirmed(f"{AUDIT}/PruneEntries", request, pb.PruneEntriesResponse, admin, alone)
    assert (done.last, [one.size for one in done.prunes]) == (point.size, [point.size])
    assert [body["phase"] for body in await entries(plane, method="audit.prune", principal=admin.name)] == [
        "decision", "outcome",
    ]  # fmt: skip
