"""Calls: the full guard chain with audit, over gRPC with mTLS and over REST."""

import asyncio
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import grpc
import grpc.aio
import psutil
import yaml
from solward.audit.v1 import audit_pb2

from tests.bench.rows import Row, quantile, row
from tests.bench.setup import HIGH_LIMITS, certify_admin, installation, mtls_channel
from tests.support.cluster import Cluster, cluster
from tests.support.envoy import Tls, contract_of, envoy_before

METHOD = "/solward.audit.v1.AuditService/ListEntries"
CONTRACT = "solward/audit/v1/audit.proto", "solward.audit.v1.AuditService"
REQUEST = audit_pb2.ListEntriesRequest(page_size=1)
SECONDS = 10.0
IN_FLIGHT = 32
WHAT = "AuditService/ListEntries of one entry: every guard link, one durable audit entry a call"

Call = Callable[[], Awaitable[None]]


async def run() -> list[Row]:
    """Measure calls against a control plane in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(Path(folder), rate_limits=HIGH_LIMITS, log_level="warning") as plane:
            admin = await certify_admin(plane)
            ca_pem = installation(plane).ca.pem
            async with mtls_channel(plane.mtls_port, ca_pem, admin) as channel:
                call = _grpc_call(channel)
                await _closed_loop(call, 2.0)
                rate = await _closed_loop(call, SECONDS)
                paced = await _open_loop(call, 500, SECONDS)
            return [
                row(
                    "grpc_call_p99_ms",
                    quantile(paced, 0.99) * 1000,
                    "ms",
                    "<= 10",
                    f"500 calls/s for {SECONDS:.0f} s, mTLS; {WHAT}",
                ),
                row("grpc_calls_per_s", rate, "1/s", ">= 1500", f"{IN_FLIGHT} in flight, mTLS; {WHAT}"),
                *await _rest(plane, ca_pem),
            ]


async def _rest(plane: Cluster, ca_pem: str) -> list[Row]:
    await plane.sign_in()
    context = yaml.safe_load((plane.folder / "config" / "solward" / "contexts" / "default.yaml").read_text())
    bearer = f"Bearer {context['access_token']}"
    trusted = ssl.create_default_context(cadata=ca_pem)
    server = installation(plane).pki.server
    tls = Tls(ca_pem.encode(), "localhost", server.key_pem, server.chain_pem)
    credentials = grpc.ssl_channel_credentials(ca_pem.encode())
    async with (
        envoy_before(plane.tls_port, contract_of(*CONTRACT), tls) as (envoy_port, envoy_pid),
        aiohttp.ClientSession(
            headers={"Authorization": bearer}, connector=aiohttp.TCPConnector(ssl=trusted)
        ) as session,
        grpc.aio.secure_channel(f"localhost:{plane.tls_port}", credentials) as channel,
    ):
        grpc_call = _grpc_call(channel, (("authorization", bearer),))
        ours, theirs = (_rest_call(session, port) for port in (plane.rest_port, envoy_port))
        kinds = [ours, theirs, grpc_call]
        await _one_by_one(kinds, 50)
        took = await _one_by_one(kinds, 500)
        rest, envoy, plain = (quantile(times, 0.5) * 1000 for times in took)
        assert plane.server
        control = psutil.Process(plane.server.pid)
        before = _busy_s(control)
        paced = await _open_loop(ours, 300, SECONDS)
        own_s = _busy_s(control) - before
        before, proxy = _busy_s(control), psutil.Process(envoy_pid)
        proxy_before = _busy_s(proxy)
        paced_envoy = await _open_loop(theirs, 300, SECONDS)
        beside = (_busy_s(control) - before, _busy_s(proxy) - proxy_before)
        rates = [await _closed_loop(call, SECONDS / 2) for call in kinds]
    p99, envoy_p99 = (quantile(times, 0.99) * 1000 for times in (paced, paced_envoy))
    same_run = "one at a time, in turn, TLS and bearer token; Envoy's transcoder before the same server in the same run"
    return [
        row("rest_over_grpc_median_ratio", rest / plain, "", "<= 2",
            f"500 calls of each: {rest:.2f} ms against {plain:.2f} ms by gRPC and {envoy:.2f} ms by Envoy; {same_run}"),
        row("rest_over_envoy_median_ratio", rest / envoy, "", "<= 2",
            f"{IN_FLIGHT} in flight: {rates[0]:,.0f} a second, by Envoy {rates[1]:,.0f}, by gRPC {rates[2]:,.0f}"),
        row("rest_call_p99_ms", p99, "ms", "<= 15",
            f"300 calls/s for {SECONDS:.0f} s, {own_s / SECONDS:.2f} cores with the control plane; by Envoy "
            f"{envoy_p99:.1f} ms, {beside[0] / SECONDS:.2f} cores and {beside[1] / SECONDS:.2f} its own; {WHAT}"),
    ]  # fmt: skip


def _rest_call(session: aiohttp.ClientSession, port: int) -> Call:
    url = f"https://localhost:{port}/v1/auditEntries?pageSize=1"

    async def call() -> None:
        async with session.get(url) as answer:
            await answer.read()
            if answer.status != 200:
                raise RuntimeError(await answer.text())

    return call


def _busy_s(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


def _grpc_call(channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...] = ()) -> Call:
    invoke = channel.unary_unary(
        METHOD, audit_pb2.ListEntriesRequest.SerializeToString, audit_pb2.ListEntriesResponse.FromString
    )

    async def call() -> None:
        await invoke(REQUEST, metadata=metadata)

    return call


async def _closed_loop(call: Call, seconds: float) -> float:
    """Keep IN_FLIGHT calls under way; give calls a second."""
    end = time.perf_counter() + seconds
    count = 0

    async def worker() -> None:
        nonlocal count
        while time.perf_counter() < end:
            await call()
            count += 1

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return count / (time.perf_counter() - began)


async def _open_loop(call: Call, rate: int, seconds: float) -> list[float]:
    """Begin calls on a fixed schedule; give each one's time from when it was due, in seconds."""
    took: list[float] = []

    async def one(due: float) -> None:
        await call()
        took.append(time.perf_counter() - due)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(due))
    return took


async def _one_by_one(calls: list[Call], count: int) -> list[list[float]]:
    """Make calls of each kind in turn; give the seconds that each took."""
    took: list[list[float]] = [[] for _ in calls]
    for _ in range(count):
        for times, call in zip(took, calls, strict=True):
            began = time.perf_counter()
            await call()
            times.append(time.perf_counter() - began)
    return took
