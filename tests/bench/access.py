"""Access: sign-ins, renewals and authorized calls at a steady rate, with sessions in a real Redis."""

import asyncio
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import grpc
import grpc.aio
import pyotp
from solward.auth.v1 import auth_pb2
from solward.metrics.v1 import metrics_pb2
from sqlalchemy import insert

from common.clock import now_ms
from controlplane.identity.secrets import hash_password, seal
from controlplane.store.database import close_engine, open_engine
from controlplane.store.tables import users
from tests.bench.rows import Row, quantile, row
from tests.bench.setup import HIGH_LIMITS, installation, settings
from tests.support.cluster import Cluster, cluster
from tests.support.redis import redis

RATE = 200
SECONDS = 5.0
# A sign-in costs a password hash, and a code is good once: few people, each once.
PEOPLE, CALLS = 100, int(RATE * SECONDS)
PASSWORD = "a password for the benchmark"
AUTH = "/solward.auth.v1.AuthService"


async def run() -> list[Row]:
    """Measure against a control plane in a process of its own, on a Redis of its own."""
    with redis() as server, tempfile.TemporaryDirectory() as folder:
        limits = HIGH_LIMITS
        async with cluster(Path(folder), rate_limits=limits, redis_url=server.url, log_level="warning") as plane:
            people = await _add_people(plane)
            credentials = grpc.ssl_channel_credentials(installation(plane).ca.pem.encode())
            async with grpc.aio.secure_channel(f"localhost:{plane.tls_port}", credentials) as channel:
                return await _measure(channel, people)


async def _measure(channel: grpc.aio.Channel, people: list[tuple[str, pyotp.TOTP]]) -> list[Row]:
    login = channel.unary_unary(f"{AUTH}/Login", auth_pb2.LoginRequest.SerializeToString, auth_pb2.Session.FromString)
    refresh = channel.unary_unary(
        f"{AUTH}/RefreshSession", auth_pb2.RefreshSessionRequest.SerializeToString, auth_pb2.Session.FromString
    )
    # A call whose own work is nothing, so that what is measured is whether it may be made.
    look = channel.unary_unary(
        "/solward.metrics.v1.MetricsService/ListConnections",
        metrics_pb2.ListConnectionsRequest.SerializeToString,
        metrics_pb2.ListConnectionsResponse.FromString,
    )
    sessions: list[auth_pb2.Session] = []
    resting: asyncio.Queue[auth_pb2.Session] = asyncio.Queue()

    async def sign_in(number: int) -> None:
        name, totp = people[number]
        request = auth_pb2.LoginRequest(username=name, password=PASSWORD, totp_code=totp.now())
        sessions.append(await login(request))

    async def renew(_number: int) -> None:
        # A refresh token is good once: a session renews again when the reply with the next one is here.
        mine = await resting.get()
        resting.put_nowait(await refresh(auth_pb2.RefreshSessionRequest(refresh_token=mine.refresh_token)))

    async def authorize(number: int) -> None:
        bearer = f"Bearer {sessions[number % len(sessions)].access_token}"
        await look(metrics_pb2.ListConnectionsRequest(), metadata=(("authorization", bearer),))

    began = time.perf_counter()
    await _all_at_once(sign_in, PEOPLE)
    rate = PEOPLE / (time.perf_counter() - began)
    calls = await _paced(authorize, CALLS)
    for session in sessions:
        resting.put_nowait(session)
    renewals = await _paced(renew, CALLS)
    return [
        row("login_per_s", rate, "1/s", f">= {RATE}", f"{PEOPLE} people, 16 in flight; argon2id (64 MiB, 3 passes), a "
            "code, a session in Redis and two durable audit entries each; server and clients on the same two cores"),
        row("refresh_p99_ms", quantile(renewals, 0.99) * 1000, "ms", "<= 50", f"{RATE}/s for {SECONDS:.0f} s, each "
            "session in its turn, in Redis"),
        row("authorize_p99_ms", quantile(calls, 0.99) * 1000, "ms", "<= 50", f"{RATE} calls/s for {SECONDS:.0f} s, "
            "the sessions in their turn"),
    ]  # fmt: skip


async def _add_people(plane: Cluster) -> list[tuple[str, pyotp.TOTP]]:
    seed_key, password = installation(plane).seed_key, await hash_password(PASSWORD)
    people, rows = [], []
    for number in range(PEOPLE):
        uid, name, seed = uuid.uuid4().hex, f"person-{number}", pyotp.random_base32()
        people.append((name, pyotp.TOTP(seed)))
        rows.append({"uid": uid, "name": name, "password_hash": password, "totp_seed": seal(seed_key, uid, seed),
                     "role": "viewer", "created_ms": now_ms()})  # fmt: skip
    engine = open_engine(settings(plane).database())
    try:
        async with engine.begin() as connection:
            await connection.execute(insert(users), rows)
    finally:
        await close_engine(engine)
    return people


async def _all_at_once(act: Callable[[int], Awaitable[None]], count: int) -> None:
    left = iter(range(count))

    async def worker() -> None:
        for number in left:
            await act(number)

    await asyncio.gather(*(worker() for _ in range(16)))


async def _paced(act: Callable[[int], Awaitable[None]], count: int) -> Sequence[float]:
    """Begin acts at RATE a second; give each one's time from when it was due, in seconds."""
    took: list[float] = []

    # A channel takes a hundred calls at once; what waits for its turn is counted from when it was due.
    turns = asyncio.Semaphore(64)

    async def one(number: int, due: float) -> None:
        async with turns:
            await act(number)
        took.append(time.perf_counter() - due)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            due = began + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(number, due))
    return took
