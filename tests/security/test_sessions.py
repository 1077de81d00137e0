"""Attacks on sessions: forged and foreign tokens, refresh tokens used twice, logged-out and disabled callers."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.empty_pb2 import Empty
from solward.auth.v1 import auth_pb2
from sqlalchemy import update

from controlplane.guard.roles import SELF
from controlplane.identity.cache import ShortCache
from controlplane.store.tables import users
from tests.support.plane import Person, Plane, Refused, control_plane
from tests.support.stream import entries, refused, shift

AUTH = "solward.auth.v1.AuthService"


async def whoami(plane: Plane, token: str) -> auth_pb2.Caller:
    who = Person("", "", None, token)  # type: ignore[arg-type]
    return await plane.call(f"{AUTH}/GetCaller", auth_pb2.GetCallerRequest(), auth_pb2.Caller, who)


async def refresh(plane: Plane, token: str) -> auth_pb2.Session:
    request = auth_pb2.RefreshSessionRequest(refresh_token=token)
    return await plane.call(f"{AUTH}/RefreshSession", request, auth_pb2.Session)


def segment(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


async def test_case_22_forged_and_foreign_tokens_are_refused(plane: Plane) -> None:
    admin = await plane.sign_in()
    key = plane.installation.token_key
    claims = jwt.decode(admin.token, options={"verify_signature": False})
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    header, body, signature = admin.token.split(".")

    def signed(changes: dict[str, Any], by: Ed25519PrivateKey = key, **headers: Any) -> str:
        wanted = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(wanted, by, algorithm="EdDSA", headers=headers or None)

    hmac_head = segment({"alg": "HS256", "typ": "JWT"})
    mac = hmac.digest(public, f"{hmac_head}.{body}".encode(), hashlib.sha256)
    forged = {
        "alg none": f"{segment({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        "alg None": f"{segment({'alg': 'NoNe'})}.{body}.{signature}",
        "HS256 with the public key": f"{hmac_head}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}",
        "no signature": f"{header}.{body}.",
        "body changed": f"{header}.{segment(claims | {'sub': 'f' * 32})}.{signature}",
        "foreign key": signed({}, Ed25519PrivateKey.generate()),
        "foreign key by jwk": signed({}, Ed25519PrivateKey.generate(), jwk={"kty": "OKP"}, kid="../../dev/null"),
        "wrong issuer": signed({"iss": "elsewhere"}),
        "wrong audience": signed({"aud": "solward-console"}),
        "no issuer": signed({"iss": None}),
        "no audience": signed({"aud": None}),
        "no end": signed({"exp": None}),
        "not yet": signed({"nbf": int(time.time()) + 600}),
        "issued in the future": signed({"iat": int(time.time()) + 600}),
        "no session": signed({"sid": None}),
        "garbage": "x.y.z",
        "huge": "A" * 4000,
    }
    channel = plane.channel()
    for kind, token in forged.items():
        who = Person("", "", None, token)  # type: ignore[arg-type]
        call = plane.call(f"{AUTH}/GetCaller", auth_pb2.GetCallerRequest(), auth_pb2.Caller, who, channel=channel)
        refusal = await refused(call)
        assert (refusal.code.name, refusal.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID"), kind
        assert token not in refusal.message
    over = await refused(whoami(plane, signed({"exp": int(time.time()) - 1})))
    assert over.reason == "TOKEN_EXPIRED"
    others = {"sid": "0" * 32, "sub": "0" * 32}
    for changes in ({"sid": others["sid"]}, {"sub": others["sub"]}):
        assert (await refused(whoami(plane, signed(changes)))).reason == "SESSION_OVER"
    assert (await whoami(plane, signed({}))).username == admin.name


async def test_who_repeats_a_token_that_is_over_keeps_nobody_from_signing_in(tmp_path: Path) -> None:
    async with control_plane(tmp_path, rate_limits={"credential": "10/minute"}) as plane:
        admin = await plane.sign_in()
        await plane.call(f"{AUTH}/Logout", auth_pb2.LogoutRequest(), Empty, admin)
        reasons = [(await refused(whoami(plane, admin.token))).reason for _ in range(12)]
        # It is bounded, and by a budget of its own.
        assert reasons == ["SESSION_OVER"] * 10 + ["RATE_LIMITED"] * 2
        assert (await plane.login(admin)).access_token
        # Guessing is paid for by the address, as ever.
        guesses = [(await refused(whoami(plane, f"x.y.{number}"))).reason for number in range(10)]
        assert (guesses[0], guesses[-1]) == ("TOKEN_INVALID", "RATE_LIMITED")


async def test_case_24_refresh_token_reused_ends_the_whole_family(plane: Plane) -> None:
    admin = await plane.sign_in()
    second = await refresh(plane, admin.refresh)
    third = await refresh(plane, second.refresh_token)
    assert (await whoami(plane, third.access_token)).username == admin.name
    reused = await refused(refresh(plane, admin.refresh))
    assert reused.reason == "REFRESH_TOKEN_REUSED"
    for token in (admin.token, second.access_token, third.access_token):
        assert (await refused(whoami(plane, token))).reason == "SESSION_OVER"
    assert (await refused(refresh(plane, third.refresh_token))).reason == "SESSION_OVER"
    outcome = (await entries(plane, method=f"{AUTH}/RefreshSession", reason="REFRESH_TOKEN_REUSED"))[0]
    assert (outcome["phase"], outcome["code"]) == ("outcome", "UNAUTHENTICATED")


async def test_case_24_refresh_token_used_concurrently_gives_at_most_one_pair(plane: Plane) -> None:
    admin = await plane.sign_in()
    results = await asyncio.gather(*(refresh(plane, admin.refresh) for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(one, auth_pb2.Session) for one in results) <= 1
    assert "REFRESH_TOKEN_REUSED" in {one.reason for one in results if isinstance(one, Refused)}
    assert (await refused(whoami(plane, admin.token))).reason == "SESSION_OVER"


async def test_case_24_refresh_token_is_idle_for_an_hour_at_most(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = await plane.sign_in()
    shift(monkeypatch, "controlplane.identity.sessions", plane.settings.refresh_idle_minutes * 60_000 + 1000)
    assert (await refused(refresh(plane, admin.refresh))).reason == "REFRESH_TOKEN_REUSED"


@pytest.mark.parametrize("token", ["x", "solward_refresh_" + "a" * 43, "'; DROP TABLE sessions; --"])
async def test_case_24_unknown_refresh_token_is_refused(plane: Plane, token: str) -> None:
    assert (await refused(refresh(plane, token))).reason == "SESSION_OVER"


async def test_case_26_logout_counts_on_the_next_call_for_every_token(plane: Plane) -> None:
    admin = await plane.sign_in()
    newer = await refresh(plane, admin.refresh)
    await plane.call(f"{AUTH}/Logout", auth_pb2.LogoutRequest(), Empty, admin)
    for token in (admin.token, newer.access_token):
        assert (await refused(whoami(plane, token))).reason == "SESSION_OVER"
    assert (await refused(refresh(plane, newer.refresh_token))).reason == "SESSION_OVER"


async def test_case_26_role_and_standing_come_from_the_store(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = await plane.sign_in()

    # What a token stands for is remembered for two seconds; another replica's change is seen after them.
    async def forgetful(cache: object, key: object, load: Callable[[], Awaitable[Any]]) -> Any:
        return await load()

    monkeypatch.setattr(ShortCache, "get", forgetful)

    async def becomes(**values: object) -> None:
        async with plane.app.records.engine.begin() as connection:
            await connection.execute(update(users).where(users.c.uid == admin.uid).values(**values))

    assert "hosts.revoke" in (await whoami(plane, admin.token)).permissions
    await becomes(role="viewer")
    assert "hosts.revoke" not in (await whoami(plane, admin.token)).permissions
    await becomes(role="no such role")
    assert set((await whoami(plane, admin.token)).permissions) == SELF
    await becomes(disabled=True)
    assert (await refused(whoami(plane, admin.token))).reason == "SESSION_OVER"
