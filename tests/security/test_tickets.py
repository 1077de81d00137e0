"""Tickets: one opens one socket or one stream of events, once, soon, and for no more than its caller may watch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import jwt
import pytest
from google.protobuf.empty_pb2 import Empty
from solward.alerts.v1 import alerts_pb2
from solward.auth.v1 import auth_pb2
from solward.hosts.v1 import hosts_pb2
from solward.metrics.v1 import metrics_pb2
from solward.metrics.v1 import topics_pb2 as pb

from controlplane.api.topics import PERMISSIONS
from controlplane.gateway import live_access
from controlplane.guard.roles import LIVE
from controlplane.identity.sessions import TICKET_MS
from controlplane.store.tables import users
from tests.support.access import grant
from tests.support.browser import Browser, reason
from tests.support.live import PATH, viewer
from tests.support.plane import Person, Plane, Refused, control_plane
from tests.support.stream import entries, refused, shift

METRICS = "solward.metrics.v1.MetricsService"
CREATE, CHECK = f"{METRICS}/CreateTicket", f"{METRICS}/CheckTopics"
EVENTS = "/api/rpc/events?topics=fleet"
SESSIONS = "controlplane.identity.sessions"


async def ticket(plane: Plane, who: Person) -> str:
    return str((await plane.call(CREATE, pb.CreateTicketRequest(), pb.Ticket, who)).ticket)


async def spend(plane: Plane, one: str, path: str = EVENTS, **headers: str) -> tuple[int, str]:
    """Open events with a ticket; gives the status, and why it was refused."""
    async with Browser(plane) as browser:
        browser.origin = ""
        response = await browser.send("GET", f"{path}&ticket={one}", **headers)
        return await reason(response)


@asynccontextmanager
async def listening(plane: Plane, one: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """Listen to events by a ticket."""
    async with Browser(plane) as browser:
        url = f"{browser.base}{EVENTS}&ticket={one}"
        async with browser._session.get(url) as response:
            assert response.status == 200, await response.text()
            yield response


async def end_of(response: aiohttp.ClientResponse, within_s: float = 10) -> str:
    """Read events to their end; gives the last line."""
    async with asyncio.timeout(within_s):
        return (await response.content.read()).decode().strip().splitlines()[-1]


async def test_a_ticket_opens_one_socket_or_one_stream_once(plane: Plane) -> None:
    person = await plane.sign_in("viewer")
    first, second = await ticket(plane, person), await ticket(plane, person)
    assert first != second
    async with viewer(plane, path=f"{PATH}?ticket={first}") as one, listening(plane, second) as events:
        await one.say(subscribe=["fleet", "alerts"])
        assert (await one.next("subscribed"))["subscribed"] == ["alerts", "fleet"]
        assert (await one.next("topic"))["topic"] in ("alerts", "fleet")
        assert b'"topic":"fleet"' in await events.content.readline()
        for used in (first, second):
            assert await spend(plane, used) == (401, "TICKET_REFUSED")
            with pytest.raises(aiohttp.WSServerHandshakeError) as again:
                async with viewer(plane, path=f"{PATH}?ticket={used}"):
                    pass
            assert again.value.status == 401


async def test_two_who_spend_a_ticket_at_once_are_one_who_is_let_in(plane: Plane) -> None:
    one = await ticket(plane, await plane.sign_in("viewer"))

    async def knock() -> int:
        try:
            async with viewer(plane, path=f"{PATH}?ticket={one}"):
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status

    assert sorted(await asyncio.gather(*(knock() for _ in range(8)))) == [101] + [401] * 7


async def test_a_ticket_that_is_late_unknown_or_no_ticket_opens_nothing(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await plane.sign_in("viewer")
    made = await plane.call(CREATE, pb.CreateTicketRequest(), pb.Ticket, person)
    claims = jwt.decode(person.token, options={"verify_signature": False})
    assert claims["iat"] * 1000 < made.expire_time.ToMilliseconds() <= claims["iat"] * 1000 + TICKET_MS + 5000
    assert await spend(plane, "solward_ticket_" + "x" * 43) == (401, "TICKET_REFUSED")
    for wrong in ("x", "", "x" * 101, f"{made.ticket}%0a", person.token, f"{made.ticket}&ticket={made.ticket}"):
        assert await spend(plane, wrong) == (400, "REQUEST_MALFORMED")
    # What was proved for one call is no ticket.
    proof = await plane.prove(person, "0" * 64)
    assert await spend(plane, proof) == (401, "TICKET_REFUSED")
    shift(monkeypatch, SESSIONS, TICKET_MS)
    assert await spend(plane, made.ticket) == (401, "TICKET_REFUSED")
    found = await entries(plane, method=CHECK)
    assert {(entry["reason"], entry["kind"]) for entry in found} == {("TICKET_REFUSED", "anonymous")}


async def test_after_sign_out_and_of_a_disabled_user_a_ticket_opens_nothing(plane: Plane) -> None:
    leaver, disabled, demoted = [await plane.sign_in("viewer") for _ in range(3)]
    tickets = [await ticket(plane, who) for who in (leaver, disabled, demoted)]
    await plane.call("solward.auth.v1.AuthService/Logout", auth_pb2.LogoutRequest(), Empty, leaver)
    async with plane.app.records.engine.begin() as connection:
        await connection.execute(users.update().where(users.c.uid == disabled.uid).values(disabled=True))
        await connection.execute(users.update().where(users.c.uid == demoted.uid).values(role="none"))
    answers = [await spend(plane, one) for one in tickets]
    assert answers == [(401, "SESSION_OVER"), (401, "SESSION_OVER"), (403, "PERMISSION_MISSING")]


async def test_what_a_ticket_opened_ends_with_its_session_and_with_the_access_token(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_access, "GOOD_S", 2.0)
    leaver, stayer = await plane.sign_in("viewer"), await plane.sign_in("viewer")
    opened = [await ticket(plane, who) for who in (leaver, leaver, stayer)]
    async with (
        viewer(plane, path=f"{PATH}?ticket={opened[0]}") as one, listening(plane, opened[1]) as events,
        viewer(plane, path=f"{PATH}?ticket={opened[2]}") as other,
    ):  # fmt: skip
        for each in (one, other):
            await each.say(subscribe=["fleet"])
            await each.next("topic")
        await plane.call("solward.auth.v1.AuthService/Logout", auth_pb2.LogoutRequest(), Empty, leaver)
        assert await one.close_code(10) == 4401
        assert '"code":4401' in await end_of(events)
        await other.next("topic", within_s=5)
        # A session goes on, and the access token that asked for the ticket does not: nor does what it opened.
        shift(monkeypatch, "controlplane.identity.principals", plane.settings.access_token_seconds * 1000)
        assert await other.close_code(10) == 4401


async def test_a_ticket_opens_what_its_caller_may_watch_and_nothing_else(tmp_path: Path) -> None:
    async with control_plane(tmp_path, require_second_factor=False) as plane:
        admin, carol = await plane.sign_in(), await plane.sign_in("none")
        assert (await refused(plane.call(CREATE, pb.CreateTicketRequest(), pb.Ticket, carol))).reason == (
            "PERMISSION_MISSING"
        )
        for name in ("sol-1", "sol-2"):
            await plane.add_machine(admin, name)
        await grant(plane, admin, carol.name, "viewer", "hosts/sol-1")
        async with viewer(plane, path=f"{PATH}?ticket={await ticket(plane, carol)}") as part:
            await part.say(subscribe=["hosts/sol-1/rpc", "hosts/sol-2/rpc"])
            assert await part.reason() == "PERMISSION_MISSING"
            assert (await part.next("subscribed"))["subscribed"] == ["hosts/sol-1/rpc"]
        # What the gateway goes on with is good for live topics and nothing else, even an administrator's.
        sessions = plane.app.identities.sessions
        admin.token = await sessions.spend_ticket(await ticket(plane, admin))
        assert (await plane.call(CHECK, pb.CheckTopicsRequest(topics=["fleet"]), pb.CheckTopicsResponse, admin)).view
        for method, request in (
            ("solward.hosts.v1.HostsService/ListHosts", hosts_pb2.ListHostsRequest()),
            ("solward.hosts.v1.HostsService/RevokeHost", hosts_pb2.RevokeHostRequest(name="hosts/sol-1", reason="x")),
            ("solward.auth.v1.AuthService/GetCaller", auth_pb2.GetCallerRequest()),
            # Not even what topics tell of: these have other windows and other hosts.
            (f"{METRICS}/QueryRange", metrics_pb2.QueryRangeRequest()),
            ("solward.alerts.v1.AlertsService/ListAlerts", alerts_pb2.ListAlertsRequest()),
        ):
            assert (await refused(plane.call(method, request, Empty, admin))).reason == "TOKEN_FOR_TOPICS"


def test_a_ticket_stands_for_all_that_topics_tell_of() -> None:
    assert {"metrics.read", *PERMISSIONS.values()} == LIVE


async def test_tickets_of_one_access_token_are_one_credential_to_the_gateway(plane: Plane) -> None:
    person, sessions = await plane.sign_in("viewer"), plane.app.identities.sessions
    one, other = [await sessions.spend_ticket(await ticket(plane, person)) for _ in range(2)]
    assert one == other != person.token
    person.token = (await plane.login(person)).access_token
    assert await sessions.spend_ticket(await ticket(plane, person)) != one


async def test_a_ticket_is_passed_on_by_the_gateway_alone(plane: Plane) -> None:
    person = await plane.sign_in("viewer")
    one = await ticket(plane, person)
    call = plane.call(CHECK, pb.CheckTopicsRequest(), pb.CheckTopicsResponse, None, (("solward-ticket", one),))
    assert (await refused(call)).reason == "NOT_SIGNED_IN"
    async with Browser(plane) as browser:
        for path in ("/v1/topics:check", f"/{CHECK}?encoding=json&message=%7B%7D"):
            response = await browser.send("GET", path, Solward_Ticket=one, solward_gateway_secret="x")
            assert response.status == 401
        for bearer in (f"Bearer {one}", f"Ticket {one}"):
            assert (await browser.send("GET", "/v1/topics:check", Authorization=bearer)).status == 401
    certified = await plane.certify_user(await plane.add_person("viewer"))
    with pytest.raises(Refused, match="FAILED_PRECONDITION SESSION_WANTED"):
        await plane.call(CREATE, pb.CreateTicketRequest(), pb.Ticket, certified)
    # Nobody has spent it so far.
    async with listening(plane, one):
        pass


async def test_case_25_a_ticket_is_made_and_spent_by_our_own_pages(plane: Plane) -> None:
    person = await plane.add_person("viewer")
    async with Browser(plane) as browser:
        await browser.sign_in(person)
        csrf, browser.csrf = browser.csrf, ""
        assert await reason(await browser.send("POST", "/api/rpc/tickets", {})) == (403, "CSRF_REFUSED")
        assert (await browser.send("GET", f"/{CREATE}?encoding=json&message=%7B%7D")).status == 405
        browser.csrf = csrf
        made = await (await browser.send("POST", "/api/rpc/tickets", {})).json()
        by_connect = await (await browser.send("POST", f"/{CREATE}", {})).json()
        assert made.keys() == by_connect.keys() == {"ticket", "expireTime"}
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    one = made["ticket"]
    assert await spend(plane, one, Cookie=cookie, Origin=browser.base) == (400, "TWO_CREDENTIALS")
    assert await spend(plane, one, Authorization="Bearer x") == (400, "TWO_CREDENTIALS")
    assert await spend(plane, one, Origin="https://evil.example") == (403, "ORIGIN_REFUSED")
    assert await spend(plane, one, Sec_Fetch_Site="cross-site") == (403, "ORIGIN_REFUSED")
    # None of them has spent it.
    async with viewer(plane, path=f"{PATH}?ticket={one}", headers={"Origin": browser.base}):
        pass


async def test_tickets_draw_from_the_budget_of_streams(tmp_path: Path) -> None:
    limits = {"credential": "1000/second", "read": "1000/second", "stream": "3/minute"}
    async with control_plane(tmp_path, rate_limits=limits) as plane:
        person = await plane.sign_in("viewer")
        for _ in range(3):
            await ticket(plane, person)
        with pytest.raises(Refused, match="RATE_LIMITED"):
            await ticket(plane, person)


async def test_guessing_tickets_is_as_dear_as_guessing_passwords(tmp_path: Path) -> None:
    async with control_plane(tmp_path, rate_limits={"credential": "5/minute", "read": "1000/second"}) as plane:
        answers = [await spend(plane, f"solward_ticket_{number:043}") for number in range(7)]
        assert answers == [(401, "TICKET_REFUSED")] * 5 + [(429, "RATE_LIMITED")] * 2
        assert len(await entries(plane, method=CHECK)) == 5
