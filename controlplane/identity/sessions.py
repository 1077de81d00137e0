"""Sessions of local users: password and code in, a short bearer token and a rotating refresh token out."""

import uuid
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from common.clock import now_ms
from common.errors import SolwardError
from controlplane.identity.second_factors import SecondFactors
from controlplane.identity.secrets import new_token, password_matches, token_hash
from controlplane.settings import Settings
from controlplane.store.sessions import Session, SessionStore
from controlplane.store.users import User, UserRepository

_AUDIENCE = "solward"
# Of a token that only watches live topics: what a ticket was traded for.
_LIVE = "solward-live"
# How long a ticket can be used.
TICKET_MS = 30_000
# A session that is over is kept for a day, so that its refresh token is still known for used.
KEPT_MS = 24 * 3_600_000
PRUNE_EVERY_MS = 3_600_000
# Of one user; the oldest ends where there would be more.
MOST_SESSIONS = 50


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a caller holds of its session; times in milliseconds since the epoch."""

    username: str
    access: str
    access_expires_ms: int
    refresh: str
    session_expires_ms: int


class Checked(NamedTuple):
    """What a bearer token stands for.

    Attributes:
        user: whose it is.
        session: of which session.
        expires_ms: when the token ends, in milliseconds since the epoch.
        live: whether it is good for live topics alone.
    """

    user: User
    session: Session
    expires_ms: int
    live: bool


class Sessions:
    """Opens, renews, checks and ends sessions."""

    def __init__(
        self,
        users: UserRepository,
        sessions: SessionStore,
        factors: SecondFactors,
        key: Ed25519PrivateKey,
        settings: Settings,
        old_key: Ed25519PrivateKey | None = None,
    ) -> None:
        self._users = users
        self._sessions = sessions
        self._factors = factors
        self._key = key
        self._public = [one.public_key() for one in (key, old_key) if one]
        self._issuer = settings.trust_domain
        self._access_ms = settings.access_token_seconds * 1000
        self._session_ms = settings.session_hours * 3_600_000
        self._prune_ms = 0
        self._idle_ms = settings.refresh_idle_minutes * 60_000

    async def login(
        self, username: str, password: str, code: str, *, recovery_code: str = "", peer: str = ""
    ) -> Tokens:
        """Open a session; raise LOGIN_REFUSED (never saying which part was wrong) or ACCOUNT_LOCKED.

        Args:
            code: of the user's authenticator.
            recovery_code: in its place, one of the user's recovery codes.
            peer: the address that the user signs in from.
        """
        user = await self._users.by_name(username)
        right = await password_matches(user.password_hash if user else None, password)
        # Only who knows the password can lock the account by wrong codes, or spend a code: a stranger who guesses
        # passwords is slowed down by address, and locks nobody out.
        if user is None or not right or user.disabled or not user.has_second_factor:
            raise _login_refused()
        await self._factors.begin_attempt(user)
        good = self._factors.recovery_is_good(user, recovery_code) if recovery_code else (
            self._factors.code_is_good(user, code)
        )  # fmt: skip
        if not await good:
            raise _login_refused()
        await self._users.set_failures(user.uid, 0, 0)
        tokens, session_id = await self._open(user, peer, now_ms(), "")
        # What was proved may have been taken away meanwhile; whoever took it away ended the sessions of that moment.
        latest = await self._users.by_uid(user.uid)
        if latest is None or _proved(latest) != _proved(user):
            await self.end(session_id)
            raise _login_refused()
        return tokens

    async def open(self, user: User, peer: str, *, second_factor_ms: int = 0, idp_sid: str = "") -> Tokens:
        """Open a session for a user who has proved who it is.

        Args:
            second_factor_ms: when the second factor was proved, milliseconds since the epoch; 0: it was not.
            idp_sid: what the identity provider calls the session.
        """
        tokens, _ = await self._open(user, peer, second_factor_ms, idp_sid)
        return tokens

    async def _open(self, user: User, peer: str, second_factor_ms: int, idp_sid: str) -> tuple[Tokens, str]:
        now = now_ms()
        if now >= self._prune_ms:
            self._prune_ms = now + PRUNE_EVERY_MS
            await self._sessions.prune(now - KEPT_MS)
        for oldest in (await self.of_user(user.uid))[MOST_SESSIONS - 1 :]:
            await self._sessions.end(oldest.id, now)
        session = Session(
            uuid.uuid4().hex, user.uid, now + self._session_ms, None, second_factor_ms, peer=peer[:64], idp_sid=idp_sid
        )
        await self._sessions.open(session, now)
        return await self._tokens(user, session, now), session.id

    async def refresh(self, token: str) -> Tokens:
        """Trade a refresh token for a new pair; one used twice ends its whole session."""
        now = now_ms()
        used = await self._sessions.use_refresh(token_hash(token), now)
        if used is None:
            raise _session_over()
        session_id, first_use = used
        if not first_use:
            await self._sessions.end(session_id, now)
            raise SolwardError(
                grpc.StatusCode.UNAUTHENTICATED,
                "REFRESH_TOKEN_REUSED",
                "this refresh token was used before or is over; its session was ended in case it was stolen: "
                "sign in again",
            )
        session = await self._sessions.get(session_id)
        user = await self._users.by_uid(session.user_uid) if session else None
        if session is None or user is None or user.disabled or not _alive(session, now):
            raise _session_over()
        return await self._tokens(user, session, now)

    async def end(self, session_id: str) -> None:
        """End a session."""
        await self._sessions.end(session_id, now_ms())

    async def end_own(self, user_uid: str, session_id: str) -> None:
        """End one of a user's own sessions; SESSION_NOT_FOUND for another's, or none."""
        session = await self._sessions.get(session_id)
        if session is None or session.user_uid != user_uid or not _alive(session, now_ms()):
            raise SolwardError(
                grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND", "you have no such open session: see ListSessions"
            )
        await self.end(session_id)

    async def end_all(self, user_uid: str) -> int:
        """End every session of a user; gives how many there were."""
        return await self._sessions.end_all(user_uid, now_ms())

    async def end_others(self, user_uid: str, kept: str) -> int:
        """End every session of a user but one; gives how many there were."""
        others = [one for one in await self.of_user(user_uid) if one.id != kept]
        for one in others:
            await self.end(one.id)
        return len(others)

    async def end_idp(self, idp_sid: str) -> int:
        """End the sessions that the identity provider knows under a name; gives how many there were."""
        return await self._sessions.end_idp(idp_sid, now_ms())

    async def of_user(self, user_uid: str) -> list[Session]:
        """List a user's sessions that go on, the newest first."""
        return await self._sessions.of_user(user_uid, now_ms())

    async def new_ticket(self, session_id: str, until_ms: int) -> tuple[str, int]:
        """Make a ticket for the live door.

        Args:
            session_id: the session that it stands for.
            until_ms: when the access token that asks for it is over, in milliseconds since the epoch.

        Returns: the ticket, and until when it can be used.
        """
        ticket, expires_ms = new_token("ticket"), min(now_ms() + TICKET_MS, until_ms)
        await self._sessions.add_ticket(token_hash(ticket), session_id, until_ms, expires_ms)
        return ticket, expires_ms

    async def spend_ticket(self, ticket: str) -> str:
        """Trade a ticket for a token that watches live topics; the same one for all tickets of one access token."""
        spent = await self._sessions.spend_ticket(token_hash(ticket), now_ms())
        session = await self._sessions.get(spent[0]) if spent else None
        if spent is None or session is None:
            raise _unauthenticated(
                "TICKET_REFUSED", "this ticket was used before, is over, or is not of this server: ask for another"
            )
        return self._token(session, _LIVE, spent[1] - self._access_ms, spent[1])

    async def check(self, access_token: str) -> Checked:
        """Find whom a bearer token stands for; raise SolwardError unless token, session and user are good."""
        try:
            claims = self._claims(access_token)
        except jwt.ExpiredSignatureError:
            raise _unauthenticated("TOKEN_EXPIRED", "the access token is over: refresh it or sign in again") from None
        except jwt.PyJWTError:
            raise _unauthenticated("TOKEN_INVALID", "the access token is not one of this server") from None
        session = await self._sessions.get(str(claims["sid"]))
        if session is None or session.user_uid != claims["sub"] or not _alive(session, now_ms()):
            raise _session_over()
        user = await self._users.by_uid(session.user_uid)
        if user is None or user.disabled:
            raise _session_over()
        return Checked(user, session, int(claims["exp"]) * 1000, claims["aud"] == _LIVE)

    def _claims(self, token: str) -> dict[str, Any]:
        *others, last = self._public
        for key in others:
            try:
                return self._decode(token, key)
            except jwt.InvalidSignatureError:
                # The key before is still valid.
                continue
        return self._decode(token, last)

    def _decode(self, token: str, key: Ed25519PublicKey) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=["EdDSA"],
            audience=(_AUDIENCE, _LIVE),
            issuer=self._issuer,
            options={"require": ["exp", "iat", "sub", "sid"]},
        )
        return claims

    async def _tokens(self, user: User, session: Session, now: int) -> Tokens:
        expires = min(now + self._access_ms, session.expires_ms)
        refresh = new_token("refresh")
        idle = min(now + self._idle_ms, session.expires_ms)
        await self._sessions.add_refresh(token_hash(refresh), session.id, idle)
        access = self._token(session, _AUDIENCE, now, expires)
        return Tokens(user.name, access, expires, refresh, session.expires_ms)

    def _token(self, session: Session, audience: str, begun_ms: int, expires_ms: int) -> str:
        claims = {
            "iss": self._issuer,
            "aud": audience,
            "sub": session.user_uid,
            "sid": session.id,
            "iat": begun_ms // 1000,
            "exp": expires_ms // 1000,
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA")


def _proved(user: User) -> tuple[str, bytes, bool]:
    return user.password_hash, user.totp_seed, user.disabled


def _alive(session: Session, now: int) -> bool:
    return session.ended_ms is None and now < session.expires_ms


def _unauthenticated(reason: str, message: str) -> SolwardError:
    return SolwardError(grpc.StatusCode.UNAUTHENTICATED, reason, message)


def _login_refused() -> SolwardError:
    return _unauthenticated(
        "LOGIN_REFUSED", "name, password or code is wrong; a code is good once, so wait for the next one"
    )


def _session_over() -> SolwardError:
    return _unauthenticated("SESSION_OVER", "the session is over: sign in again (ctl login)")
