"""Whatever comes over the network is read, or refused in words; nothing else is ever raised."""

import json
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from controlplane.api.services import SERVICES
from controlplane.gateway import cookies, headers, replies, templates
from controlplane.gateway.cookies import ACCESS, REFRESH, Cookies, SessionTokens
from controlplane.gateway.errors import GatewayError
from controlplane.gateway.origins import Origins, origin
from controlplane.gateway.routes import Match, Routes
from controlplane.gateway.templates import PathError, TemplateError
from controlplane.gateway.transcode import read_request
from controlplane.networks import Admission, is_address, network, within
from tests.conformance.toy import SERVICE

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
ROUTES = Routes([*SERVICES, SERVICE])
SECRET = "s" * 32
# What a header's value may hold on the wire: any byte but CR, LF and NUL, those that are no UTF-8 as surrogates.
value = st.binary(max_size=200).map(
    lambda raw: raw.translate(None, b"\r\n\0").decode("utf-8", "surrogateescape")
)  # fmt: skip
token = st.text(st.characters(codec="ascii", categories=("L", "N"), include_characters="-_"), min_size=1, max_size=60)
cookie_line = st.lists(
    st.one_of(
        value,
        st.tuples(st.sampled_from([ACCESS, REFRESH, "other"]), st.sampled_from(["=", "", " = ", "=="]), value).map(
            "".join
        ),
    ),
    max_size=5,
).map(";".join)
hop = st.one_of(value, st.ip_addresses().map(str), st.tuples(st.ip_addresses(v=6).map(str), value).map("%".join))


def request_with(*pairs: tuple[str, str], peer: str = "10.0.0.1") -> Any:
    """What the parsers see of a request; a whole one would not take bytes that are no UTF-8."""
    found = CIMultiDictProxy(CIMultiDict(pairs))
    return SimpleNamespace(headers=found, remote=peer, scheme="http", host=found.get("Host", ""), method="POST")


@given(st.lists(cookie_line, max_size=3))
def test_cookies(lines: list[str]) -> None:
    try:
        held = Cookies(SECRET).read(request_with(*(("Cookie", line) for line in lines)))
    except GatewayError:
        return
    assert held.given == any(name in "".join(lines) for name in cookies.parse(lines))
    # Nobody guesses the seal.
    assert not held.refresh
    assert not held.session


@given(token, token, st.integers(-5, 10**6))
def test_cookies_that_were_set_are_read_and_any_change_is_seen(session: str, refresh: str, seconds: int) -> None:
    made = Cookies(SECRET)
    access = jwt.encode({"sid": session}, SECRET)
    lines = made.set(SessionTokens(access, seconds, refresh, seconds))
    pairs = [line.partition(";")[0] for line in lines]
    held = made.read(request_with(("Cookie", "; ".join(pairs))))
    assert (held.access, held.refresh, held.session, held.access_session) == (access, refresh, session, session)
    sealed = pairs[1].partition("=")[2]
    for changed in (sealed[:-1], "x" + sealed, sealed.replace(".", ".x", 1), sealed + "0"):
        assert made.read(request_with(("Cookie", f"{REFRESH}={changed}"))).refresh == ""
    assert Cookies("t" * 32).read(request_with(("Cookie", pairs[1]))).refresh == ""
    assert all("Secure; HttpOnly; SameSite=Strict" in line and "Path=/" in line for line in lines)


@given(st.one_of(value, st.binary(max_size=60).map(lambda raw: f"e30.{raw.hex()}.x"), st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5
).map(lambda sid: jwt.encode({"sid": sid}, SECRET))))  # fmt: skip
def test_session_of_any_token(text: str) -> None:
    assert isinstance(cookies.session_of(text), str)


@given(st.lists(st.lists(hop, max_size=4).map(",".join), max_size=3))
def test_client_address_is_an_address_that_metadata_can_carry(lines: list[str]) -> None:
    found = headers.client_address(request_with(*(("X-Forwarded-For", line) for line in lines)), PROXIES)
    assert is_address(found)
    assert found.isascii()
    assert "%" not in found


