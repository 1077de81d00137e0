"""A control plane that writes to a receiver: everything gets there, also what was while the receiver was away."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e.test_alertmanager import until
from tests.peers.remote_write import RemoteWritePeer
from tests.support.cluster import About, cluster
from tests.support.ports import free_ports

pytestmark = pytest.mark.timeout(180)


def names(peer: RemoteWritePeer) -> set[str]:
    return {dict(labels)["__name__"] for labels in peer.series}


async def test_every_metric_of_a_running_fleet_is_written(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    peer = RemoteWritePeer(authorization="Bearer a-secret-of-a-receiver")
    receiver = {"name": "long-term", "url": f"http://127.0.0.1:{port}/api/v1/write"}
    token = tmp_path / "token"
    token.write_text("a-secret-of-a-receiver")
    token.chmod(0o600)
    receiver["token"] = f"file:{token}"
    remote = {"receivers": [receiver], "interval_seconds": 1, "native_histograms": True}
    async with cluster(tmp_path, remote_write=remote, require_second_factor=False) as made:
        await made.sign_in()
        await made.add_host("sol-1", About(guarded=True, rpc={"methods": [{"name": "getSlot"}]}))
        wanted = {
            "solana_rpc_latency_seconds", "solana_rpc_latency_seconds_bucket", "solana_rpc_requests_total",
            "solward_host_connected", "solward_grpc_call_seconds_count", "solward_certificate_expiry_seconds",
            "process_resident_memory_bytes", "node_load1",
        }  # fmt: skip
        # Nobody is there at first.
        await asyncio.sleep(8)
        status = await made.ctl("status", check=False)
        assert "remote write to long-term" in status.out + status.err, status
        async with peer.serving(port):
            await until(lambda: wanted <= names(peer), lambda: f"{wanted - names(peer)} {made.log[-2000:]}")
            assert all({"cluster", "instance"} <= dict(labels).keys() for labels in peer.series)
            assert {dict(labels)["job"] for labels in peer.series} == {"solward"}
            memory = "process_resident_memory_bytes"
            await until(lambda: len(peer.samples(memory)) >= 10, lambda: made.log[-2000:])
            pauses = [later[0] - before[0] for before, later in pairwise(peer.samples(memory))]
            # What was while it was away is there too: a sample each second, without a gap.
            assert max(pauses) < 2_000
            assert max(sample.count_int for kept in peer.series.values() for sample in kept.histograms) > 1
        assert peer.refusals == []
        assert "a-secret-of-a-receiver" not in made.log
