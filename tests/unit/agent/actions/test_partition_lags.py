"""A look at a group's partitions: it takes a permit like any other, no unit, and fits into a receipt."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solward.geyser.v1 import geyser_pb2
from solward.hosts.v1 import link_pb2

from agent.actions.executor import Executor, PartitionLagsOf
from agent.allowlist import Allowlist
from agent.geyser.bells import PluginBells
from agent.geyser.kafka.lag import FLAGS, PartitionLag
from agent.journal import Journal
from agent.permits import Refusal
from agent.probes.geyser_kafka import MOST_PARTITIONS, _to_wire
from common.permits import open_receipt, request_sha256, sign_permit
from tests.unit.agent.fakes import UNIT, FakeSystemd, command, make_identity

KEY = Ed25519PrivateKey.generate()
IDENTITY = make_identity(KEY)
DONE, REFUSED = link_pb2.RECEIPT_RESULT_DONE, link_pb2.RECEIPT_RESULT_REFUSED
# What link.proto gives a signed receipt.
ROOM = 65_536


class Life:
    def __init__(self, folder: Path, worker: ThreadPoolExecutor) -> None:
        self.folder, self.worker, self.bells = folder, worker, PluginBells()
        self.journal = Journal(folder)

    async def do(
        self, asked: link_pb2.Command, lags: PartitionLagsOf | None = None, allowed: Allowlist | None = None
    ) -> tuple[link_pb2.Receipt, int]:
        """Carry out a command; give its receipt, and how long that is."""
        executor = Executor(
            FakeSystemd(), self.journal, allowed or Allowlist({}), lambda: IDENTITY, self.worker, lambda: None,
            bells=self.bells, partition_lags=lags,
        )  # fmt: skip
        signed = await executor.carry_out(asked, lambda _: None)
        assert signed
        receipt = open_receipt(signed, IDENTITY.key.public_key())
        assert receipt
        return receipt, len(signed.receipt)


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with ThreadPoolExecutor(1) as worker:
        made = Life(tmp_path, worker)
        yield made
        made.journal.close()


def look(**more: Any) -> link_pb2.Command:
    ask = link_pb2.PartitionLagsAsk(source="main", group="g", topic="t", limit=3)
    request = link_pb2.ActionRequest(inspect=link_pb2.InspectAction(partition_lags=ask, **more)).SerializeToString()
    base = command(KEY)
    permit = link_pb2.Permit.FromString(base.permit.permit)
    permit.action, permit.request_sha256 = "validator.inspect", request_sha256(request)
    return link_pb2.Command(permit=sign_permit(KEY, permit), request=request)


async def test_the_agent_tells_without_any_unit_on_roots_list(life: Life) -> None:
    async def lags(asked: link_pb2.PartitionLagsAsk) -> geyser_pb2.PartitionLags:
        assert (asked.source, asked.group, asked.topic, asked.limit) == ("main", "g", "t", 3)
        return geyser_pb2.PartitionLags(lag_messages=7)

    receipt, _ = await life.do(look(), lags)
    assert (receipt.result, receipt.partition_lags.lag_messages) == (DONE, 7)
    # With a unit it is a look at that unit, which root must have listed.
    receipt, _ = await life.do(look(unit="other.service"), lags)
    assert (receipt.result, receipt.reason) == (REFUSED, "NOT_ON_ALLOWLIST")


async def test_an_agent_that_looks_at_no_cluster_says_so(life: Life) -> None:
    receipt, _ = await life.do(look())
    assert (receipt.result, receipt.reason) == (REFUSED, "KAFKA_UNKNOWN")

    async def unknown(asked: link_pb2.PartitionLagsAsk) -> geyser_pb2.PartitionLags:
        raise Refusal("GROUP_UNKNOWN", "no such group")

    receipt, _ = await life.do(look(), unknown)
    assert (receipt.result, receipt.reason) == (REFUSED, "GROUP_UNKNOWN")


async def test_the_longest_answer_fits_into_a_receipt(life: Life) -> None:
    far, flags = 2**62, sum(FLAGS)
    row = PartitionLag(200_000, far, far, far, far, 1e9, far, flags)

    async def lags(asked: link_pb2.PartitionLagsAsk) -> geyser_pb2.PartitionLags:
        return geyser_pb2.PartitionLags(partitions=[_to_wire(row)] * MOST_PARTITIONS, left_out=far % 2**32)

    _, length = await life.do(look(), lags)
    assert length < ROOM


async def test_whatever_is_done_to_a_unit_makes_plugins_be_looked_at(life: Life) -> None:
    await life.do(look())
    assert life.bells.doubted.times == 0
    allowed = Allowlist({UNIT: frozenset({"validator.restart"})})
    receipt, _ = await life.do(command(KEY), allowed=allowed)
    assert receipt.result == DONE
    assert life.bells.doubted.times == 1
