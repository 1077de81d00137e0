"""Clients of others: what docs/clients.md shows runs as it stands, with the wheel's stubs in a place of their own."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster import PASSWORD, Cluster, cluster

ROOT = Path(__file__).parents[2]
SHOWN = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
pytestmark = pytest.mark.timeout(180)


def shown(language: str) -> str:
    """Give the first block of a language."""
    return next(code for name, code in SHOWN.findall((ROOT / "docs/clients.md").read_text()) if name == language)


async def environment(made: Cluster) -> dict[str, str]:
    """What the examples are told, and nothing of ours."""
    return {
        "PATH": os.environ["PATH"], "HOME": str(made.folder), "CA_FILE": str(made.ca_file),
        "SERVER": f"127.0.0.1:{made.tls_port}", "GATEWAY": f"https://127.0.0.1:{made.rest_port}",
        "SOLWARD_USER": "admin", "SOLWARD_PASSWORD": PASSWORD, "CODE": await made.authenticator.code(),
    }  # fmt: skip


def stubs_alone(folder: Path) -> Path:
    """Build the wheel, and give a Python that has it and grpcio, and nothing else."""
    uv = Path(sys.executable).parent / "uv"
    built = folder / "wheel"
    project = ROOT / "packaging/client"
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", built], cwd=project, check=True)
    (wheel,) = built.glob("*.whl")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder / "alone"], check=True)
    python = folder / "alone/bin/python"
    # The versions that are pinned for us, so that the same ones are fetched.
    pins = ["-c", ROOT / "requirements/ctl.txt"]
    subprocess.run([uv, "pip", "install", "-q", "--python", python, *pins, wheel], check=True)
    return python


async def run(argv: list[str | Path], told: dict[str, str]) -> str:
    ran = await asyncio.to_thread(subprocess.run, argv, env=told, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


async def test_the_wheels_stubs_do_with_grpcio_alone(tmp_path: Path) -> None:
    python = await asyncio.to_thread(stubs_alone, tmp_path / "python")
    names = "import importlib.metadata as m; print(*(d.name.replace('_', '-') for d in m.distributions()))"
    assert set((await run([python, "-c", names], {})).lower().split()) == {
        "solward-client", "grpcio", "protobuf", "googleapis-common-protos", "typing-extensions",
    }  # fmt: skip
    folder = tmp_path / "cluster"
    folder.mkdir()
    async with cluster(folder) as made:
        await made.sign_in()
        await made.add_host("sol-1")
        said = await run([python, "-c", shown("python")], await environment(made))
        assert said == "hosts/sol-1 connected\n"


async def test_curl_reaches_every_rpc(tmp_path: Path) -> None:
    async with cluster(tmp_path) as made:
        await made.sign_in()
        await made.add_host("sol-1")
        said = await run(["/bin/sh", "-euc", shown("sh")], await environment(made))
        assert said.count('"name":"hosts/sol-1"') == 2, said


async def test_a_page_or_node_reaches_every_rpc_by_fetch(tmp_path: Path) -> None:
    async with cluster(tmp_path) as made:
        await made.sign_in()
        await made.add_host("sol-1")
        told = await environment(made) | {"NODE_EXTRA_CA_CERTS": str(made.ca_file)}
        said = await run(["node", "--input-type=module", "-e", shown("ts")], told)
        assert said == "hosts/sol-1 connected\n"
