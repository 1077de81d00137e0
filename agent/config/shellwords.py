"""The words of one simple shell command, read without a shell, so that it can be written again word for word."""

from common.flags.arguments import Word

# Outside of quotes these would make it more than one simple command.
_OPERATORS = frozenset(";|&<>()`\n")


class NotSimple(ValueError):
    """The line is more than one simple command, so that nothing in it may be changed."""


def words(text: str) -> list[Word]:
    """Split a command into words, each with what it means; a variable makes a word fixed.

    Raises: NotSimple for operators, substitutions, comments and quotes that do not close.
    """
    found: list[Word] = []
    place = 0
    while place < len(text):
        if text[place] in " \t":
            place += 1
        elif text.startswith("\\\n", place):
            place += 2
        else:
            word, place = _word(text, place)
            found.append(word)
    return found


def _word(text: str, start: int) -> tuple[Word, int]:
    value: list[str] = []
    fixed = False
    place = start
    while place < len(text) and text[place] not in " \t":
        char = text[place]
        if char == "'":
            piece, place = _single(text, place)
        elif char == '"':
            piece, place, varies = _double(text, place)
            fixed = fixed or varies
        elif char == "\\":
            if place + 1 >= len(text):
                raise NotSimple("a backslash stands at the end")
            piece, place = ("" if text[place + 1] == "\n" else text[place + 1]), place + 2
        elif char in _OPERATORS or (char == "#" and place == start):
            raise NotSimple(f"{char!r} makes it more than one simple command")
        else:
            fixed = fixed or _varies(text, place, bare=True)
            piece, place = char, place + 1
        value.append(piece)
    return Word(text[start:place], "".join(value), fixed), place


def _single(text: str, place: int) -> tuple[str, int]:
    end = text.find("'", place + 1)
    if end < 0:
        raise NotSimple("a quote does not close")
    return text[place + 1 : end], end + 1


def _double(text: str, place: int) -> tuple[str, int, bool]:
    value: list[str] = []
    fixed = False
    place += 1
    while place < len(text) and text[place] != '"':
        if text[place] == "\\" and place + 1 < len(text) and text[place + 1] in '$`"\\\n':
            value.append("" if text[place + 1] == "\n" else text[place + 1])
            place += 2
            continue
        fixed = fixed or _varies(text, place, bare=False)
        value.append(text[place])
        place += 1
    if place >= len(text):
        raise NotSimple("a quote does not close")
    return "".join(value), place + 1, fixed


def _varies(text: str, place: int, *, bare: bool) -> bool:
    """Whether the shell would put something else in this character's place; a command's output is refused."""
    char = text[place]
    if char == "`" or text.startswith("$(", place):
        raise NotSimple("a command's output is among the words")
    return char == "$" or (bare and char in "*?[~{")
