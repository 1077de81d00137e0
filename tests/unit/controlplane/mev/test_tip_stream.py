"""The tip stream: heard in every form it has, opened again when it is silent or broken, and polled for meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from common.breaker import breakers
from controlplane.mev import tip_stream as module
from controlplane.mev.settings import JitoSettings
from controlplane.mev.tip_feed import TipFeed
from controlplane.mev.tips import Floor
from tests.peers.block_engine import Peer, block_engine

TOLD = {f"landed_tips_{name}_percentile": 1e-5 for name in ("25th", "50th", "75th", "95th", "99th")} | {
    "ema_landed_tips_50th_percentile": 1e-5
}
FIRST = "2026-10-24T12:27:34"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.05)


@asynccontextmanager
async def feeding(
    *, silent_s: float = 15.0, floor: bool = True, ready: Callable[[Peer], None] = lambda _: None
) -> AsyncIterator[tuple[TipFeed, Peer, list[Floor]]]:
    async with block_engine("ny") as peer:
        ready(peer)
        base, kept = peer["ny"].json_rpc, list[Floor]()
        stream = base.replace("http", "ws") + "/api/v1/bundles/tip_stream"
        feed = TipFeed(f"{base}/api/v1/bundles/tip_floor" if floor else "", 0.05, kept.append, stream)
        assert feed._stream
        feed._stream._silent_s = silent_s
        task = asyncio.create_task(feed.run())
        try:
            yield feed, peer, kept
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert not [one for one in breakers() if one.name.startswith("the tip")]


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("new_dates", "as_strings"), [(False, False), (True, True)])
async def test_what_is_streamed_is_kept_and_nothing_is_asked_for(new_dates: bool, as_strings: bool) -> None:
    def forms(peer: Peer) -> None:
        peer["ny"].http.new_dates, peer["ny"].http.as_strings = new_dates, as_strings

    async with feeding(ready=forms) as (feed, peer, kept):
        await until(lambda: feed.source == "stream")
        assert kept[0].tips == (6_001, 10_000, 36_200, 1_450_000, 10_000_000)
        asked = peer["ny"].http.floors_asked
        await asyncio.sleep(0.3)
        assert peer["ny"].http.floors_asked == asked
        assert not feed.stale


async def test_frames_of_every_kind_are_read_or_passed_over_on_one_connection() -> None:
    exponent = dict.fromkeys(TOLD, "1.5E-5")
    frames = [
        "", "[]", "{", "[" * 5_000, json.dumps([TOLD | {"time": f"{FIRST}Z", "landed_tips_50th_percentile": None}]),
        json.dumps([TOLD | {"time": f"{FIRST}Z", "landed_tips_99th_percentile": float("nan")}]),
        json.dumps([TOLD | {"time": "yesterday"}]), json.dumps([TOLD | {"time": f"{FIRST}Z"}]),
        json.dumps([exponent | {"time": "2026-10-24T12:27:35.5+00:00"}]),
    ]  # fmt: skip

    def script(peer: Peer) -> None:
        peer["ny"].http.stream_frames = frames
        peer["ny"].http.stream_silent, peer["ny"].http.stream_period_s = True, 0.01

    async with feeding(floor=False, ready=script) as (_, peer, kept):
        await until(lambda: len(kept) == 2)
        assert [one.tips[1] for one in kept] == [10_000, 15_000]
        assert kept[1].unix_s - kept[0].unix_s == 1.5
        assert peer["ny"].http.streams == 1


async def test_a_silent_stream_is_polled_for_and_opened_again() -> None:
    async with feeding(silent_s=0.5) as (feed, peer, _):
        await until(lambda: feed.source == "stream")
        peer["ny"].http.stream_silent = True
        asked, streams = peer["ny"].http.floors_asked, peer["ny"].http.streams
        await until(lambda: feed.source == "poll" and peer["ny"].http.floors_asked > asked)
        await until(lambda: peer["ny"].http.streams > streams + 1)
        peer["ny"].http.stream_silent = False
        await until(lambda: feed.source == "stream")


async def test_a_stream_that_tells_only_nonsense_is_silent() -> None:
    def script(peer: Peer) -> None:
        peer["ny"].http.stream_frames, peer["ny"].http.stream_period_s = ["nonsense"] * 10_000, 0.01

    async with feeding(silent_s=0.3, ready=script) as (feed, peer, _):
        await until(lambda: peer["ny"].http.streams > 1)
        assert feed.source == "poll"


async def test_a_stream_that_lets_nobody_in_is_left_alone_longer_each_time() -> None:
    def refuse(peer: Peer) -> None:
        peer["ny"].http.stream_refused = True

    async with feeding(ready=refuse) as (feed, peer, _):
        await until(lambda: any(one.name == "the tip stream" and one.state == "open" for one in breakers()))
        assert feed.source == "poll"
        before = peer["ny"].http.streams
        await asyncio.sleep(0.3)
        assert peer["ny"].http.streams == before


async def test_a_peer_that_dies_and_comes_back_is_heard_again() -> None:
    async with feeding(silent_s=1.0) as (feed, peer, kept):
        await until(lambda: feed.source == "stream")
        await peer["ny"].down()
        await until(lambda: not (feed._stream and feed._stream.live))
        await peer["ny"].up()
        await until(lambda: feed.source == "stream")
        assert kept


@pytest.mark.parametrize("url", ["http://a/b", "wss://", "wss://u:p@a", "a", "wss:/a"])
def test_a_stream_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="tip_stream_url"):
        JitoSettings(tip_stream_url=url)
    assert JitoSettings(tip_stream_url="wss://a/b").tip_stream_url
