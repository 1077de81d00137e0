"""Contexts: the control planes an operator knows, with the session on each; files are 0600."""

import asyncio
import dataclasses
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import yaml

from common.files import write_private
from ctl.exits import NOT_SIGNED_IN, USAGE, fail

LOCK_POLL_S = 0.05


@dataclass(slots=True)
class Context:
    """One control plane.

    Attributes:
        server: HOST:PORT of its TLS door; of its mTLS door, where a client certificate stands in for a session.
        ca_pem: the roots that its certificate must come from; each session brings those of today.
        log_key: the audit log's public key (hexadecimal), pinned at the first login.
        certificate: file of the client certificate; empty: people sign in.
        key: file of its private key.
        held_checkpoint: the last signed checkpoint that was seen, as a line of an export.
    """

    name: str
    server: str
    ca_pem: str
    username: str = ""
    access_token: str = ""
    access_expires_ms: int = 0
    refresh_token: str = ""
    log_key: str = ""
    held_checkpoint: str = ""
    certificate: str = ""
    key: str = ""


def home() -> Path:
    """The folder of the configuration, made if need be."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    folder = Path(base) / "solward"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def names() -> list[str]:
    """Every context's name."""
    return sorted(path.stem for path in (home() / "contexts").glob("*.yaml"))


def current_name() -> str:
    """The name of the current context; empty where none was chosen."""
    path = home() / "current"
    return path.read_text().strip() if path.exists() else ""


def use(name: str) -> None:
    """Make a context the current one."""
    if name not in names():
        _unknown(name)
    write_private(home() / "current", name.encode())


def load(name: str | None) -> Context:
    """Load a context, by default the current one."""
    chosen = name or current_name()
    if not chosen:
        fail(
            "no control plane is known yet", NOT_SIGNED_IN, "ctl login --server HOST:7444 --ca-file ca.pem --user NAME"
        )
    path = _path(chosen)
    if not path.exists():
        _unknown(chosen)
    return Context(**yaml.safe_load(path.read_text()))


@asynccontextmanager
async def alone(name: str) -> AsyncIterator[None]:
    """Be the only program that renews a context's session, until the block ends."""
    path = _path(name).with_suffix(".lock")
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with path.open("w") as lock:
        path.chmod(0o600)
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(LOCK_POLL_S)
            else:
                break
        yield


def save(context: Context) -> None:
    """Store a context."""
    path = _path(context.name)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_private(path, yaml.safe_dump(dataclasses.asdict(context)).encode())


def delete(name: str) -> None:
    """Forget a context."""
    path = _path(name)
    if not path.exists():
        _unknown(name)
    path.unlink()
    path.with_suffix(".lock").unlink(missing_ok=True)
    if name == current_name():
        (home() / "current").unlink()


def _unknown(name: str) -> NoReturn:
    fail(f"there is no context {name!r}", USAGE, f"known: {', '.join(names()) or 'none'}")


def _path(name: str) -> Path:
    if not name.replace("-", "").replace("_", "").isalnum():
        fail(f"{name!r} is not a name for a context", USAGE, "use letters, digits, '-' and '_'")
    return home() / "contexts" / f"{name}.yaml"
