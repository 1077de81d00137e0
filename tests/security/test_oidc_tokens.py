"""Tokens and keys of an identity provider as an attacker would have them: forged, borrowed, old, and rotated away."""

import asyncio
import base64
import hmac
import json
import time
from typing import Any

import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey
from pydantic import SecretStr

from controlplane.identity.oidc import keys as keys_module
from controlplane.identity.oidc.keys import COOLDOWN_S, FRESH_S, STALE_S, Keys, KeyUnknown
from controlplane.identity.oidc.outbound import Outbound, OutboundError, allowed_address
from controlplane.identity.oidc.provider import LOGOUT_EVENT, Provider, TokenRefused
from controlplane.identity.oidc.settings import OidcSettings

ISSUER, CLIENT = "https://idp.example", "solward"
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"}, private=True)
EC = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"}, private=True)
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa"}, private=True)


class Answers:
    """In place of Outbound: what the provider says, and whether it answers."""

    def __init__(self) -> None:
        self.keys: list[Key] = [RSA, EC]
        self.down = False
        self.asked: list[str] = []

    async def get(self, url: str) -> dict[str, Any]:
        self.asked.append(url)
        if self.down:
            raise OutboundError("the identity provider does not answer")
        if url.endswith("/.well-known/openid-configuration"):
            return {
                "issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/auth", "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/jwks",
            }  # fmt: skip
        return {"keys": [key.as_dict(private=False) for key in self.keys]}


def provider(answers: Answers | None = None) -> Provider:
    settings = OidcSettings(issuer=ISSUER, client_id=CLIENT, client_secret=SecretStr("s"), default_role="viewer")
    return Provider(settings, answers or Answers())  # type: ignore[arg-type]


