"""Work on a ledger as a job: what a survey planned is what a repair does, and nothing else."""

from pathlib import Path

import msgspec
import pytest
from solward.hosts.v1 import link_pb2

from agent.host.snapshots import Snapshots
from agent.jobs.folder import MAX_BYTES, Standing
from agent.jobs.ledger import SHOWN, LedgerJob
from agent.jobs.plans import Plans
from agent.ledger.tool import never
from agent.settings import Settings, ValidatorSettings
from tests.peers import ledger_tool as peer
from tests.peers import snapshots as archives
from tests.unit.agent.ledger.worlds import NearTool

BOOT = 20
SURVEY, REPAIR = link_pb2.LEDGER_VERB_SURVEY, link_pb2.LEDGER_VERB_REPAIR


class World:
    """A validator's ledger with a snapshot beside it, and jobs on both."""

    def __init__(self, folder: Path) -> None:
        self.ledger = peer.write(folder / "ledger", peer.chain(range(10, 29)), roots={20, 25, 26}, dead={22, 27})
        self.results = folder / "results"
        self.results.mkdir()
        archives.write(self.ledger, BOOT)
        settings = Settings(server="localhost", job_results_dir=self.results)
        self.snapshots = Snapshots(settings, ValidatorSettings(self.ledger))
        self.tool = NearTool(Path("/near"), self.ledger)
        self.told: list[str] = []

    def do(self, verb: link_pb2.LedgerVerb, first: int = 8, last: int = 30, **more: object) -> Standing:
        action = link_pb2.LedgerAction(unit="sol.service", verb=verb, first_slot=first, last_slot=last, **more)  # type: ignore[arg-type]
        plans = Plans(self.results / "plans")
        return LedgerJob(self.tool, self.snapshots, plans, action, self.told.append, never).run()

    def state(self) -> str:
        return (self.ledger / peer.FILE).read_text()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def report(standing: Standing) -> link_pb2.LedgerReport:
    return link_pb2.LedgerReport.FromString(standing.ledger)


def test_a_survey_says_how_slots_stand_and_changes_nothing(world: World) -> None:
    before = world.state()
    found = world.do(SURVEY)
    assert (found.state, found.reason) == ("done", "")
    said = report(found)
    assert [(run.first, run.last, run.state) for run in said.runs][:3] == [
        (8, 9, "below_lowest"), (10, 19, "full"), (20, 20, "rooted"),
    ]  # fmt: skip
    assert [step.verb for step in said.steps] == ["repair_roots", "repair_roots", "remove_dead"]
    assert not any(step.done for step in said.steps)
    assert (said.snapshot_slot, said.newest_root) == (BOOT, 26)
    assert found.figures["slots_rooted"] == "3"
    assert found.figures["plan_digest"] == said.digest
    assert world.state() == before


def test_what_was_shown_is_done_and_a_purge_takes_a_survey_that_showed_it(world: World) -> None:
    shown = report(world.do(SURVEY, purge_from=24))
    assert shown.steps[-1].verb == "purge"
    done = world.do(REPAIR, plan_digest=shown.digest)
    assert (done.state, done.reason) == ("done", ""), done
    said = report(done)
    assert [(step.verb, step.done) for step in said.steps] == [
        ("repair_roots", True), ("remove_dead", True), ("purge", True),
    ]  # fmt: skip
    assert {(run.first, run.after) for run in said.runs} >= {(10, "rooted"), (24, "unseen")}
    assert max(peer.Store.load(world.ledger).slots) == 23
    # Once more it is all done already, as after a crash.
    assert world.do(REPAIR, plan_digest=shown.digest).state == "done"


def test_a_repair_without_a_survey_never_purges(world: World) -> None:
    done = world.do(REPAIR, purge_from=24)
    assert done.state == "done"
    assert max(peer.Store.load(world.ledger).slots) == 28
    assert not peer.Store.load(world.ledger).dead


