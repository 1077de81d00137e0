"""The audit log behind real calls: nothing is changed unrecorded, and nothing that is said can forge a record."""

import dataclasses
import json
import sqlite3
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from solward.audit.v1 import audit_pb2
from solward.auth.v1 import auth_pb2
from solward.hosts.v1 import enrollment_pb2, hosts_pb2
from sqlalchemy import text

from common import auditlines
from common.auditverify import verify
from common.errors import SolwardError
from common.pki import certificate_request, new_key
from ctl.commands.audit import _row
from ctl.output import print_data, print_messages
from tests.support.plane import Person, Plane
from tests.support.stream import entries, refused

HOSTS = "solward.hosts.v1.HostsService"
AUTH = "solward.auth.v1.AuthService"
AUDIT = "solward.audit.v1.AuditService"
ENROLLMENT = "solward.hosts.v1.EnrollmentService"
REVOKE = hosts_pb2.RevokeHostRequest(name="hosts/sol-1", reason="maintenance")


async def assert_reads_go_on(plane: Plane, admin: Person) -> None:
    host = await plane.call(f"{HOSTS}/GetHost", hosts_pb2.GetHostRequest(name="hosts/sol-1"), hosts_pb2.Host, admin)
    assert host.state == hosts_pb2.HOST_STATE_ACTIVE
    assert await plane.call(f"{AUTH}/GetCaller", auth_pb2.GetCallerRequest(), auth_pb2.Caller, admin)
    # Reading the log is itself recorded, yet goes on as well.
    asked = audit_pb2.ListEntriesRequest()
    assert (await plane.call(f"{AUDIT}/ListEntries", asked, audit_pb2.ListEntriesResponse, admin)).entries


async def test_case_34_changes_fail_closed_while_the_log_is_down_and_reads_go_on(plane: Plane) -> None:
    admin = await plane.sign_in()
    machine = await plane.add_machine(admin, "sol-1")
    viewer = await plane.sign_in("viewer")
    await plane.app.auditing.log.close()
    changes: list[tuple[str, Any, Any, Any]] = [
        (f"{HOSTS}/RevokeHost", REVOKE, hosts_pb2.Host, admin),
        (f"{HOSTS}/CreateJoinToken", hosts_pb2.CreateJoinTokenRequest(host="hosts/sol-2"), hosts_pb2.JoinToken, admin),
        (f"{AUTH}/Logout", auth_pb2.LogoutRequest(), Empty, admin),
        (f"{AUTH}/RefreshSession", auth_pb2.RefreshSessionRequest(refresh_token=admin.refresh), auth_pb2.Session, None),
        (
            f"{ENROLLMENT}/Renew",
            enrollment_pb2.RenewRequest(csr_pem=certificate_request(new_key())),
            enrollment_pb2.Identity,
            machine,
        ),
        # A refusal that cannot be recorded stays a refusal.
        (f"{HOSTS}/RevokeHost", REVOKE, hosts_pb2.Host, viewer),
    ]
    for method, request, reply, who in changes:
        refusal = await refused(plane.call(method, request, reply, who))
        assert (refusal.code.name, refusal.reason) == ("UNAVAILABLE", "AUDIT_UNAVAILABLE"), method
    assert (await refused(plane.login(await plane.add_person()))).reason == "AUDIT_UNAVAILABLE"
    await assert_reads_go_on(plane, admin)
    shown = await plane.call(f"{HOSTS}/ListHosts", hosts_pb2.ListHostsRequest(), hosts_pb2.ListHostsResponse, admin)
    assert [host.name for host in shown.hosts] == ["hosts/sol-1"]


