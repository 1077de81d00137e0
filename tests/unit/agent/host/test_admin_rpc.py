"""The admin socket: what the real wire answers, and servers that answer badly or not at all."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.host.admin_rpc import AdminError, AdminRpc, set_identity_params
from common.semver import Version
from tests.peers.fixtures import validator_peer

Answer = Callable[[dict[str, object], asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(folder: Path, answer: Answer) -> AsyncIterator[AdminRpc]:
    """Serve a socket that answers every request as a test says."""

    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(serve(reader, writer)))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(json.loads(await reader.readline()), writer)
        finally:
            writer.close()

    path = folder / "admin.rpc"
    listening = await asyncio.start_unix_server(accept, str(path))
    try:
        yield AdminRpc(path, call_s=0.5)
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def reason(call: Awaitable[object]) -> str:
    with pytest.raises(AdminError) as caught:
        await call
    return caught.value.reason


async def test_real_wire_is_spoken() -> None:
    async with validator_peer() as peer:
        admin = AdminRpc(peer.ledger / "admin.rpc")
        assert await admin.call("startProgress") == "Running"
        assert await admin.call("pid") == peer.process.pid
        assert await admin.reachable()
        assert await reason(admin.call("generateSnapshot")) == "ADMIN_METHOD_UNKNOWN"
        assert await reason(admin.call("setIdentity", "/none", True)) == "ADMIN_REFUSED"


async def test_node_that_still_starts_says_so() -> None:
    async with validator_peer(slow_start_s=3600) as peer:
        admin = AdminRpc(peer.ledger / "admin.rpc")
        assert await reason(admin.call("contactInfo")) == "ADMIN_NOT_READY"
        assert await admin.reachable()


async def test_missing_and_stale_sockets_are_unreachable(tmp_path: Path) -> None:
    admin = AdminRpc(tmp_path / "admin.rpc")
    assert await reason(admin.call("exit")) == "ADMIN_UNREACHABLE"
    async with server(tmp_path, lambda asked, writer: asyncio.sleep(0)):
        stale = tmp_path / "stale.rpc"
        (tmp_path / "admin.rpc").rename(stale)
    assert await reason(AdminRpc(stale).call("exit")) == "ADMIN_UNREACHABLE"
    assert not await admin.reachable()
    assert await reason(AdminRpc(tmp_path / ("x" * 120)).call("exit")) == "ADMIN_UNREACHABLE"


async def test_answers_of_other_calls_are_passed_over(tmp_path: Path) -> None:
    async def answer(asked: dict[str, object], writer: asyncio.StreamWriter) -> None:
        for ident, result in ((999_999, "another's"), (asked["id"], "ours")):
            writer.write(json.dumps({"jsonrpc": "2.0", "id": ident, "result": result}).encode() + b"\n")

    async with server(tmp_path, answer) as admin:
        assert await admin.call("startProgress") == "ours"


async def test_server_that_never_answers_does_not_hold_us_up(tmp_path: Path) -> None:
    async with server(tmp_path, lambda asked, writer: asyncio.sleep(5)) as admin:
        assert await reason(admin.call("exit")) == "ADMIN_TIMEOUT"


@pytest.mark.parametrize("content", [b"", b"not JSON\n", b"[1]\n", b'{"id":', b"[" * 100_000 + b"\n"])
async def test_garbage_is_said_to_be_so(tmp_path: Path, content: bytes) -> None:
    async def answer(asked: dict[str, object], writer: asyncio.StreamWriter) -> None:
        writer.write(content)

    async with server(tmp_path, answer) as admin:
        assert await reason(admin.call("pid")) == "ADMIN_GARBLED"


def test_arity_of_set_identity_is_that_of_the_version() -> None:
    assert set_identity_params(Version(4, 1, 9), "/k", require_tower=True) == ["/k", True]
    assert set_identity_params(Version(4, 2, 0), "/k", require_tower=True) == ["/k", True, True]
    assert set_identity_params(None, "/k", require_tower=False) == ["/k", False, True]
