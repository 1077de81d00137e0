"""One trace from ctl to the unit and back, in a collector; metrics and logs beside it."""

import asyncio
import re
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.peers.otlp import OtlpPeer, SeenSpan, otlp_peer
from tests.support.cluster import About, Cluster, HostProcess, cluster

pytestmark = pytest.mark.timeout(180)

RESTART = "solward.validator.v1.ValidatorService/Restart"
FLEET = "controls.restart"
AGENT_SPANS = ["permit", "allowlist", "preconditions", "journal", "action", "systemd restart", "settle", "receipt"]


@asynccontextmanager
async def traced_fleet(folder: Path, job_ms: float = 0) -> AsyncIterator[tuple[OtlpPeer, Cluster, HostProcess]]:
    async with otlp_peer() as peer:
        settings = {
            "endpoint": peer.endpoint, "metrics_seconds": 1, "environment": "test", "headers": {"x-key": "canary-77"},
        }  # fmt: skip
        async with cluster(folder, otlp=settings, require_second_factor=False) as fleet:
            await fleet.sign_in()
            yield peer, fleet, await fleet.add_host("sol-1", About(job_delay_ms=job_ms))


def trace_id_of(said: str) -> str:
    found = re.search(r"trace: ([0-9a-f]{32})", said)
    assert found, said
    return found.group(1)


def named(spans: list[SeenSpan], name: str) -> SeenSpan:
    (one,) = [span for span in spans if span.name == name]
    return one


async def test_a_restart_is_one_trace_from_ctl_to_the_unit_and_back(tmp_path: Path) -> None:
    async with traced_fleet(tmp_path) as (peer, fleet, _):
        ran = await fleet.ctl("--verbose", "validator", "restart", "sol-1", "--yes")
        trace_id = trace_id_of(ran.err)
        await peer.until(lambda: any(one.name == "validator.restart" for one in peer.trace(trace_id)))
        spans = peer.trace(trace_id)

        # ctl exports nothing: its span is the parent of all that it called.
        calls = [one for one in spans if one.span.kind == Span.SPAN_KIND_SERVER]
        assert len({one.parent for one in calls}) == 1
        assert len(calls) >= 3
        restarts = [one for one in calls if one.name == RESTART]
        assert len(restarts) == 2  # the plan, and what was done
        assert restarts[1].attributes["rpc.response.status_code"] == "OK"
        assert restarts[1].attributes["solward.principal.kind"] == "user"
        assert restarts[1].resource["service.name"] == "solward-controlplane"

        operation, act = named(spans, "validator.restart"), named(spans, "step act")
        assert operation.parent == restarts[1].id
        steps = [one for one in spans if one.name.startswith("step ")]
        assert {one.parent for one in steps} == {operation.id}
        assert {"step check", "step act", "step verify"} <= {one.name for one in steps}
        assert not any(one.failed for one in spans)

        command = next(one for one in spans if one.name == "command" and one.parent == act.id)
        assert command.resource["service.name"] == "solward-agent"
        assert command.resource["host.name"] == "sol-1"
        below = [one for one in spans if one.resource["service.name"] == "solward-agent"]
        ids = {one.id for one in below} | {act.id, operation.id, *(one.id for one in restarts)}
        assert all(one.parent in ids for one in below)
        ours = [one.name for one in below if one.parent == command.id]
        assert ours == [name for name in AGENT_SPANS if name not in ("systemd restart", "settle")]
        action = next(one for one in below if one.name == "action" and one.parent == command.id)
        assert [one.name for one in below if one.parent == action.id] == ["systemd restart", "settle"]
        assert all(one.span.start_time_unix_nano <= one.span.end_time_unix_nano for one in spans)
        assert len({one.id for one in spans}) == len(spans)
        assert "admin" not in str([one.attributes for one in spans])


async def test_a_refused_command_has_error_spans(tmp_path: Path) -> None:
    async with traced_fleet(tmp_path) as (peer, fleet, host):
        assert host.agent
        # It was allowed when it was asked for, and is not any more when the agent comes to it.
        host.agent.send_signal(signal.SIGSTOP)
        ran = await fleet.ctl("--verbose", "validator", "restart", "sol-1", "--yes", "--detach")
        trace_id = trace_id_of(ran.err)
        await peer.until(lambda: any(one.name == "step check" for one in peer.trace(trace_id)))
        await fleet.stop_agent(host, signal.SIGKILL)
        path = host.folder / "allowlist.yaml"
        allowed = yaml.safe_load(path.read_text())
        allowed["units"] = {unit: ["validator.stop"] for unit in allowed["units"]}
        path.write_text(yaml.safe_dump(allowed))
        await fleet.start_agent(host)
        await peer.until(lambda: any(one.name == "validator.restart" for one in peer.trace(trace_id)), 30)
        spans = peer.trace(trace_id)
        act = named(spans, "step act")
        command = named(spans, "command")
        refused = named(spans, "allowlist")
        assert (command.parent, refused.parent) == (act.id, command.id)
        for one in (act, command, refused):
            assert (one.failed, one.attributes["error.type"]) == (True, "NOT_ON_ALLOWLIST")
        assert named(spans, "validator.restart").failed
        assert not any(one.name == "action" for one in spans)
        assert host.starts == 1


