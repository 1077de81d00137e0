"""A real nginx with the configuration that docs/gateway.md shows, as it stands but for what is its reader's own."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.ports import free_ports
from tests.support.tls import Authority

DOCS = Path(__file__).parents[2] / "docs/gateway.md"
SHOWN = re.compile(r"```nginx\n(.*?)```", re.DOTALL)
READY_S = 10.0


class Nginx(NamedTuple):
    """An nginx that runs: its URL, whom to trust for it, and where it logs."""

    url: str
    ca_file: Path
    folder: Path

    @property
    def log(self) -> str:
        """What it logged, of calls and of errors."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))


def shown(folder: Path, port: int, gateways: list[int], ca_file: Path) -> str:
    """Give the documented configuration with a test's own addresses and files; each of them has to be there."""
    (text,) = SHOWN.findall(DOCS.read_text())
    own = {
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "10.0.0.11:3000": f"127.0.0.1:{gateways[0]}",
        "10.0.0.12:3000": f"127.0.0.1:{gateways[1]}",
        "console.example.net": "localhost",
        "/etc/nginx/solward/ca.pem": str(ca_file),
        "/etc/nginx/solward/": f"{folder}/",
        "/var/log/nginx/": f"{folder}/",
    }
    for theirs, ours in own.items():
        assert theirs in text, theirs
        text = text.replace(theirs, ours)
    return str(text)


@asynccontextmanager
async def nginx(folder: Path, gateways: list[int], ca_file: Path) -> AsyncIterator[Nginx]:
    """Run nginx before two gateways.

    Args:
        folder: where everything of it goes.
        gateways: their ports.
        ca_file: whom it trusts to be a gateway.
    """
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "nginx is missing: apt-get install nginx"
    (port,) = free_ports(1)
    authority = Authority(folder)
    certificate, key = authority.issue("localhost")
    certificate.rename(folder / "tls.crt")
    key.rename(folder / "tls.key")
    (folder / "solward.conf").write_text(shown(folder, port, gateways, ca_file))
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/main.log;\n"
        f"events {{ worker_connections 1024; }}\n"
        f"http {{ client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/answers;\n"
        f"  access_log off; include {folder}/solward.conf; }}\n"
    )
    argv = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "main.log")]
    process = await asyncio.create_subprocess_exec(*argv, stderr=subprocess.PIPE)
    try:
        await _until_open(process, port)
        yield Nginx(f"https://localhost:{port}", authority.file, folder)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _until_open(process: asyncio.subprocess.Process, port: int) -> None:
    async with asyncio.timeout(READY_S):
        while True:
            if process.returncode is not None:
                assert process.stderr
                raise RuntimeError(f"nginx ended: {(await process.stderr.read()).decode()}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
