"""CEF: ArcSight's Common Event Format, version 0 (Micro Focus, "Implementing ArcSight CEF", revision 25)."""

from common.auditlog import Entry
from ctl import VERSION
from ctl.formats.event import Event, read
from ctl.output import safe

# Of 0 to 10, by how grave an event is.
_SEVERITIES = {1: 3, 2: 4, 3: 6, 4: 8, 5: 10}


def line(entry: Entry) -> str:
    """Write an entry as one line of CEF, without its end."""
    event = read(entry)
    name = f"{event.verb or 'entry'} {event.phase}".strip()
    head = ("Solward", "controlplane", VERSION, event.method or "entry", name, str(_SEVERITIES[event.severity]))
    pairs = " ".join(f"{key}={escape_value(value)}" for key, value in _extension(event) if value)
    return f"CEF:0|{'|'.join(map(escape_head, head))}|{pairs}"


def escape_head(text: str) -> str:
    """Escape a field of the header: backslash and bar; it cannot hold ends of lines."""
    text = safe(text.replace("\r", " ").replace("\n", " "))
    return text.replace("\\", "\\\\").replace("|", "\\|")


def escape_value(text: str) -> str:
    """Escape a value of the extension: backslash, equals sign and ends of lines."""
    text = text.replace("\\", "\\\\").replace("=", "\\=")
    return safe(text.replace("\r", "\\r").replace("\n", "\\n"))


def _extension(event: Event) -> tuple[tuple[str, str], ...]:
    ipv6 = ":" in event.address
    return (
        ("rt", str(event.time_ms)),
        ("externalId", str(event.entry.sequence)),
        ("suser", event.who),
        ("src", "" if ipv6 else event.address),
        ("c6a2", event.address if ipv6 else ""),
        ("c6a2Label", "Source IPv6 Address" if ipv6 else ""),
        ("spt", str(event.port or "")),
        ("act", event.method),
        ("outcome", "failure" if event.failed else "success"),
        ("reason", event.reason),
        ("msg", event.message),
        ("cs1", event.resource),
        ("cs1Label", "resource" if event.resource else ""),
        ("cs2", event.entry.hash.hex()),
        ("cs2Label", "chainHash"),
        ("cs3", str(event.body.get("call", ""))),
        ("cs3Label", "call" if event.body.get("call") else ""),
        ("cs4", event.code),
        ("cs4Label", "status"),
    )
