"""A hostile or late control plane: what an agent does with commands that it should not carry out."""

import asyncio
import datetime as dt
import os
import pwd
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solward.hosts.v1 import link_pb2
from structlog.testing import capture_logs

from agent.actions.executor import Executor
from agent.allowlist import Allowlist, AllowlistError, load
from agent.host.systemd import JobResult, SystemdError, UnitState
from agent.identity import Identity
from agent.journal import Journal
from agent.permits import LONGEST_MS
from common.clock import now_ms
from common.names import SpiffeId
from common.permits import open_receipt, request_sha256, sign_permit
from common.pki import new_key
from controlplane.identity.ca import CertificateAuthority
from tests.support.stream import shift

UNIT, UID = "sol.service", "a" * 32
PERMITS = "agent.permits"


@dataclass
class OneUnit:
    """In place of systemd: one unit that can be restarted, and how often that was done."""

    starts: int = 1
    active: str = "active"
    jobs: list[str] = field(default_factory=list)
    job_s: float = 0.0

    async def state(self, unit: str) -> UnitState:
        if unit != UNIT:
            raise SystemdError("UNIT_NOT_FOUND", f"there is no {unit}")
        invocation, pid = f"{self.starts:032x}", 100 + self.starts
        return UnitState(UNIT, "loaded", self.active, "running", invocation, pid, 0, 0, 0, "success")

    async def _job(self, verb: str, unit: str, timeout_s: float) -> JobResult:
        self.jobs.append(verb)
        await asyncio.sleep(self.job_s)
        self.starts += 1
        self.active = "inactive" if verb == "stop" else "active"
        return JobResult(unit, "1", "done", 0.0, await self.state(unit))

    async def start(self, unit: str, timeout_s: float) -> JobResult:
        return await self._job("start", unit, timeout_s)

    async def stop(self, unit: str, timeout_s: float) -> JobResult:
        return await self._job("stop", unit, timeout_s)

    async def restart(self, unit: str, timeout_s: float) -> JobResult:
        return await self._job("restart", unit, timeout_s)

    async def verify(self, unit: str, wanted: str, settle_s: float) -> UnitState:
        return await self.state(unit)


@dataclass
class Host:
    """An agent's executor, with the control plane's permit key in the tester's hand."""

    unit: OneUnit
    permit_key: Ed25519PrivateKey
    identity: Identity
    executor: Executor
    journal: Journal

    def permit(self, request: bytes, **changes: Any) -> link_pb2.Permit:
        now = now_ms()
        wanted: dict[str, Any] = {
            "id": "p", "host_uid": UID, "action": "validator.restart", "request_sha256": request_sha256(request),
            "operation": "operations/1", "step": "act",
            "not_before_unix_ms": now - 30_000, "expire_unix_ms": now + 60_000,
        }  # fmt: skip
        return link_pb2.Permit(**(wanted | changes))

    def command(self, asked: dict[str, Any] | None = None, /, **changes: Any) -> link_pb2.Command:
        request = request_of(**(asked or {}))
        return link_pb2.Command(permit=sign_permit(self.permit_key, self.permit(request, **changes)), request=request)

    async def do(self, command: link_pb2.Command) -> link_pb2.Receipt | None:
        signed = await self.executor.carry_out(command, lambda _: None)
        if signed is None:
            return None
        receipt = open_receipt(signed, self.identity.key.public_key())
        assert receipt is not None
        return receipt

    async def refusal(self, command: link_pb2.Command) -> str:
        """Give why a command is refused; nothing may have been done."""
        receipt = await self.do(command)
        assert receipt is not None
        assert receipt.result == link_pb2.RECEIPT_RESULT_REFUSED
        assert self.unit.jobs == []
        return str(receipt.reason)


def request_of(**changes: Any) -> bytes:
    wanted: dict[str, Any] = {"unit": UNIT, "verb": link_pb2.UNIT_VERB_RESTART, "timeout_ms": 1000, "settle_ms": 0}
    action = link_pb2.UnitAction(**(wanted | changes))
    return link_pb2.ActionRequest(unit=action).SerializeToString(deterministic=True)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    ca = CertificateAuthority.create("solward.internal", dt.datetime.now(dt.UTC))
    key, permit_key = new_key(), Ed25519PrivateKey.generate()
    certificate = ca.issue_client(key.public_key(), SpiffeId("solward.internal", "agent", UID), dt.datetime.now(dt.UTC))
    permit_keys = (permit_key.public_key().public_bytes_raw(),)
    identity = Identity("hosts/sol-1", UID, key, certificate, (ca.certificate,), permit_keys)
    unit, journal, worker = OneUnit(), Journal(tmp_path), ThreadPoolExecutor(1)
    allowlist = Allowlist({UNIT: frozenset({"validator.restart"})})
    executor = Executor(unit, journal, allowlist, lambda: identity, worker, lambda: None)  # type: ignore[arg-type]
    yield Host(unit, permit_key, identity, executor, journal)
    worker.shutdown()
    journal.close()


