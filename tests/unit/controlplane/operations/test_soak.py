"""Soak: well all the time passes, never well fails, and now and then is for a person to judge."""

from dataclasses import dataclass, field

import pytest
from solward.operations.v1 import operations_pb2 as pb

from controlplane.operations import soak as soaking
from controlplane.operations.plan import UnitPlan
from controlplane.operations.soak import Looks, soak

PLAN = UnitPlan("validator.restart", "a" * 32, "sol-1", "sol.service", "active/running", b"", 300, soak_s=10)


@dataclass
class Host:
    """A host that is connected or not at each look."""

    connected: list[bool]
    said: list[str] = field(default_factory=list)
    looks: int = 0

    async def look(self) -> bool:
        self.looks += 1
        return self.connected[min(self.looks, len(self.connected)) - 1]


async def watch(host: Host, monkeypatch: pytest.MonkeyPatch, gone: str = "", aborted: bool = False) -> tuple[int, str]:
    async def no_wait(_: float) -> None:
        return

    async def is_aborted() -> bool:
        return aborted

    monkeypatch.setattr(soaking.asyncio, "sleep", no_wait)
    return await soak(None, PLAN, lambda: gone, host.look, is_aborted, host.said.append)  # type: ignore[arg-type]


async def test_well_at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host([True])
    assert await watch(host, monkeypatch) == (pb.VERDICT_PASS, "well at each of 11 looks")
    assert host.said[0] == "10 s left"


async def test_a_host_that_flaps_is_for_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict, message = await watch(Host([True, False, True]), monkeypatch)
    assert (verdict, message[:34]) == (pb.VERDICT_INCONCLUSIVE, "FLAPS: not well at 1 of 11 looks; ")


async def test_a_host_that_nobody_saw_has_not_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict, message = await watch(Host([False]), monkeypatch)
    assert (verdict, message) == (
        pb.VERDICT_INCONCLUSIVE,
        "HOST_OFFLINE: not seen at any of 11 looks; its agent is not connected",
    )


def test_never_well_fails() -> None:
    looks = Looks()
    looks.add_unseen()
    looks.add("behind")
    assert looks.verdict() == (pb.VERDICT_FAIL, "UNHEALTHY: not well at any of 2 looks; behind")


async def test_a_run_that_ends_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host([True])
    assert await watch(host, monkeypatch, gone="UNIT_DIED: x") == (pb.VERDICT_FAIL, "UNIT_DIED: x")
    assert host.looks == 0


async def test_a_person_may_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict, message = await watch(Host([True]), monkeypatch, aborted=True)
    assert (verdict, message.partition(":")[0]) == (pb.VERDICT_INCONCLUSIVE, "ABORTED")


def test_looks_add_up() -> None:
    looks = Looks()
    looks.add("")
    looks.add("behind")
    assert looks.verdict()[1] == "FLAPS: not well at 1 of 2 looks; behind"
