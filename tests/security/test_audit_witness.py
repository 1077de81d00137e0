"""Attacks on the log that no export of it shows: what hosts remember names them."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from prometheus_client import generate_latest
from solward.audit.v1 import audit_pb2 as pb
from solward.hosts.v1 import link_pb2

from agent.witness import Witness
from common.auditlines import encode
from common.auditlog import sign
from common.auditwire import checkpoint_message, checkpoint_of
from common.clock import now_ms
from ctl.witnessed import AGREES, CONTRADICTS, CUT, NEWER, OLDER, compare
from tests.support.plane import Person, Plane, Refused, control_plane
from tests.support.stream import Stream, agent_stream, entries, hello

AUDIT = "solward.audit.v1.AuditService"
WAIT_S = 10.0


async def write(plane: Plane, count: int, who: str = "user:alice") -> None:
    await asyncio.gather(
        *(plane.app.auditing.log.append({"principal": who, "reason": f"{number}"}) for number in range(count))
    )


async def witnesses(plane: Plane, admin: Person) -> list[pb.Witness]:
    asked = pb.ListWitnessesRequest()
    return list((await plane.call(f"{AUDIT}/ListWitnesses", asked, pb.ListWitnessesResponse, admin)).witnesses)


async def until(plane: Plane, admin: Person, holds: Callable[[list[pb.Witness]], bool]) -> list[pb.Witness]:
    async with asyncio.timeout(WAIT_S):
        while not holds(seen := await witnesses(plane, admin)):
            await asyncio.sleep(0.02)
    return seen


async def answer(stream: Stream, witness: Witness) -> link_pb2.WitnessReport:
    """Let a real agent's witness answer the next checkpoint."""
    async with asyncio.timeout(WAIT_S):
        while not (message := await stream.next()).HasField("checkpoint"):
            pass
    report = witness.told(message.checkpoint)
    await stream.send(witness=report)
    return report


async def disputes(plane: Plane, count: int) -> list[dict[str, Any]]:
    """Wait until so many disputes are on record, and give them."""
    async with asyncio.timeout(WAIT_S):
        while len(found := await entries(plane, method="audit.witness")) < count:
            await asyncio.sleep(0.02)
    return found


def held(witness: Witness) -> dict[str, Any]:
    return {"held_checkpoint": witness.message()}


async def test_agents_are_told_of_every_checkpoint_and_follow(plane: Plane, tmp_path: Path) -> None:
    admin = await plane.sign_in()
    machine = await plane.add_machine(admin, "sol-1")
    await plane.add_machine(admin, "sol-2")
    witness = Witness(tmp_path, plane.app.auditing.log.public_key)
    await plane.app.auditing.log.checkpoint()
    async with agent_stream(plane, machine) as stream:
        assert not (await answer(stream, witness)).reason
        for _ in range(3):
            await write(plane, 5)
            point = await plane.app.auditing.log.checkpoint()
            assert checkpoint_of((await answer(stream, witness)).held).size == point.size
        first, second = await until(plane, admin, lambda seen: seen[0].verdict == pb.VERDICT_AGREES)
        assert (first.host, first.held.size, second.verdict) == ("hosts/sol-1", point.size, pb.VERDICT_UNKNOWN)
    # Away for a while, and the log is pruned meanwhile: it still proves that it grew.
    await write(plane, 5)
    await plane.app.auditing.log.checkpoint()
    await asyncio.sleep(0.01)
    await write(plane, 1)
    assert (await plane.app.auditing.retention.prune(now_ms(), "user:alice"))[-1].size > point.size
    async with agent_stream(plane, machine, hello(stream.welcome.exchange_token, **held(witness))) as stream:
        assert not (await answer(stream, witness)).reason
        assert witness.held is not None
        assert witness.held.size > point.size


async def test_case_33_older_backup_is_named_by_what_a_host_holds(tmp_path: Path) -> None:
    folder, backup = tmp_path / "cp", tmp_path / "backup"
    async with control_plane(tmp_path) as plane:
        admin = await plane.sign_in()
        machine = await plane.add_machine(admin, "sol-1")
        assert await plane.app.auditing.log.checkpoint()
    shutil.copytree(folder, backup)
    witness = Witness(tmp_path, b"")
    async with control_plane(tmp_path) as plane:
        await write(plane, 40)
        point = await plane.app.auditing.log.checkpoint()
        async with agent_stream(plane, machine) as stream:
            await answer(stream, witness)
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)
    # By itself the restored log is a whole and well-signed one. And to write on does not hide it.
    async with control_plane(tmp_path) as plane:
        admin = await plane.sign_in()
        async with agent_stream(plane, machine, hello(**held(witness))) as stream:
            assert "cut short" in (await answer(stream, witness)).reason
            seen = await until(plane, admin, lambda seen: seen[0].verdict == pb.VERDICT_LONGER_THAN_OURS)
            assert (seen[0].held.size, "old copy" in seen[0].detail) == (
                point.size,
                True,
            )
            await write(plane, 40)
            await plane.app.auditing.log.checkpoint()
            await until(plane, admin, lambda seen: seen[0].verdict == pb.VERDICT_FORKED)
        recorded = await disputes(plane, 2)
        assert [(body["principal"], body["reason"], body["held_size"]) for body in recorded] == [
            ("hosts/sol-1", "LONGER_THAN_OURS", point.size), ("hosts/sol-1", "FORKED", point.size),
        ]  # fmt: skip
        firing = [(alert.rule, alert.host) for alert in plane.app.watching.alerts._book.open.values()]
        assert ("audit_log_disputed", "hosts/sol-1") in firing
        assert 'solward_audit_witnesses{verdict="forked"} 1.0' in generate_latest().decode()
        records = [record async for record in plane.app.auditing.log.export()]
        export = tmp_path / "audit.jsonl"
        export.write_text("".join(encode(record) + "\n" for record in records))
        key = Ed25519PublicKey.from_public_bytes(plane.app.auditing.log.public_key)
        assert [one.verdict for one in compare(export, key, await witnesses(plane, admin))] == [CONTRADICTS]


