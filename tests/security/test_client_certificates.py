"""Client certificates of people and services: what they open, what they never say, and how they end."""

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from google.protobuf.field_mask_pb2 import FieldMask
from grpc_health.v1 import health_pb2
from solward.auth.v1 import access_pb2, auth_pb2
from solward.auth.v1 import certificates_pb2 as pb
from solward.hosts.v1 import hosts_pb2
from solward.policy.v1 import policy_pb2

from common.names import SpiffeId
from common.pki import CertificateInfo, certificate_request, new_key
from tests.security.test_enrollment import BAD_REQUESTS
from tests.support.plane import Machine, Person, Plane, control_plane
from tests.support.stream import entries, refused

CERTIFICATES = "solward.auth.v1.CertificatesService"
CALLER = "solward.auth.v1.AuthService/GetCaller"
LIST_HOSTS = "solward.hosts.v1.HostsService/ListHosts"
WATCH = "/grpc.health.v1.Health/Watch"


@pytest.fixture
async def easy(tmp_path: Path) -> AsyncIterator[Plane]:
    """A control plane that wants no second factor: these tests are about certificates."""
    async with control_plane(tmp_path, require_second_factor=False) as running:
        yield running


async def issue(plane: Plane, who: Person, subject: str = "", **fields: Any) -> tuple[Machine, pb.Certificate]:
    key = new_key()
    request = pb.IssueCertificateRequest(subject=subject, csr_pem=certificate_request(key), **fields)
    made = await plane.confirmed(f"{CERTIFICATES}/IssueCertificate", request, pb.Certificate, who)
    return Machine(made.subject, "", key, made.certificate_pem, []), made


async def whoami(plane: Plane, holder: Machine, **options: Any) -> auth_pb2.Caller:
    return await plane.call(CALLER, auth_pb2.GetCallerRequest(), auth_pb2.Caller, holder, **options)


async def listed(plane: Plane, who: Person | Machine, subject: str = "") -> list[str]:
    request = pb.ListCertificatesRequest(subject=subject)
    found = await plane.call(f"{CERTIFICATES}/ListCertificates", request, pb.ListCertificatesResponse, who)
    return [one.subject for one in found.certificates]


async def test_a_person_gets_a_certificate_and_calls_with_it(easy: Plane) -> None:
    person = await easy.sign_in("operator")
    holder, made = await issue(easy, person)
    assert made.subject == f"users/{person.name}"
    certificate = x509.load_pem_x509_certificate(made.certificate_pem.encode())
    assert CertificateInfo.of(certificate).spiffe_id == SpiffeId("solward.internal", "user", person.uid)
    assert made.roots_pem == easy.installation.pki.roots_pem.decode()
    assert 6.9 < (made.expire_time.seconds - time.time()) / 86_400 <= 7
    caller = await whoami(easy, holder)
    assert (caller.username, caller.role) == (person.name, "operator")
    assert await listed(easy, holder) == [f"users/{person.name}"]
    (entry,) = [
        one for one in await entries(easy, method=f"{CERTIFICATES}/IssueCertificate") if one.get("code") == "OK"
    ]
    assert entry["notes"]["certificate"] == made.name if "notes" in entry else made.name in str(entry)


