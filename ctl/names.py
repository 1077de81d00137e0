"""Names that an operator types: checked here, before anything is asked of the server."""

import re

from common.names import HOST_ID, UID, host_name, operation_name
from ctl.exits import USAGE, fail

DEFAULT_PORT = 7444
_PREFIX = re.compile(r"[0-9a-f]{4,40}")


def host(text: str) -> str:
    """Give the resource name of a host, which may be left out; "sol-1" and "hosts/sol-1" are the same."""
    ident = text.removeprefix("hosts/")
    if text and not HOST_ID.fullmatch(ident):
        fail(f"{text!r} is not a host's name", USAGE, "lower-case letters, digits and '-', as in: ctl hosts list")
    return host_name(ident) if ident else ""


def short(name: str) -> str:
    """Give a resource name as it is shown: a host's whole, of an operation, alert or silence 12 characters."""
    collection, _, ident = name.partition("/")
    return ident if collection == "hosts" else ident[:12]


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
    if known is None:
        _refuse_odd("operations", text)
        return ""
    return one_of("operations", text, known, hint="ctl operations list")


def one_of(collection: str, text: str, known: list[str], hint: str = "ctl alerts") -> str:
    """Give the one resource name of a collection that is meant by its id, or by the first characters of it."""
    _refuse_odd(collection, text, hint)
    ident = text.removeprefix(f"{collection}/")
    found = [name for name in known if name.startswith(f"{collection}/{ident}")]
    if len(found) != 1:
        one = collection.removesuffix("s")
        what = f"more than one {one} begins" if found else f"none of the latest {collection} begins"
        fail(f"{what} with {ident!r}", USAGE, hint)
    return found[0]


def _refuse_odd(collection: str, text: str, hint: str = "ctl operations list") -> None:
    if not _PREFIX.fullmatch(text.removeprefix(f"{collection}/")):
        one = collection.removesuffix("s")
        article = "an" if one[0] in "ao" else "a"
        fail(f"{text!r} is not {article} {one}'s id (4 to 40 hexadecimal digits)", USAGE, hint)


def server(text: str, default_port: int = DEFAULT_PORT) -> str:
    """Read HOST or HOST:PORT as HOST:PORT; an IPv6 address with a port stands in brackets."""
    bare_ipv6 = text.count(":") > 1 and not text.startswith("[")
    if bare_ipv6:
        text = f"[{text}]"
    name, colon, port = (text, "", "") if text.endswith("]") else text.rpartition(":")
    if not colon:
        name, port = text, str(default_port)
    if not re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\]", name) or not _is_port(port):
        fail(f"{text!r} is not HOST or HOST:PORT", USAGE, f"for example cp.example.net:{default_port}")
    return f"{name}:{port}"


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) < 65536
