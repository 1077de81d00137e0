"""Datapoints, as the validator logs them and as it sends them to InfluxDB."""

import re
from collections.abc import Container, Iterator
from typing import NamedTuple

PREFIX = "datapoint: "
# A string may hold anything; only a quote in it is escaped (agave metrics/src/datapoint.rs).
_FIELD = re.compile(r'([^\s=,"]+)=("(?:\\"|[^"])*"|[^\s,]+)')
Value = float | str


class Datapoint(NamedTuple):
    """One datapoint: numbers and truths (1 or 0) as floats, the rest as text."""

    name: str
    tags: dict[str, str]
    fields: dict[str, Value]


def from_log(text: str) -> Datapoint | None:
    """Parse "datapoint: NAME[,tag=v]* field=val ...", its fields set apart by spaces; None if it is none."""
    if not text.startswith(PREFIX):
        return None
    head, _, body = text[len(PREFIX) :].partition(" ")
    return _datapoint(head, body)


def name_in_log(text: str) -> str:
    """Give the name of a datapoint without looking at the rest; empty if the text is none."""
    if not text.startswith(PREFIX):
        return ""
    end = text.find(" ", len(PREFIX))
    return text[len(PREFIX) : end if end > 0 else None].partition(",")[0]


def from_line_protocol(body: str, wanted: Container[str]) -> Iterator[Datapoint]:
    """Parse InfluxDB's line protocol, a point a line: "NAME,tag=v field=1i,field=2 NANOSECONDS".

    Args:
        body: the lines.
        wanted: names of the points that are of interest; the others are passed over.
    """
    for line in _point_lines(body):
        head, _, rest = line.partition(" ")
        if head.partition(",")[0] not in wanted:
            continue
        point = _datapoint(head, rest)
        if point.name and point.fields:
            yield point


def _point_lines(body: str) -> Iterator[str]:
    """Split at line breaks that do not stand within a string."""
    held = ""
    for line in body.split("\n"):
        held = f"{held}\n{line}" if held else line
        if (held.count('"') - held.count('\\"')) % 2 == 0:
            yield held
            held = ""
    if held:
        yield held


def _datapoint(head: str, body: str) -> Datapoint:
    name, *tags = head.split(",")
    pairs = (tag.partition("=") for tag in tags)
    fields = {key: _value(raw) for key, raw in _FIELD.findall(body)}
    return Datapoint(name, {key: value for key, _, value in pairs}, fields)


def _value(raw: str) -> Value:
    if raw.startswith('"'):
        return raw[1:-1].replace('\\"', '"')
    if raw in ("true", "false"):
        return float(raw == "true")
    try:
        return float(raw.removesuffix("i"))
    except ValueError:
        return raw
