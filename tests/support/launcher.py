"""A validator that starts from a script, by Agave's own flags, and the helper that may change them."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REAL = ("--ledger", "--log", "--rpc-port")
_SCRIPT = """#!/bin/sh
# The validator of this host.
export PEER_FLAGS='{extra}'
export PYTHONPATH={root}:{root}/gen
{command}
"""


def write_script(folder: Path, flags: list[str]) -> list[str]:
    """Write a script that starts the validator peer by real flags; give the argument vector that runs it."""
    program = folder / "agave-validator"
    program.write_text(f"#!{sys.executable}\nfrom tests.peers.agave_validator import main\nraise SystemExit(main())\n")
    program.chmod(0o755)
    pairs = list(zip(flags[::2], flags[1::2], strict=True))
    said = [f"{name} {value}" for name, value in pairs if name in REAL]
    extra = " ".join(f"{name} {value}" for name, value in pairs if name not in REAL)
    command = " \\\n    ".join([f"exec {program}", *said, "--full-rpc-api", "--rpc-threads 4"])
    script = folder / "validator.sh"
    script.write_text(_SCRIPT.format(extra=extra, root=ROOT, command=command))
    return ["/bin/sh", str(script)]


def helper_argv(folder: Path) -> tuple[str, ...]:
    """Give the arguments with which solward-agent is the config helper of a host."""
    return ("config-helper", "--versions", str(folder / "versions"), "--socket", str(folder / "config.sock"))
