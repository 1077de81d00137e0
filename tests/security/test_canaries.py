"""Secrets in every field that can hold one: none is found in the audit log, the logs, the errors or the traces."""

import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pyotp
import pytest
import structlog
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from prometheus_client import REGISTRY
from prometheus_client.exposition import generate_latest
from solward.auth.v1 import access_pb2, auth_pb2
from solward.hosts.v1 import enrollment_pb2
from solward.metrics.v1 import topics_pb2
from solward.operations.v1 import operations_pb2
from solward.validator.v1 import validator_pb2
from sqlalchemy import text

from common import logs
from common.digest import call_digest
from common.pki import certificate_request, new_key
from common.policy import field_rules
from controlplane.api.services import SERVICES
from controlplane.guard.table import MethodRule, read_table
from tests.peers.otlp import OtlpPeer, otlp_peer
from tests.support.codes import Authenticator
from tests.support.live import PATH, viewer
from tests.support.plane import PASSWORD, Person, Plane, Refused, control_plane
from tests.support.stream import agent_stream, hello, refused

CANARY = "canary-7b1f"
# A code that validation lets through; not to be found as a word of its own.
CODE = "739173"
# Values that the patterns of other fields let through.
EXAMPLES = {
    "host": "hosts/sol-1", "name": "hosts/sol-1", "username": "canary-user", "method": "getSlot", "spool_id": "a" * 32,
    "call_digest": "0" * 64, "plan_hash": "0" * 64, "request_id": "00000000-0000-4000-8000-000000000000",
}  # fmt: skip


def sensitive_fields(message: Descriptor, seen: frozenset[str] = frozenset()) -> Iterator[FieldDescriptor]:
    for field in message.fields:
        if field_rules(field).sensitive:
            yield field
        if field.message_type is not None and field.message_type.full_name not in seen:
            yield from sensitive_fields(field.message_type, seen | {message.full_name})


def planted(message: type[Message], secret: str) -> Message:
    """Make a message with the secret in every sensitive field, at any depth, and something lawful elsewhere."""
    made = message()
    for field in made.DESCRIPTOR.fields:
        if field.message_type is not None:
            if not field.is_repeated and field.containing_oneof is None:
                getattr(made, field.name).CopyFrom(planted(message_factory.GetMessageClass(field.message_type), secret))
        elif field.is_repeated:
            if field.type == FieldDescriptor.TYPE_BYTES and field_rules(field).sensitive:
                getattr(made, field.name).append(secret.encode())
        elif field.type == FieldDescriptor.TYPE_STRING:
            value = secret if field_rules(field).sensitive else EXAMPLES.get(field.name, "")
            setattr(made, field.name, value)
    return made


def requests(secret: str) -> dict[str, tuple[MethodRule, Message]]:
    # Calls that end a session come last: whoever has none is nobody to those that follow.
    table = sorted(read_table(SERVICES).items(), key=lambda item: item[0].startswith("solward.auth."))
    return {
        name: (rule, planted(message_factory.GetMessageClass(rule.request), secret))
        for name, rule in table
        if not rule.client_streaming
    }


def test_case_36_every_field_that_sounds_secret_is_marked() -> None:
    """A new field must not be forgotten: what is named like a secret is sensitive, or is listed here."""
    known = {
        "solward.hosts.v1.ListHostsRequest.page_token", "solward.operations.v1.ListOperationsRequest.page_token",
        "solward.audit.v1.ListEntriesRequest.page_token", "solward.hosts.v1.ListHostsResponse.next_page_token",
        "solward.operations.v1.ListOperationsResponse.next_page_token",
        "solward.audit.v1.ListEntriesResponse.next_page_token",
        "solward.alerts.v1.ListAlertsRequest.page_token", "solward.alerts.v1.ListAlertsResponse.next_page_token",
        "solward.alerts.v1.ListEventsRequest.page_token", "solward.alerts.v1.ListEventsResponse.next_page_token",
        "solward.jito.v1.ListBundlesRequest.page_token", "solward.jito.v1.ListBundlesResponse.next_page_token",
        "solward.metrics.v1.QueryLogsRequest.page_token", "solward.metrics.v1.QueryLogsResponse.next_page_token",
    }  # fmt: skip
    names = re.compile(r"token|password|secret|proof|codes?$|seed|private|invitation|otpauth|qr_svg|^ticket$")
    pool = {descriptor.file.name: descriptor.file for descriptor in SERVICES}
    fields = [
        field for file in pool.values() for message in file.message_types_by_name.values() for field in message.fields
    ]
    loud = {field.full_name for field in fields if names.search(field.name) and field.type == field.TYPE_STRING}
    # What is worth a login at the provider, by names that others have there.
    # Whoever holds a signed transaction may send it.
    signed = {"solward.jito.v1.SubmitBundleRequest.transactions"}
    of_a_login = {
        f"solward.auth.v1.{name}"
        for name in (
            "OidcLogin.authorization_url", "OidcLogin.state", "OidcLogin.binding", "FinishOidcLoginRequest.state",
            "FinishOidcLoginRequest.binding", "DeviceLogin.verification_uri_complete",
        )
    }  # fmt: skip
    assert (loud - known) | of_a_login | signed == {field.full_name for field in fields if field_rules(field).sensitive}


