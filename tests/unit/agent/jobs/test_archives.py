"""Archives that the tool makes and checks, as jobs: what was made or found is said, and what is bad is remembered."""

from pathlib import Path

import pytest
from solward.hosts.v1 import link_pb2

from agent.host.snapshots import Snapshots
from agent.jobs.archives import ArchiveJob
from agent.jobs.folder import Standing
from agent.ledger.child import Limits
from agent.ledger.tool import LedgerTool, never
from agent.settings import Settings, ValidatorSettings
from tests.peers import ledger_tool as peer

FULL, ON_IT, NEWEST = 10, 13, 18
MAKE, DEEP = link_pb2.SNAPSHOT_VERB_MAKE, link_pb2.SNAPSHOT_VERB_DEEP


class World:
    """A stopped validator with a full archive and an incremental one on it."""

    def __init__(self, folder: Path) -> None:
        ledger = peer.write(folder / "ledger", peer.chain(range(5, 20)), roots=range(5, NEWEST + 1))
        self.folder = folder / "snapshots"
        for place in ("snapshots", "results", "scratch"):
            (folder / place).mkdir()
        self.names = {slot: peer.archive(self.folder, slot, base).name for slot, base in ((FULL, None), (ON_IT, FULL))}
        settings = Settings(server="localhost", job_results_dir=folder / "results")
        self.snapshots = Snapshots(settings, ValidatorSettings(ledger, snapshots=self.folder))
        self.tool = LedgerTool(peer.program(folder), ledger, Limits(20, 20, 2), snapshots=self.snapshots.places)
        self.scratch = folder / "scratch"

    def do(self, verb: link_pb2.SnapshotVerb, **more: object) -> Standing:
        action = link_pb2.SnapshotAction(unit="sol.service", verb=verb, **more)  # type: ignore[arg-type]
        return ArchiveJob(self.tool, self.snapshots, self.scratch, action, lambda _: None, never).run()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize(
    ("slot", "incremental", "start"),
    [(0, False, f"snapshot-{NEWEST}-"), (15, False, "snapshot-15-"), (15, True, f"incremental-snapshot-{FULL}-15-")],
)
def test_an_archive_is_made_where_the_node_looks_for_it(world: World, slot: int, incremental: bool, start: str) -> None:
    made = world.do(MAKE, make_slot=slot, incremental=incremental)
    assert made.state == "done", made
    assert made.figures["archive"].startswith(start)
    assert (world.folder / made.figures["archive"]).stat().st_size == int(made.figures["bytes"])
    assert made.figures["bank_hash"] == peer.bank_hash(int(made.figures["slot"]))


def test_a_slot_that_the_ledger_has_not_is_said(world: World) -> None:
    made = world.do(MAKE, make_slot=400)
    assert (made.state, made.reason) == ("failed", "SLOT_NOT_FULL")


@pytest.mark.parametrize("slot", [FULL, ON_IT])
def test_a_good_archive_passes(world: World, slot: int) -> None:
    checked = world.do(DEEP, archive=world.names[slot])
    assert checked.state == "done", checked
    assert checked.figures["bank_hash"] == peer.bank_hash(slot)
    assert [(check.id, check.verdict) for check in checked.checks] == [("deep", "pass")]


def test_one_that_is_gone_or_lost_its_base_is_said(world: World) -> None:
    (world.folder / world.names[FULL]).unlink()
    assert world.do(DEEP, archive=world.names[FULL]).reason == "ARCHIVE_GONE"
    assert world.do(DEEP, archive=world.names[ON_IT]).reason == "BASE_MISSING"


def test_one_whose_accounts_are_not_what_it_says_is_remembered_as_bad(world: World) -> None:
    spoilt = peer.archive(world.folder, FULL + 1, lattice="other")
    checked = world.do(DEEP, archive=spoilt.name)
    assert (checked.state, checked.reason) == ("failed", "DEEP_HASH_MISMATCH"), checked
    assert world.snapshots.findings.is_bad(spoilt.name)
    assert not world.snapshots.findings.is_bad(world.names[FULL])


def test_of_a_bad_pair_neither_is_blamed(world: World) -> None:
    peer.archive(world.folder, FULL, capitalization=4)
    assert world.do(DEEP, archive=world.names[ON_IT]).reason == "DEEP_HASH_MISMATCH"
    assert not world.snapshots.findings.is_bad(world.names[ON_IT])
