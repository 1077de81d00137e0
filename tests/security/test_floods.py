"""Too much of anything: huge messages, long lists, fat metadata, and callers that change their address or door."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from solward.auth.v1 import auth_pb2
from solward.hosts.v1 import hosts_pb2, link_pb2
from solward.metrics.v1 import topics_pb2
from yarl import URL

from common.errors import SolwardError
from common.pki import serial_hex
from controlplane.api.services import SERVICES
from controlplane.guard.budgets import LocalBudgets
from controlplane.guard.context import Call
from controlplane.guard.peers import address_bucket, peer_address
from controlplane.guard.rate import RateLimit
from controlplane.guard.table import read_table
from controlplane.settings import RateLimits
from tests.support.calls import FakeContext
from tests.support.plane import Plane, control_plane
from tests.support.redis import redis
from tests.support.stream import agent_stream, entries, refused

LOGIN = "solward.auth.v1.AuthService/Login"
REVOKE = "solward.hosts.v1.HostsService/RevokeHost"
LIST_HOSTS = "solward.hosts.v1.HostsService/ListHosts"
GET_CALLER = "solward.auth.v1.AuthService/GetCaller"
MEGABYTE = 1 << 20


def rss() -> int:
    return int(psutil.Process().memory_info().rss)


async def test_case_49_message_over_what_a_door_takes_is_refused_with_bounded_memory(plane: Plane) -> None:
    admin = await plane.sign_in()
    huge = hosts_pb2.RevokeHostRequest(name="hosts/sol-1", reason="x" * (5 * MEGABYTE))
    channel = plane.channel()

    async def send(count: int) -> None:
        for who in (None, admin) * (count // 2):
            refusal = await refused(plane.call(REVOKE, huge, hosts_pb2.Host, who, channel=channel))
            assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED

    await send(4)  # the client in this process has its own buffers, which these fill
    before = rss()
    await send(20)
    assert rss() - before < 64 * MEGABYTE


@pytest.mark.parametrize(("door", "most"), [("tls", 64 * 1024), ("mtls", MEGABYTE)])
async def test_case_49_each_door_takes_messages_up_to_its_size_and_not_a_byte_more(
    plane: Plane, door: str, most: int
) -> None:
    machine = await plane.add_machine(await plane.sign_in())
    channel = plane.channel(machine if door == "mtls" else None)
    fitting = hosts_pb2.RevokeHostRequest(reason="x" * (most - 4))
    over = hosts_pb2.RevokeHostRequest(reason="x" * (most - 3))
    # Three bytes tell the length up to 2 MiB, one the field.
    assert (fitting.ByteSize(), over.ByteSize()) == (most, most + 1)
    let_in = await refused(plane.call(REVOKE, fitting, hosts_pb2.Host, channel=channel))
    assert let_in.reason in {"NOT_SIGNED_IN", "WRONG_PRINCIPAL_KIND"}
    kept_out = await refused(plane.call(REVOKE, over, hosts_pb2.Host, channel=channel))
    assert (kept_out.code, kept_out.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "")


@pytest.mark.parametrize("part", ["label value", "label key"])
async def test_case_49_batch_over_what_the_door_takes_ends_the_stream(plane: Plane, part: str) -> None:
    long = "x" * MEGABYTE
    labels = {"a": long} if part == "label value" else {long: "a"}
    batch = link_pb2.SampleBatch(sequence=1, definitions=[link_pb2.SeriesDefinition(id=1, name="x", labels=labels)])
    machine = await plane.add_machine(await plane.sign_in())
    async with agent_stream(plane, machine) as stream:
        await stream.send(samples=batch)
        refusal = await asyncio.wait_for(stream.refusal(), 10)
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("field", "most"),
    [("unit", 255), ("load_state", 64), ("active_state", 64), ("sub_state", 64), ("invocation_id", 64), ("result", 64)],
)
async def test_case_49_unit_report_out_of_bounds_ends_the_stream(plane: Plane, field: str, most: int) -> None:
    machine = await plane.add_machine(await plane.sign_in())

    def state(length: int) -> link_pb2.UnitState:
        return link_pb2.UnitState(**{field: "x" * length})  # type: ignore[arg-type]

    async with agent_stream(plane, machine) as stream:
        await stream.send(unit=link_pb2.UnitReport(state=state(most)))
        await stream.send(samples=link_pb2.SampleBatch(sequence=1, unix_ms=1000))
        assert (await stream.next()).ack.sequence == 1
        await stream.send(unit=link_pb2.UnitReport(state=state(most + 1)))
        refusal = await asyncio.wait_for(stream.refusal(), 10)
    assert (refusal.code.name, refusal.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert refusal.info.metadata["field"] == f"unit.state.{field}"


async def test_case_49_list_of_a_million_elements_ends_the_stream(plane: Plane) -> None:
    machine = await plane.add_machine(await plane.sign_in())
    batch = link_pb2.SampleBatch(sequence=1, unix_ms=1000, series=[1] * 1_000_000)
    before = rss()
    async with agent_stream(plane, machine) as stream:
        await stream.send(samples=batch)
        refusal = await asyncio.wait_for(stream.refusal(), 10)
    assert (refusal.code.name, refusal.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert refusal.info.metadata["field"] == "samples.series"
    assert rss() - before < 128 * MEGABYTE


@pytest.mark.parametrize(
    "batch",
    [
        link_pb2.SampleBatch(
            sequence=1, definitions=[link_pb2.SeriesDefinition(id=n, name="x") for n in range(10_001)]
        ),
        link_pb2.SampleBatch(sequence=1, definitions=[link_pb2.SeriesDefinition(id=100_000, name="x")]),
        link_pb2.SampleBatch(sequence=1, definitions=[link_pb2.SeriesDefinition(id=1, name="x" * 129)]),
        link_pb2.SampleBatch(
            sequence=1,
            definitions=[link_pb2.SeriesDefinition(id=1, name="x", labels={str(n): "" for n in range(17)})],
        ),
        link_pb2.SampleBatch(
            sequence=1, definitions=[link_pb2.SeriesDefinition(id=1, name="x", labels={"a": "x" * 129})]
        ),
        link_pb2.SampleBatch(
            sequence=1, definitions=[link_pb2.SeriesDefinition(id=1, name="x", labels={"x" * 129: "a"})]
        ),
    ],
    ids=["definitions", "id", "name", "labels", "label value", "label key"],
)
async def test_case_49_batch_out_of_bounds_ends_the_stream(plane: Plane, batch: link_pb2.SampleBatch) -> None:
    machine = await plane.add_machine(await plane.sign_in())
    async with agent_stream(plane, machine) as stream:
        await stream.send(samples=batch)
        refusal = await asyncio.wait_for(stream.refusal(), 10)
    assert (refusal.code.name, refusal.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")


async def test_case_49_metadata_over_sixteen_kilobytes_is_refused(plane: Plane) -> None:
    admin = await plane.sign_in()
    fat = (("x-fat", "x" * 65_536),)
    request = auth_pb2.GetCallerRequest()
    refusal = await refused(plane.call(GET_CALLER, request, auth_pb2.Caller, admin, fat))
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    slim = (("x-slim", "x" * 8_000),)
    assert (await plane.call(GET_CALLER, request, auth_pb2.Caller, admin, slim)).username == admin.name


async def test_case_58_garbage_on_the_stream_is_answered_and_never_left_hanging(plane: Plane) -> None:
    """A receipt whose signature holds over bytes that are no receipt."""
    machine = await plane.add_machine(await plane.sign_in())
    body = b"\xff\xff\xff\xff"
    signature = machine.key.sign(b"solward-receipt-v1\0" + body, ec.ECDSA(hashes.SHA256()))
    serial = serial_hex(x509.load_pem_x509_certificate(machine.certificate_pem.encode()))
    async with agent_stream(plane, machine) as stream:
        await stream.send(receipt=link_pb2.SignedReceipt(receipt=body, signature=signature, certificate_serial=serial))
        # Either way is right, as long as the stream goes on or ends: it must not stop being read.
        await stream.send(samples=link_pb2.SampleBatch(sequence=1, unix_ms=1000))
        try:
            assert (await asyncio.wait_for(stream.next(), 5)).HasField("ack")
        except Exception as error:
            assert getattr(error, "reason", "") in {"INTERNAL", "INVALID_FIELD"}, error


def call_from(peer: str, method: str = LOGIN) -> Call:
    return Call(rule=read_table(SERVICES)[method], context=FakeContext(), request=None, peer=peer, metadata={})  # type: ignore[arg-type]


async def hits(limit: RateLimit, *peers: str) -> list[bool]:
    """Say which of these calls were let through."""
    let = []
    for peer in peers:
        try:
            await limit.enter(call_from(peer))
        except SolwardError as error:
            assert (error.code.name, error.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
            assert error.retry_after_s is not None
            let.append(False)
        else:
            let.append(True)
    return let


async def test_case_53_ipv6_network_of_one_customer_is_one_bucket() -> None:
    limit = RateLimit(RateLimits(credential="3/minute"), LocalBudgets())
    rotating = [f"2001:db8:1:2::{number:x}" for number in range(1, 6)] + ["2001:db8:1:2:ffff:ffff:ffff:ffff"]
    assert await hits(limit, *rotating) == [True, True, True, False, False, False]
    assert await hits(limit, "2001:db8:1:3::1") == [True]


async def test_case_53_ipv4_in_ipv6_clothes_is_the_same_caller() -> None:
    limit = RateLimit(RateLimits(credential="2/minute"), LocalBudgets())
    assert await hits(limit, "192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201", "192.0.2.2") == [
        True,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("peer", "bucket"),
    [
        ("ipv4:192.0.2.1:55555", "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:55555", "2001:db8::/64"),
        ("ipv6:[2001:db8::1]:55555", "2001:db8::/64"),
        ("ipv6:%5B::ffff:192.0.2.1%5D:55555", "192.0.2.1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:55555", "fe80::/64"),
        ("unix:/run/x.sock", "local"),
        ("", "local"),
    ],
)
def test_case_53_every_spelling_of_a_peer_has_its_bucket(peer: str, bucket: str) -> None:
    assert address_bucket(peer_address(peer)) == bucket


async def rest_login(plane: Plane, session: aiohttp.ClientSession) -> int:
    body = {"username": "nobody", "password": "x", "totpCode": "000000"}
    async with session.post(f"https://localhost:{plane.app.gateway_port}/auth/login", json=body) as answer:
        return answer.status


def https(plane: Plane) -> aiohttp.ClientSession:
    context = ssl.create_default_context(cadata=plane.installation.ca.pem)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))


async def test_case_53_rest_and_grpc_draw_from_one_budget(tmp_path: Path) -> None:
    limits = {"credential": "4/minute", "read": "1000/second"}
    async with control_plane(tmp_path, rate_limits=limits) as plane, https(plane) as session:
        request = auth_pb2.LoginRequest(username="nobody", password="x", totp_code="000000")
        reasons = [(await refused(plane.call(LOGIN, request, auth_pb2.Session))).reason for _ in range(2)]
        statuses = [await rest_login(plane, session) for _ in range(3)]
        after = (await refused(plane.call(LOGIN, request, auth_pb2.Session))).reason
        assert (reasons, statuses, after) == (["LOGIN_REFUSED"] * 2, [401, 401, 429], "RATE_LIMITED")
        # A flood is counted, not written down.
        assert await entries(plane, reason="RATE_LIMITED") == []


async def test_case_52_forwarded_address_is_nobodys_word(tmp_path: Path) -> None:
    async with control_plane(tmp_path, rate_limits={"credential": "2/minute"}) as plane, https(plane) as session:
        url = f"https://localhost:{plane.app.gateway_port}/auth/login"
        body = {"username": "nobody", "password": "x", "totpCode": "000000"}
        statuses = []
        for number in range(4):
            spoofed = {
                "X-Forwarded-For": f"10.0.0.{number}",
                "solward-client-ip": f"10.0.0.{number}",
                "Forwarded": "for=1.2.3.4",
            }
            async with session.post(url, json=body, headers=spoofed) as answer:
                statuses.append(answer.status)
        assert statuses == [401, 401, 429, 429]


async def caller_from(plane: Plane, session: aiohttp.ClientSession, chain: str, token: str = "guess") -> int:
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": chain}
    async with session.get(f"https://localhost:{plane.app.gateway_port}/auth/caller", headers=headers) as answer:
        return answer.status


async def test_case_52_trusted_proxy_tells_the_last_address_that_is_not_its_own(tmp_path: Path) -> None:
    limits = {"credential": "2/minute"}
    trusted = ["127.0.0.0/8", "::1/128", "10.0.0.0/8"]
    async with (
        control_plane(tmp_path, rate_limits=limits, trusted_proxies=trusted) as plane,
        https(plane) as session,
    ):
        # What the client itself wrote stands to the left, and changes nothing.
        for spoofed in ("6.6.6.1", "6.6.6.2", "10.9.9.9", "junk"):
            await caller_from(plane, session, f"{spoofed}, 203.0.113.7, 10.0.0.1")
        found = await entries(plane, method=GET_CALLER)
        assert {(entry["peer"], entry["reason"]) for entry in found} == {("203.0.113.7", "TOKEN_INVALID")}
        assert {entry["raw_peer"] for entry in found} <= {"127.0.0.1", "::1"}
        assert len(found) == 2
        assert await caller_from(plane, session, "203.0.113.8") == 401


async def test_case_52_networks_are_judged_behind_the_proxy_and_at_every_door(tmp_path: Path) -> None:
    settings = {"trusted_proxies": ["127.0.0.0/8", "::1/128"], "deny_networks": ["203.0.113.0/24"]}
    async with control_plane(tmp_path, **settings) as plane, https(plane) as session:
        assert await caller_from(plane, session, "203.0.113.7") == 403
        assert await caller_from(plane, session, "198.51.100.1, 203.0.113.7") == 403
        assert await caller_from(plane, session, "198.51.100.1") == 401
        url = f"https://localhost:{plane.app.gateway_port}/openapi.json"
        async with session.get(url, headers={"X-Forwarded-For": "203.0.113.7"}) as answer:
            assert (answer.status, (await answer.json())["details"][0]["reason"]) == (403, "NETWORK_REFUSED")


@pytest.mark.parametrize("lists", [{"deny_networks": ["127.0.0.0/8"]}, {"allow_networks": ["203.0.113.0/24"]}])
async def test_case_52_network_that_is_not_let_in_is_not_at_either_grpc_door(
    tmp_path: Path, lists: dict[str, list[str]]
) -> None:
    async with control_plane(tmp_path, **lists) as plane:
        person = await plane.add_person()
        certified = await plane.certify_user(person)
        # Who has no secret of the gateway speaks for no other address.
        forged = (("solward-client-ip", "203.0.113.7"), ("solward-gateway-secret", "guess"))
        for who in (person, certified):
            call = plane.call(GET_CALLER, auth_pb2.GetCallerRequest(), auth_pb2.Caller, who, forged)
            assert (await refused(call)).reason == "NETWORK_REFUSED"
        found = await entries(plane, method=GET_CALLER)
        assert [(entry["reason"], entry["peer"]) for entry in found] == [("NETWORK_REFUSED", "127.0.0.1")] * 2


async def test_case_53_every_name_of_a_method_is_one_budget(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"credential": "1000/second", "methods": {LIST_HOSTS: "3/minute"}}
    async with control_plane(tmp_path, rate_limits=limits) as plane, https(plane) as session:
        admin = await plane.sign_in()
        headers = {"Authorization": f"Bearer {admin.token}"}
        base = f"https://localhost:{plane.app.gateway_port}"
        found = []
        for path in ("/v1/hosts", "/v1/hosts?pageSize=1", "/v1/%68osts", "/v1/hosts"):
            async with session.get(URL(base + path, encoded=True), headers=headers) as answer:
                told = [answer.headers[f"RateLimit-{name}"] for name in ("Limit", "Remaining")]
                found.append((answer.status, *told))
                assert 0 < int(answer.headers["RateLimit-Reset"]) <= 60
                assert ("Retry-After" in answer.headers) == (answer.status == 429)
        assert found == [(200, "3", "2"), (200, "3", "1"), (200, "3", "0"), (429, "3", "0")]
        request = hosts_pb2.ListHostsRequest()
        assert (
            await refused(plane.call(LIST_HOSTS, request, hosts_pb2.ListHostsResponse, admin))
        ).reason == "RATE_LIMITED"
        # There is no second spelling.
        async with session.get(f"{base}/V1/HOSTS", headers=headers) as answer:
            assert answer.status == 404
        other = await refused(plane.call(LIST_HOSTS.lower(), request, hosts_pb2.ListHostsResponse, admin))
        assert other.code is grpc.StatusCode.UNIMPLEMENTED


async def connect(
    plane: Plane, session: aiohttp.ClientSession, rpc: str, token: str, **options: Any
) -> tuple[int, str]:
    """Call an RPC by Connect, with `{}`; gives the status, and how many calls are left."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"} | options.pop("headers", {})
    method, data = options.pop("method", "POST"), options.pop("data", b"{}")
    url = f"https://localhost:{plane.app.gateway_port}/{rpc}{options.pop('query', '')}"
    async with session.request(method, url, headers=headers, data=data if method == "POST" else None) as answer:
        left = "Trailer-RateLimit-Remaining" if answer.status == 200 else "RateLimit-Remaining"
        return answer.status, answer.headers.get(left, "")


