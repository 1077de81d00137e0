"""Where a call comes from: addresses as gRPC spells them, and the buckets that limits count in."""

import ipaddress
from urllib.parse import unquote


def peer_address(peer: str) -> str:
    """Take the address out of gRPC's peer string ("ipv4:1.2.3.4:5", "ipv6:%5B::1%5D:5"); "local" for others."""
    family, _, rest = unquote(peer).partition(":")
    if family not in ("ipv4", "ipv6"):
        return "local"
    return rest.rpartition(":")[0].strip("[]")


def address_bucket(address: str) -> str:
    """Name the bucket an address counts in: itself, or its /64 where IPv6 hands out whole networks."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
