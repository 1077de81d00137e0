"""Jobs: what root listed is run as it stands, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.allowlist import Allowlist, JobEntry
from agent.jobs.listed import JobRefused, become

_RUN = """
import sys
from agent.allowlist import Allowlist, JobEntry
from agent.jobs.listed import become
argv = ("/usr/bin/env", "printf %s $(id); echo", "x") if sys.argv[1] == "odd" else ("/usr/bin/env",)
become("listed", Allowlist({}, jobs={"listed": JobEntry(argv)}))
"""


def run(kind: str) -> "subprocess.CompletedProcess[str]":
    root = Path(__file__).resolve().parents[3]
    environment = {"PYTHONPATH": f"{root}:{root}/gen", "SECRET": "x"}
    return subprocess.run(
        [sys.executable, "-c", _RUN, kind], env=environment, capture_output=True, text=True, check=False
    )


def test_it_runs_with_a_bare_environment() -> None:
    assert sorted(run("plain").stdout.splitlines()) == ["LANG=C.UTF-8", "PATH=/usr/bin:/bin"]


def test_no_shell_reads_its_words() -> None:
    assert "printf %s $(id); echo" in run("odd").stderr


@pytest.mark.parametrize(
    ("name", "argv", "words"),
    [
        ("other", ("/bin/true",), "not listed a job 'other'"),
        ("listed", ("true",), "must be an absolute path"),
        ("listed", ("/nowhere/at/all",), "No such file"),
        ("listed", (os.devnull,), "Permission denied"),
    ],
)
def test_what_cannot_be_run_is_explained(name: str, argv: tuple[str, ...], words: str) -> None:
    with pytest.raises(JobRefused, match=words):
        become(name, Allowlist({}, jobs={"listed": JobEntry(argv)}))