async def test_case_53_connect_in_all_its_ways_draws_from_the_budget_of_rest_and_grpc(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"credential": "1000/second", "methods": {LIST_HOSTS: "5/minute"}}
    async with control_plane(tmp_path, rate_limits=limits) as plane, https(plane) as session:
        admin = await plane.sign_in()
        await plane.call(LIST_HOSTS, hosts_pb2.ListHostsRequest(), hosts_pb2.ListHostsResponse, admin)
        proto = {"headers": {"Content-Type": "application/proto"}, "data": b""}
        query = {"method": "GET", "query": "?connect=v1&encoding=json&message=%7B%7D"}
        ways: list[dict[str, Any]] = [{}, proto, query]
        found = [await connect(plane, session, LIST_HOSTS, admin.token, **way) for way in ways]
        assert found == [(200, "3"), (200, "2"), (200, "1")]
        headers = {"Authorization": f"Bearer {admin.token}"}
        async with session.get(f"https://localhost:{plane.app.gateway_port}/v1/hosts", headers=headers) as answer:
            assert (answer.status, answer.headers["RateLimit-Remaining"]) == (200, "0")
        found = [await connect(plane, session, LIST_HOSTS, admin.token, **way) for way in ways]
        assert found == [(429, "0")] * 3
        request = hosts_pb2.ListHostsRequest()
        over = await refused(plane.call(LIST_HOSTS, request, hosts_pb2.ListHostsResponse, admin))
        assert over.reason == "RATE_LIMITED"
        # No other spelling finds it.
        for other in (LIST_HOSTS.lower(), LIST_HOSTS.upper(), LIST_HOSTS.replace("/L", "/%4c"), f"{LIST_HOSTS}/"):
            assert (await connect(plane, session, other, admin.token))[0] in (404, 429)