async def send(plane: Plane, rule: MethodRule, request: Message, token: str) -> str:
    """Call once; give every word of the answer's error."""
    metadata = [("solward-second-factor", CANARY), ("solward-gateway-secret", CANARY), ("x-api-key", CANARY)]
    metadata += [("authorization", f"Bearer {token}")] if token else []
    channel = plane.channel()
    kind = "unary_stream" if rule.server_streaming else "unary_unary"
    call = getattr(channel, kind)(f"/{rule.name}", type(request).SerializeToString, Empty.FromString)
    answer = call(request, metadata=tuple(metadata), timeout=1 if rule.server_streaming else 5)
    try:
        if rule.server_streaming:
            await answer.read()
            answer.cancel()
        else:
            await answer
    except grpc.aio.AioRpcError as error:
        return f"{error.details()} {error.debug_error_string()} {error.trailing_metadata()}"
    finally:
        await channel.close()
    return ""


async def whole_flow(plane: Plane) -> tuple[list[str], str]:
    """Use every kind of real secret once, well and badly; give the secrets, and one that the store keeps for itself."""
    admin = await plane.sign_in()
    join = await plane.join_token("sol-1", admin)
    machine = await plane.enroll("sol-1", join)
    await refused(plane.enroll("sol-1", join))
    async with agent_stream(plane, machine) as stream:
        exchange = stream.welcome.exchange_token
    with pytest.raises(Refused):
        async with agent_stream(plane, machine, hello(CANARY)):
            pass
    request = validator_pb2.RestartRequest(host="hosts/sol-1")
    method = "solward.validator.v1.ValidatorService/Restart"
    proof = await plane.prove(admin, call_digest(method, request))
    await refused(plane.call(method, request, operations_pb2.Operation, admin, (("solward-second-factor", proof),)))
    invited = await invitation_flow(plane, admin)
    renewal = auth_pb2.RefreshSessionRequest(refresh_token=admin.refresh)
    fresh = await plane.call("solward.auth.v1.AuthService/RefreshSession", renewal, auth_pb2.Session)
    ticket, live = await ticket_flow(plane, admin)
    key = plane.installation
    secrets = [ticket, live,
        PASSWORD, join, proof, admin.token, admin.refresh, fresh.access_token, fresh.refresh_token,
        admin.authenticator._totp.secret, key.gateway_secret, key.seed_key.hex(), key.audit_key.decode(), *invited,
    ]  # fmt: skip
    return secrets, exchange


