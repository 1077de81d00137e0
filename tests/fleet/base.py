"""The roots that hosts begin from: one for each release of Debian, bootstrapped once and kept."""

import asyncio
import fcntl
import os
import shutil
from pathlib import Path

from tests.support.programs import run_program

# libpam-systemd is the logind that polkitd wants; bookworm's python3 is 3.11, as is our environment's.
PACKAGES = "systemd,systemd-sysv,libpam-systemd,dbus,polkitd,python3,adduser"
STAMP = "etc/solward-base"


def cache() -> Path:
    """The folder that bootstrapped roots are kept in."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "/var/cache") / "solward"


async def base_root(suite: str) -> Path:
    """Give the root of a release, made first if it is missing, half made, or of other packages."""
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    root = folder / suite
    with (folder / f"{suite}.lock").open("w") as lock:
        # Another test process may be at it: wait for that one off the loop.
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if not _is_complete(root):
            await _bootstrap(root)
    return root


def _is_complete(root: Path) -> bool:
    stamp = root / STAMP
    return stamp.is_file() and stamp.read_text() == PACKAGES


async def _bootstrap(root: Path) -> None:
    half = root.with_name(f"{root.name}.half")
    for old in (half, root):
        shutil.rmtree(old, ignore_errors=True)
    argv = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", root.name, str(half)]
    ran = await run_program(argv, os.environ)
    if ran.code:
        log = half / "debootstrap" / "debootstrap.log"
        why = log.read_text()[-2000:] if log.is_file() else ""
        raise RuntimeError(f"{' '.join(argv)} ended with {ran.code}:\n{ran.out[-1000:]}{ran.err}{why}")
    (half / STAMP).write_text(PACKAGES)
    # Whole or not there at all.
    half.rename(root)