async def test_a_service_holds_its_role_and_reaches_what_lists_services(easy: Plane) -> None:
    admin = await easy.sign_in()
    holder, made = await issue(easy, admin, "services/reporter", role="roles/viewer", days=90)
    assert 89.9 < (made.expire_time.seconds - time.time()) / 86_400 <= 90
    caller = await whoami(easy, holder)
    assert (caller.username, caller.role, caller.kind) == (
        "services/reporter", "viewer", policy_pb2.PRINCIPAL_KIND_SERVICE,
    )  # fmt: skip
    await easy.call(LIST_HOSTS, hosts_pb2.ListHostsRequest(), hosts_pb2.ListHostsResponse, holder)
    health = health_pb2.HealthCheckRequest()
    shown = await easy.call("grpc.health.v1.Health/Check", health, health_pb2.HealthCheckResponse, holder)
    assert shown.status == health_pb2.HealthCheckResponse.SERVING
    # Its role does not have it; its kind is not meant, whatever the role.
    users = easy.call(
        "solward.auth.v1.AccessService/ListUsers", access_pb2.ListUsersRequest(), access_pb2.ListUsersResponse, holder
    )
    assert (await refused(users)).reason == "PERMISSION_MISSING"
    mine = pb.IssueCertificateRequest(csr_pem=certificate_request(new_key()))
    asked = easy.call(f"{CERTIFICATES}/IssueCertificate", mine, pb.Certificate, holder)
    assert (await refused(asked)).reason == "WRONG_PRINCIPAL_KIND"
    # A change of the role, and keeping it out, hold from the next call on.
    for fields, paths, reason in (
        ({"role": "roles/none"}, ["role"], "PERMISSION_MISSING"),
        ({"disabled": True}, ["disabled"], "SERVICE_DISABLED"),
    ):
        change = pb.UpdateServiceRequest(service="services/reporter", update_mask=FieldMask(paths=paths), **fields)
        await easy.confirmed(f"{CERTIFICATES}/UpdateService", change, pb.Service, admin)
        again = easy.call(LIST_HOSTS, hosts_pb2.ListHostsRequest(), hosts_pb2.ListHostsResponse, holder)
        assert (await refused(again)).reason == reason
    assert (await refused(issue(easy, admin, "services/reporter"))).reason == "SUBJECT_DISABLED"


async def test_case_09_revoked_certificate_is_refused_at_once_and_its_streams_end(easy: Plane) -> None:
    admin = await easy.sign_in()
    holder, made = await issue(easy, admin, "services/reporter", role="roles/viewer")
    other, _ = await issue(easy, admin, "services/reporter")
    channel = easy.channel(holder)
    watch = channel.unary_stream(
        WATCH,
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )(health_pb2.HealthCheckRequest())
    await watch.read()
    request = pb.RevokeCertificateRequest(name=made.name, subject="services/reporter")
    revoked = await easy.confirmed(f"{CERTIFICATES}/RevokeCertificate", request, pb.Certificate, admin)
    assert revoked.revoked
    assert (await refused(whoami(easy, holder, channel=channel))).reason == "CERTIFICATE_REVOKED"
    begin = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        async with asyncio.timeout(6):
            while True:
                await watch.read()
    assert time.monotonic() - begin < 5
    assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED
    # Its other certificate is none of this one's business.
    assert (await whoami(easy, other)).username == "services/reporter"
    assert (
        await refused(easy.confirmed(f"{CERTIFICATES}/RevokeCertificate", request, pb.Certificate, admin))
    ).reason == ("CERTIFICATE_NOT_FOUND")


async def test_case_11_what_is_others_takes_another_permission(easy: Plane) -> None:
    admin, viewer = await easy.sign_in(), await easy.sign_in("viewer")
    _, made = await issue(easy, admin)
    for attempt in (
        issue(easy, viewer, f"users/{admin.name}"),
        issue(easy, viewer, "services/mine", role="roles/admin"),
        listed(easy, viewer, "*"),
        listed(easy, viewer, f"users/{admin.name}"),
        easy.confirmed(
            f"{CERTIFICATES}/RevokeCertificate",
            pb.RevokeCertificateRequest(name=made.name, subject=f"users/{admin.name}"), pb.Certificate, viewer,
        ),
    ):  # fmt: skip
        assert (await refused(attempt)).reason == "PERMISSION_MISSING"
    # Somebody else's, called one's own.
    theirs = pb.RevokeCertificateRequest(name=made.name)
    assert (
        await refused(easy.confirmed(f"{CERTIFICATES}/RevokeCertificate", theirs, pb.Certificate, viewer))
    ).reason == "CERTIFICATE_NOT_FOUND"
    holder, _ = await issue(easy, viewer, f"users/{viewer.name}")
    assert (await whoami(easy, holder)).role == "viewer"
    # Who has access.write may issue for another, who stays who that is.
    for_viewer, _ = await issue(easy, admin, f"users/{viewer.name}")
    assert (await whoami(easy, for_viewer)).username == viewer.name


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"days": 31}, "LIFE_TOO_LONG"),
        ({"days": 91}, "INVALID_FIELD"),
        ({"subject": "services/x"}, "SERVICE_NOT_FOUND"),
        ({"subject": "services/x", "role": "roles/of-nobody"}, "ROLE_NOT_FOUND"),
        ({"subject": "users/nobody"}, "USER_NOT_FOUND"),
        ({"subject": "services/../x"}, "INVALID_FIELD"),
    ],
)
async def test_case_05_what_is_beyond_entitlement_is_refused(easy: Plane, fields: Any, reason: str) -> None:
    admin = await easy.sign_in()
    assert (await refused(issue(easy, admin, **fields))).reason == reason


