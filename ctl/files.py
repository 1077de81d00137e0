"""Files that an operator names: trouble with them is told before anything is asked of the server."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ctl.exits import USAGE, fail


def check_writable(path: Path) -> None:
    """Leave with a clear error unless a file can be written."""
    target = path if path.exists() else path.parent
    if path.is_dir() or not target.exists() or not os.access(target, os.W_OK):
        fail(f"{path} cannot be written: check the folder and its permissions", USAGE)


@contextmanager
def private_file(path: Path, *, force: bool) -> Iterator[TextIO]:
    """Write a file of mode 0600, which stands under its name only once it is whole.

    Args:
        path: the file.
        force: replace one that exists.
    """
    if path.exists() and not path.is_file():
        fail(f"{path} is not a file", USAGE)
    if path.exists() and not force:
        fail(f"{path} exists, nothing was done", USAGE, "give another name, or --force")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}", USAGE)
    try:
        with os.fdopen(handle, "w") as file:
            yield file
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