async def test_case_53_streams_draw_from_one_budget_as_lines_as_events_and_by_grpc(tmp_path: Path) -> None:
    watch = "solward.metrics.v1.MetricsService/WatchTopics"
    limits: dict[str, Any] = {"credential": "1000/second", "methods": {watch: "3/minute"}}
    async with control_plane(tmp_path, rate_limits=limits) as plane, https(plane) as session:
        person = await plane.sign_in("viewer")
        url = f"https://localhost:{plane.app.gateway_port}/v1/topics:watch?topics=fleet"

        async def by_rest(accept: str) -> int:
            headers = {"Authorization": f"Bearer {person.token}", "Accept": accept}
            async with session.get(url, headers=headers) as answer:
                return answer.status

        async def by_grpc() -> str:
            call = plane.channel().unary_stream(
                f"/{watch}", topics_pb2.WatchTopicsRequest.SerializeToString, topics_pb2.WatchTopicsResponse.FromString
            )(topics_pb2.WatchTopicsRequest(topics=["fleet"]), metadata=(("authorization", f"Bearer {person.token}"),))
            try:
                return str((await call.read()).topic)
            except grpc.aio.AioRpcError as error:
                return error.code().name
            finally:
                call.cancel()

        assert (await by_rest("application/json"), await by_rest("text/event-stream")) == (200, 200)
        assert await by_grpc() == "fleet"
        assert (await by_rest("application/json"), await by_rest("text/event-stream")) == (429, 429)
        assert await by_grpc() == "RESOURCE_EXHAUSTED"


