"""Two control planes on one PostgreSQL: the second takes over, and the first, when it wakes up, does no harm."""

import asyncio
import json
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.e2e.test_rolling import DONE, begin, ended, states
from tests.support.cluster import Cluster, cluster
from tests.support.front import Front, front
from tests.support.ports import free_ports
from tests.support.postgres import FAST, PostgresServer, postgres

NAMES = ("sol-1", "sol-2", "sol-3")
# What a team is promised: a dead one's operations go on within this.
TAKE_OVER_S = 15.0

pytestmark = pytest.mark.timeout(420)


@asynccontextmanager
async def server() -> AsyncIterator[tuple[PostgresServer, str]]:
    """Run a PostgreSQL with one database."""
    made = postgres()
    running = await asyncio.to_thread(made.__enter__)
    database = running.database()
    try:
        yield running, await asyncio.to_thread(database.__enter__)
    finally:
        await asyncio.to_thread(database.__exit__, None, None, None)
        await asyncio.to_thread(made.__exit__, None, None, None)


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[tuple[Cluster, Cluster, list[Front]]]:
    """Run a control plane that leads, one that stands by, and hosts that reach whichever the front leads to."""
    mtls, tls = free_ports(2)
    async with AsyncExitStack() as stack:
        _, url = await stack.enter_async_context(server())
        first = await stack.enter_async_context(cluster(folder, database_url=url))
        fronts = [
            await stack.enter_async_context(front(mtls, first.mtls_port)),
            await stack.enter_async_context(front(tls, first.tls_port)),
        ]
        second = await stand_by(folder / "second", first, url)
        stack.push_async_callback(second.stop_server)
        # Agents and people know the front alone.
        reached = replace(first, mtls_port=mtls, tls_port=tls)
        await reached.sign_in()
        for name in NAMES:
            await reached.add_host(name)
        stack.push_async_callback(reached.close)
        yield reached, second, fronts


async def stand_by(folder: Path, first: Cluster, url: str) -> Cluster:
    """Start a control plane with the keys of the first, on ports of its own."""
    folder.mkdir(mode=0o700)
    shutil.copytree(first.folder / "cp", folder / "cp")
    (folder / "cp" / "lock").unlink(missing_ok=True)
    mtls, tls, rest, metrics = free_ports(4)
    settings: dict[str, Any] = {
        "data_dir": str(folder / "cp"), "mtls_listen": f"127.0.0.1:{mtls}", "tls_listen": f"127.0.0.1:{tls}",
        "gateway_listen": f"127.0.0.1:{rest}", "metrics_listen": f"127.0.0.1:{metrics}", "drain_seconds": 2,
        "database_url": url,
    }  # fmt: skip
    (folder / "controlplane.yaml").write_text(yaml.safe_dump(settings))
    second = replace(
        first, folder=folder, mtls_port=mtls, tls_port=tls, rest_port=rest, metrics_port=metrics, settings=settings,
        server=None, hosts={},
    )  # fmt: skip
    await second.begin_server()
    await until(lambda: "standing by" in second.log, "the second stands by")
    return second


async def until(holds: Any, what: str, seconds: float = 30) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}") from None


def lead_to(fronts: list[Front], plane: Cluster) -> None:
    """Do what a load balancer does that finds that only one of two servers listens."""
    fronts[0].lead_to(plane.mtls_port)
    fronts[1].lead_to(plane.tls_port)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
