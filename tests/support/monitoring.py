"""Real servers of monitoring, on free ports of this machine, and what they notify."""

import asyncio
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.ports import free_ports

READY_S = 30.0


@asynccontextmanager
async def daemon(argv: Sequence[str], ready_url: str, log: Path) -> AsyncIterator[None]:
    """Run a server until the block ends; it is ready when a URL answers 200."""
    with log.open("ab") as said:
        process = await asyncio.create_subprocess_exec(*argv, stdin=DEVNULL, stdout=said, stderr=STDOUT)
    try:
        async with asyncio.timeout(READY_S), aiohttp.ClientSession() as session:
            while True:
                if process.returncode is not None:
                    raise RuntimeError(f"{argv[0]} ended with {process.returncode}:\n{log.read_text()[-3000:]}")
                try:
                    async with session.get(ready_url) as answer:
                        if answer.status == 200:
                            break
                except aiohttp.ClientError:
                    # It does not listen yet; why is in its log, should it end instead.
                    await asyncio.sleep(0.05)
                await asyncio.sleep(0.05)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def alertmanager(folder: Path, config: Path, port: int = 0) -> AsyncIterator[str]:
    """Run Alertmanager; gives its URL."""
    port = port or free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    argv = [
        "prometheus-alertmanager", f"--config.file={config}", f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    async with daemon(argv, f"{url}/-/ready", folder / "alertmanager.log"):
        yield url


@asynccontextmanager
async def prometheus(folder: Path, config: Path, *flags: str, port: int = 0) -> AsyncIterator[str]:
    """Run Prometheus with more flags, on a free port unless it is given; gives its URL."""
    port = port or free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    argv = [
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}", *flags,
    ]  # fmt: skip
    async with daemon(argv, f"{url}/-/ready", folder / "prometheus.log"):
        yield url


class Notified:
    """Stands where PagerDuty's and Slack's APIs do, and keeps what they are told."""

    def __init__(self) -> None:
        self.pagerduty: list[dict[str, Any]] = []
        self.slack: list[dict[str, Any]] = []
        self.url = ""

    async def _pagerduty(self, request: web.Request) -> web.Response:
        told = await request.json()
        missing = {"routing_key", "event_action", "payload"} - told.keys()
        if missing or told["event_action"] not in ("trigger", "acknowledge", "resolve"):
            return web.json_response({"status": "invalid event", "errors": sorted(missing)}, status=400)
        self.pagerduty.append(told)
        return web.json_response({"status": "success", "dedup_key": told.get("dedup_key", "")}, status=202)

    async def _slack(self, request: web.Request) -> web.Response:
        self.slack.append(await request.json())
        return web.Response(text="ok")


@asynccontextmanager
async def notified() -> AsyncIterator[Notified]:
    """Serve PagerDuty's events API (v2) at /pagerduty and a Slack webhook at /slack."""
    made = Notified()
    app = web.Application()
    app.router.add_post("/pagerduty", made._pagerduty)
    app.router.add_post("/slack", made._slack)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()
