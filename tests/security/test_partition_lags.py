"""Whose agent is asked for a group's partitions: one within the caller's reach, and only where it is plain which."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from solward.geyser.v1 import geyser_pb2 as pb

from tests.support.access import grant
from tests.support.plane import Person, Plane, Refused, control_plane
from tests.support.told import Told

METHOD = "solward.geyser.v1.GeyserService/ListPartitionLags"


@pytest.fixture
async def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plane]:
    # For an agent that is not there nobody need wait here.
    monkeypatch.setattr("controlplane.links.inspect.LOOK_SECONDS", 0.2)
    async with control_plane(tmp_path, require_second_factor=False) as running:
        yield running


async def refused(plane: Plane, who: Person, **fields: str) -> Refused:
    request = pb.ListPartitionLagsRequest(group="indexer", topic="slots", **fields)
    with pytest.raises(Refused) as caught:
        await plane.call(METHOD, request, pb.PartitionLags, who)
    return caught.value


async def test_only_an_agent_within_reach_is_asked(plane: Plane) -> None:
    admin = await plane.sign_in()
    for name in ("kafka-1", "kafka-2"):
        await plane.add_machine(admin, name)
    told = Told(plane.app.watching.ingest)

    def tell(host: str) -> None:
        labels = (("group", "indexer"), ("source", "main"), ("topic", "slots"))
        told.tell(host, 0, {("geyser_kafka_lag_messages", labels): 5.0})

    assert (await refused(plane, admin)).reason == "GROUP_NOT_FOUND"
    tell("kafka-1")
    # It is found; its agent is not there.
    assert (await refused(plane, admin)).reason == "HOST_OFFLINE"
    assert (await refused(plane, admin, source="other")).reason == "GROUP_NOT_FOUND"
    assert (await refused(plane, admin, host="hosts/kafka-2")).reason == "GROUP_NOT_FOUND"
    # Named both, the agent is asked whatever it told by itself.
    assert (await refused(plane, admin, host="hosts/kafka-2", source="main")).reason == "HOST_OFFLINE"

    other = await plane.sign_in("none")
    await grant(plane, admin, other.name, "viewer", "hosts/kafka-2")
    hidden = await refused(plane, other)
    assert hidden.reason == "GROUP_NOT_FOUND"
    assert "kafka-1" not in hidden.message
    assert (await refused(plane, other, host="hosts/kafka-1", source="main")).reason == "PERMISSION_MISSING"

    tell("kafka-2")
    several = await refused(plane, admin)
    assert several.reason == "GROUP_AMBIGUOUS"
    assert "hosts/kafka-1 (main), hosts/kafka-2 (main)" in several.message
