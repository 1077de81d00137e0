"""How entries look in Loki, and how a question reads there. Pure.

Labels are few and of low cardinality, since each combination of them is a stream that Loki keeps open; whatever else an
event says is structured metadata. Formats: Loki's HTTP API (docs/sources/reference/loki-http-api.md) and LogQL.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from solward.hosts.v1 import link_pb2

from controlplane.alerts.rules import SEVERITIES
from controlplane.telemetry.logs.model import LEVELS, NS_OF_MS, LogEntry, LogQuery

SERVICE = "solward"
# The first words of kinds that are labels; any other one is "other".
CLASSES = frozenset({"agent", "audit", "geyser", "jito", "rpc", "validator"})
OWN = ("kind", "area", "meaning", "advice")
# An attribute's name follows it, so that none of them is taken for a label.
ATTRIBUTE = "attr_"
# In bytes. Loki takes 64 KiB of metadata with an entry, 128 names, and lines of 256 KB.
MAX_VALUE = 1_000
MAX_ATTRIBUTES = 32
MAX_LINE = 64_000
# More hosts than this are not named in a question: what comes is looked through here.
MAX_NAMED = 100


def labels_of(entry: LogEntry, cluster: str) -> dict[str, str]:
    """Give the labels of the stream that an entry belongs to."""
    first = entry.event.kind.partition(".")[0]
    return {
        "service_name": SERVICE, "cluster": cluster, "host": entry.host, "level": level_of(entry.event.severity),
        "class": first if first in CLASSES else "other",
    }  # fmt: skip


def level_of(severity: int) -> str:
    """Name a severity as a level."""
    return LEVELS[severity] if 0 <= severity < len(LEVELS) else LEVELS[0]


def metadata_of(event: link_pb2.Event) -> dict[str, str]:
    """Give the structured metadata of an event, cut to what Loki takes."""
    found = {name: getattr(event, name) for name in OWN}
    found["times"] = str(event.times) if event.times > 1 else ""
    for name in sorted(event.attributes)[:MAX_ATTRIBUTES]:
        found[f"{ATTRIBUTE}{name}"] = event.attributes[name]
    return {name: _cut(value, MAX_VALUE) for name, value in found.items() if value}


def push_of(entries: Iterable[LogEntry], cluster: str) -> bytes:
    """Write the body of a push: entries of one stream stay in their order."""
    streams: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in entries:
        labels = labels_of(entry, cluster)
        stream = streams.setdefault(tuple(labels.values()), {"stream": labels, "values": []})
        line = _cut(entry.event.message or entry.event.kind, MAX_LINE)
        stream["values"].append([str(entry.unix_ns), line, metadata_of(entry.event)])
    return json.dumps({"streams": list(streams.values())}, ensure_ascii=False, separators=(",", ":")).encode()


def _cut(text: str, most: int) -> str:
    return text if len(text) * 4 <= most else text.encode()[:most].decode(errors="ignore")


def quoted(text: str) -> str:
    """Write a string of LogQL, which reads them as Go does: no character of it can end it or mean anything else."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    return f"\\U{ord(character):08x}"


def logql(query: LogQuery, cluster: str) -> str:
    """Write a question in LogQL: each part is ours, each value quoted."""
    chosen = [f"service_name={quoted(SERVICE)}", f"cluster={quoted(cluster)}"]
    if query.hosts is not None and len(query.hosts) <= MAX_NAMED:
        chosen.append(f"host=~{_any_of(sorted(query.hosts))}")
    if query.min_severity > 0:
        chosen.append(f"level=~{_any_of(LEVELS[query.min_severity :])}")
    parts = [f"{{{', '.join(chosen)}}}"]
    if query.text:
        parts.append(f"|= {quoted(query.text)}")
    if query.kind:
        parts.append(f"| kind=~{quoted(_exactly(query.kind) + '([.].*)?')}")
    parts += [f"| {ATTRIBUTE}{name}={quoted(value)}" for name, value in query.fields]
    return " ".join(parts)


def _any_of(words: Iterable[str]) -> str:
    return quoted("|".join(map(_exactly, words)))


def _exactly(text: str) -> str:
    """Write an RE2 expression that matches a text alone."""
    return re.sub(r"[^a-zA-Z0-9_-]", lambda found: f"\\x{{{ord(found[0]):x}}}", text)


def read(answer: bytes, *, newest_first: bool) -> list[LogEntry]:
    """Read the entries of an answer to query_range, of all streams in one row.

    Raises: ValueError, KeyError, TypeError, IndexError, AttributeError for what is no such answer.
    """
    data = json.loads(answer)["data"]
    if data["resultType"] != "streams":
        raise ValueError("not log lines")
    found = [
        _entry(stream["stream"], int(value[0]), value[1]) for stream in data["result"] for value in stream["values"]
    ]
    return sorted(found, key=lambda entry: (entry.unix_ns, entry.host), reverse=newest_first)


def _entry(labels: dict[str, str], unix_ns: int, line: str) -> LogEntry:
    # Structured metadata comes back among the labels.
    event = link_pb2.Event(
        unix_ms=unix_ns // NS_OF_MS, message=line, times=int(labels.get("times", "1")),
        kind=labels.get("kind", ""), area=labels.get("area", ""),
        meaning=labels.get("meaning", ""), advice=labels.get("advice", ""),
        severity=SEVERITIES.get(labels.get("level", ""), link_pb2.SEVERITY_UNSPECIFIED),
    )  # fmt: skip
    for name, value in labels.items():
        if name.startswith(ATTRIBUTE):
            event.attributes[name.removeprefix(ATTRIBUTE)] = value
    return LogEntry(unix_ns, labels["host"], event)
