"""Logins at the provider: by a browser that comes back, or on another device; and its word that one is over."""

import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import grpc
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from common.clock import now_ms
from common.errors import SolwardError
from controlplane.identity.oidc.accounts import Accounts
from controlplane.identity.oidc.outbound import OutboundError
from controlplane.identity.oidc.pending import Pending
from controlplane.identity.oidc.provider import Provider, TokenRefused
from controlplane.identity.oidc.settings import OidcSettings
from controlplane.identity.sessions import Sessions, Tokens

LOGIN_S = 600.0
# Who signed in at the provider longer ago signs in anew; asked for this, it also says when that was (auth_time).
MAX_AGE_S = 12 * 3600
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
LEAST_INTERVAL_S = 5


class Begun(NamedTuple):
    """A login that has begun, as its beginner is told."""

    url: str
    state: str
    binding: str


class _Browser(NamedTuple):
    nonce: str
    verifier: str
    redirect_uri: str
    next: str
    binding: str


@dataclass(slots=True)
class Device:
    """A device login, as its beginner is told."""

    code: str
    user_code: str
    uri: str
    complete_uri: str
    interval_s: int
    expires_ms: int
    next_poll: float = 0.0
    handle: str = ""


class OidcLogins:
    """Begins and ends logins at the provider."""

    def __init__(self, settings: OidcSettings, provider: Provider, accounts: Accounts, sessions: Sessions) -> None:
        self._settings = settings
        self._provider = provider
        self._accounts = accounts
        self._sessions = sessions
        self._browsers: Pending[_Browser] = Pending(LOGIN_S)
        self.devices: Pending[Device] = Pending(LOGIN_S)
        # Logout tokens that were seen: each is good once.
        self._logouts: dict[str, float] = {}

    async def begin(self, loopback_uri: str, page: str) -> Begun:
        """Begin a login by a browser.

        Args:
            loopback_uri: where a program on the person's machine listens; empty: our own callback.
            page: what to show after it.

        Raises: SolwardError OIDC_NOT_SET or OIDC_UNAVAILABLE.
        """
        self._must_be_on()
        redirect_uri = loopback_uri or self._settings.redirect_uri
        if not redirect_uri:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "OIDC_NOT_SET",
                "oidc.redirect_uri is not set: use ctl login --oidc",
            )
        nonce, verifier, binding = (secrets.token_urlsafe(32) for _ in range(3))
        state = self._browsers.add(_Browser(nonce, verifier, redirect_uri, page or "/", binding))
        try:
            url = await self._provider.authorization_url(
                response_type="code", redirect_uri=redirect_uri, state=state, nonce=nonce,
                code_challenge=create_s256_code_challenge(verifier),  # type: ignore[no-untyped-call]
                code_challenge_method="S256", max_age=str(MAX_AGE_S),
            )  # fmt: skip
        except OutboundError as error:
            _unavailable(error)
        return Begun(url, state, binding)

    async def finish(
        self, state: str, code: str, binding: str, *, issuer: str = "", error: str = "", peer: str = ""
    ) -> tuple[Tokens, str]:
        """End a login by a browser; gives the session's tokens and the page to show.

        Raises: SolwardError OIDC_LOGIN_REFUSED, OIDC_UNAVAILABLE, or of `Accounts.of_claims`.
        """
        self._must_be_on()
        login = self._browsers.take(state)
        # Another browser's state is an attempt to sign somebody in as somebody else.
        if login is None or not hmac.compare_digest(login.binding.encode(), binding.encode()):
            raise _refused("the login is unknown, over, ended before, or was begun by somebody else: begin again")
        if issuer and issuer != self._settings.issuer:
            raise _refused("the answer comes from another provider")
        if error or not code:
            raise _refused(f"the provider refuses: {error or 'no code'}")
        try:
            _, answer = await self._provider.token(
                grant_type="authorization_code",
                code=code,
                redirect_uri=login.redirect_uri,
                code_verifier=login.verifier,
            )
            tokens = await self._open(answer, login.nonce, peer)
        except OutboundError as problem:
            _unavailable(problem)
        return tokens, login.next

    async def begin_device(self) -> Device:
        """Begin a login that is confirmed on another device (RFC 8628)."""
        self._must_be_on()
        try:
            found = await self._provider.device()
            life_s, interval_s = int(found.get("expires_in", LOGIN_S)), int(found.get("interval", LEAST_INTERVAL_S))
            device = Device(
                str(found["device_code"]), str(found["user_code"]), str(found["verification_uri"]),
                str(found.get("verification_uri_complete", "")), max(LEAST_INTERVAL_S, interval_s),
                now_ms() + round(min(life_s, LOGIN_S) * 1000),
            )  # fmt: skip
        except OutboundError as error:
            _unavailable(error)
        except (KeyError, ValueError, TypeError):
            _unavailable(OutboundError("the identity provider answers a device login in another shape"))
        device.handle = self.devices.add(device, life_s)
        return device

    async def poll(self, handle: str, peer: str) -> Tokens:
        """Ask whether a device login was confirmed; raise AUTHORIZATION_PENDING until then."""
        self._must_be_on()
        device = self.devices.look(handle)
        if device is None:
            raise _refused("the login is unknown, over or ended before: begin again")
        if time.monotonic() < device.next_poll:
            raise _pending(device)
        device.next_poll = time.monotonic() + device.interval_s
        try:
            status, answer = await self._provider.token(grant_type=DEVICE_GRANT, device_code=device.code)
            problem = answer.get("error") if status != 200 else None
            if problem == "slow_down":
                device.interval_s += LEAST_INTERVAL_S
            if problem in ("authorization_pending", "slow_down"):
                raise _pending(device)
            if self.devices.take(handle) is None:
                raise _refused("the login ended before")
            return await self._open(answer, "", peer)
        except OutboundError as error:
            _unavailable(error)

    async def end_session_url(self) -> str:
        """Give the address that ends the session at the provider too; empty where there is none."""
        if not self._settings.on:
            return ""
        try:
            return await self._provider.end_session_url()
        except OutboundError:
            # We are signed out here whatever the provider does.
            return ""

    async def back_channel(self, token: str) -> int:
        """End the sessions that the provider says are over; gives how many there were.

        Raises: SolwardError LOGOUT_TOKEN_REFUSED or OIDC_UNAVAILABLE.
        """
        self._must_be_on()
        try:
            claims = await self._provider.logout_token(token)
        except TokenRefused as error:
            raise SolwardError(grpc.StatusCode.INVALID_ARGUMENT, "LOGOUT_TOKEN_REFUSED", str(error)) from None
        except OutboundError as error:
            _unavailable(error)
        self._once(str(claims["jti"]))
        if claims.get("sid"):
            return await self._sessions.end_idp(_sid(claims["sid"]))
        user = await self._accounts.find(str(claims["sub"]))
        return await self._sessions.end_all(user.uid) if user else 0

    async def _open(self, answer: dict[str, Any], nonce: str, peer: str) -> Tokens:
        if "id_token" not in answer:
            raise _refused(f"the provider gives no token: {str(answer.get('error', 'none'))[:64]}")
        try:
            claims = await self._provider.id_token(answer["id_token"], nonce, str(answer.get("access_token", "")))
        except TokenRefused as error:
            raise _refused(str(error)) from None
        user = await self._accounts.of_claims(claims)
        return await self._sessions.open(
            user, peer, second_factor_ms=self._proved_ms(claims), idp_sid=_sid(claims.get("sid", ""))
        )

    def _proved_ms(self, claims: Mapping[str, Any]) -> int:
        """Say when the provider asked for a second factor; 0 where it does not say both that and when."""
        methods, when = claims.get("amr"), claims.get("auth_time")
        if not isinstance(methods, list) or not set(map(str, methods)) & set(self._settings.second_factor_methods):
            return 0
        # A browser that is signed in at the provider is let through without a question, hours later.
        return min(now_ms(), int(when * 1000)) if isinstance(when, int | float) and 0 < when < 2**40 else 0

    def _once(self, jti: str) -> None:
        now = time.monotonic()
        self._logouts = {one: until for one, until in self._logouts.items() if now < until}
        if jti in self._logouts:
            raise SolwardError(
                grpc.StatusCode.INVALID_ARGUMENT, "LOGOUT_TOKEN_REFUSED", "the logout token was used before"
            )
        self._logouts[jti] = now + LOGIN_S

    def _must_be_on(self) -> None:
        if not self._settings.on:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "OIDC_NOT_SET",
                "this control plane has no identity provider (setting oidc): sign in with a password",
            )  # fmt: skip


def _sid(value: Any) -> str:
    return str(value)[:255]


def _refused(message: str) -> SolwardError:
    return SolwardError(grpc.StatusCode.INVALID_ARGUMENT, "OIDC_LOGIN_REFUSED", message)


def _pending(device: Device) -> SolwardError:
    return SolwardError(
        grpc.StatusCode.FAILED_PRECONDITION,
        "AUTHORIZATION_PENDING",
        f"not confirmed yet: ask again in {device.interval_s} s",
        {"retry_after_seconds": str(device.interval_s)},
        retry_after_s=device.interval_s,
    )


def _unavailable(error: OutboundError) -> NoReturn:
    raise SolwardError(grpc.StatusCode.UNAVAILABLE, "OIDC_UNAVAILABLE", f"{error}: try again in a moment") from None
