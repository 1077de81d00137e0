"""What nobody carries out any more is closed, once it has been seen so twice."""

import asyncio
from collections.abc import Callable

from solward.operations.v1 import operations_pb2 as pb

from controlplane.operations.lost import Lost

AT_WORK = pb.OPERATION_STATE_RUNNING


class Store:
    """Operations, and what DBOS says of each; `away` raises what a store that is down does."""

    def __init__(self, **says: str | None) -> None:
        self.says = says
        self.away = False
        self.looks = 0
        self.kept = {uid: pb.Operation(name=f"operations/{uid}", state=AT_WORK) for uid in says}

    async def unfinished(self) -> list[str]:
        self.looks += 1
        if self.away:
            raise OSError("the store is away")
        return [uid for uid, operation in self.kept.items() if operation.state == AT_WORK]

    async def get(self, uid: str) -> pb.Operation:
        return self.kept[uid]

    async def change(self, uid: str, edit: Callable[[pb.Operation], None]) -> pb.Operation:
        edit(self.kept[uid])
        return self.kept[uid]

    async def status(self, operation: pb.Operation) -> str | None:
        return self.says[operation.name.partition("/")[2]]

    def lost(self) -> Lost:
        return Lost(self, self, self.status)

    def states(self) -> dict[str, int]:
        return {uid: operation.state for uid, operation in self.kept.items()}


async def test_what_a_dead_process_left_is_closed_at_the_start_and_parts_are_left() -> None:
    store = Store(living="PENDING", waiting="ENQUEUED", dead="ERROR", unborn=None, part=None)
    store.kept["part"].parent = "operations/living"
    await store.lost().close_at_start()
    assert store.states() == {
        "living": AT_WORK, "waiting": AT_WORK, "part": AT_WORK,
        "dead": pb.OPERATION_STATE_PAUSED, "unborn": pb.OPERATION_STATE_FAILED,
    }  # fmt: skip
    assert "look at the host" in store.kept["dead"].error.message
    assert "nothing was done" in store.kept["unborn"].error.message


async def looks(store: Store, count: int) -> None:
    wanted = store.looks + count
    async with asyncio.timeout(10):
        while store.looks < wanted:
            await asyncio.sleep(0.005)


async def test_a_part_that_nobody_carries_out_is_closed_after_a_while_and_what_is_about_to_begin_is_not() -> None:
    store = Store(living="PENDING", part="ERROR", born=None)
    store.kept["part"].parent = "operations/living"
    closing = asyncio.create_task(store.lost().close_for_ever(0.02))
    await looks(store, 1)
    store.says["born"] = "PENDING"
    # A store that is away for a while is no reason to end.
    store.away = True
    await looks(store, 2)
    store.away = False
    await looks(store, 3)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    assert store.states() == {"living": AT_WORK, "part": pb.OPERATION_STATE_PAUSED, "born": AT_WORK}


async def test_one_that_has_ended_meanwhile_is_left_as_it_ended() -> None:
    store = Store(dead="ERROR")
    store.kept["dead"].end_time.GetCurrentTime()
    await store.lost().close_at_start()
    assert store.states() == {"dead": AT_WORK}
