"""A plugin's configuration, looked at before a validator is: a bad one has cost validators their lives."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import json5

# More than anybody writes; the reader takes half a second for as much.
MOST_BYTES: Final = 64 * 1024
# As many as Linux follows (path_resolution(7)).
MOST_LINKS: Final = 40


class PluginConfigError(Exception):
    """A configuration that a validator must not be given; the message says what to do."""


def check_owners(path: Path) -> None:
    """Look whether root and our own user alone can change what a validator loads from a file.

    Asked by who runs as the validator's user: what anybody else can change becomes code with the validator's keys at
    hand. The file and its library are looked at with every folder above them, as sshd looks at authorized keys.

    Raises: PluginConfigError.
    """
    try:
        for one in (path, path.parent / _libpath(path, _config(path))):
            for part in _passed(one):
                _refuse_others(part)
    except OSError as error:
        raise PluginConfigError(f"{path}: {error.filename} cannot be seen: {error.strerror}") from None


def check_config(path: Path, name: str) -> None:
    """Look whether a validator could load a plugin from a file.

    A relative `libpath` is relative to the file, and a `name` in it is what the validator lists the plugin as (agave
    geyser-plugin-manager).

    Args:
        name: what the plugin is listed as.

    Raises: PluginConfigError.
    """
    config = _config(path)
    libpath = _libpath(path, config)
    if not _is_file(library := path.parent / libpath):
        raise PluginConfigError(f"{path}: libpath {ascii(libpath)[:256]} is no file that can be seen")
    _refuse_open(library)
    named = config.get("name")
    if named is not None and named != name:
        raise PluginConfigError(
            f"{path} names the plugin {str(named)[:128]!r}, and agent.yaml {name!r}: the validator would list it by the"
            " former; give `name` in agent.yaml the same"
        )


def _config(path: Path) -> dict[str, Any]:
    text = _read(path)
    try:
        config = json5.loads(text)
    except (ValueError, RecursionError) as error:
        raise PluginConfigError(f"{path} is not JSON5: {error}") from None
    if not isinstance(config, dict):
        raise PluginConfigError(f"{path} must hold an object, with libpath in it")
    return config


def _libpath(path: Path, config: dict[str, Any]) -> str:
    libpath = config.get("libpath")
    if not isinstance(libpath, str) or not libpath or "\0" in libpath:
        raise PluginConfigError(f"{path} must name the plugin's library as libpath")
    return libpath


def _read(path: Path) -> str:
    try:
        # A pipe must not hold us up, so it is seen what it is before it is read.
        if not stat.S_ISREG(path.stat().st_mode):
            raise PluginConfigError(f"{path} must be a file")
        _refuse_open(path)
        _refuse_open(path.parent)
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise PluginConfigError(f"{path} cannot be opened: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise PluginConfigError(f"{path} is over {MOST_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise PluginConfigError(f"{path} is not UTF-8") from None


def _refuse_open(path: Path) -> None:
    """Refuse what anybody may write: it becomes code within the validator."""
    mode = path.stat().st_mode
    sticky = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
    if mode & stat.S_IWOTH and not sticky:
        raise PluginConfigError(f"{path} must not be writable by everybody: chmod o-w {path}")


def _passed(path: Path) -> Iterator[Path]:
    """Give everything that the kernel passes on its way to a file: each folder, each link, and the file.

    Raises: OSError: a part is not there; PluginConfigError: more links than the kernel follows.
    """
    way, links = list(path.absolute().parts), 0
    at = Path(way.pop(0))
    yield at
    while way:
        part = way.pop(0)
        if part == "..":
            at = at.parent
            continue
        at /= part
        yield at
        if at.is_symlink():
            links += 1
            if links > MOST_LINKS:
                raise PluginConfigError(f"{path} leads through over {MOST_LINKS} links")
            to = at.readlink()
            at = Path("/") if to.is_absolute() else at.parent
            way[:0] = [one for one in to.parts if one != "/"]


def _refuse_others(path: Path) -> None:
    """Refuse what another user than root and our own owns or may write; in a sticky folder nobody moves others'."""
    found = path.lstat()
    if found.st_uid not in (0, os.geteuid()):
        raise PluginConfigError(f"{path} must belong to root, or to the user that the validator runs as")
    # The mode of a link says nothing: it is changed by who may write its folder.
    fixed = stat.S_ISLNK(found.st_mode) or (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX)
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not fixed:
        raise PluginConfigError(f"{path} must be writable by its owner alone: chmod go-w {path}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False
