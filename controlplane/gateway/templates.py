"""Path templates of google.api.http: their grammar, and how a path's values are decoded.

Template  = "/" Segments [ Verb ]
Segments  = Segment { "/" Segment }
Segment   = "*" | "**" | LITERAL | Variable
Variable  = "{" FieldPath [ "=" Segments ] "}"
FieldPath = IDENT { "." IDENT }
Verb      = ":" LITERAL
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

ONE = "*"
REST = "**"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LITERAL = re.compile(r"(?:[A-Za-z0-9._~!$&'()+,;=@-]|%[0-9A-Fa-f]{2}|:)+")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Decoding these in a value of several segments would change what its segments are.
_RESERVED_ESCAPE = re.compile(r"(%(?:2[1346789ABCF]|3[ABDF]|40|5[BD]))", re.IGNORECASE)


class TemplateError(ValueError):
    """A template that the grammar does not allow."""


class PathError(ValueError):
    """A request path that cannot be decoded."""


@dataclass(frozen=True)
class Literal:
    """One segment of a template that stands for itself, decoded."""

    text: str


Segment = Literal | str


@dataclass(frozen=True)
class Variable:
    """A part of a path that becomes a field.

    Args:
        path: the field's path, names in the proto spelling.
        start: the first segment it covers.
        end: the segment after its last.
        multi: whether it may cover several segments, which then keep their reserved characters escaped.
    """

    path: tuple[str, ...]
    start: int
    end: int
    multi: bool


@dataclass(frozen=True)
class Template:
    """A parsed template.

    Args:
        text: as it was written.
        segments: literals, `ONE` and, only at the end, `REST`.
        variables: in order of appearance.
        verb: without its colon; empty where there is none.
    """

    text: str
    segments: tuple[Segment, ...]
    variables: tuple[Variable, ...]
    verb: str

    @property
    def shape(self) -> tuple[tuple[Segment, ...], str]:
        """What tells it from other templates: two of one shape match the same paths."""
        return self.segments, self.verb

    def values(self, raw: list[str]) -> list[tuple[tuple[str, ...], str]]:
        """Take the variables' values out of a path that matches.

        Args:
            raw: the path's segments as received, without the verb.

        Raises:
            PathError: a value is not UTF-8.
        """
        found = []
        for variable in self.variables:
            # Only the last segment of a template, REST, stands for more or fewer than one.
            end = len(raw) if variable.end == len(self.segments) else variable.end
            parts = raw[variable.start : end]
            text = "/".join(decode_multi(part) for part in parts) if variable.multi else decode(parts[0])
            found.append((variable.path, text))
        return found


def parse(text: str) -> Template:
    """Parse a template.

    Args:
        text: for example "/v1/{name=operations/*}:watch".

    Raises:
        TemplateError: what is wrong, and where.
    """
    if not text.startswith("/"):
        raise TemplateError(f"{text!r} does not begin with a slash")
    body, verb = _split_verb(text)
    segments: list[Segment] = []
    variables: list[Variable] = []
    for part in _split(body[1:], text):
        if part.startswith("{"):
            variables.append(_variable(part, segments, text))
        else:
            segments.append(_segment(part, text))
    if REST in segments[:-1]:
        raise TemplateError(f"{text!r} has ** before its end")
    paths = [variable.path for variable in variables]
    if len(set(paths)) != len(paths):
        raise TemplateError(f"{text!r} names a variable twice")
    return Template(text, tuple(segments), tuple(variables), verb)


def split_path(path: str) -> list[str]:
    """Split a request path into its segments, still escaped.

    Args:
        path: as received, without the query.

    Raises:
        PathError: it does not begin with a slash, or has a broken escape.
    """
    if not path.startswith("/"):
        raise PathError("the path does not begin with a slash")
    if "%" in path and _BAD_ESCAPE.search(path):
        raise PathError("the path has a % that is not followed by two hexadecimal digits")
    return path[1:].split("/")


def decode(raw: str) -> str:
    """Decode every escape of one segment.

    Args:
        raw: as received.

    Raises:
        PathError: the result is not UTF-8.
    """
    if "%" not in raw and raw.isascii():
        return raw
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise PathError("the path is not UTF-8") from None


def decode_multi(raw: str) -> str:
    """Decode the escapes of one of several segments, except those of reserved characters.

    Args:
        raw: as received.

    Raises:
        PathError: the result is not UTF-8.
    """
    if "%" not in raw:
        return decode(raw)
    return "".join(part if index % 2 else decode(part) for index, part in enumerate(_RESERVED_ESCAPE.split(raw)))


def _split_verb(text: str) -> tuple[str, str]:
    """Cut the verb off: what follows the first colon of the last segment that is outside a variable."""
    last = max(text.rfind("/"), text.rfind("}"))
    if text.rfind("{") > text.rfind("}"):
        raise TemplateError(f"{text!r} has an open brace")
    body, colon, verb = text[last + 1 :].partition(":")
    if not colon:
        return text, ""
    if not _LITERAL.fullmatch(verb):
        raise TemplateError(f"{text!r} has no proper verb after its colon")
    return text[: last + 1] + body, verb


def _split(body: str, text: str) -> list[str]:
    parts: list[str] = []
    depth = begin = 0
    for index, char in enumerate(body):
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
        elif char == "/" and depth == 0:
            parts.append(body[begin:index])
            begin = index + 1
        if depth not in (0, 1):
            raise TemplateError(f"{text!r} has braces that do not match")
    if depth:
        raise TemplateError(f"{text!r} has an open brace")
    return [*parts, body[begin:]]


def _variable(part: str, segments: list[Segment], text: str) -> Variable:
    if not part.endswith("}"):
        raise TemplateError(f"{text!r} has something beside a variable in one segment")
    name, equals, pattern = part[1:-1].partition("=")
    path = tuple(name.split("."))
    if not all(_IDENTIFIER.fullmatch(identifier) for identifier in path):
        raise TemplateError(f"{text!r} has a variable {name!r} that is not a field path")
    start = len(segments)
    inner = [_segment(piece, text) for piece in (pattern.split("/") if equals else [ONE])]
    segments.extend(inner)
    return Variable(path, start, len(segments), len(inner) > 1 or REST in inner)


def _segment(part: str, text: str) -> Segment:
    if part in (ONE, REST):
        return part
    if not _LITERAL.fullmatch(part):
        raise TemplateError(f"{text!r} has a segment {part!r} that is not a literal, *, ** or a variable")
    try:
        return Literal(decode(part))
    except PathError as error:
        raise TemplateError(f"{text!r}: {error}") from None
