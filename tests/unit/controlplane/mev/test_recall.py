"""What a control plane counted of bundles is counted by the next one, too."""

import asyncio
from pathlib import Path

from prometheus_client import REGISTRY
from solward.jito.v1 import jito_pb2 as pb

from common.clock import now_ms
from tests.support.plane import control_plane
from tests.support.told import Told

EXPIRED, FINAL = pb.BUNDLE_STATE_EXPIRED, pb.BUNDLE_STATE_FINALIZED


def ended(number: int, state: pb.BundleState) -> pb.Bundle:
    bundle = pb.Bundle(
        name=f"bundles/{number:064x}", host="hosts/recalled", state=state, region="ny", tip_lamports=1_000
    )
    for moment in (bundle.create_time, bundle.end_time):
        moment.FromMilliseconds(now_ms() - 60_000 + number)
    return bundle


def rate() -> float | None:
    return REGISTRY.get_sample_value("jito_bundle_landing_rate", {"host": "recalled"})


async def test_rates_go_on_where_an_earlier_life_left_them(tmp_path: Path) -> None:
    async with control_plane(tmp_path) as plane:
        await plane.app.mev.bundles.set_budget(1_000_000, 0, "users/ann")
        for number, state in enumerate((FINAL, FINAL, FINAL, EXPIRED)):
            assert await plane.app.mev.bundles.add(ended(number, state), "a" * 32, [b"x"], None) is None
    async with control_plane(tmp_path) as plane:
        async with asyncio.timeout(10):
            while plane.app.mev.landings.of("hosts/recalled", "ny", now_ms() / 1000).known < 3.5:
                await asyncio.sleep(0.05)
        Told(plane.app.watching.ingest).tell("recalled", 0, {("solana_rpc_slot", ()): 1.0})
        # Each is counted once: four of before, and this one.
        plane.app.mev._count(ended(5, EXPIRED))
        assert rate() == 3 / 5
        plane.app.watching.ingest.forget("recalled")
        assert rate() is None
