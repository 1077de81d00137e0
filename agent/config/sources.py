"""Where a validator's flags stand: in its unit, in a script of one exec line, or in a YAML file."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from agent.config import files
from agent.config.shellwords import NotSimple, words
from agent.host.systemd import Systemd
from common.flags.arguments import Argument, Word, read

# The drop-in that is ours; to remove it gives the unit its own flags back.
DROP_IN = "90-solward-flags.conf"
UNITS = Path("/etc/systemd/system")
_DROP_IN_TEXT = """# Written by Solward; versions are kept (ctl validator flags versions).
# To go back to the flags of the unit itself, remove this file and reload systemd.
[Service]
ExecStart=
ExecStart={line}
"""


class ConfigError(Exception):
    """Flags that cannot be read or written; nothing was changed. `reason` is a stable code."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Launch(NamedTuple):
    """A validator's program and its arguments, as they stand."""

    program: str
    arguments: list[Argument]


class Source(Protocol):
    """One place where flags stand."""

    async def read(self) -> Launch:
        """Read them; raises ConfigError, SystemdError."""

    async def write(self, arguments: Sequence[Argument]) -> None:
        """Put others in their place, all or nothing; raises ConfigError, SystemdError."""


class UnitSource:
    """The unit's ExecStart; changes go into a drop-in of our own."""

    def __init__(self, unit: str, systemd: Systemd, units: Path = UNITS) -> None:
        self._unit = unit
        self._systemd = systemd
        self._path = units / f"{unit}.d" / DROP_IN

    async def read(self) -> Launch:
        """Read the argument vector from systemd, which has resolved quotes and specifiers in it."""
        program, *rest = await self._systemd.exec_start(self._unit)
        return Launch(program, read([Word(word, word, "$" in word) for word in rest]))

    async def write(self, arguments: Sequence[Argument]) -> None:
        """Write the drop-in and have systemd read it."""
        program, *_ = await self._systemd.exec_start(self._unit)
        # What stood there before keeps its variables; what is new has none.
        said = [
            quoted(word, vary=bool(argument.raw)) for argument in arguments for word in argument.raw or argument.words
        ]
        text = _DROP_IN_TEXT.format(line=" ".join([quoted(program, vary=False), *said]))
        try:
            self._path.parent.mkdir(mode=0o755, exist_ok=True)
            files.replace(self._path, text.encode(), make=True)
        except (files.UnsafeFile, OSError) as error:
            raise ConfigError("CONFIG_NOT_WRITTEN", f"{self._path} cannot be written: {error}") from None
        await self._systemd.reload()


class ScriptSource:
    """A shell script with one line `exec PROGRAM ...`, continued over as many lines as it likes."""

    _EXEC = re.compile(r"^[ \t]*exec[ \t]+(?=\S)", re.MULTILINE)

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> Launch:
        """Read the words of the exec line."""
        _, found, _ = self._parts()
        program, rest = found[0], found[1:]
        return Launch(program.value, read(rest))

    async def write(self, arguments: Sequence[Argument]) -> None:
        """Write the exec line anew, a flag a line; all else in the script stays byte for byte."""
        before, found, after = self._parts()
        lines = [found[0].raw]
        lines += [" ".join(argument.raw or map(shlex.quote, argument.words)) for argument in arguments]
        text = before + " \\\n    ".join(lines) + after
        try:
            files.replace(self._path, text.encode())
        except (files.UnsafeFile, OSError) as error:
            raise ConfigError("CONFIG_NOT_WRITTEN", f"{self._path} cannot be written: {error}") from None

    def _parts(self) -> tuple[str, list[Word], str]:
        """Give what stands before the exec line's words, the words, and what stands after."""
        text = _text(self._path)
        starts = list(self._EXEC.finditer(text))
        if len(starts) != 1:
            raise ConfigError("SCRIPT_ODD", f"{self._path} has {len(starts)} lines that begin with exec, not one")
        start = starts[0].end()
        end = start
        while (end := text.find("\n", end)) > 0 and text[end - 1] == "\\":
            end += 1
        end = end if end >= 0 else len(text)
        try:
            found = words(text[start:end])
        except NotSimple as odd:
            raise ConfigError("SCRIPT_ODD", f"the exec line of {self._path} cannot be changed: {odd}") from None
        return text[:start], found, text[end:]


class _Listed(msgspec.Struct, forbid_unknown_fields=True):
    program: str
    flags: dict[str, bool | int | str | list[int | str]]


class YamlSource:
    """A YAML file of `program` and `flags`, which something else turns into an argument vector."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> Launch:
        """Read it: true is a switch, a list is a flag that is given several times."""
        listed = self._listed()
        found: list[Word] = []
        for name, value in listed.flags.items():
            for each in value if isinstance(value, list) else [value]:
                if each is False:
                    continue
                found.append(Word(f"--{name}", f"--{name}"))
                if each is not True:
                    found.append(Word(str(each), str(each)))
        return Launch(listed.program, read(found))

    async def write(self, arguments: Sequence[Argument]) -> None:
        """Write it whole; comments in it are not kept."""
        flags: dict[str, bool | int | str | list[int | str]] = {}
        for argument in arguments:
            value = True if argument.value is None else argument.value
            known = flags.get(argument.name)
            if known is None or isinstance(value, bool):
                flags[argument.name] = value
            else:
                flags[argument.name] = [*(known if isinstance(known, list) else [str(known)]), value]
        content = msgspec.yaml.encode(_Listed(self._listed().program, flags))
        try:
            files.replace(self._path, content)
        except (files.UnsafeFile, OSError) as error:
            raise ConfigError("CONFIG_NOT_WRITTEN", f"{self._path} cannot be written: {error}") from None

    def _listed(self) -> _Listed:
        try:
            return msgspec.yaml.decode(_text(self._path), type=_Listed)
        except msgspec.MsgspecError as error:
            raise ConfigError("YAML_ODD", f"{self._path}: {error}") from None


def quoted(word: str, *, vary: bool) -> str:
    """Quote a word for a unit file (systemd.syntax(7)); `vary` leaves its variables to systemd.

    Raises: ConfigError for what a unit's line cannot hold.
    """
    if any(ord(char) < 32 or ord(char) == 127 for char in word):
        raise ConfigError("VALUE_WRONG", "a control character cannot stand in a unit")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if not vary:
        escaped = escaped.replace("$", "$$")
    plain = re.fullmatch(r"[A-Za-z0-9_./:=@,+$%-]+", escaped)
    return escaped if plain else f'"{escaped}"'


def _text(path: Path) -> str:
    try:
        return files.read(path).decode()
    except files.UnsafeFile as error:
        raise ConfigError("CONFIG_UNREADABLE", str(error)) from None
    except UnicodeDecodeError:
        raise ConfigError("CONFIG_UNREADABLE", f"{path} is not UTF-8") from None