async def test_hosts_that_are_restarted_in_turn_are_one_trace(tmp_path: Path) -> None:
    async with traced_fleet(tmp_path) as (peer, fleet, _):
        await fleet.add_host("sol-2")
        ran = await fleet.ctl("--verbose", "controls", "restart", "sol-1", "sol-2", "--yes", check=False)
        assert ran.code == 0, ran
        trace_id = trace_id_of(ran.err)
        await peer.until(lambda: sum(one.name == "validator.restart" for one in peer.trace(trace_id)) == 2)
        await peer.until(lambda: any(one.attributes.get("solward.kind") == FLEET for one in peer.trace(trace_id)))
        spans = peer.trace(trace_id)
        (whole,) = [one for one in spans if one.attributes.get("solward.kind") == FLEET]
        parts = [one for one in spans if one.name == "validator.restart"]
        assert {one.parent for one in parts} == {whole.id}
        hosts = {one.resource["host.name"] for one in spans if one.resource["service.name"] == "solward-agent"}
        assert hosts == {"sol-1", "sol-2"}


async def test_a_call_that_fails_says_its_trace_and_why(tmp_path: Path) -> None:
    async with traced_fleet(tmp_path) as (peer, fleet, _):
        failed = await fleet.ctl("validator", "status", "sol-9", check=False)
        trace_id = trace_id_of(failed.err)
        await peer.until(lambda: peer.trace(trace_id))
        (span,) = peer.trace(trace_id)
        assert span.attributes["rpc.response.status_code"] == "NOT_FOUND"
        assert span.attributes["solward.reason"] == "HOST_NOT_FOUND"


async def test_the_rest_door_goes_on_with_the_caller_s_trace(tmp_path: Path) -> None:
    async with traced_fleet(tmp_path) as (peer, fleet, _):
        trace_id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
        (context,) = (fleet.folder / "config" / "solward" / "contexts").glob("*.yaml")
        token = yaml.safe_load(context.read_text())["access_token"]
        headers = {"traceparent": f"00-{trace_id}-{parent}-01", "authorization": f"Bearer {token}"}
        tls = ssl.create_default_context(cafile=str(fleet.ca_file))
        url = f"https://localhost:{fleet.rest_port}/api/validator/status?host=hosts/sol-1"
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers, ssl=tls) as answer:
            assert answer.status == 200, await answer.text()
        await peer.until(lambda: peer.trace(trace_id))
        call = named(peer.trace(trace_id), "solward.validator.v1.ValidatorService/GetStatus")
        assert (call.parent, call.attributes["solward.principal.kind"]) == (parent, "user")


async def test_a_control_plane_that_is_killed_goes_on_with_the_trace(tmp_path: Path) -> None:
    async with traced_fleet(tmp_path, job_ms=4000) as (peer, fleet, host):
        ran = await fleet.ctl("--verbose", "validator", "restart", "sol-1", "--yes", "--detach")
        trace_id = trace_id_of(ran.err)
        await peer.until(lambda: any(one.name == "step check" for one in peer.trace(trace_id)))
        await fleet.stop_server(signal.SIGKILL)
        assert not any(one.name == "step act" for one in peer.trace(trace_id))
        await asyncio.sleep(1)
        await fleet.start_server()
        await peer.until(lambda: any(one.name == "validator.restart" for one in peer.trace(trace_id)), 60)
        spans = peer.trace(trace_id)
        operation, act = named(spans, "validator.restart"), named(spans, "step act")
        asked = [one for one in spans if one.name == RESTART][-1]
        assert operation.parent == asked.id
        assert act.parent == operation.id
        assert not act.failed
        # The agent did it once, while nobody listened, and tells of it when it is asked again.
        done = [one for one in spans if one.name == "systemd restart"]
        assert len(done) == 1
        commands = {one.id for one in spans if one.name == "command" and one.parent == act.id}
        assert {one.parent for one in spans if one.name == "action"} <= commands
        assert len({one.resource["service.instance.id"] for one in spans if one.name != "command"}) >= 2
        assert host.starts == 2


async def test_metrics_and_logs_arrive_by_otlp(tmp_path: Path) -> None:
    async with traced_fleet(tmp_path) as (peer, fleet, _):
        await fleet.ctl("--verbose", "validator", "restart", "sol-1", "--yes")
        wanted = {"solana_rpc_latency_seconds", "solward_grpc_call_seconds", "solward_host_connected"}
        await peer.until(lambda: wanted <= peer.metrics.keys())
        calls = peer.metrics["solward_grpc_call_seconds"].histogram
        assert calls.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
        point = calls.data_points[0]
        assert sum(point.bucket_counts) == point.count
        assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
        assert 0 < point.start_time_unix_nano < point.time_unix_nano
        latency = peer.metrics["solana_rpc_latency_seconds"].histogram.data_points[0]
        assert sum(latency.bucket_counts) == latency.count > 0
        assert len(latency.bucket_counts) == len(latency.explicit_bounds) + 1
        assert peer.metrics["solana_rpc_requests_total"].sum.is_monotonic

        await peer.until(lambda: any(line.body.string_value == "operation ended" for line in peer.lines))
        (line,) = [line for line in peer.lines if line.body.string_value == "operation ended"]
        assert (line.severity_number, line.severity_text) == (9, "INFO")
        # Spans and lines come by batches of their own.
        await peer.until(lambda: any(one.name == "validator.restart" for one in peer.spans))
        operation = next(one for one in peer.spans if one.name == "validator.restart")
        assert (line.trace_id, line.span_id) == (operation.span.trace_id, operation.span.span_id)

        about = next(one for one in peer.resources if one["service.name"] == "solward-controlplane")
        assert about["service.namespace"] == "solward"
        assert about["deployment.environment.name"] == "test"
        assert {"service.version", "service.instance.id", "host.name", "os.type"} <= about.keys()
        assert all(one["x-key"] == "canary-77" for one in peer.metadata)
        assert "canary-77" not in fleet.log + str(peer.lines)
        assert max(peer.sizes) < 4_000_000