async def test_case_34_locked_store_refuses_changes_in_time_and_recovers(plane: Plane) -> None:
    admin = await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    plane.app.auditing.log._settings = dataclasses.replace(plane.app.auditing.log._settings, timeout_s=0.3)
    lock = sqlite3.connect(plane.settings.data_dir / "solward.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    refusal = await refused(plane.call(f"{HOSTS}/RevokeHost", REVOKE, hosts_pb2.Host, admin))
    assert refusal.reason == "AUDIT_UNAVAILABLE"
    await assert_reads_go_on(plane, admin)
    lock.execute("ROLLBACK")
    lock.close()
    plane.app.auditing.log._settings = dataclasses.replace(plane.app.auditing.log._settings, timeout_s=5.0)
    host = await plane.call(f"{HOSTS}/RevokeHost", REVOKE, hosts_pb2.Host, admin)
    assert host.state == hosts_pb2.HOST_STATE_REVOKED


async def test_case_34_failing_store_tells_a_caller_nothing_of_other_callers_entries(plane: Plane) -> None:
    admin = await plane.sign_in()
    async with plane.app.records.engine.begin() as connection:
        forbid = "CREATE TRIGGER full BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        await connection.execute(text(forbid))
    refusal = await refused(plane.call(f"{HOSTS}/RevokeHost", REVOKE, hosts_pb2.Host, admin))
    assert refusal.reason == "AUDIT_UNAVAILABLE"
    assert "disk is full" in refusal.message
    for inner in ("INSERT", "parameters", admin.name, "maintenance", "sequence"):
        assert inner not in refusal.message


async def test_case_34_outcome_that_cannot_be_recorded_fails_the_call(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await plane.sign_in()
    append = plane.app.auditing.log.append

    async def failing(fields: Any) -> int:
        if fields["phase"] == "outcome":
            raise SolwardError(grpc.StatusCode.UNAVAILABLE, "AUDIT_UNAVAILABLE", "down")
        return await append(fields)

    monkeypatch.setattr(plane.app.auditing.log, "append", failing)
    assert (await refused(plane.join_token("sol-1", admin))).reason == "AUDIT_UNAVAILABLE"
    assert (await entries(plane, method=f"{HOSTS}/CreateJoinToken"))[0]["phase"] == "decision"


HOSTILE = [
    'ok"}\r\n{"sequence":99,"principal":"root","allowed":true}',
    "\x1b]0;owned\x07\x1b[2J\x1b[1;31m",
    "\x9b2J\x7f\x00",
    "\u202egnp.exe\u2066\u200f",
    "[bold red]x[/] [/] [link=file:///etc/passwd]here[/link] \\[red]y",
    "\u2028\u2029\ufeff\u00ad",
]


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
async def test_case_35_hostile_reasons_stay_inside_their_field(
    plane: Plane, capsys: pytest.CaptureFixture[str], form: Any
) -> None:
    admin = await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    for reason in HOSTILE:
        request = hosts_pb2.RevokeHostRequest(name="hosts/sol-1", reason=reason)
        await plane.call(f"{HOSTS}/RevokeHost", request, hosts_pb2.Host, admin)
        # Refused, and on record with what was asked: a name that is none.
        bad = hosts_pb2.RevokeHostRequest(name=reason)
        assert (await refused(plane.call(f"{HOSTS}/RevokeHost", bad, hosts_pb2.Host, admin))).reason == "INVALID_FIELD"
    assert [
        one["request"]["reason"]
        for one in await entries(plane, method=f"{HOSTS}/RevokeHost", phase="decision", allowed=True)
    ] == HOSTILE
    records = [record async for record in plane.app.auditing.log.export()]
    key = plane.installation.checkpoint_key.public_key()
    assert verify(iter(records), public_key=key, mac_key=plane.installation.audit_key).ok
    lines = [auditlines.encode(record) for record in records]
    assert all(line.isprintable() and line.isascii() for line in lines)
    assert [auditlines.decode(line) for line in lines] == records
    # Nor does ctl pass on what a terminal would obey.
    page = await plane.call(
        f"{AUDIT}/ListEntries", audit_pb2.ListEntriesRequest(page_size=200), audit_pb2.ListEntriesResponse, admin
    )
    capsys.readouterr()
    if form == "table":
        print_messages(page.entries, form, ("SEQ", "TIME", "WHO", "WHAT", "ON", "RESULT", "WHY"), _row)
    else:
        print_data([json.loads(entry.body) for entry in page.entries], form)
    shown = capsys.readouterr().out
    assert "hosts/sol-1" in shown
    assert not set(shown) & set("\x1b\x9b\x07\x7f\x00\r\u202e\u2066\u200f\u2028\u2029\ufeff\u00ad")
    if form == "json":
        assert any(one.get("request", {}).get("reason") == HOSTILE[1] for one in json.loads(shown))


async def test_case_35_huge_and_broken_text_is_refused(plane: Plane) -> None:
    admin = await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    long = hosts_pb2.RevokeHostRequest(name="hosts/sol-1", reason="x" * 501)
    assert (await refused(plane.call(f"{HOSTS}/RevokeHost", long, hosts_pb2.Host, admin))).reason == "INVALID_FIELD"
    # Bytes that are no UTF-8 do not parse as a request at all.
    broken = Raw(b"\x0a\x0bhosts/sol-1\x12\x02\xff\xfe")
    refusal = await refused(plane.call(f"{HOSTS}/RevokeHost", broken, hosts_pb2.Host, admin))  # type: ignore[arg-type]
    assert refusal.code.name == "UNKNOWN"  # gRPC's own answer: nothing of ours has run
    await assert_reads_go_on(plane, admin)


class Raw:
    """Bytes in place of a message."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def SerializeToString(self, deterministic: bool = False) -> bytes:
        return self._content


async def test_case_35_claims_in_metadata_leave_no_mark_on_the_record(plane: Plane) -> None:
    admin = await plane.sign_in()
    claims = (
        ("solward-client-ip", "6.6.6.6"), ("solward-gateway-secret", "guess"), ("x-forwarded-for", "6.6.6.6"),
        ("x-user", "root"), ("user-agent", '","principal":"root'), ("traceparent", "junk"), ("tracestate", "a=b"),
    )  # fmt: skip
    request = hosts_pb2.CreateJoinTokenRequest(host="hosts/sol-1")
    await plane.call(f"{HOSTS}/CreateJoinToken", request, hosts_pb2.JoinToken, admin, claims)
    (decision,) = await entries(plane, method=f"{HOSTS}/CreateJoinToken", phase="decision")
    assert decision["principal"] == admin.name
    assert decision["peer"] in {"127.0.0.1", "::1"}
    assert "6.6.6.6" not in json.dumps(decision)
