"""A plugin's step through the executor, over an agent that dies at any moment: a reload is never done twice."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solward.hosts.v1 import link_pb2

from agent.actions.executor import Executor
from agent.actions.plugin import LOAD, RELOAD, UNLOAD
from agent.allowlist import Allowlist
from agent.host.admin_rpc import AdminRpc
from agent.journal import Journal
from common.clock import now_ms
from common.permits import open_receipt, request_sha256, sign_permit
from tests.unit.agent.actions.test_plugin import Stand, standing
from tests.unit.agent.fakes import HOST_UID, UNIT, make_identity

KEY = Ed25519PrivateKey.generate()
IDENTITY = make_identity(KEY)
DONE, FAILED, REFUSED = (
    link_pb2.RECEIPT_RESULT_DONE, link_pb2.RECEIPT_RESULT_FAILED, link_pb2.RECEIPT_RESULT_REFUSED,
)  # fmt: skip
METHODS = {LOAD: "loadPlugin", UNLOAD: "unloadPlugin", RELOAD: "reloadPlugin"}


class Died(BaseException):
    """The process ended here."""


class Mortal(AdminRpc):
    """An admin socket whose user dies at a call: before it is made, or before its answer is seen."""

    def __init__(self, path: Path, method: str, *, before: bool) -> None:
        super().__init__(path, call_s=1.0)
        self._method, self._before = method, before

    async def call(self, method: str, *params: Any, within_s: float | None = None) -> Any:
        if method != self._method:
            return await super().call(method, *params, within_s=within_s)
        if not self._before:
            await super().call(method, *params, within_s=within_s)
        raise Died


def command(verb: link_pb2.PluginVerb, *, action: str = "geyser.plugin") -> link_pb2.Command:
    asked = link_pb2.PluginAction(unit=UNIT, verb=verb, source="ys", timeout_ms=2_000)
    request = link_pb2.ActionRequest(plugin=asked).SerializeToString()
    permit = link_pb2.Permit(
        id="one", host_uid=HOST_UID, action=action, request_sha256=request_sha256(request),
        operation="operations/one", step="act", not_before_unix_ms=now_ms() - 1_000, expire_unix_ms=now_ms() + 60_000,
    )  # fmt: skip
    return link_pb2.Command(permit=sign_permit(KEY, permit), request=request)


class Host:
    """A validator with plugins, and the agent's disk."""

    def __init__(self, stand: Stand, folder: Path, worker: ThreadPoolExecutor) -> None:
        self.stand, self._folder, self._worker = stand, folder, worker
        self.actions = frozenset({"geyser.plugin"})

    async def do(self, asked: link_pb2.Command, admin: AdminRpc | None = None) -> link_pb2.Receipt:
        """Carry a command out in a life of its own."""
        assert self.stand.node
        self.stand.node.admin = admin or self.stand.admin
        journal = Journal(self._folder)
        allowed = Allowlist({UNIT: self.actions}, plugins=self.stand.listed)
        executor = Executor(
            self.stand.systemd, journal, allowed, lambda: IDENTITY, self._worker, lambda: None, self.stand.node,
            plugins=self.stand.plugins,
        )  # fmt: skip
        try:
            signed = await executor.carry_out(asked, lambda _: None)
        finally:
            journal.close()
        assert signed
        receipt = open_receipt(signed, IDENTITY.key.public_key())
        assert receipt
        return receipt

    async def calls(self, method: str) -> int:
        """Say how often the validator was asked for something."""
        import aiohttp

        url = f"{self.stand.peer.control_url}/seen"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return int((await answer.json())["calls"].get(method, 0))


@pytest.fixture
def worker() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


@pytest.fixture
async def host(tmp_path: Path, worker: ThreadPoolExecutor) -> AsyncIterator[Host]:
    state = tmp_path / "state"
    state.mkdir()
    async with standing(tmp_path) as stand:
        yield Host(stand, state, worker)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("verb", [LOAD, UNLOAD])
async def test_a_load_or_an_unload_is_done_whenever_the_agent_dies(
    host: Host, verb: link_pb2.PluginVerb, before: bool
) -> None:
    if verb == LOAD:
        await host.stand.peer.admin("unloadPlugin", "GeyserGrpc")
    already = await host.calls(METHODS[verb])
    with pytest.raises(Died):
        await host.do(command(verb), Mortal(host.stand.admin.path, METHODS[verb], before=before))
    receipt = await host.do(command(verb))
    assert (receipt.result, receipt.action) == (DONE, "geyser.plugin")
    assert await host.calls(METHODS[verb]) - already == 1
    assert await host.stand.loaded() == (["GeyserGrpc"] if verb == LOAD else [])
    assert receipt.figures["plugins"] == ("GeyserGrpc" if verb == LOAD else "")
    # A step that is told again gets the same receipt.
    assert await host.do(command(verb)) == receipt


@pytest.mark.parametrize("before", [True, False])
async def test_a_reload_is_asked_for_once_at_the_most(host: Host, before: bool) -> None:
    with pytest.raises(Died):
        await host.do(command(RELOAD), Mortal(host.stand.admin.path, "reloadPlugin", before=before))
    receipt = await host.do(command(RELOAD))
    assert (receipt.result, receipt.reason) == (FAILED, "RELOAD_UNKNOWN")
    assert (receipt.figures["loaded"], receipt.before.unit) == ("true", UNIT)
    assert await host.calls("reloadPlugin") == (0 if before else 1)


async def test_a_configuration_that_went_bad_meanwhile_is_not_loaded(host: Host) -> None:
    await host.stand.peer.admin("unloadPlugin", "GeyserGrpc")
    with pytest.raises(Died):
        await host.do(command(LOAD), Mortal(host.stand.admin.path, "loadPlugin", before=True))
    host.stand.config.write_text("{")
    receipt = await host.do(command(LOAD))
    assert (receipt.result, receipt.reason) == (FAILED, "PLUGIN_CONFIG_BAD")
    assert await host.calls("loadPlugin") == 0


async def test_what_root_does_not_allow_is_not_done(host: Host) -> None:
    host.actions = frozenset({"validator.restart"})
    assert (await host.do(command(RELOAD))).reason == "NOT_ON_ALLOWLIST"
    host.actions = frozenset({"geyser.plugin"})
    other = await host.do(command(RELOAD, action="validator.restart"))
    assert (other.result, other.reason) == (REFUSED, "ACTION_UNKNOWN")
    assert await host.calls("reloadPlugin") == 0