async def test_case_52_forwarded_address_is_nobodys_word_by_connect_events_and_sockets(tmp_path: Path) -> None:
    async with control_plane(tmp_path, rate_limits={"credential": "4/minute"}) as plane, https(plane) as session:
        base = f"https://localhost:{plane.app.gateway_port}"
        ticket = f"ticket=solward_ticket_{'x' * 43}"
        doors = [
            f"/{GET_CALLER}",
            "/api/rpc/events?topics=fleet",
            "/api/rpc/ws",
            f"/api/rpc/events?topics=fleet&{ticket}",
        ]
        statuses = []
        for number, path in enumerate(doors * 2):
            spoofed = {"X-Forwarded-For": f"10.0.0.{number}", "X-Real-IP": f"10.0.0.{number}"}
            if "ticket" not in path:
                spoofed["Authorization"] = "Bearer guess"
            if path.endswith("ws"):
                spoofed |= {
                    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                }  # fmt: skip
            method = "POST" if path == doors[0] else "GET"
            async with session.request(
                method, base + path, headers=spoofed, json={} if method == "POST" else None
            ) as one:
                statuses.append(one.status)
        assert statuses == [401] * 4 + [429] * 4
        found = await entries(plane, reason="TOKEN_INVALID") + await entries(plane, reason="TICKET_REFUSED")
        assert {entry["peer"] for entry in found} <= {"127.0.0.1", "::1"}
        assert len(found) == 4


