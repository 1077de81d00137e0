"""Subscribe to a node's slots over WebSocket, and time what it pushes.

Series: `solana_ws_up` = 1 each second while subscribed, else 0; `solana_ws_slots` = 1 for each slot that was told of;
`solana_ws_gap_seconds` between two of them; `solana_ws_missed_slots` = 1 where slots were not told of that a later
one builds on; `solana_ws_delay_seconds` from when the node says that a slot was frozen until that was told;
`solana_ws_errors{class}` = 1 with the class `transport`, `timeout`, `refused` (the node takes no subscription),
`invalid`, or `silent`: it took the subscription and pushes nothing, as a node without --full-rpc-api does.

Messages: Agave's rpc/src/rpc_pubsub.rs, slotSubscribe and slotsUpdatesSubscribe.
"""

import asyncio
import json
import random
import time
from typing import Final

import msgspec

from agent.geyser.board import SlotBoard
from agent.probes.base import Series, Sink
from agent.probes.websocket import WebSocket, WebSocketError, WebSocketTarget

# A cluster makes a slot every 0.4 s; a node that tells of none for so long is deaf, or its cluster stands still.
SILENT_S: Final = 15.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
_SLOTS, _UPDATES = 1, 2
_SUBSCRIPTIONS: Final = {_SLOTS: "slotSubscribe", _UPDATES: "slotsUpdatesSubscribe"}


class _Result(msgspec.Struct):
    slot: int
    parent: int | None = None
    type: str = ""
    timestamp: int = 0


class _Params(msgspec.Struct):
    result: _Result


class _Pushed(msgspec.Struct):
    method: str = ""
    params: _Params | None = None
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    id: int | None = None


_decode = msgspec.json.Decoder(_Pushed).decode


class PubsubProbe:
    """Follows one node's slots.

    Args:
        url: ws or wss; by custom the RPC's port and one.
        board: where slots are noted for those who compare other sources with the node.
        silent_s: after so many seconds without a slot the subscription is made again.

    Raises:
        ValueError: for any other URL.
    """

    name = "pubsub"

    def __init__(self, url: str, board: SlotBoard | None = None, *, silent_s: float = SILENT_S) -> None:
        self._board = board or SlotBoard()
        self._target = WebSocketTarget(url)
        self._silent_s = silent_s
        self._up, self._gap = Series.of("solana_ws_up"), Series.of("solana_ws_gap_seconds")
        self._delay = Series.of("solana_ws_delay_seconds")
        self._slots, self._missed = Series.counting("solana_ws_slots"), Series.counting("solana_ws_missed_slots")
        self._newest, self._newest_at = 0, 0.0

    async def run(self, sink: Sink) -> None:
        """Follow until cancelled; a subscription that ended is made again, later each time."""
        wait_s = _FIRST_WAIT_S
        while True:
            begun = time.monotonic()
            try:
                socket = await self._target.open()
                try:
                    await self._follow(socket, sink)
                finally:
                    socket.close()
            except WebSocketError as error:
                sink.sample(Series.counting("solana_ws_errors", **{"class": error.kind}), 1.0)
            lasted = time.monotonic() - begun > _LONGEST_WAIT_S
            wait_s = _FIRST_WAIT_S if lasted else min(wait_s * 2, _LONGEST_WAIT_S)
            await self._stay_away(sink, wait_s * random.uniform(0.5, 1.0))  # noqa: S311

    async def _stay_away(self, sink: Sink, wait_s: float) -> None:
        until = time.monotonic() + wait_s
        while (left := until - time.monotonic()) > 0:
            sink.sample(self._up, 0.0)
            await asyncio.sleep(min(1.0, left))

    async def _follow(self, socket: WebSocket, sink: Sink) -> None:
        self._newest = 0
        for number, method in _SUBSCRIPTIONS.items():
            await socket.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method}))
        heard = said = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(1.0):
                    texts = await socket.receive()
            except TimeoutError:
                texts = []
            now = time.monotonic()
            for text in texts:
                heard = now if self._take(text, sink) else heard
            if now - heard > self._silent_s:
                raise WebSocketError("silent")
            if now - said >= 1.0:
                said = now
                sink.sample(self._up, 1.0)

    def _take(self, text: str, sink: Sink) -> bool:
        """Take in one message; whether it told of a slot."""
        try:
            pushed = _decode(text)
        except (msgspec.DecodeError, RecursionError):
            raise WebSocketError("invalid") from None
        if pushed.error is not msgspec.UNSET and pushed.id == _SLOTS:
            raise WebSocketError("refused")
        if pushed.params is None:
            return False
        found = pushed.params.result
        if pushed.method == "slotNotification":
            self._see(found, sink)
            return True
        if pushed.method == "slotsUpdatesNotification" and found.type == "frozen" and found.timestamp:
            # The stamp is of this host's own clock, as far as the node runs beside the agent.
            sink.sample(self._delay, max(0.0, time.time() - found.timestamp / 1000))
            self._board.frozen(found.slot, time.monotonic())
        return False

    def _see(self, found: _Result, sink: Sink) -> None:
        now = time.monotonic()
        self._board.told(found.slot, now)
        if self._newest:
            sink.sample(self._gap, now - self._newest_at)
            if found.parent is not None and found.parent > self._newest:
                sink.sample(self._missed, 1.0)
        sink.sample(self._slots, 1.0)
        self._newest, self._newest_at = max(self._newest, found.slot), now
