"""Networks: ranges of addresses, and who may come from where."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(text: str) -> Network:
    """Read a range; raises ValueError in words.

    Args:
        text: CIDR, "10.0.0.0/8" or "2001:db8::/32"; a bare address is the range of itself.
    """
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f'{text!r} must be a range such as "10.0.0.0/8" or "2001:db8::/32"') from None


def is_address(text: str) -> bool:
    """Whether this is an IP address."""
    return _address(text) is not None


def within(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of the ranges; IPv4 in IPv6's clothes is IPv4, and what is no address is nowhere."""
    parsed = _address(address)
    return parsed is not None and any(parsed in one for one in networks)


@dataclass(frozen=True, slots=True)
class Admission:
    """Which client addresses may call at all.

    Args:
        allow: only these; empty: everywhere.
        deny: never these, whatever is allowed.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()

    @classmethod
    def of(cls, allow: Sequence[str], deny: Sequence[str]) -> "Admission":
        """Read the ranges of settings."""
        return cls(tuple(map(network, allow)), tuple(map(network, deny)))

    def admits(self, address: str) -> bool:
        """Whether a client may call from there; where ranges are given, from no unreadable address."""
        if within(address, self.deny) or ((self.allow or self.deny) and not is_address(address)):
            return False
        return not self.allow or within(address, self.allow)


EVERYWHERE = Admission()


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
