"""Secrets that a setting names and does not hold: in a file, a systemd credential or an environment variable."""

import os
from pathlib import Path
from typing import Any

MOST_BYTES = 65_536


def resolve(value: Any) -> Any:
    """Read what "file:PATH", "credential:NAME" or "env:NAME" stands for; other values stay as they are.

    Raises: ValueError, whose words hold nothing of the secret.
    """
    if not isinstance(value, str):
        return value
    kind, colon, name = value.partition(":")
    if not colon or kind not in ("file", "credential", "env"):
        return value
    if kind == "env":
        found = os.environ.get(name)
        if not found:
            raise ValueError(f"names the environment variable {name[:64]}, which is not set")
        return found
    return _read(Path(name) if kind == "file" else _credential(name))


def _credential(name: str) -> Path:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise ValueError("names a systemd credential, but the unit has none: see LoadCredential= in systemd.exec(5)")
    if not name or "/" in name or name.startswith("."):
        raise ValueError("must name a credential as credential:NAME")
    return Path(folder) / name


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            if mode & 0o007:
                raise ValueError(f"names {path}, which everybody may read (mode {mode:04o}): it must be 0600")
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"names {path}, which cannot be read: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise ValueError(f"names {path}, which is too large for a secret")
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"names {path}, which is no text") from None
    if not text:
        raise ValueError(f"names {path}, which is empty")
    return text