async def test_case_33_log_signed_with_another_key_is_named(plane: Plane) -> None:
    origin = plane.app.auditing.log.origin
    strange = sign(Ed25519PrivateKey.generate(), origin=origin, size=1, root=bytes(32), time_ms=1)
    admin = await plane.sign_in()
    machine = await plane.add_machine(admin, "sol-1")

    async with agent_stream(plane, machine, hello(held_checkpoint=checkpoint_message(strange))):
        await until(plane, admin, lambda seen: seen[0].verdict == pb.VERDICT_FOREIGN_KEY)
    assert [body["reason"] for body in await disputes(plane, 1)] == ["FOREIGN_KEY"]


async def test_case_33_a_host_that_says_the_same_again_floods_nothing(plane: Plane) -> None:
    admin = await plane.sign_in()
    machine = await plane.add_machine(admin, "sol-1")
    lie = pb.Checkpoint(origin="x\x1b[2J", size=2**62, root=b"r" * 5000, signature=b"s", public_key=b"k")
    async with agent_stream(plane, machine, hello(held_checkpoint=lie)) as stream:
        for _ in range(30):
            await stream.send(witness=link_pb2.WitnessReport(held=lie, refused=lie, reason="x"))
        await until(plane, admin, lambda seen: seen[0].verdict == pb.VERDICT_FOREIGN_KEY)
    assert len(await disputes(plane, 1)) == 1


async def test_case_33_exports_are_compared_with_what_hosts_hold(plane: Plane, tmp_path: Path) -> None:
    admin = await plane.sign_in()
    machine = await plane.add_machine(admin, "sol-1")
    witness, key = Witness(tmp_path, b""), Ed25519PublicKey.from_public_bytes(plane.app.auditing.log.public_key)
    await write(plane, 5)
    early = await plane.app.auditing.log.checkpoint()
    await asyncio.sleep(0.01)
    await write(plane, 5)

    async def verdict(records: list[Any]) -> str:
        (tmp_path / "export").write_text("".join(encode(record) + "\n" for record in records))
        (found,) = compare(tmp_path / "export", key, await witnesses(plane, admin))
        return found.verdict

    async with agent_stream(plane, machine) as stream:
        await answer(stream, witness)
        await write(plane, 5)
        await plane.app.auditing.log.checkpoint()
        await answer(stream, witness)
        await until(plane, admin, lambda seen: seen[0].verdict == pb.VERDICT_AGREES)
        assert witness.held
        records = [record async for record in plane.app.auditing.log.export()]
        assert await verdict(records) == AGREES
        # A shorter one is of an earlier day if its head is, and cut if that was signed later.
        shorter = [record for record in records if not hasattr(record, "sequence") or record.sequence <= early.size]
        short = [record for record in shorter if hasattr(record, "sequence")]
        assert await verdict([*short, early]) == NEWER
        assert await verdict([*short, early._replace(time_ms=now_ms() + 1000)]) == CUT
        await write(plane, 1)
        await plane.app.auditing.log.checkpoint()
        await asyncio.sleep(0.01)
        await write(plane, 1)
        await plane.app.auditing.retention.prune(now_ms(), "user:alice")
        assert await verdict([record async for record in plane.app.auditing.log.export()]) in (AGREES, OLDER)


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_case_33_only_administrators_prune_and_only_with_a_code(plane: Plane, role: str) -> None:
    person, admin = await plane.sign_in(role), await plane.sign_in()
    request = pb.PruneEntriesRequest()
    request.before.FromMilliseconds(1)
    for who, reason in ((person, "PERMISSION_MISSING"), (admin, "SECOND_FACTOR_REQUIRED")):
        with pytest.raises(Refused) as caught:
            await plane.call(f"{AUDIT}/PruneEntries", request, pb.PruneEntriesResponse, who)
        assert caught.value.reason == reason
