"""Shelves: where the cold store's files stand, one Parquet file a metric and day, `METRIC/YYYY-MM-DD.parquet`."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from pathlib import Path
from typing import Protocol

from controlplane.telemetry.store.model import DAY

SUFFIX = ".parquet"
_EPOCH = date(1970, 1, 1).toordinal()


class Shelf(Protocol):
    """A place for files; its methods block, and are called in threads. All raise StoreDown."""

    def put(self, name: str, day: int, path: Path) -> None:
        """Publish a file in place of what was there: readers find the old one or the new one, each whole."""

    def days(self, name: str) -> Mapping[int, str]:
        """Give the days that there are of a metric, each with a mark that another file of that day would not have."""

    def names(self) -> set[str]:
        """Give every metric of which there are files."""

    def reading(self, name: str, days: Mapping[int, str]) -> AbstractContextManager[Mapping[int, Path]]:
        """Bring files of a metric near; they stay for the length of the block."""

    def close(self) -> None:
        """Let go of it."""


def day_text(day: int) -> str:
    """Write a day since the epoch as a date."""
    return date.fromordinal(_EPOCH + day).isoformat()


def day_number(text: str) -> int | None:
    """Read what `day_text` wrote; None: it is no date."""
    try:
        return date.fromisoformat(text).toordinal() - _EPOCH
    except ValueError:
        return None


def day_of(unix_ms: int) -> int:
    """Give the UTC day of a time, since the epoch."""
    return unix_ms // DAY


class FolderShelf:
    """Files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, day: int, path: Path) -> None:
        """Copy beside its place, make it durable, and rename it."""
        target = self._path(name, day)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        with path.open("rb") as source, part.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
        part.replace(target)
        _sync_folder(target.parent)
        _sync_folder(self._folder)

    def days(self, name: str) -> Mapping[int, str]:
        """List the metric's folder."""
        folder = self._folder / name
        found = {}
        for path in folder.glob(f"*{SUFFIX}") if folder.is_dir() else ():
            if (day := day_number(path.stem)) is not None:
                found[day] = str(path.stat().st_mtime_ns)
        return found

    def names(self) -> set[str]:
        """List the folder."""
        return {path.name for path in self._folder.iterdir() if path.is_dir()} if self._folder.is_dir() else set()

    @contextmanager
    def reading(self, name: str, days: Mapping[int, str]) -> Iterator[Mapping[int, Path]]:
        """They are near."""
        yield {day: self._path(name, day) for day in days}

    def close(self) -> None:
        """Nothing is held."""

    def _path(self, name: str, day: int) -> Path:
        return self._folder / name / f"{day_text(day)}{SUFFIX}"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