@pytest.mark.parametrize("slot", [BOOT - 1, BOOT])
def test_what_the_node_boots_from_is_not_purged(world: World, slot: int) -> None:
    assert world.do(SURVEY, purge_from=slot).reason == "AT_OR_BELOW_SNAPSHOT"


def test_where_there_is_no_snapshot_nothing_is_purged_nor_brought_to_life(world: World) -> None:
    for path in world.ledger.glob("*.tar.*"):
        path.unlink()
    assert world.do(SURVEY, purge_from=25).reason == "NO_SNAPSHOT"
    said = report(world.do(SURVEY))
    assert not said.HasField("snapshot_slot")
    assert [step.verb for step in said.steps] == ["repair_roots", "repair_roots"]


def test_an_archive_that_is_known_to_be_bad_is_not_what_the_node_boots_from(world: World) -> None:
    newer = archives.write(world.ledger, BOOT + 4)
    assert world.snapshots.boot_slot() == BOOT + 4
    world.snapshots.findings.bad(next(a.name for a in world.snapshots.scan().archives if str(a.name) == newer.name))
    assert world.snapshots.boot_slot() == BOOT


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda world, digest: {"plan_digest": "0" * 64}, "SURVEY_UNKNOWN"),
        (lambda world, digest: {"plan_digest": digest, "last": 29}, "SURVEY_OTHER_RANGE"),
        (lambda world, digest: archives.write(world.ledger, BOOT + 1) and {"plan_digest": digest}, "PLAN_STALE"),
        (lambda world, digest: runs_on(world) or {"plan_digest": digest}, "PLAN_STALE"),
        (lambda world, digest: altered(world, digest) or {"plan_digest": digest}, "SURVEY_UNKNOWN"),
    ],
)
def test_what_is_not_as_it_was_shown_is_not_done(world: World, change: object, reason: str) -> None:
    digest = report(world.do(SURVEY)).digest
    asked = change(world, digest)  # type: ignore[operator]
    before = world.state()
    refused = world.do(REPAIR, **asked)
    assert (refused.state, refused.reason) == ("failed", reason)
    assert world.state() == before


def runs_on(world: World) -> None:
    store = peer.Store.load(world.ledger)
    store.slots |= peer.chain([29])
    store.save()


def altered(world: World, digest: str) -> None:
    path = world.results / "plans" / f"{digest}.json"
    path.write_text(path.read_text().replace('"first":8', '"first":7'))


def test_a_ledger_in_shreds_is_said_in_a_file_that_can_be_read(world: World) -> None:
    slots = peer.chain(range(100, 2100, 2))
    for slot in list(slots)[::2]:
        slots[slot]["full"] = False
    peer.write(world.ledger, slots)
    found = world.do(SURVEY, 100, 2100)
    said = report(found)
    assert (len(said.runs), len(said.left)) == (SHOWN, SHOWN)
    assert said.runs_left_out > 1000
    assert len(found.ledger) * 2 < MAX_BYTES


def test_a_tool_that_fails_is_said(world: World) -> None:
    peer.fault(world.ledger, command="remove-dead-slot", code=1, stderr="Error: No space left on device")
    failed = world.do(REPAIR)
    assert (failed.state, failed.reason) == ("failed", "TOOL_FAILED")
    assert "No space left" in failed.message


def test_a_repair_in_many_steps_is_said_in_a_file_that_can_be_read(world: World) -> None:
    # Each time a root, an ancestor that has lost its marker, and a break.
    slots = peer.chain(range(1000, 7000))
    for slot in range(1000, 7000, 3):
        slots[slot]["full"] = False
    peer.write(world.ledger, slots, roots=range(1002, 7000, 3))
    found = world.do(SURVEY, 1000, 6999)
    said = report(found)
    assert len(said.steps) == SHOWN
    assert found.figures["steps_left_out"] == str(2000 - SHOWN)
    assert "2000 steps can be done" in found.message
    assert len(msgspec.json.encode(found)) < MAX_BYTES
