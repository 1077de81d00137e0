"""`solward-agent job NAME`: becomes the program that root listed under a name; systemd runs it as solward-job@NAME."""

import os
from pathlib import Path
from typing import NoReturn

from agent.allowlist import Allowlist


class JobRefused(Exception):
    """A job that root has not listed, or that cannot be begun."""


def become(name: str, allowlist: Allowlist) -> NoReturn:
    """Put the listed program in this one's place, with a bare environment and no shell.

    Raises: JobRefused.
    """
    job = allowlist.jobs.get(name)
    if job is None:
        raise JobRefused(f"root has not listed a job {name!r} (jobs in /etc/solward/allowlist.yaml)")
    program = Path(job.argv[0])
    if not program.is_absolute():
        raise JobRefused(f"job {name}: the program must be an absolute path, and not {job.argv[0]!r}")
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    try:
        os.execve(program, list(job.argv), environment)  # noqa: S606 - no shell is what is wanted
    except OSError as error:
        raise JobRefused(f"job {name}: {program} cannot be run: {error.strerror}") from None