async def test_case_43_command_delivered_late_is_refused(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    command = host.command()
    shift(monkeypatch, PERMITS, 3 * 3_600_000)
    assert await host.refusal(command) == "PERMIT_EXPIRED"


async def test_case_43_late_by_a_millisecond_is_late(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    end = now_ms() + 60_000
    command = host.command(expire_unix_ms=end)
    monkeypatch.setattr(f"{PERMITS}.now_ms", lambda: end)
    assert await host.refusal(command) == "PERMIT_EXPIRED"
    monkeypatch.setattr(f"{PERMITS}.now_ms", lambda: end - 1)
    receipt = await host.do(command)
    assert receipt is not None
    assert receipt.result == link_pb2.RECEIPT_RESULT_DONE


async def test_case_43_permit_that_lives_too_long_is_refused(host: Host) -> None:
    assert await host.refusal(host.command(expire_unix_ms=now_ms() + LONGEST_MS + 60_000)) == "PERMIT_EXPIRED"


async def test_case_43_unit_that_was_started_anew_is_left_alone(host: Host) -> None:
    command = host.command({"expected_invocation": f"{1:032x}"})
    host.unit.starts = 2
    assert await host.refusal(command) == "INVOCATION_CHANGED"


async def test_case_43_refused_step_may_be_asked_for_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    late = host.command(expire_unix_ms=now_ms() - 1)
    assert await host.refusal(late) == "PERMIT_EXPIRED"
    receipt = await host.do(host.command())
    assert receipt is not None
    assert receipt.result == link_pb2.RECEIPT_RESULT_DONE


async def test_case_17_clock_ten_minutes_off_refuses_commands_and_says_which_way(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A permit holds from 30 s before to 2 min after by default: ten minutes are too much either way."""
    command = host.command(expire_unix_ms=now_ms() + 120_000)
    shift(monkeypatch, PERMITS, 10 * 60_000)
    assert await host.refusal(command) == "PERMIT_EXPIRED"
    shift(monkeypatch, PERMITS, -10 * 60_000)
    assert await host.refusal(command) == "PERMIT_NOT_YET_VALID"
    shift(monkeypatch, PERMITS, -25_000)
    receipt = await host.do(command)
    assert receipt is not None
    assert receipt.result == link_pb2.RECEIPT_RESULT_DONE


async def test_case_44_duplicate_gets_the_first_receipt_and_is_done_once(host: Host) -> None:
    first = await host.executor.carry_out(host.command(), lambda _: None)
    again = await host.executor.carry_out(host.command(id="another permit"), lambda _: None)
    assert first == again
    assert host.unit.jobs == ["restart"]


async def test_case_44_duplicates_side_by_side_are_done_once(host: Host) -> None:
    host.unit.job_s = 0.05
    receipts = await asyncio.gather(*(host.executor.carry_out(host.command(), lambda _: None) for _ in range(8)))
    assert host.unit.jobs == ["restart"]
    assert len({receipt.SerializeToString() for receipt in receipts if receipt}) == 1


async def test_case_44_duplicate_after_its_time_still_gets_the_first_receipt(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = host.command()
    first = await host.executor.carry_out(command, lambda _: None)
    shift(monkeypatch, PERMITS, 3_600_000)
    assert await host.executor.carry_out(command, lambda _: None) == first


async def test_case_44_step_with_another_request_is_refused(host: Host) -> None:
    await host.do(host.command())
    host.unit.jobs.clear()
    assert await host.refusal(host.command({"timeout_ms": 2000})) == "STEP_REUSED"


async def test_case_44_step_begun_by_a_life_that_died_is_done_once(host: Host) -> None:
    """Killed after the act and before the receipt: the unit's new invocation says that it was done."""
    command = host.command()
    permit = link_pb2.Permit.FromString(command.permit.permit)
    before = link_pb2.UnitState(unit=UNIT, active_state="active", invocation_id=f"{1:032x}")
    host.journal.begin(permit, now_ms(), before)
    host.unit.starts = 2
    receipt = await host.do(command)
    assert receipt is not None
    assert receipt.result == link_pb2.RECEIPT_RESULT_DONE
    assert (receipt.before.invocation_id, receipt.after.invocation_id) == (f"{1:032x}", f"{2:032x}")
    assert host.unit.jobs == []


async def test_case_44_step_begun_but_not_done_by_a_life_that_died_is_done_now(host: Host) -> None:
    command = host.command()
    before = link_pb2.UnitState(unit=UNIT, active_state="active", invocation_id=f"{1:032x}")
    host.journal.begin(link_pb2.Permit.FromString(command.permit.permit), now_ms(), before)
    receipt = await host.do(command)
    assert receipt is not None
    assert receipt.result == link_pb2.RECEIPT_RESULT_DONE
    assert host.unit.jobs == ["restart"]


def unsigned(host: Host) -> dict[str, link_pb2.Command]:
    good = host.command()
    stranger = sign_permit(Ed25519PrivateKey.generate(), link_pb2.Permit.FromString(good.permit.permit))
    # A signature over the bare permit, without the context that keeps kinds of signatures apart.
    bare = link_pb2.SignedPermit(permit=good.permit.permit, signature=host.permit_key.sign(good.permit.permit))
    edited = host.permit(good.request, expire_unix_ms=now_ms() + 1_000_000).SerializeToString()
    return {
        "not signed": link_pb2.Command(permit={"permit": good.permit.permit}, request=good.request),
        "no permit": link_pb2.Command(request=good.request),
        "foreign key": link_pb2.Command(permit=stranger, request=good.request),
        "bare signature": link_pb2.Command(permit=bare, request=good.request),
        "edited": link_pb2.Command(permit={"permit": edited, "signature": good.permit.signature}, request=good.request),
        "another request": link_pb2.Command(permit=good.permit, request=request_of(unit="sshd.service")),
        "another host": host.command(host_uid="b" * 32),
    }


@pytest.mark.parametrize(
    "kind", ["not signed", "no permit", "foreign key", "bare signature", "edited", "another request", "another host"]
)
async def test_case_59_command_that_the_key_does_not_cover_is_not_answered_and_logged(host: Host, kind: str) -> None:
    with capture_logs() as logs:
        assert await host.do(unsigned(host)[kind]) is None
    assert host.unit.jobs == []
    assert [line["log_level"] for line in logs if line["event"] == "command refused"] == ["error"]


OUTSIDE = {
    "another unit": ({"unit": "sshd.service"}, {}, "NOT_ON_ALLOWLIST"),
    "a path": ({"unit": "../sol.service"}, {}, "NOT_ON_ALLOWLIST"),
    "an option": ({"unit": "--force"}, {}, "NOT_ON_ALLOWLIST"),
    "no unit": ({"unit": ""}, {}, "NOT_ON_ALLOWLIST"),
    "another verb": ({"verb": link_pb2.UNIT_VERB_STOP}, {"action": "validator.stop"}, "NOT_ON_ALLOWLIST"),
    "verb and permit differ": ({"verb": link_pb2.UNIT_VERB_STOP}, {}, "ACTION_UNKNOWN"),
    "no verb": ({"verb": link_pb2.UNIT_VERB_UNSPECIFIED}, {}, "ACTION_UNKNOWN"),
    "unknown verb": ({"verb": 99}, {}, "ACTION_UNKNOWN"),
    "unknown action": ({}, {"action": "shell.run"}, "ACTION_UNKNOWN"),
}


@pytest.mark.parametrize("kind", OUTSIDE)
async def test_case_59_signed_command_outside_the_allowlist_is_refused_with_a_receipt(host: Host, kind: str) -> None:
    action, changes, reason = OUTSIDE[kind]
    assert await host.refusal(host.command(action, **changes)) == reason


async def test_case_59_agent_that_trusts_no_key_acts_on_nothing(host: Host) -> None:
    nobody = replace(host.identity, permit_keys=())
    host.executor._identity = lambda: nobody
    assert await host.do(host.command()) is None


ME = pwd.getpwuid(os.geteuid()).pw_name


def allowlist_file(folder: Path, mode: int = 0o644, text: str = "units: {sol.service: [validator.restart]}") -> Path:
    folder.chmod(0o755)
    path = folder / "allowlist.yaml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_case_59_allowlist_is_read_as_root_wrote_it(tmp_path: Path) -> None:
    allowed = load(allowlist_file(tmp_path), ME)
    assert allowed.allows("validator.restart", UNIT)
    assert not allowed.allows("validator.stop", UNIT)


@pytest.mark.parametrize("mode", [0o646, 0o664, 0o666, 0o1666])
def test_case_59_allowlist_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(AllowlistError):
        load(allowlist_file(tmp_path, mode), ME)


def test_case_59_allowlist_in_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = allowlist_file(tmp_path)
    tmp_path.chmod(0o777)
    with pytest.raises(AllowlistError):
        load(path, ME)


def test_case_59_allowlist_behind_a_link_is_refused(tmp_path: Path) -> None:
    real = allowlist_file(tmp_path)
    link = tmp_path / "link.yaml"
    link.symlink_to(real)
    with pytest.raises(AllowlistError):
        load(link, ME)


@pytest.mark.host  # only root can make another user's file
def test_case_59_allowlist_of_another_owner_is_refused(tmp_path: Path) -> None:
    path = allowlist_file(tmp_path)
    os.chown(path, 65534, 65534)
    with pytest.raises(AllowlistError):
        load(path, "root")


@pytest.mark.parametrize(
    "text",
    [
        "units: {sol.service: [shell.run]}",
        "units: {../sol.service: [validator.restart]}",
        "units: {'sol service.service': [validator.restart]}",
        "units: {sol.socket: [validator.restart]}",
        "units: [sol.service]",
        "unit: {}",
        "units: {",
        "",
        "units: {sol.service: [validator.restart]}\nextra: 1",
    ],
)
def test_case_59_allowlist_that_says_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(AllowlistError):
        load(allowlist_file(tmp_path, text=text), ME)