async def test_the_second_goes_on_where_the_first_stopped(tmp_path: Path, how: signal.Signals) -> None:
    async with pair(tmp_path) as (reached, second, fronts):
        before = {name: reached.hosts[name].starts for name in NAMES}
        name = await begin(reached, "restart", *NAMES, "--soak", "3")
        await until(lambda: reached.hosts["sol-1"].starts > before["sol-1"], "the first host was restarted")
        watching = asyncio.create_task(reached.ctl("operations", "watch", name, "-o", "json", check=False))
        await asyncio.sleep(1)
        assert reached.server
        at = time.monotonic()
        reached.server.send_signal(how)
        await until(lambda: "this control plane leads" in second.log, "the second leads", TAKE_OVER_S)
        await second.until_open(second.tls_port, second.server)
        assert time.monotonic() - at < TAKE_OVER_S
        lead_to(fronts, second)
        if how is signal.SIGSTOP:
            # The first wakes up amid it, still sure that it leads: it ends itself, and nothing of it counts.
            await asyncio.sleep(1)
            reached.server.send_signal(signal.SIGCONT)
            async with asyncio.timeout(10):
                assert await reached.server.wait() == 75
            assert "leads no more" in reached.log
        try:
            done = await ended(reached, name)
        except AssertionError as error:
            agents = "".join(f"\n{host}: {reached.hosts[host].log[-1500:]}" for host in NAMES)
            raise AssertionError(f"{error}\nthe second: {second.log[-5000:]}{agents}") from None
        assert done["state"] == DONE[0], (done, second.log[-3000:])
        assert set(states(done).values()) == {"SUCCEEDED"}
        assert {host: reached.hosts[host].starts - before[host] for host in NAMES} == dict.fromkeys(NAMES, 1)
        # Who watched it begin sees it end.
        async with asyncio.timeout(30):
            watched = await watching
        assert watched.code == 0, watched
        assert json.loads(watched.out)["state"] == DONE[0]
        assert "went away" in watched.err
        assert "answers again" in watched.err


# The first to be queued again after a takeover is snatched at once by a process that then ends.
SNATCH = """
CREATE TABLE snatched (workflow text PRIMARY KEY);
CREATE FUNCTION snatch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO public.snatched VALUES (NEW.workflow_uuid) ON CONFLICT DO NOTHING;
  IF FOUND THEN NEW.status := 'PENDING'; NEW.executor_id := 'dead'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER snatch BEFORE UPDATE ON dbos.workflow_status FOR EACH ROW
  WHEN (OLD.status = 'PENDING' AND NEW.status = 'ENQUEUED') EXECUTE FUNCTION snatch();
"""


async def test_what_a_dying_one_snatches_from_the_second_is_taken_up_again(tmp_path: Path) -> None:
    async with pair(tmp_path) as (reached, second, fronts):
        before = {name: reached.hosts[name].starts for name in NAMES}
        name = await begin(reached, "restart", *NAMES, "--soak", "3")
        await until(lambda: reached.hosts["sol-1"].starts > before["sol-1"], "the first host was restarted")
        assert reached.server
        reached.server.send_signal(signal.SIGKILL)
        url = second.settings["database_url"].replace("+asyncpg", "")
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as database:
            await database.execute(SNATCH)
            await until(lambda: "this control plane leads" in second.log, "the second leads", TAKE_OVER_S)
            await second.until_open(second.tls_port, second.server)
            lead_to(fronts, second)
            done = await ended(reached, name)
            snatched = await (await database.execute("SELECT count(*) FROM snatched")).fetchone()
        assert done["state"] == DONE[0], (done, second.log[-3000:])
        assert {host: reached.hosts[host].starts - before[host] for host in NAMES} == dict.fromkeys(NAMES, 1)
        assert snatched
        assert snatched[0] >= 2, "the whole and the host's turn"


async def test_a_database_that_restarts_amid_an_operation_is_survived(tmp_path: Path) -> None:
    async with server() as (database, url), cluster(tmp_path, database_url=url) as made:
        await made.sign_in()
        for host in NAMES[:2]:
            await made.add_host(host)
        before = {host: made.hosts[host].starts for host in NAMES[:2]}
        name = await begin(made, "restart", *NAMES[:2], "--soak", "4")
        for _ in range(2):
            await asyncio.sleep(2.5)
            await asyncio.to_thread(database.restart, FAST)
        done = await ended(made, name)
        assert done["state"] == DONE[0], (done, made.log[-3000:])
        assert {host: made.hosts[host].starts - before[host] for host in NAMES[:2]} == dict.fromkeys(NAMES[:2], 1)
        assert made.server
        assert made.server.returncode is None