def claims(**other: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {"iss": ISSUER, "aud": CLIENT, "sub": "ana", "iat": now, "exp": now + 300, "nonce": "n"}
    return {name: value for name, value in (made | other).items() if value is not None}


def signed(body: dict[str, Any], key: Key = RSA, alg: str = "RS256", **header: Any) -> str:
    return jwt.encode({"alg": alg, "kid": key.kid, **header}, body, key, algorithms=[alg])


def unsigned(body: dict[str, Any], **header: Any) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none", **header}, body)]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), ""])


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256")])
async def test_a_good_token_is_believed(key: Key, alg: str) -> None:
    assert (await provider().id_token(signed(claims(), key, alg), "n"))["sub"] == "ana"


NOW = int(time.time())
WRONG = {
    "issuer": claims(iss="https://evil.example"), "no issuer": claims(iss=None), "audience": claims(aud="another"),
    "party": claims(aud=[CLIENT, "another"], azp="another"), "no party": claims(aud=[CLIENT, "another"]),
    "over": claims(exp=NOW - 3600), "no end": claims(exp=None), "not yet": claims(nbf=NOW + 3600),
    "from the future": claims(iat=NOW + 3600), "nonce": claims(nonce="other"), "no nonce": claims(nonce=None),
    "no subject": claims(sub=None), "end in words": claims(exp="tomorrow"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
async def test_case_22_claims_that_are_not_for_us_now_are_refused(what: str) -> None:
    with pytest.raises(TokenRefused):
        await provider().id_token(signed(WRONG[what]), "n")


async def test_case_22_signatures_that_prove_nothing_are_refused() -> None:
    head = unsigned(claims(), alg="HS256", kid="rsa").rstrip(".")
    mac = hmac.digest(RSA.as_pem(private=False), head.encode(), "sha256")
    forged = f"{head}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    good = signed(claims())
    head, body, signature = good.split(".")
    swapped = unsigned(claims(sub="root")).split(".")[1]
    tokens = {
        "none": unsigned(claims()), "None": unsigned(claims(), alg="None"), "no alg": unsigned(claims(), alg=None),
        "HS256 with the public key": forged, "another's key": signed(claims(), STRANGER),
        "no signature": f"{head}.{body}.", "another body": f"{head}.{swapped}.{signature}",
        "kid path": signed(claims(), kid="../../dev/null"), "kid SQL": signed(claims(), kid="' OR 1=1 --"),
        "wrong family": f"{signed(claims(), EC, 'ES256').split('.')[0]}.{body}.{signature}",
        "jku": signed(claims(), STRANGER, jku="https://evil.example/jwks"),
        "x5u": signed(claims(), STRANGER, x5u="https://evil.example/x5u"),
        "jwk": signed(claims(), STRANGER, jwk=STRANGER.as_dict(private=False)),
        "crit": unsigned(claims(), alg="RS256", crit=["exp"]), "empty": "", "words": "a.b.c", "two": "a.b",
    }  # fmt: skip
    answers = Answers()
    checked = provider(answers)
    for what, token in tokens.items():
        with pytest.raises(TokenRefused):
            await checked.id_token(token, "n")
            raise AssertionError(what)
    # Nothing that a token names is ever fetched.
    assert set(answers.asked) == {f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/jwks"}


async def test_case_22_an_access_token_of_another_login_is_noticed() -> None:
    with pytest.raises(TokenRefused, match="at_hash"):
        await provider().id_token(signed(claims(at_hash="AAAA")), "n", "an access token")


def logout(**other: Any) -> dict[str, Any]:
    return claims(**({"nonce": None, "jti": "1", "sid": "s", "events": {LOGOUT_EVENT: {}}} | other))


async def test_logout_token_is_believed_about_now_with_its_event_and_without_a_nonce() -> None:
    checked = provider()
    assert (await checked.logout_token(signed(logout())))["sid"] == "s"
    for other in (
        {"nonce": "n"}, {"events": {}}, {"events": None}, {"events": {LOGOUT_EVENT: 1}}, {"jti": None},
        {"sub": None, "sid": None}, {"iat": NOW - 3600}, {"aud": "another"}, {"iss": "https://evil.example"},
        {"exp": NOW - 3600},
    ):  # fmt: skip
        with pytest.raises(TokenRefused):
            await checked.logout_token(signed(logout(**other)))
            raise AssertionError(other)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_case_23_an_unknown_key_is_fetched_once_and_then_left_alone_for_a_while() -> None:
    answers, clock = Answers(), Clock()
    kept = Keys(lambda: answers.get(f"{ISSUER}/jwks"), clock)
    assert (await kept.get("rsa")).kid == "rsa"
    for _ in range(5):
        with pytest.raises(KeyUnknown):
            await kept.get("new")
    assert len(answers.asked) == 1
    new = RSAKey.generate_key(2048, {"kid": "new"}, private=True)
    answers.keys = [new]
    clock.now += COOLDOWN_S
    got = await asyncio.gather(*(kept.get("new") for _ in range(5)))
    assert {key.kid for key in got} == {"new"}
    assert len(answers.asked) == 2
    # The old one is honoured until it is old, and no longer.
    assert (await kept.get("rsa")).kid == "rsa"
    clock.now += FRESH_S
    with pytest.raises(KeyUnknown):
        await kept.get("rsa")


async def test_case_23_while_the_provider_is_down_known_keys_go_on_for_a_bounded_time() -> None:
    answers, clock = Answers(), Clock()
    kept = Keys(lambda: answers.get(f"{ISSUER}/jwks"), clock)
    await kept.get("rsa")
    answers.down = True
    for _ in range(20):
        clock.now += STALE_S / 20 - 1
        assert (await kept.get("rsa")).kid == "rsa"
    clock.now += 60
    with pytest.raises((OutboundError, KeyUnknown)):
        await kept.get("rsa")
    answers.down = False
    clock.now += COOLDOWN_S
    assert (await kept.get("rsa")).kid == "rsa"


def test_case_23_keys_that_are_no_signing_keys_are_not_taken() -> None:
    for entry in (
        {"kty": "oct", "k": "AAAA", "kid": "rsa"}, {"kty": "RSA", "kid": "rsa", "use": "enc", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "kid": "x"}, {}, [], "x", None, {"kty": "EC", "crv": "none", "x": "", "y": ""},
    ):  # fmt: skip
        assert keys_module._read(entry) is None


@pytest.mark.parametrize(
    ("address", "public", "private"),
    [
        ("8.8.8.8", True, True), ("2606:4700::1111", True, True), ("127.0.0.1", False, True), ("::1", False, True),
        ("10.0.0.7", False, True), ("192.168.1.1", False, True), ("fd00::1", False, True),
        ("169.254.169.254", False, False), ("::ffff:169.254.169.254", False, False), ("fe80::1%eth0", False, False),
        ("0.0.0.0", False, False), ("224.0.0.1", False, False), ("::ffff:127.0.0.1", False, True),
        ("no address", False, False),
    ],
)  # fmt: skip
def test_case_54_addresses_within_are_called_only_where_that_was_set(address: str, public: bool, private: bool) -> None:
    assert (allowed_address(address, private=False), allowed_address(address, private=True)) == (public, private)


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example/", "ftp://idp.example/", "file:///etc/passwd", "https://user@idp.example/", "https://",
        "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest/meta-data", "https://localhost/",
        "https://2130706433/", "https://0x7f000001/", "gopher://127.0.0.1:6379/_FLUSHALL",
    ],
)  # fmt: skip
async def test_case_54_a_providers_word_reaches_no_address_within(url: str) -> None:
    outbound = Outbound("the identity provider", private=False)
    try:
        with pytest.raises(OutboundError):
            await outbound.get(url)
    finally:
        await outbound.close()


async def test_case_54_a_redirect_is_not_followed() -> None:
    seen: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        seen.append(request.path)
        raise web.HTTPFound("/secret")

    app = web.Application()
    app.router.add_get("/{path:.*}", elsewhere)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    outbound = Outbound("the identity provider", private=True)
    try:
        with pytest.raises(OutboundError, match="HTTP 302"):
            await outbound.get(f"http://127.0.0.1:{runner.addresses[0][1]}/first")
        assert seen == ["/first"]
    finally:
        await outbound.close()
        await runner.cleanup()


@pytest.mark.parametrize(
    "issuer", ["http://idp.example", "https://", "ftp://x", "https://idp.example/?x", "https://a@idp.example", "idp"]
)
def test_case_54_an_issuer_that_is_no_https_address_stops_the_start(issuer: str) -> None:
    with pytest.raises(ValueError, match="https"):
        OidcSettings(issuer=issuer, client_id="x", default_role="viewer")
