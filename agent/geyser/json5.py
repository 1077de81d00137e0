"""JSON5, as validators read the configuration of a plugin: JSON with what people add to it by hand.

It is made into JSON, token by token, and read as that; what neither is gets an error that says where.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

_TOKEN: Final = re.compile(
    r"""(?P<space>[\s\ufeff]++|//[^\n\r]*+|/\*(?:[^*]|\*(?!/))*+\*/)"""
    r"""|(?P<text>"(?:[^"\\\n\r]|\\(?:\r\n|[\s\S]))*+"|'(?:[^'\\\n\r]|\\(?:\r\n|[\s\S]))*+')"""
    r"""|(?P<number>[+-]?(?:0[xX][0-9a-fA-F]++|Infinity|NaN|(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)(?![\w$]))"""
    r"""|(?P<word>[A-Za-z_$][\w$]*+)|(?P<mark>[{}\[\]:,])"""
)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(\r\n|[\s\S]))")
_PLAIN: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0"}
_BREAKS: Final = ("\n", "\r", "\r\n", "\u2028", "\u2029")
_WORDS: Final = ("true", "false", "null")


def loads(text: str) -> Any:
    """Read a JSON5 text; raises ValueError, which says where it is none."""
    made: list[str] = []
    tokens = list(_tokens(text))
    for (kind, token), (_, after) in zip(tokens, [*tokens[1:], ("mark", "")], strict=True):
        if token == "," and kind == "mark" and after in ("}", "]"):
            # One comma at the end; two are one too many, as is one that follows nothing.
            if not made or made[-1] in ("{", "[", ",", ":"):
                raise ValueError(f"a comma before {after} that follows nothing")
            continue
        made.append(_as_json(kind, token, is_key=after == ":"))
    try:
        return json.loads(" ".join(made))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            line = text.count("\n", 0, place) + 1
            raise ValueError(f"line {line}: not JSON from {text[place : place + 20]!r} on")
        place = found.end()
        if found.lastgroup != "space":
            yield found.lastgroup, found[0]


def _as_json(kind: str, token: str, *, is_key: bool) -> str:
    if kind == "text":
        return json.dumps(_ESCAPE.sub(_unescaped, token[1:-1]))
    if is_key and (kind == "word" or token in ("Infinity", "NaN")):
        return json.dumps(token)
    if kind == "number":
        return _number(token)
    if kind == "word" and token not in _WORDS:
        raise ValueError(f"{token[:40]!r} stands where a value should; texts have quotes")
    return token


def _unescaped(found: re.Match[str]) -> str:
    digits = found[1] or found[2]
    if digits:
        return chr(int(digits, 16))
    return "" if found[3] in _BREAKS else _PLAIN.get(found[3], found[3])


def _number(token: str) -> str:
    sign, digits = ("-", token[1:]) if token[0] == "-" else ("", token.lstrip("+"))
    if digits in ("Infinity", "NaN"):
        return digits if digits == "NaN" else sign + digits
    if digits[:2] in ("0x", "0X"):
        return sign + str(int(digits, 16))
    mantissa, mark, exponent = digits.lower().partition("e")
    whole, dot, fraction = mantissa.partition(".")
    fraction = f".{fraction or '0'}" if dot else ""
    return f"{sign}{int(whole or '0')}{fraction}{mark}{exponent}"
