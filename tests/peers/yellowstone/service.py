"""The service as yellowstone-grpc-geyser serves it, as far as slots and blocks' metadata go."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from yellowstone import geyser_pb2 as pb
from yellowstone.geyser_pb2_grpc import GeyserServicer

from tests.peers.yellowstone.node import FINALIZED_LAG, Node, Shuffler, Slot

PING_S = 10.0
LAGGED = (grpc.StatusCode.INTERNAL, "lagged to receive geyser messages")
_CREATED = (pb.SLOT_FIRST_SHRED_RECEIVED, pb.SLOT_CREATED_BANK)
_DONE = (pb.SLOT_COMPLETED, pb.SLOT_PROCESSED)
TRANSACTIONS, ENTRIES = 1_000, 64


class _Ended(Exception):
    def __init__(self, code: grpc.StatusCode, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


class Subscriber:
    """One stream: what it asked for, and what waits for it."""

    def __init__(self, node: Node, ping_s: float) -> None:
        self._node, self._ping_s = node, ping_s
        self._waiting: asyncio.Queue[pb.SubscribeUpdate] = asyncio.Queue()
        self._shuffler = Shuffler()
        self._over: _Ended | None = None
        self.request = pb.SubscribeRequest()
        self.requests: list[pb.SubscribeRequest] = []
        self._sent_big = False

    def ask(self, request: pb.SubscribeRequest) -> None:
        """Take in a request; one with a ping changes no filter."""
        self.requests.append(request)
        if request.HasField("ping"):
            self._put(pb.SubscribeUpdate(pong=pb.SubscribeUpdatePong(id=request.ping.id)))
        else:
            self.request = request

    def tell(self, slot: Slot) -> None:
        """Take in a slot of the node's; called on the loop."""
        asyncio.get_running_loop().call_later(self._node.faults.delay_ms / 1000, self._tell, slot)

    def _tell(self, slot: Slot) -> None:
        faults = self._node.faults
        if faults.silent or faults.mute or slot.number in faults.drop:
            return
        if faults.big_mb and not self._sent_big:
            self._sent_big = True
            data = bytes(int(faults.big_mb * 1024 * 1024))
            account = pb.SubscribeUpdateAccount(account=pb.SubscribeUpdateAccountInfo(data=data), slot=slot.number)
            self._put(pb.SubscribeUpdate(account=account))
        for update in self._updates(slot):
            for due in self._shuffler.pass_on(update, faults.shuffle):
                assert isinstance(due, pb.SubscribeUpdate)
                self._put(due)

    def _updates(self, slot: Slot) -> Iterator[pb.SubscribeUpdate]:
        stamp = Timestamp()
        stamp.FromNanoseconds(time.time_ns())
        if self._node.faults.unknown:
            yield pb.SubscribeUpdate.FromString(bytes.fromhex("9a0103080107"))
        for name, wanted in self.request.slots.items():
            statuses = [
                *(_CREATED if wanted.interslot_updates else ()),
                *(_DONE if wanted.interslot_updates else _DONE[1:]),
            ]
            for status in statuses:
                told = pb.SubscribeUpdateSlot(slot=slot.number, parent=slot.parent, status=status)
                yield pb.SubscribeUpdate(filters=[name], slot=told, created_at=stamp)
            for lag, status in ((1, pb.SLOT_CONFIRMED), (FINALIZED_LAG, pb.SLOT_FINALIZED)):
                old = slot.number - lag
                # What the stream leaves out it leaves out for good.
                if old not in self._node.faults.drop and old not in self._node.faults.skip:
                    told = pb.SubscribeUpdateSlot(slot=old, status=status)
                    yield pb.SubscribeUpdate(filters=[name], slot=told, created_at=stamp)
        for name in self.request.blocks_meta:
            meta = pb.SubscribeUpdateBlockMeta(
                slot=slot.number, parent_slot=slot.parent, executed_transaction_count=TRANSACTIONS,
                entries_count=ENTRIES,
            )  # fmt: skip
            yield pb.SubscribeUpdate(filters=[name], block_meta=meta, created_at=stamp)

    def _put(self, update: pb.SubscribeUpdate) -> None:
        if self._waiting.qsize() >= self._node.faults.capacity:
            self._over = _Ended(*LAGGED)
        else:
            self._waiting.put_nowait(update)

    async def updates(self) -> AsyncIterator[pb.SubscribeUpdate]:
        """Give what is due, a ping now and then, until it ends."""
        pinged = time.monotonic()
        while True:
            faults = self._node.faults
            if faults.end:
                raise _Ended(grpc.StatusCode[faults.end[0]], faults.end[1])
            if self._over:
                raise self._over
            if time.monotonic() - pinged >= self._ping_s and not faults.mute:
                pinged = time.monotonic()
                yield pb.SubscribeUpdate(ping=pb.SubscribeUpdatePing())
            try:
                async with asyncio.timeout(0.02):
                    update = await self._waiting.get()
            except TimeoutError:
                continue
            if update.slot.slot and update.slot.status == pb.SLOT_PROCESSED:
                self._node.streamed_at.setdefault(update.slot.slot, time.monotonic())
            yield update


class Geyser(GeyserServicer):
    """The service.

    Args:
        token: what x-token must be; empty: anything.
    """

    def __init__(self, node: Node, token: str, ping_s: float) -> None:
        self._node, self._token, self._ping_s = node, token, ping_s
        self.subscribers: set[Subscriber] = set()
        self.opened = 0
        self.last: Subscriber | None = None

    async def _enter(self, context: Any) -> None:
        given = dict(context.invocation_metadata()).get("x-token", "")
        if self._token and given != self._token:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "No valid auth token")
        if refuse := self._node.faults.refuse:
            await context.abort(grpc.StatusCode[refuse[0]], refuse[1])

    async def Subscribe(self, requests: AsyncIterator[pb.SubscribeRequest], context: Any) -> AsyncIterator[Any]:
        if self._node.faults.deaf:
            await asyncio.Event().wait()
        await self._enter(context)
        await context.send_initial_metadata(())
        self.last = subscriber = Subscriber(self._node, self._ping_s)
        self.opened += 1
        reading = asyncio.create_task(_read(requests, subscriber))
        self.subscribers.add(subscriber)
        self._node.listeners.add(subscriber.tell)
        try:
            async for update in subscriber.updates():
                yield update
        except _Ended as ended:
            if ended.code is not grpc.StatusCode.OK:
                await context.abort(ended.code, ended.words)
        finally:
            self.subscribers.discard(subscriber)
            self._node.listeners.discard(subscriber.tell)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def GetSlot(self, request: Any, context: Any) -> pb.GetSlotResponse:
        await self._enter(context)
        return pb.GetSlotResponse(slot=self._node.slot.number)

    async def Ping(self, request: Any, context: Any) -> pb.PongResponse:
        await self._enter(context)
        return pb.PongResponse(count=request.count)

    async def GetVersion(self, request: Any, context: Any) -> pb.GetVersionResponse:
        await self._enter(context)
        version = {"version": {"package": "yellowstone-grpc-geyser", "version": "15.1.2", "solana": "4.2.1"}}
        return pb.GetVersionResponse(version=json.dumps(version))


async def _read(requests: AsyncIterator[pb.SubscribeRequest], subscriber: Subscriber) -> None:
    async for request in requests:
        subscriber.ask(request)
