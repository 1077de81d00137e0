"""Arguments: a validator's argument vector as flags, how it is changed, and what differs."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from common.flags.catalogue import CATALOGUE, Flag, wrong_value
from common.semver import Version

MAX_ARGUMENTS = 1_000


class Argument(NamedTuple):
    """One flag as it stands in an argument vector.

    Attributes:
        name: without its dashes; empty for a word that is no flag.
        value: None for a switch.
        raw: the words as they stand in their source, quoting and all; empty for an argument that is new.
        fixed: something else than the words decides its value (a variable), so that it is kept as it stands.
    """

    name: str
    value: str | None = None
    raw: tuple[str, ...] = ()
    fixed: bool = False

    @property
    def words(self) -> list[str]:
        """The words of an argument vector that say the same."""
        flag = [f"--{self.name}"] if self.name else []
        return flag if self.value is None else [*flag, self.value]

    def __str__(self) -> str:
        """Print it as people write it."""
        return " ".join(self.words)


class Word(NamedTuple):
    """One word of a source: as it stands there, what it means, and whether a variable has a say in it."""

    raw: str
    value: str
    fixed: bool = False


class Change(NamedTuple):
    """What is wished for one flag: its values, in order; none and not removed for a switch."""

    name: str
    values: tuple[str, ...] = ()
    remove: bool = False


class WrongFlag(ValueError):
    """A change that cannot be; `name` is the flag, `reason` a stable code."""

    def __init__(self, name: str, reason: str, message: str) -> None:
        super().__init__(f"--{name}: {message}")
        self.name = name
        self.reason = reason


def read(words: Sequence[Word]) -> list[Argument]:
    """Read the words after the program's name.

    A flag that is not in the catalogue has a value if a word follows that does not begin with a dash.
    """
    found: list[Argument] = []
    left = deque(words)
    while left:
        word = left.popleft()
        if not word.value.startswith("--") or len(word.value) == 2:
            found.append(Argument("", word.value, (word.raw,), word.fixed))
            continue
        name, equals, value = word.value[2:].partition("=")
        if equals:
            found.append(Argument(name, value, (word.raw,), word.fixed))
        elif left and _takes_value(name) and not left[0].value.startswith("--"):
            after = left.popleft()
            found.append(Argument(name, after.value, (word.raw, after.raw), word.fixed or after.fixed))
        else:
            found.append(Argument(name, None, (word.raw,), word.fixed))
    return found


def change(arguments: Sequence[Argument], changes: Iterable[Change], version: Version | None) -> list[Argument]:
    """Give the arguments as changed: in place where the flag stood, at the end where it did not.

    Raises: WrongFlag for a flag or value that the version would not start with, and for one that is fixed.
    """
    result = list(arguments)
    seen: set[str] = set()
    for wish in changes:
        if wish.name in seen:
            raise WrongFlag(wish.name, "FLAG_TWICE", "is changed twice: give all its values at once")
        seen.add(wish.name)
        flag = must_know(wish.name, version, removing=wish.remove)
        if any(argument.name == wish.name and argument.fixed for argument in result):
            raise WrongFlag(wish.name, "FLAG_FIXED", "its value comes from a variable: change it where that is set")
        result = _replaced(result, wish.name, [] if wish.remove else _wanted(flag, wish))
    if len(result) > MAX_ARGUMENTS:
        raise WrongFlag("", "TOO_MANY_FLAGS", f"more than {MAX_ARGUMENTS} arguments")
    return result


def must_know(name: str, version: Version | None, *, removing: bool = False) -> Flag:
    """Find a flag that may be changed; raise WrongFlag for one that is unknown, or unknown to the version."""
    flag = CATALOGUE.get(name)
    if flag is None:
        raise WrongFlag(name, "FLAG_UNKNOWN", "is no flag that is known here: see ctl validator flags known")
    if removing:
        return flag
    if version is None:
        raise WrongFlag(name, "VERSION_UNKNOWN", "the validator's version cannot be told while it does not answer")
    if version >= flag.until:
        raise WrongFlag(name, "FLAG_REMOVED", f"was removed in {flag.until}: {version} does not start with it")
    if version < flag.since:
        raise WrongFlag(name, "FLAG_TOO_NEW", f"came with {flag.since}: {version} does not know it")
    return flag


def refused_at_start(arguments: Iterable[Argument], version: Version) -> list[str]:
    """Name the flags that stand already and that a version would not start with."""
    known = [(argument.name, CATALOGUE.get(argument.name)) for argument in arguments]
    return sorted({name for name, flag in known if flag and not flag.known_to(version)})


def difference(before: Sequence[Argument], after: Sequence[Argument]) -> list[str]:
    """Give the lines of a diff, "- --flag value" and "+ --flag value", in the order of the vectors."""
    gone, new = [str(each) for each in before], [str(each) for each in after]
    left = _without(gone, new)
    added = _without(new, gone)
    return [f"- {line}" for line in left] + [f"+ {line}" for line in added]


def _without(these: list[str], those: list[str]) -> list[str]:
    rest = list(those)
    found = []
    for each in these:
        if each in rest:
            rest.remove(each)
        else:
            found.append(each)
    return found


def _wanted(flag: Flag, wish: Change) -> list[Argument]:
    if flag.kind == "switch":
        if wish.values:
            raise WrongFlag(flag.name, "VALUE_WRONG", "is a switch and takes no value")
        return [Argument(flag.name)]
    if not wish.values:
        raise WrongFlag(flag.name, "VALUE_WRONG", "needs a value")
    if len(wish.values) > 1 and not flag.many:
        raise WrongFlag(flag.name, "VALUE_WRONG", "takes one value")
    for value in wish.values:
        if wrong := wrong_value(flag, value):
            raise WrongFlag(flag.name, "VALUE_WRONG", f"{wrong}, and not {value[:80]!r}")
    return [Argument(flag.name, value) for value in wish.values]


def _replaced(arguments: list[Argument], name: str, wanted: list[Argument]) -> list[Argument]:
    """Put the wanted arguments where the first of that name stood; those that stay as they are keep their words."""
    old = [argument for argument in arguments if argument.name == name]
    if [each.value for each in old] == [each.value for each in wanted]:
        return arguments
    kept = {argument.value: argument for argument in old}
    wanted = [kept.get(argument.value, argument) for argument in wanted]
    if not old:
        return [*arguments, *wanted]
    place = arguments.index(old[0])
    rest = [argument for argument in arguments[place:] if argument.name != name]
    return [*arguments[:place], *wanted, *rest]


def _takes_value(name: str) -> bool:
    flag = CATALOGUE.get(name)
    return flag is None or flag.kind != "switch"
