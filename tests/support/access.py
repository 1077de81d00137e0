"""What people do with access, in tests: invite, join, grant, reset, approve."""

import pyotp
from solward.auth.v1 import access_pb2 as pb
from solward.auth.v1 import auth_pb2
from solward.hosts.v1 import hosts_pb2

from tests.support.codes import Authenticator
from tests.support.plane import PASSWORD, Person, Plane

AUTH = "solward.auth.v1.AuthService"
ACCESS = "solward.auth.v1.AccessService"
HOSTS = "solward.hosts.v1.HostsService"


async def invite(plane: Plane, admin: Person, name: str = "carol", role: str = "viewer") -> pb.Invitation:
    request = pb.InviteUserRequest(user=f"users/{name}", role=f"roles/{role}")
    return await plane.confirmed(f"{ACCESS}/InviteUser", request, pb.Invitation, admin)


async def accepted(plane: Plane, invitation: str) -> pyotp.TOTP:
    request = auth_pb2.AcceptInvitationRequest(invitation=invitation, password=PASSWORD)
    secret = await plane.call(f"{AUTH}/AcceptInvitation", request, auth_pb2.AuthenticatorSecret)
    assert "<svg" in secret.qr_svg
    parsed = pyotp.parse_uri(secret.otpauth_uri)
    assert isinstance(parsed, pyotp.TOTP)
    return parsed


async def joined(plane: Plane, admin: Person, name: str = "carol", role: str = "viewer") -> tuple[Person, list[str]]:
    """Invite somebody who sets all up and signs in by a recovery code; gives the rest of these codes."""
    invitation = (await invite(plane, admin, name, role)).invitation
    totp = await accepted(plane, invitation)
    confirm = auth_pb2.ConfirmInvitationRequest(invitation=invitation, totp_code=totp.now())
    codes = list((await plane.call(f"{AUTH}/ConfirmInvitation", confirm, auth_pb2.RecoveryCodes)).codes)
    session = await recover(plane, name, codes.pop())
    return Person(name, "", Authenticator(totp.secret), session.access_token, session.refresh_token), codes


async def recover(plane: Plane, name: str, code: str) -> auth_pb2.Session:
    request = auth_pb2.LoginRequest(username=name, password=PASSWORD, recovery_code=code)
    return await plane.call(f"{AUTH}/Login", request, auth_pb2.Session)


async def grant(plane: Plane, admin: Person, name: str, role: str, scope: str, seconds: int = 0) -> pb.Grant:
    request = pb.CreateGrantRequest(user=f"users/{name}", role=f"roles/{role}", scope=scope, seconds=seconds)
    return await plane.confirmed(f"{ACCESS}/CreateGrant", request, pb.Grant, admin)


async def hosts_of(plane: Plane, who: Person) -> list[str]:
    listed = await plane.call(f"{HOSTS}/ListHosts", hosts_pb2.ListHostsRequest(), hosts_pb2.ListHostsResponse, who)
    return [host.name for host in listed.hosts]


async def get_host(plane: Plane, who: Person, name: str) -> hosts_pb2.Host:
    return await plane.call(f"{HOSTS}/GetHost", hosts_pb2.GetHostRequest(name=name), hosts_pb2.Host, who)


async def reset(plane: Plane, admin: Person, name: str, *metadata: tuple[str, str]) -> pb.Invitation:
    request = pb.ResetSecondFactorRequest(user=f"users/{name}")
    return await plane.call(f"{ACCESS}/ResetSecondFactor", request, pb.Invitation, admin, metadata)


async def approve(plane: Plane, who: Person, name: str, digest: str) -> pb.CallApproval:
    request = pb.ApproveCallRequest(name=name, call_digest=digest)
    return await plane.confirmed(f"{ACCESS}/ApproveCall", request, pb.CallApproval, who)
