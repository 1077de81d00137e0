"""auth.v1: sessions and second factors."""

import grpc
from google.protobuf.empty_pb2 import Empty
from solward.auth.v1 import auth_pb2 as pb
from solward.auth.v1.auth_pb2_grpc import AuthServiceServicer

from common.clock import now_ms, timestamp
from common.errors import SolwardError, wrong_field
from controlplane.guard.context import Context, caller, current_call
from controlplane.guard.second_factor import PROOF_KEY, second_factor_required
from controlplane.identity.authenticators import otpauth_uri, qr_svg
from controlplane.identity.live import LivePki
from controlplane.identity.oidc.logins import OidcLogins
from controlplane.identity.people import People
from controlplane.identity.principals import Principals
from controlplane.identity.second_factors import SecondFactors
from controlplane.identity.sessions import Sessions, Tokens
from controlplane.store.sessions import Session, SessionStore
from controlplane.store.users import User

# How long after its beginning a session may bring a first authenticator.
FRESH_MS = 15 * 60_000


class AuthApi(AuthServiceServicer):
    """Serves AuthService."""

    def __init__(
        self, sessions: Sessions, factors: SecondFactors, stored: SessionStore, principals: Principals, people: People,
        oidc: OidcLogins, trust_domain: str, pki: LivePki,
    ) -> None:  # fmt: skip
        self._sessions = sessions
        self._factors = factors
        self._stored = stored
        self._principals = principals
        self._people = people
        self._oidc = oidc
        self._trust_domain = trust_domain
        self._pki = pki

    async def Login(self, request: pb.LoginRequest, context: Context) -> pb.Session:
        if bool(request.totp_code) == bool(request.recovery_code):
            raise wrong_field("totp_code", "must be given, or recovery_code, and not both")
        peer = current_call().peer
        tokens = await self._sessions.login(
            request.username, request.password, request.totp_code, recovery_code=request.recovery_code, peer=peer
        )
        if request.recovery_code:
            current_call().notes.update(recovery_code=True)
        return self._session(tokens)

    async def RefreshSession(self, request: pb.RefreshSessionRequest, context: Context) -> pb.Session:
        try:
            return self._session(await self._sessions.refresh(request.refresh_token))
        finally:
            # A reused token has just ended its session.
            self._principals.forget()

    async def Logout(self, request: pb.LogoutRequest, context: Context) -> Empty:
        await self._sessions.end(caller().session)
        self._principals.forget()
        return Empty()

    async def VerifySecondFactor(self, request: pb.VerifySecondFactorRequest, context: Context) -> pb.SecondFactorProof:
        who = caller()
        proof, expires = await self._factors.verify(who.uid, who.session, request.totp_code, request.call_digest)
        return pb.SecondFactorProof(proof=proof, expire_time=timestamp(expires))

    async def GetCaller(self, request: pb.GetCallerRequest, context: Context) -> pb.Caller:
        who = caller()
        user = await self._people.by_uid(who.uid)
        return pb.Caller(
            username=who.name,
            kind=who.kind,
            role=who.role,
            permissions=sorted({one for rule in who.rules for one in rule.permissions}),
            second_factor_expire_time=timestamp(await self._factors.recent_until(who.session)),
            has_second_factor=user is not None and user.has_second_factor,
            recovery_codes_left=await self._people.recovery_left(who.uid),
        )

    async def AcceptInvitation(self, request: pb.AcceptInvitationRequest, context: Context) -> pb.AuthenticatorSecret:
        return self._secret(*await self._people.accept(request.invitation, request.password))

    async def ConfirmInvitation(self, request: pb.ConfirmInvitationRequest, context: Context) -> pb.RecoveryCodes:
        user, codes = await self._people.confirm_invitation(request.invitation, request.totp_code)
        current_call().notes.update(user=f"users/{user.name}")
        return pb.RecoveryCodes(username=user.name, codes=codes)

    async def SetUpSecondFactor(self, request: pb.SetUpSecondFactorRequest, context: Context) -> pb.AuthenticatorSecret:
        who, call = caller(), current_call()
        user = await self._people.by_uid(who.uid)
        # Who has an authenticator proves it for this very call: a stolen session, however fresh, brings none.
        if user and user.has_second_factor and not await self._factors.spend(
            call.metadata.get(PROOF_KEY, ""), who.session, call.digest
        ):  # fmt: skip
            raise second_factor_required("PER_CALL", call.digest, "a code of the authenticator before")
        if user and not user.has_second_factor:
            await self._must_be_fresh(who.session)
        return self._secret(*await self._people.set_up(who.uid))

    async def ConfirmSecondFactor(self, request: pb.ConfirmSecondFactorRequest, context: Context) -> pb.RecoveryCodes:
        who = caller()
        user, codes = await self._people.confirm_set_up(who.uid, request.totp_code)
        # Whoever signed in by the authenticator before signs in anew.
        current_call().notes.update(ended=await self._sessions.end_others(who.uid, who.session))
        self._principals.forget()
        return pb.RecoveryCodes(username=user.name, codes=codes)

    async def RenewRecoveryCodes(self, request: pb.RenewRecoveryCodesRequest, context: Context) -> pb.RecoveryCodes:
        who = caller()
        return pb.RecoveryCodes(username=who.name, codes=await self._people.renew_recovery(who.uid))

    async def ListSessions(self, request: pb.ListSessionsRequest, context: Context) -> pb.ListSessionsResponse:
        who = caller()
        found = await self._sessions.of_user(who.uid)
        return pb.ListSessionsResponse(sessions=[open_session(one, who.name) for one in found])

    async def EndSession(self, request: pb.EndSessionRequest, context: Context) -> Empty:
        await self._sessions.end_own(caller().uid, request.name.removeprefix("sessions/"))
        self._principals.forget()
        return Empty()

    async def BeginOidcLogin(self, request: pb.BeginOidcLoginRequest, context: Context) -> pb.OidcLogin:
        begun = await self._oidc.begin(request.loopback_uri, request.next)
        return pb.OidcLogin(authorization_url=begun.url, state=begun.state, binding=begun.binding)

    async def FinishOidcLogin(self, request: pb.FinishOidcLoginRequest, context: Context) -> pb.OidcSession:
        tokens, page = await self._oidc.finish(
            request.state, request.code, request.binding, issuer=request.issuer, error=request.error,
            peer=current_call().peer,
        )  # fmt: skip
        self._principals.forget()
        current_call().notes.update(user=f"users/{tokens.username}")
        return pb.OidcSession(session=self._session(tokens), next=page)

    async def BeginDeviceLogin(self, request: pb.BeginDeviceLoginRequest, context: Context) -> pb.DeviceLogin:
        device = await self._oidc.begin_device()
        return pb.DeviceLogin(
            user_code=device.user_code, verification_uri=device.uri, verification_uri_complete=device.complete_uri,
            handle_token=device.handle, interval_seconds=device.interval_s, expire_time=timestamp(device.expires_ms),
        )  # fmt: skip

    async def PollDeviceLogin(self, request: pb.PollDeviceLoginRequest, context: Context) -> pb.Session:
        tokens = await self._oidc.poll(request.handle_token, current_call().peer)
        self._principals.forget()
        current_call().notes.update(user=f"users/{tokens.username}")
        return self._session(tokens)

    async def EndOidcSession(self, request: pb.EndOidcSessionRequest, context: Context) -> pb.OidcLogout:
        await self._sessions.end(caller().session)
        self._principals.forget()
        return pb.OidcLogout(end_session_url=await self._oidc.end_session_url())

    async def BackChannelLogout(self, request: pb.BackChannelLogoutRequest, context: Context) -> Empty:
        current_call().notes.update(ended=await self._oidc.back_channel(request.logout_token))
        self._principals.forget()
        return Empty()

    async def _must_be_fresh(self, session_id: str) -> None:
        """Refuse a first authenticator to a session that lies about: whoever finds it must not bring one."""
        session = await self._stored.get(session_id)
        if session is not None and now_ms() - session.created_ms > FRESH_MS:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "SESSION_TOO_OLD",
                "a first authenticator is set up right after a sign-in: sign in again first",
            )

    def _session(self, tokens: Tokens) -> pb.Session:
        return pb.Session(
            username=tokens.username,
            access_token=tokens.access,
            access_expire_time=timestamp(tokens.access_expires_ms),
            refresh_token=tokens.refresh,
            session_expire_time=timestamp(tokens.session_expires_ms),
            roots_pem=self._pki.roots_pem.decode(),
        )

    def _secret(self, user: User, seed: str) -> pb.AuthenticatorSecret:
        current_call().notes.update(user=f"users/{user.name}")
        uri = otpauth_uri(seed, user.name, self._trust_domain)
        return pb.AuthenticatorSecret(username=user.name, otpauth_uri=uri, qr_svg=qr_svg(uri))


def open_session(session: Session, username: str) -> pb.OpenSession:
    """Show a session as it stands."""
    return pb.OpenSession(
        name=f"sessions/{session.id}",
        username=username,
        create_time=timestamp(session.created_ms),
        use_time=timestamp(session.used_ms),
        expire_time=timestamp(session.expires_ms),
        peer=session.peer,
        current=session.id == caller().session,
    )
