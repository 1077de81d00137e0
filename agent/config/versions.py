"""Versions of a unit's flags: each as it once stood, so that any of them can be had back."""

import hashlib
import os
from pathlib import Path

import msgspec

from agent.config.sources import ConfigError, Launch
from common.clock import now_ms
from common.files import write_private
from common.flags.arguments import Argument

# The oldest go first past this.
MOST = 200


class Version(msgspec.Struct, frozen=True):
    """One version.

    Attributes:
        number: counts from 1.
        unix_ms: when it was first seen, or written.
        etag: names what it says.
        source: where they stood; words of one source are not those of another.
        program: the validator's program then.
        arguments: as they stood.
    """

    number: int
    unix_ms: int
    etag: str
    source: str
    program: str
    arguments: list[tuple[str, str | None, tuple[str, ...], bool]]

    @property
    def launch(self) -> Launch:
        """The program and its arguments."""
        return Launch(self.program, [Argument(*each) for each in self.arguments])


def etag(launch: Launch) -> str:
    """Name what is started: the same words have the same name."""
    words = [launch.program, *(word for each in launch.arguments for word in each.words)]
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:32]


class Versions:
    """The versions of one unit, a file each. Calls block for a moment on the disk."""

    def __init__(self, folder: Path, unit: str) -> None:
        self._folder = folder / unit

    def all(self) -> list[Version]:
        """List them, the newest first; a file that a power cut left half written is passed over."""
        found = []
        for path in sorted(self._folder.glob("[0-9]*.json"), reverse=True):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Version))
            except msgspec.MsgspecError:
                continue
        return found

    def get(self, number: int, source: str) -> Version:
        """Find one; raises ConfigError VERSION_NOT_FOUND, or VERSION_OF_ANOTHER_SOURCE."""
        for version in self.all():
            if version.number == number and version.source != source:
                why = f"version {number} stood in {version.source}, and root has since named {source}"
                raise ConfigError("VERSION_OF_ANOTHER_SOURCE", why)
            if version.number == number:
                return version
        raise ConfigError("VERSION_NOT_FOUND", f"there is no version {number} of these flags")

    def by_etag(self, name: str) -> Version | None:
        """Find the newest that says the same."""
        return next((version for version in self.all() if version.etag == name), None)

    def keep(self, launch: Launch, source: str) -> Version:
        """Keep what stands, or is about to; what the newest says already is not kept twice."""
        known = self.all()
        name = etag(launch)
        if known and known[0].etag == name:
            return known[0]
        number = known[0].number + 1 if known else 1
        version = Version(
            number,
            now_ms(),
            name,
            source,
            launch.program,
            [(each.name, each.value, each.raw, each.fixed) for each in launch.arguments],
        )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            write_private(self._path(number), msgspec.json.encode(version))
        except OSError as error:
            raise ConfigError(
                "CONFIG_NOT_WRITTEN", f"the version could not be kept: {os.strerror(error.errno or 0)}"
            ) from None
        for old in known[MOST - 1 :]:
            # The first is what root had: no number of changes may push it out.
            if old.number > 1:
                self._path(old.number).unlink(missing_ok=True)
        return version

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.json"
