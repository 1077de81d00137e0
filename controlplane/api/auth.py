"""auth.v1: sessions and second factors."""

from google.protobuf.empty_pb2 import Empty
from solward.auth.v1 import auth_pb2 as pb
from solward.auth.v1.auth_pb2_grpc import AuthServiceServicer

from common.clock import timestamp
from controlplane.guard.context import Context, caller
from controlplane.identity.principals import Principals
from controlplane.identity.second_factors import RECENT_MS, SecondFactors
from controlplane.identity.sessions import Sessions, Tokens
from controlplane.store.sessions import SessionRepository


class AuthApi(AuthServiceServicer):
    """Serves AuthService."""

    def __init__(
        self, sessions: Sessions, factors: SecondFactors, stored: SessionRepository, principals: Principals
    ) -> None:
        self._sessions = sessions
        self._factors = factors
        self._stored = stored
        self._principals = principals

    async def Login(self, request: pb.LoginRequest, context: Context) -> pb.Session:
        return _session(await self._sessions.login(request.username, request.password, request.totp_code))

    async def RefreshSession(self, request: pb.RefreshSessionRequest, context: Context) -> pb.Session:
        try:
            return _session(await self._sessions.refresh(request.refresh_token))
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
        session = await self._stored.get(who.session)
        factor = session.second_factor_ms + RECENT_MS if session and await self._factors.is_recent(session.id) else None
        return pb.Caller(
            username=who.name,
            kind=who.kind,
            role=who.role,
            permissions=sorted(who.permissions),
            second_factor_expire_time=timestamp(factor),
        )


def _session(tokens: Tokens) -> pb.Session:
    return pb.Session(
        username=tokens.username,
        access_token=tokens.access,
        access_expire_time=timestamp(tokens.access_expires_ms),
        refresh_token=tokens.refresh,
        session_expire_time=timestamp(tokens.session_expires_ms),
    )