async def test_case_05_only_the_requests_key_is_taken(easy: Plane) -> None:
    admin = await easy.sign_in()
    for kind, bad in BAD_REQUESTS.items():
        request = pb.IssueCertificateRequest(csr_pem=bad())
        refusal = await refused(easy.confirmed(f"{CERTIFICATES}/IssueCertificate", request, pb.Certificate, admin))
        assert refusal.reason in {"CSR_REFUSED", "INVALID_FIELD"}, kind
    # A service's role is the store's, and cannot be changed in passing.
    await issue(easy, admin, "services/reporter", role="roles/viewer")
    assert (await refused(issue(easy, admin, "services/reporter", role="roles/admin"))).reason == "ROLE_DIFFERS"


async def test_a_certificate_asks_for_the_second_factor_as_a_session_does(plane: Plane) -> None:
    person = await plane.sign_in()
    key = new_key()
    request = pb.IssueCertificateRequest(csr_pem=certificate_request(key))
    method = f"{CERTIFICATES}/IssueCertificate"
    assert (await refused(plane.call(method, request, pb.Certificate, person))).info.metadata["factor"] == "PER_CALL"
    holder = await plane.certify_user(person)
    token = hosts_pb2.CreateJoinTokenRequest(host="hosts/sol-1")
    make = "solward.hosts.v1.HostsService/CreateJoinToken"
    assert (await refused(plane.call(make, token, hosts_pb2.JoinToken, holder))).info.metadata["factor"] == "RECENT"
    verify = auth_pb2.VerifySecondFactorRequest(totp_code=await person.authenticator.code())
    proved = "solward.auth.v1.AuthService/VerifySecondFactor"
    await plane.call(proved, verify, auth_pb2.SecondFactorProof, holder)
    assert (await plane.call(make, token, hosts_pb2.JoinToken, holder)).token
    # Proved by one certificate, it is not proved by another of the same person.
    second = await plane.certify_user(person)
    assert (await refused(plane.call(make, token, hosts_pb2.JoinToken, second))).reason == "SECOND_FACTOR_REQUIRED"


async def test_case_08_certificate_that_ends_is_refused_from_then_on(easy: Plane) -> None:
    person = await easy.sign_in()
    holder = await easy.certify_user(person, dt.timedelta(seconds=2))
    channel = easy.channel(holder)
    await whoami(easy, holder, channel=channel)
    await asyncio.sleep(2.1)
    assert (await refused(whoami(easy, holder, channel=channel))).reason == "CERTIFICATE_EXPIRED"


async def test_a_reset_of_a_person_ends_the_certificates_too(easy: Plane) -> None:
    admin, other, person = await easy.sign_in(), await easy.sign_in(), await easy.sign_in("viewer")
    holder, _ = await issue(easy, person)
    await whoami(easy, holder)
    reset = access_pb2.ResetSecondFactorRequest(user=f"users/{person.name}")
    access = "solward.auth.v1.AccessService"
    waits = await refused(easy.call(f"{access}/ResetSecondFactor", reset, access_pb2.Invitation, admin))
    approve = access_pb2.ApproveCallRequest(
        name=waits.info.metadata["call_approval"], call_digest=waits.info.metadata["call_digest"]
    )
    await easy.call(f"{access}/ApproveCall", approve, access_pb2.CallApproval, other)
    await easy.call(f"{access}/ResetSecondFactor", reset, access_pb2.Invitation, admin)
    assert (await refused(whoami(easy, holder))).reason == "CERTIFICATE_REVOKED"
    assert await listed(easy, admin, "*") == []
