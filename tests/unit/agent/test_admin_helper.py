"""The admin helper: listed methods pass to the real wire, nothing else does, whatever is sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.admin_helper import AdminHelper
from agent.allowlist import Allowlist
from agent.host.admin_rpc import AdminError, AdminRpc
from agent.line_rpc import MAX_REQUEST, listening_socket
from tests.peers.fixtures import validator_peer

ALLOWED = Allowlist({}, ("/etc/voter.json",), ("startProgress", "pid", "addAuthorizedVoter"))


@asynccontextmanager
async def helped(folder: Path, ledger: Path, allowed: Allowlist = ALLOWED) -> AsyncIterator[Path]:
    path = folder / "admin.sock"
    listener = listening_socket(path)
    task = asyncio.create_task(AdminHelper(ledger, allowed).rpc.serve(listener))
    try:
        yield path
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        listener.close()


async def reason(admin: AdminRpc, method: str, *params: object) -> str:
    with pytest.raises(AdminError) as caught:
        await admin.call(method, *params)
    return caught.value.reason


async def test_listed_methods_pass_and_no_other(tmp_path: Path) -> None:
    async with validator_peer() as peer, helped(tmp_path, peer.ledger) as path:
        admin = AdminRpc(path)
        assert await admin.call("startProgress") == "Running"
        assert await admin.call("pid") == peer.process.pid
        assert await reason(admin, "exit") == "ADMIN_METHOD_UNKNOWN"
        assert await reason(admin, "setIdentity", "/x", True, True) == "ADMIN_METHOD_UNKNOWN"
        assert await reason(admin, "addAuthorizedVoter", "/home/sol/staked.json") == "NOT_ON_ALLOWLIST"
        # The listed file is passed on, and the validator says that it is not there.
        assert await reason(admin, "addAuthorizedVoter", "/etc/voter.json") == "ADMIN_REFUSED"
        assert peer.process.returncode is None
    assert path.stat().st_mode & 0o777 == 0o660


async def test_plugins_are_acted_on_by_names_and_files_that_root_listed_and_by_no_other(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(b"\x7fELF")
    listed, second, other = tmp_path / "listed.json", tmp_path / "second.json", tmp_path / "other.json"
    for path in (listed, second, other):
        path.write_text(json.dumps({"libpath": "lib.so"}))
    methods = ("listPlugins", "loadPlugin", "reloadPlugin", "unloadPlugin")
    allowed = Allowlist({}, (str(other),), methods, plugins={"listed": str(listed), "second": str(second)})
    async with (
        validator_peer(geyser_plugin_config=str(other)) as peer,
        helped(tmp_path, peer.ledger, allowed) as path,
    ):
        admin = AdminRpc(path)
        # A keypair file that voting may be turned on with is no plugin's configuration.
        assert await reason(admin, "loadPlugin", str(other)) == "NOT_ON_ALLOWLIST"
        assert await reason(admin, "loadPlugin", "listed") == "NOT_ON_ALLOWLIST"
        assert await admin.call("loadPlugin", str(listed)) == "listed"
        for params in (
            ("listed", str(other)), ("listed", str(second)), ("other", str(listed)), ("listed", [str(listed)]),
            ("listed",), ("listed", str(listed), "more"), (), ({}, {}),
        ):  # fmt: skip
            assert await reason(admin, "reloadPlugin", *params) == "NOT_ON_ALLOWLIST"
        assert await admin.call("reloadPlugin", "listed", str(listed)) is None
        # What root did not list stays, whoever loaded it.
        for name in ("other", str(listed), ["listed"], {"listed": 1}):
            assert await reason(admin, "unloadPlugin", name) == "NOT_ON_ALLOWLIST"
        assert await admin.call("listPlugins") == ["other", "listed"]
        assert await admin.call("unloadPlugin", "listed") is None
        with pytest.raises(AdminError, match=r"`plugins` in this host's allowlist does not name .*other"):
            await admin.call("unloadPlugin", "other")
        assert await admin.call("listPlugins") == ["other"]
    # What root did not name as a method is not passed on, whatever files are listed.
    reads = AdminHelper(tmp_path, Allowlist({}, plugins={"listed": str(listed)}))
    for method in methods[1:]:
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": [str(listed)]}
        assert (await reads.rpc.answer(json.dumps(asked).encode()))["error"]["code"] == -32601


async def test_a_plugin_that_others_can_change_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(b"\x7fELF")
    config = tmp_path / "mine.json"
    config.write_text(json.dumps({"libpath": "lib.so"}))
    allowed = Allowlist({}, (), ("loadPlugin", "listPlugins"), plugins={"mine": str(config)})
    async with (
        validator_peer(geyser_plugin_always_enabled=True) as peer,
        helped(tmp_path, peer.ledger, allowed) as path,
    ):
        admin = AdminRpc(path)
        (tmp_path / "lib.so").chmod(0o664)
        with pytest.raises(AdminError, match="chmod go-w") as caught:
            await admin.call("loadPlugin", str(config))
        assert caught.value.reason == "ADMIN_REFUSED"
        assert await admin.call("listPlugins") == []
        (tmp_path / "lib.so").chmod(0o644)
        assert await admin.call("loadPlugin", str(config)) == "mine"


async def test_a_plugin_may_take_longer_than_other_calls(tmp_path: Path) -> None:
    methods = ("listPlugins", "unloadPlugin")
    async with (
        validator_peer(geyser_plugin_always_enabled=True, latency_ms={"unloadPlugin": 6_000}) as peer,
        helped(tmp_path, peer.ledger, Allowlist({}, (), methods, plugins={"x": "/etc/x.json"})) as path,
    ):
        with pytest.raises(AdminError, match="not loaded"):
            await AdminRpc(path).call("unloadPlugin", "x", within_s=15.0)


async def test_validator_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    async with helped(tmp_path, tmp_path / "none", Allowlist({})) as path:
        assert await reason(AdminRpc(path), "pid") == "ADMIN_UNREACHABLE"
        assert not await AdminRpc(path).reachable()


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()))
def test_whatever_is_sent_is_answered_and_nothing_is_passed(line: bytes) -> None:
    answer = asyncio.run(AdminHelper(Path("/nowhere"), ALLOWED).rpc.answer(line))
    assert answer["error"]["code"] in (-32700, -32600, -32601, -32001)


@pytest.mark.parametrize(
    "asked",
    [
        {"jsonrpc": "2.0", "id": 1, "method": "exit\u0000", "params": []},
        {"jsonrpc": "2.0", "id": 1, "method": ["pid"], "params": []},
        {"jsonrpc": "2.0", "id": 1, "method": "pid", "params": {}},
        {"jsonrpc": "2.0", "id": True, "method": "pid"},
        {"jsonrpc": "1.0", "id": 1, "method": "pid"},
        {"jsonrpc": "2.0", "id": 1, "method": "addAuthorizedVoter", "params": ["/etc/voter.json", "/etc/shadow"]},
        {"jsonrpc": "2.0", "id": 1, "method": "addAuthorizedVoter", "params": [["/etc/voter.json"]]},
    ],
)
async def test_crooked_requests_are_refused(asked: dict[str, object]) -> None:
    answer = await AdminHelper(Path("/nowhere"), ALLOWED).rpc.answer(json.dumps(asked).encode())
    assert answer["error"]["code"] in (-32600, -32601, -32002)


async def test_first_key_wins_for_nobody(tmp_path: Path) -> None:
    # Of a key that comes twice we read the last, and what goes on is written anew from what we read.
    line = b'{"jsonrpc":"2.0","id":1,"method":"exit","params":[],"method":"pid"}'
    async with validator_peer() as peer:
        answer = await AdminHelper(peer.ledger, ALLOWED).rpc.answer(line)
        assert answer["result"] == peer.process.pid
        assert peer.process.returncode is None


async def test_endless_line_ends_its_connection_only(tmp_path: Path) -> None:
    async with validator_peer() as peer, helped(tmp_path, peer.ledger) as path:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"x" * (MAX_REQUEST * 3))
        assert await reader.read() == b""
        writer.close()
        assert await AdminRpc(path).call("startProgress") == "Running"


def test_without_systemd_or_a_path_there_is_nothing_to_listen_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    with pytest.raises(ValueError, match="--socket"):
        listening_socket(None)
