"""The engine's list of regions is shown and warned about, and decides nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.jito.engine import Engine, Wishes
from agent.jito.listing import MOST_LISTED, _region_of, compare, warn
from agent.jito.region import Place
from agent.probes.base import Series
from agent.probes.jito import JitoProbe
from tests.peers.block_engine import block_engine
from tests.unit.agent.jito.stand import standing
from tests.unit.agent.probes.test_jito import Kept


@given(st.lists(st.text(max_size=80) | st.sampled_from(["ny", "slc", "tokyo"])))
def test_a_list_of_anything_changes_no_region_of_the_settings(listed: list[str]) -> None:
    found = compare(("ny", "slc"), listed)
    assert found.there | found.gone == {"ny", "slc"}
    assert not found.there & found.gone
    assert not found.unknown & {"ny", "slc"}
    assert len(found.unknown) <= MOST_LISTED
    assert all(name.isascii() and 0 < len(name) < 64 for name in found.unknown)


@pytest.mark.parametrize(("url", "region"), [
    ("https://ny.mainnet.block-engine.jito.wtf", "ny"), ("https://[", ""), ("", ""), ("ny", ""),
])  # fmt: skip
def test_a_region_is_read_from_its_endpoint(url: str, region: str) -> None:
    assert _region_of(url) == region


def test_each_change_is_warned_about_once(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = compare(("ny", "slc"), ["ny", "tokyo"]), compare(("ny", "slc"), ["ny", "tokyo", "dublin"])
    warn(None, first)
    warn(first, first)
    warn(first, second)
    told = capsys.readouterr().out
    assert (told.count("does not list regions"), told.count("does not name")) == (1, 2)
    assert "dublin" in told


async def test_a_region_that_is_listed_besides_is_told_and_never_called() -> None:
    async with block_engine("ny", "slc", "tokyo") as peer:
        for one in peer.regions.values():
            one.faults.regions = ("ny", "tokyo")
        places = {name: Place(peer[name].url, peer[name].json_rpc) for name in ("ny", "slc")}
        engine = Engine(Wishes(places, per_second=500.0, period_s=600.0))
        async with standing(peer, engine=engine) as stand:
            await stand.until(lambda: engine.listing)
            probe, kept = JitoProbe(engine, {}), Kept()
            probe.tell(kept)
            listed = {name: kept.values.get(Series.of("jito_region_listed", region=name)) for name in ("ny", "slc")}
            assert listed == {"ny": 1.0, "slc": 0.0}
            assert kept.values[Series.of("jito_region_unknown", region="tokyo")] == 1.0
            raw = stand.bundle()
            await stand.submit(raw)
            assert set(engine.regions) == {"ny", "slc"}
            assert not peer["tokyo"].region.calls


async def test_without_getregions_the_endpoints_tell() -> None:
    async with block_engine("ny", "slc") as peer:
        for one in peer.regions.values():
            one.faults.no_regions = True
        async with standing(peer) as stand:
            await stand.until(lambda: stand.engine.listing)
            assert stand.engine.listing
            assert stand.engine.listing.there == {"ny", "slc"}


async def test_another_region_is_asked_where_one_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.jito.engine.AGAIN_S", 0.1)
    async with block_engine("ny", "slc") as peer:
        await peer["ny"].down()
        async with standing(peer, streams=False) as stand:
            await stand.until(lambda: stand.engine.listing)