@given(st.one_of(st.text(max_size=50), st.from_regex(r"[a-z]{1,6}://[^\n]{0,40}", fullmatch=True)))
def test_origins_of_settings(text: str) -> None:
    try:
        assert origin(text) == text
    except ValueError as error:
        assert "must be an exact origin" in str(error)
    else:
        assert text.startswith(("https://", "http://localhost", "http://127.0.0.1", "http://[::1]"))
        assert "*" not in text


@given(st.lists(value, max_size=2), st.lists(value, max_size=2), value)
def test_no_origin_is_ours_but_our_own(given: list[str], sites: list[str], host: str) -> None:
    pairs = [("Origin", one) for one in given] + [("Sec-Fetch-Site", one) for one in sites]
    request = request_with(*pairs, ("Host", host))
    ours = Origins(["https://console.example.net"], PROXIES).is_ours(request)
    if given:
        own = {f"http://{host.lower()}", f"https://{host.lower()}", "https://console.example.net"}
        assert ours == (len(given) == 1 and given[0] in own)
    else:
        assert ours == (sites == ["same-origin"])


@given(st.one_of(value, st.from_regex(r"[0-9]{1,9}[HMSmunx]", fullmatch=True)))
def test_timeouts(text: str) -> None:
    try:
        found = headers.timeout_of(request_with(("Grpc-Timeout", text)))
    except GatewayError:
        return
    assert found is not None
    assert 0 <= found <= 86_400


@given(value)
def test_figures_of_a_budget(text: str) -> None:
    assert len(replies.rate_limit([("ratelimit", text)])) in (0, 3)


@given(st.one_of(st.text(max_size=60), st.text("/{}=*:.a%2F~é", max_size=40)))
def test_templates(text: str) -> None:
    try:
        parsed = templates.parse(text)
    except TemplateError:
        return
    assert parsed.text == text


paths = st.one_of(
    st.text(max_size=60),
    st.text("/v1:%2Fahostsé*.~+", max_size=40).map(lambda text: f"/v1/{text}"),
    st.tuples(st.sampled_from([route.template.text for route in ROUTES.all]), st.text(max_size=10)).map("".join),
)


@given(st.sampled_from(["GET", "POST", "HEAD", "DELETE", "PATCH", "OPTIONS", "gEt"]), paths)
def test_paths(method: str, path: str) -> None:
    try:
        found = ROUTES.find(method, path)
    except PathError:
        return
    assert isinstance(found, Match | list)


ECHO = ROUTES.find("GET", "/v1/echo")
FIELDS = [field.json_name for field in SERVICE.methods_by_name["Echo"].input_type.fields]
json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner),
    max_leaves=12,
)


@given(st.one_of(
    st.text(max_size=80),
    st.lists(st.tuples(st.sampled_from([*FIELDS, "nested.subValue", "map.x"]), st.text(max_size=20))
             .map(lambda pair: f"{pair[0]}={quote(pair[1])}"), max_size=4).map("&".join),
))  # fmt: skip
def test_queries(query: str) -> None:
    assert isinstance(ECHO, Match)
    try:
        read_request(ECHO, query, b"")
    except GatewayError as error:
        assert error.http_status == 400


@pytest.mark.parametrize("path", ["/v1/echo", "/auth/login", "/api/validator/restart", "/api/controls/snapshot/prune"])
@given(body=st.one_of(
    st.binary(max_size=200),
    json_value.map(lambda found: json.dumps(found).encode()),
    st.dictionaries(st.sampled_from(FIELDS), json_value, max_size=4).map(lambda found: json.dumps(found).encode()),
))  # fmt: skip
def test_bodies(path: str, body: bytes) -> None:
    found: Any = ROUTES.find("POST", path)
    try:
        read_request(found, "", body)
    except GatewayError as error:
        assert error.http_status == 400


@given(st.one_of(st.text(max_size=30), st.tuples(st.ip_addresses().map(str), st.integers(-1, 130)).map(
    lambda pair: f"{pair[0]}/{pair[1]}")), st.one_of(value, st.ip_addresses().map(str)))  # fmt: skip
def test_ranges(text: str, address: str) -> None:
    try:
        one = network(text)
    except ValueError as error:
        assert "must be a range" in str(error)
        return
    inside = within(address, [one])
    assert Admission((), (one,)).admits(address) == (is_address(address) and not inside)
    assert Admission((one,), ()).admits(address) == inside
