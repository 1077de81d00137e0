"""Operations: one at work on a host, one for a request, and pages of them."""

import asyncio

import pytest
from solward.operations.v1 import operations_pb2 as pb
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.operations import Fenced, HostBusy, OperationRepository

TRIES = 9


@pytest.fixture
def everywhere(engines: list[AsyncEngine]) -> list[OperationRepository]:
    """The operations as several control planes see them."""
    return [OperationRepository(engines[number % len(engines)]) for number in range(TRIES)]


@pytest.fixture
def store(everywhere: list[OperationRepository]) -> OperationRepository:
    return everywhere[0]


def operation(uid: str, state: pb.OperationState = pb.OPERATION_STATE_RUNNING, reason: str = "") -> pb.Operation:
    name = f"operations/{uid}"
    return pb.Operation(name=name, kind="validator.restart", requester="bob", state=state, reason=reason)


async def test_host_has_one_operation_at_work(everywhere: list[OperationRepository]) -> None:
    store = everywhere[0]
    added = await asyncio.gather(
        *(one.add(f"o{number}", "h1", operation(f"o{number}"), None) for number, one in enumerate(everywhere))
    )
    assert added.count(None) == TRIES - 1
    (running,) = await store.running("h1")
    assert running in added
    done = operation(running, pb.OPERATION_STATE_SUCCEEDED)
    await store.save(done)
    assert await store.get(running) == done
    assert await store.add("next", "h1", operation("next"), None) == "next"
    assert await store.add("else", "h2", operation("else"), None) == "else"
    assert sorted(await store.running()) == ["else", "next"]
    assert await store.running("h3") == []


async def test_of_several_that_are_approved_at_once_one_begins(everywhere: list[OperationRepository]) -> None:
    store = everywhere[0]
    uids = [f"o{number}" for number in range(TRIES)]
    for uid in uids:
        awaiting = operation(uid, pb.OPERATION_STATE_AWAITING_APPROVAL)
        assert await store.add(uid, "h1", awaiting, f"key of {uid}") == uid
    assert sorted(await store.unfinished()) == uids
    assert await store.running() == []
    begun = (one.save(operation(uid)) for one, uid in zip(everywhere, uids, strict=True))
    results = await asyncio.gather(*begun, return_exceptions=True)
    assert sorted(map(type, results), key=str) == [type(None)] + [HostBusy] * (TRIES - 1)
    assert await store.running("h1") == [uids[results.index(None)]]
    # One that did not begin is as it was.
    loser = uids[1 - min(results.index(None), 1)]
    assert await store.get(loser) == operation(loser, pb.OPERATION_STATE_AWAITING_APPROVAL)
    await store.save(operation(uids[results.index(None)], pb.OPERATION_STATE_FAILED))
    assert len(await store.unfinished()) == TRIES - 1


async def test_request_starts_one_operation(everywhere: list[OperationRepository]) -> None:
    key = "u" * 32 + "/validator.restart/r1"
    added = await asyncio.gather(
        *(one.add(f"o{number}", f"ho{number}", operation(f"o{number}"), key) for number, one in enumerate(everywhere))
    )
    assert len(set(added)) == 1
    assert await everywhere[0].by_request(key) == added[0]
    assert await everywhere[0].by_request("another") is None
    assert await everywhere[0].running() == [added[0]]
    # Of a request that is new, the host may still be busy.
    assert await everywhere[1].add("other", f"h{added[0]}", operation("other"), "another") is None


async def test_large_record_comes_back_as_it_was(store: OperationRepository) -> None:
    large = operation("o1", reason="Grund ☀ 𝄞\0" * 100_000)
    await store.add("o1", "h1", large, None)
    assert await store.get("o1") == large
    assert await store.get("o2") is None


async def test_operations_are_paged_newest_first(store: OperationRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        # Two share a moment: the uid breaks the tie.
        monkeypatch.setattr("controlplane.store.operations.now_ms", lambda number=number: 2**40 + number // 2)
        await store.add(f"o{number}", f"h{number % 2}", operation(f"o{number}", pb.OPERATION_STATE_FAILED), None)

    async def listed(host_uid: str) -> list[str]:
        seen: list[str] = []
        before = None
        while page := await store.page(host_uid, before, 2):
            seen += [one.name.removeprefix("operations/o") for _, one in page]
            before = page[-1][0]
        return seen

    assert await listed("") == ["6", "5", "4", "3", "2", "1", "0"]
    assert await listed("h1") == ["5", "3", "1"]
    assert await listed("h2") == []


async def test_a_control_plane_of_an_earlier_term_writes_no_more(engines: list[AsyncEngine]) -> None:
    old, new = OperationRepository(engines[0], lambda: 1), OperationRepository(engines[1], lambda: 2)
    assert await old.add("o1", "h1", operation("o1"), None) == "o1"
    await new.save(operation("o1", reason="taken over"))
    with pytest.raises(Fenced):
        await old.save(operation("o1", pb.OPERATION_STATE_FAILED))
    found = await old.get("o1")
    assert found is not None
    assert (found.state, found.reason) == (pb.OPERATION_STATE_RUNNING, "taken over")
