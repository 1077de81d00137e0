"""Prometheus' text format, read strictly (exposition format 0.0.4): samples with their labels, and nothing else."""

import re
from collections.abc import Container, Iterator
from typing import Final, NamedTuple

# A line that is longer is no sample of anybody's.
LONGEST_LINE: Final = 16 * 1024
# Possessive throughout: a line that is made to be tried in many ways is tried in one.
_LABEL: Final = r'[a-zA-Z_][a-zA-Z0-9_]*+[ \t]*+=[ \t]*+"(?:[^"\\\n]|\\[\\n"])*+"'
_SAMPLE: Final = re.compile(
    r"([a-zA-Z_:][a-zA-Z0-9_:]*+)[ \t]*+"
    rf"(?:\{{[ \t]*+((?:{_LABEL}(?:[ \t]*+,[ \t]*+{_LABEL})*+(?:[ \t]*+,)?)?)[ \t]*+\}}[ \t]*+)?"
    r"(?<=[ \t}])([^ \t{}]++)(?:[ \t]++-?[0-9]++)?[ \t]*+"
)
_PAIR: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"((?:[^"\\\n]|\\[\\n"])*+)"')
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|Inf|NaN)")
_ESCAPE: Final = re.compile(r"\\(.)")
_PLAIN: Final = {"n": "\n", "\\": "\\", '"': '"'}


class PageError(Exception):
    """What came is no page of metrics; the message says where."""


class Sample(NamedTuple):
    """One line of a page."""

    name: str
    labels: dict[str, str]
    value: float


def parse(body: bytes, wanted: Container[str]) -> Iterator[Sample]:
    """Read a page; every line is checked, and those with a wanted name are given.

    Args:
        wanted: names of samples.

    Raises: PageError.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise PageError(f"byte {error.start} is not UTF-8") from None
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip(" \t\r")
        if not stripped or stripped.startswith("#"):
            continue
        found = _SAMPLE.fullmatch(stripped) if len(stripped) <= LONGEST_LINE else None
        if found is None or not _NUMBER.fullmatch(found[3]):
            raise PageError(f"line {number} is no sample: {stripped[:60]!r}")
        if found[1] in wanted:
            yield Sample(found[1], _labels(found[2] or ""), float(found[3]))


def _labels(text: str) -> dict[str, str]:
    return {key: _ESCAPE.sub(lambda one: _PLAIN[one[1]], value) for key, value in _PAIR.findall(text)}
