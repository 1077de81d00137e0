"""Names that an operator types: checked here, before anything is asked of the server."""

import re

from common.names import HOST_ID, UID, host_name, operation_name
from ctl.exits import USAGE, fail

DEFAULT_PORT = 7444
_PREFIX = re.compile(r"[0-9a-f]{4,32}")


def host(text: str) -> str:
    """Give the resource name of a host, which may be left out; "sol-1" and "hosts/sol-1" are the same."""
    ident = text.removeprefix("hosts/")
    if text and not HOST_ID.fullmatch(ident):
        fail(f"{text!r} is not a host's name", USAGE, "lower-case letters, digits and '-', as in: ctl hosts list")
    return host_name(ident) if ident else ""


def short(name: str) -> str:
    """Give a resource name as it is shown: a host's whole, an operation's first 12 characters."""
    collection, _, ident = name.partition("/")
    return ident[:12] if collection == "operations" else ident


def some_host(text: str) -> str:
    """As `host`, where it must be given."""
    return host(text) or fail("a host's name is needed", USAGE, "ctl hosts list")


def operation(text: str, known: list[str] | None = None) -> str:
    """Give the resource name of an operation; empty if `known` is needed to tell, and was not given.

    Args:
        text: the operation's id, or the first characters of it.
        known: names of operations, to find the one that is meant.
    """
    ident = text.removeprefix("operations/")
    if UID.fullmatch(ident):
        return operation_name(ident)
    if not _PREFIX.fullmatch(ident):
        fail(f"{text!r} is not an operation's id (4 to 32 hexadecimal digits)", USAGE, "ctl operations list")
    if known is None:
        return ""
    found = [name for name in known if name.startswith(operation_name(ident))]
    if len(found) != 1:
        what = "more than one operation begins" if found else "none of the latest operations begins"
        fail(f"{what} with {ident!r}", USAGE, "ctl operations list")
    return found[0]


def server(text: str) -> str:
    """Read HOST or HOST:PORT as HOST:PORT; an IPv6 address with a port stands in brackets."""
    bare_ipv6 = text.count(":") > 1 and not text.startswith("[")
    if bare_ipv6:
        text = f"[{text}]"
    name, colon, port = (text, "", "") if text.endswith("]") else text.rpartition(":")
    if not colon:
        name, port = text, str(DEFAULT_PORT)
    if not re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\]", name) or not _is_port(port):
        fail(f"{text!r} is not HOST or HOST:PORT", USAGE, f"for example cp.example.net:{DEFAULT_PORT}")
    return f"{name}:{port}"


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) < 65536
