"""Whose word counts for a client's address, and how long a client may ask to wait."""

from ipaddress import ip_network
from unittest.mock import Mock

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from controlplane.gateway import headers
from controlplane.gateway.errors import GatewayError

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def address(peer: str, *chain: str, trusted: bool = True) -> str:
    transport = Mock()
    transport.get_extra_info.side_effect = lambda name, default=None: (peer, 5) if name == "peername" else default
    given = CIMultiDict([("X-Forwarded-For", hops) for hops in chain])
    request = make_mocked_request("GET", "/", headers=given, transport=transport)
    return headers.client_address(request, PROXIES if trusted else ())


@pytest.mark.parametrize(
    ("peer", "chain", "expected"),
    [
        ("192.0.2.1", ("6.6.6.6",), "192.0.2.1"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("192.0.2.7",), "192.0.2.7"),
        ("10.0.0.1", ("6.6.6.6, 192.0.2.7",), "192.0.2.7"),
        ("10.0.0.1", ("6.6.6.6, 192.0.2.7, 10.1.1.1",), "192.0.2.7"),
        ("10.0.0.1", ("6.6.6.6", "192.0.2.7"), "192.0.2.7"),
        ("10.0.0.1", ("192.0.2.7, junk",), "10.0.0.1"),
        ("10.0.0.1", ("junk, 10.2.2.2",), "10.2.2.2"),
        ("::ffff:10.0.0.1", ("2001:db8::1",), "2001:db8::1"),
        ("fd00::1", ("2001:db8::1",), "2001:db8::1"),
        ("fe80::1%eth0", ("2001:db8::1",), "fe80::1"),
    ],
)
def test_only_trusted_proxies_speak_for_a_client(peer: str, chain: tuple[str, ...], expected: str) -> None:
    assert address(peer, *chain) == expected
    assert address(peer, *chain, trusted=False) == peer.partition("%")[0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10m", 0.01),
        ("2S", 2.0),
        ("1M", 60.0),
        ("1H", 3600.0),
        ("5u", 5e-6),
        ("7n", 7e-9),
        ("99999999H", 86400.0),
    ],
)
def test_timeouts_are_read(text: str, seconds: float) -> None:
    request = make_mocked_request("GET", "/", headers={"Grpc-Timeout": text})
    assert headers.timeout_of(request) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "S", "1", "-1S", "1.5S", "1s", "123456789S", " 1S"])
def test_other_timeouts_are_refused(text: str) -> None:
    request = make_mocked_request("GET", "/", headers={"Grpc-Timeout": text})
    with pytest.raises(GatewayError, match="Grpc-Timeout"):
        headers.timeout_of(request)
