"""As much of LogQL as log queries need, read as Loki reads it: a wrong word anywhere is a parse error.

Strings are Go's (strconv.Unquote), expressions RE2's, anchored where they match labels and metadata.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

MOST_BYTES = 131_072
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<op>\|=|!=|\|~|!~|=~|=|\||[{},])|(?P<word>[a-zA-Z_][a-zA-Z0-9_]*))"""
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([abfnrtv\\\"]))")
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
Test = Callable[[str], bool]


class BadQuery(Exception):
    """What Loki would call a parse error."""


class Query(NamedTuple):
    """A selector, and what follows it."""

    matchers: list[tuple[str, Test]]
    lines: list[Test]
    filters: list[tuple[str, Test]]

    def matches(self, labels: dict[str, str], metadata: dict[str, str], line: str) -> bool:
        """Whether an entry is wanted."""
        known = labels | metadata
        return (
            all(test(labels.get(name, "")) for name, test in self.matchers)
            and all(test(line) for test in self.lines)
            and all(test(known.get(name, "")) for name, test in self.filters)
        )


def unquote(text: str) -> str:
    """Read a string literal as Go does."""
    if text.startswith("`"):
        return text[1:-1].replace("\r", "")
    inner, found, place = text[1:-1], [], 0
    if "\0" in inner or "\ufeff" in inner:
        raise BadQuery("illegal character")
    while place < len(inner):
        if inner[place] != "\\":
            found.append(inner[place])
            place += 1
            continue
        escape = _ESCAPE.match(inner, place)
        if escape is None:
            raise BadQuery("invalid char escape")
        code = int(escape[1] or escape[2] or escape[3] or "0", 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000 or (escape[1] and code > 0x7F):
            raise BadQuery("escape is invalid Unicode code point")
        found.append(_SIMPLE[escape[4]] if escape[4] else chr(code))
        place = escape.end()
    return "".join(found)


def tokens(text: str) -> list[tuple[str, str]]:
    """Cut a query into ("string" | "op" | "word", text)."""
    if len(text.encode()) > MOST_BYTES:
        raise BadQuery("input size too long")
    found, place = [], 0
    text = text.rstrip()
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None or token.lastgroup is None:
            raise BadQuery(f"syntax error at {place}")
        found.append((token.lastgroup, token[token.lastgroup]))
        place = token.end()
    return found


def parse(text: str) -> Query:
    """Read a log query."""
    reader = _Reader(tokens(text))
    query = Query([], [], [])
    reader.take("op", "{")
    while True:
        query.matchers.append(reader.comparison())
        if reader.take("op") == "}":
            break
        reader.back(",")
    if not any(not test("") for _, test in query.matchers):
        raise BadQuery("queries require at least one matcher that does not match the empty value")
    while reader.left:
        op = reader.take("op")
        if op == "|":
            query.filters.append(reader.comparison())
        elif op in ("|=", "!=", "|~", "!~"):
            query.lines.append(_line_test(op, unquote(reader.take("string"))))
        else:
            raise BadQuery(f"unexpected {op}")
    return query


class _Reader:
    def __init__(self, found: list[tuple[str, str]]) -> None:
        self._found = found
        self._place = 0

    @property
    def left(self) -> bool:
        return self._place < len(self._found)

    def take(self, kind: str, wanted: str = "") -> str:
        if not self.left or self._found[self._place][0] != kind or wanted not in ("", self._found[self._place][1]):
            raise BadQuery(f"unexpected end or word, expecting {wanted or kind}")
        self._place += 1
        return self._found[self._place - 1][1]

    def back(self, wanted: str) -> None:
        """Make sure that the last token was this one."""
        if self._found[self._place - 1][1] != wanted:
            raise BadQuery(f"expecting {wanted}")

    def comparison(self) -> tuple[str, Test]:
        name, op, value = self.take("word"), self.take("op"), unquote(self.take("string"))
        if op == "=":
            return name, lambda text: text == value
        if op == "!=":
            return name, lambda text: text != value
        if op in ("=~", "!~"):
            pattern = _re2(value)
            return name, lambda text: bool(pattern.fullmatch(text)) is (op == "=~")
        raise BadQuery(f"unexpected {op}")


def _line_test(op: str, value: str) -> Test:
    if op in ("|=", "!="):
        return lambda line: (value in line) is (op == "|=")
    pattern = _re2(value)
    return lambda line: bool(pattern.search(line)) is (op == "|~")


def _re2(text: str) -> re.Pattern[str]:
    """Compile an expression of RE2; what only Python knows is refused."""
    if re.search(r"\(\?[=!<]|\\[1-9]", text):
        raise BadQuery("invalid or unsupported Perl syntax")
    escaped = re.sub(r"\\x\{([0-9a-fA-F]{1,6})\}", lambda found: re.escape(chr(int(found[1], 16))), text)
    try:
        return re.compile(escaped)
    except re.error as error:
        raise BadQuery(str(error)) from None