async def test_case_53_two_control_planes_on_one_redis_share_budgets(tmp_path: Path) -> None:
    limits = {"credential": "4/minute"}
    with redis() as server:
        for folder, statuses in (("one", [401, 401, 401]), ("other", [401, 429])):
            settings = {"redis_url": server.url, "rate_limits": limits}
            async with control_plane(tmp_path / folder, **settings) as plane, https(plane) as session:
                assert [await rest_login(plane, session) for _ in statuses] == statuses


async def test_case_53_bad_credentials_draw_from_the_address_budget(tmp_path: Path) -> None:
    """Otherwise guessing tokens would be free, and each guess a line in the audit log."""
    async with control_plane(tmp_path, rate_limits={"credential": "5/minute", "read": "1000/second"}) as plane:
        channel = plane.channel()
        reasons = []
        for number in range(8):
            metadata = (("authorization", f"Bearer guess{number}"),)
            call = plane.call(GET_CALLER, auth_pb2.GetCallerRequest(), auth_pb2.Caller, None, metadata, channel)
            reasons.append((await refused(call)).reason)
        assert reasons == ["TOKEN_INVALID"] * 5 + ["RATE_LIMITED"] * 3
        assert len(await entries(plane, method=GET_CALLER)) == 5


async def test_case_53_one_callers_flood_is_not_anothers(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"read": "3/minute", "credential": "1000/second"}
    async with control_plane(tmp_path, rate_limits=limits) as plane:
        first, second = await plane.sign_in(), await plane.sign_in()
        request = auth_pb2.GetCallerRequest()
        for _ in range(3):
            await plane.call(GET_CALLER, request, auth_pb2.Caller, first)
        assert (await refused(plane.call(GET_CALLER, request, auth_pb2.Caller, first))).reason == "RATE_LIMITED"
        assert (await plane.call(GET_CALLER, request, auth_pb2.Caller, second)).username == second.name