async def ticket_flow(plane: Plane, admin: Person) -> tuple[str, str]:
    """Spend tickets well and badly; give one, and what the gateway went on with."""
    made = [
        await plane.call("solward.metrics.v1.MetricsService/CreateTicket", topics_pb2.CreateTicketRequest(),
                         topics_pb2.Ticket, admin)
        for _ in range(2)
    ]  # fmt: skip
    path = f"{PATH}?ticket={made[0].ticket}"
    async with viewer(plane, path=path) as one:
        await one.say(subscribe=["fleet"])
        await one.next("topic")
    for wrong in (path, f"{path}&x=1", f"{path}&ticket=x"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            async with viewer(plane, path=wrong):
                pass
        assert made[0].ticket not in str(refusal.value.headers) + refusal.value.message
    return made[0].ticket, await plane.app.identities.sessions.spend_ticket(made[1].ticket)


async def invitation_flow(plane: Plane, admin: Person) -> list[str]:
    """Invite somebody, who sets a second factor up, and another one later; give every secret that was shown."""
    auth, password = "solward.auth.v1.AuthService", "a password of carol's own"
    asked = access_pb2.InviteUserRequest(user="users/carol", role="roles/viewer")
    shown = await plane.confirmed("solward.auth.v1.AccessService/InviteUser", asked, access_pb2.Invitation, admin)
    accept = auth_pb2.AcceptInvitationRequest(invitation=shown.invitation, password=password)
    secret = await plane.call(f"{auth}/AcceptInvitation", accept, auth_pb2.AuthenticatorSecret)
    first = pyotp.parse_uri(secret.otpauth_uri)
    confirm = auth_pb2.ConfirmInvitationRequest(invitation=shown.invitation, totp_code=first.now())
    codes = await plane.call(f"{auth}/ConfirmInvitation", confirm, auth_pb2.RecoveryCodes)
    login = auth_pb2.LoginRequest(username="carol", password=password, recovery_code=codes.codes[0])
    session = await plane.call(f"{auth}/Login", login, auth_pb2.Session)
    carol = Person("carol", "", Authenticator(first.secret), session.access_token)
    set_up = auth_pb2.SetUpSecondFactorRequest()
    # The code of now is spent; one of the step after it is good, as of a clock that goes before ours.
    ahead = auth_pb2.VerifySecondFactorRequest(
        totp_code=first.at(int(time.time()) + 30), call_digest=call_digest(f"{auth}/SetUpSecondFactor", set_up)
    )
    proof = (await plane.call(f"{auth}/VerifySecondFactor", ahead, auth_pb2.SecondFactorProof, carol)).proof
    proved = (("solward-second-factor", proof),)
    other = await plane.call(f"{auth}/SetUpSecondFactor", set_up, auth_pb2.AuthenticatorSecret, carol, proved)
    second = pyotp.parse_uri(other.otpauth_uri)
    turn = auth_pb2.ConfirmSecondFactorRequest(totp_code=second.now())
    more = await plane.call(f"{auth}/ConfirmSecondFactor", turn, auth_pb2.RecoveryCodes, carol)
    return [
        proof,
        shown.invitation,
        password,
        first.secret,
        second.secret,
        session.access_token,
        *codes.codes,
        *more.codes,
    ]


async def audit_text(plane: Plane) -> str:
    async with plane.app.records.engine.connect() as connection:
        return "\n".join((await connection.execute(text("SELECT body FROM audit_entries"))).scalars())


def store_text(folder: Path) -> str:
    files = [path for path in folder.glob("*.db*") if path.is_file()]
    assert files
    return "\n".join(path.read_bytes().decode("latin-1") for path in files)


def everything(peer: OtlpPeer) -> dict[str, Any]:
    return {"endpoint": peer.endpoint, "read_ratio": 1.0, "metrics_seconds": 1}


@pytest.mark.parametrize("json_logs", [True, False])
async def test_case_36_no_secret_reaches_any_sink(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    json_logs: bool,
) -> None:
    # What the libraries say; the control plane itself leaves them at WARNING, whatever its own level.
    caplog.set_level(logging.INFO)
    logs.configure("debug", json=json_logs)
    try:
        async with otlp_peer() as peer, control_plane(tmp_path, otlp=everything(peer)) as plane:
            admin = await plane.sign_in()
            errors = []
            for token in ("", CANARY, admin.token):
                for secret in (CANARY, CODE):
                    for rule, request in requests(secret).values():
                        errors.append(await send(plane, rule, request, token))
            # A failure that nobody foresaw is logged with its traceback, while secrets are at hand.
            monkeypatch.setattr("controlplane.identity.sessions.Sessions.refresh", failing)
            rule, request = requests(CANARY)["solward.auth.v1.AuthService/RefreshSession"]
            errors.append(await send(plane, rule, request, ""))
            monkeypatch.undo()
            secrets, exchange = await whole_flow(plane)
            kept = await audit_text(plane)
            metrics = generate_latest(REGISTRY).decode()
        stored = store_text(plane.settings.data_dir)
    finally:
        structlog.reset_defaults()
    out, err = capfd.readouterr()
    traced = "\n".join(map(str, peer.spans))
    assert "INTERNAL" in "".join(errors)
    assert "RefreshSession" in traced
    assert peer.lines
    assert peer.metrics
    written = [json.loads(body) for body in kept.splitlines()]
    secretive = {name for name, (rule, _) in requests(CANARY).items() if any(sensitive_fields(rule.request))}
    assert {entry["method"] for entry in written if "[redacted]" in str(entry.get("request"))} == secretive
    # What nobody in particular sent and was refused is not kept at all.
    strangers = [entry for entry in written if entry.get("kind") == "anonymous" and entry.get("allowed") is False]
    assert len(strangers) > 10
    assert all(entry["request"] == {} for entry in strangers)
    sinks = {
        "audit": kept, "store": stored, "errors": "\n".join(errors), "logs": caplog.text, "stdout": out, "stderr": err,
        "traces": traced, "metrics": metrics, "sent logs": str(peer.lines), "sent metrics": str(peer.metrics),
    }  # fmt: skip
    for where, said in sinks.items():
        assert CANARY not in said, f"{where}: {said[max(0, said.find(CANARY) - 200) :][:400]}"
        assert not re.search(rf"(?<![0-9a-zA-Z_]){CODE}(?![0-9a-zA-Z_])", said), where
        for secret in secrets:
            assert secret not in said, f"{secret} in {where}"
        if where != "store":
            assert exchange not in said, where


async def failing(self: object, token: str) -> Any:
    raise RuntimeError("nobody foresaw this")


async def test_case_36_private_keys_never_leave_the_keys_folder(plane: Plane) -> None:
    admin = await plane.sign_in()
    machine = await plane.add_machine(admin)
    request = enrollment_pb2.RenewRequest(csr_pem=certificate_request(new_key()))
    answer = await plane.call("solward.hosts.v1.EnrollmentService/Renew", request, enrollment_pb2.Identity, machine)
    assert b"PRIVATE" not in answer.SerializeToString()
    assert "PRIVATE" not in store_text(plane.settings.data_dir)
    for path in (plane.settings.data_dir / "keys", plane.settings.data_dir / "pki"):
        assert path.stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o600}
