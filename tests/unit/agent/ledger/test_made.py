"""An archive is made whole or not at all, in a folder where nothing else is touched, and is the one asked for."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.ledger.child import Limits, ToolError, ToolReason
from agent.ledger.made import Created, create
from agent.ledger.room import NAME
from agent.ledger.tool import LedgerTool, never
from agent.snapshots.catalogue import Places
from agent.snapshots.names import Kind
from tests.peers import ledger_tool as peer

FULL, INCREMENTAL, NEWEST = 10, 13, 18


class World:
    """A stopped validator's folders, and the tool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = peer.write(folder / "ledger", peer.chain(range(5, 20)), roots=range(5, NEWEST + 1))
        self.accounts, self.snapshots = folder / "accounts", folder / "snapshots"
        for place in ("accounts/run", "accounts/snapshot/13", "snapshots/snapshots/13", "out", "scratch"):
            (folder / place).mkdir(parents=True)
        (self.accounts / "run" / "13.0").write_text("the validator's own")
        peer.archive(self.snapshots, 7)
        peer.archive(self.snapshots, FULL)
        peer.archive(self.snapshots, INCREMENTAL, FULL)
        places = Places(self.snapshots, self.snapshots, self.snapshots)
        self.tool = LedgerTool(peer.program(folder), self.ledger, Limits(20, 20, 2), snapshots=places)
        self.out, self.scratch = folder / "out", folder / "scratch"
        self.told: list[str] = []

    def make(self, slot: int | None = NEWEST, **more: Any) -> Created:
        given = {"tool": self.tool, "out": self.out, "scratch": self.scratch, "stop": never, **more}
        return create(slot=slot, tell=self.told.append, **given)

    def own(self) -> dict[str, bytes]:
        """Give all that is the validator's own."""
        found = {}
        for place in (self.accounts, self.snapshots, self.ledger):
            for path in place.rglob("*"):
                if path.is_file() and not path.is_relative_to(self.ledger / "ledger_tool"):
                    found[str(path)] = path.read_bytes()
        return found

    def left(self) -> list[str]:
        """Give what is where it is made, and what the tool made in the ledger besides its own folder."""
        temporary = [path.name for path in self.ledger.glob(".tmp*")]
        return sorted(temporary + [path.name for place in (self.out, self.scratch) for path in place.iterdir()])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def failure(call: Callable[[], object]) -> ToolError:
    with pytest.raises(ToolError) as caught:
        call()
    return caught.value


def refused(world: World, reason: ToolReason, **more: Any) -> str:
    """Look whether making one fails for a reason, and leaves nothing."""
    before = world.own(), world.left()
    error = failure(lambda: world.make(**more))
    assert error.reason is reason
    assert (world.own(), world.left()) == before
    assert str(error).isprintable()
    assert len(str(error)) < 1200
    return str(error)


def test_a_full_archive_is_made(world: World) -> None:
    before = world.own()
    made = world.make(15)
    assert made.path == world.out / str(made.name)
    assert (made.name.kind, made.name.slot, made.bank_hash) == (Kind.FULL, 15, peer.bank_hash(15))
    assert (made.shred_version, made.size) == (4084, made.path.stat().st_size)
    assert world.own() == before
    assert world.left() == [made.path.name]
    assert made.path.stat().st_nlink == 1
    assert "slot 15" in world.told[0]


def test_the_newest_root_is_taken_where_no_slot_is_named(world: World) -> None:
    assert world.make(None).name.slot == NEWEST


def test_an_incremental_archive_is_made(world: World) -> None:
    made = world.make(incremental=True)
    assert (made.name.slot, made.name.base, made.bank_hash) == (NEWEST, FULL, peer.bank_hash(NEWEST))


def test_archives_are_looked_for_in_the_ledger_where_no_folders_are_known(world: World) -> None:
    peer.archive(world.ledger, 12)
    made = world.make(incremental=True, tool=replace(world.tool, snapshots=None))
    assert made.name.base == 12


def test_it_may_be_unpacked_beside_where_it_is_made(world: World) -> None:
    made = world.make(scratch=world.out)
    assert world.left() == [made.path.name]


def test_the_validators_own_folder_takes_it_and_loses_nothing(world: World) -> None:
    # Before 3.0 the tool removes all but the newest archives where it makes one.
    world.tool = replace(world.tool, program=peer.program(world.folder, "2.3.13"))
    before = world.own()
    made = world.make(out=world.snapshots)
    assert world.own() == before | {str(made.path): made.path.read_bytes()}
    assert world.left() == []


def test_an_archive_that_is_there_is_not_replaced(world: World) -> None:
    path = peer.archive(world.out, NEWEST, raw="another")
    refused(world, ToolReason.ARCHIVE_EXISTS)
    assert path.read_text() == "another"


@pytest.mark.parametrize(
    ("slot", "reason"),
    [(4, ToolReason.SLOT_NOT_FULL), (25, ToolReason.SLOT_NOT_FULL), (12, ToolReason.SLOT_UNREACHABLE)],
)
def test_a_slot_that_cannot_be_made(world: World, slot: int, reason: ToolReason) -> None:
    refused(world, reason, slot=slot)


def test_a_gap_in_the_ledger(world: World) -> None:
    peer.write(world.ledger, {**peer.chain(range(5, 15)), **peer.chain(range(17, 20), 16)})
    refused(world, ToolReason.SLOT_UNREACHABLE)


def test_a_ledger_without_roots(world: World) -> None:
    peer.write(world.ledger, peer.chain(range(5, 20)))
    refused(world, ToolReason.SLOT_NOT_FULL, slot=None)


@pytest.mark.parametrize("archives", [(), (NEWEST,)])
def test_an_incremental_archive_without_a_base_below_it(world: World, archives: tuple[int, ...]) -> None:
    bare = world.folder / "bare"
    bare.mkdir()
    peer.write(world.ledger, peer.chain(range(20)))
    for slot in archives:
        peer.archive(bare, slot)
    tool = replace(world.tool, snapshots=Places(bare, bare, bare))
    refused(world, ToolReason.BASE_MISSING, tool=tool, incremental=True)


def test_a_tool_that_makes_incremental_archives_that_do_not_fit(world: World) -> None:
    peer.program(world.folder, "3.1.14")
    assert "3.1.14" in refused(world, ToolReason.TOOL_TOO_OLD, incremental=True)
    assert world.make().name.kind is Kind.FULL


def test_what_older_tools_say_of_a_missing_base(world: World) -> None:
    said = "Unable to create incremental snapshot without a base full snapshot"
    peer.fault(world.ledger, command="create-snapshot", code=1, stderr=said)
    assert said in refused(world, ToolReason.BASE_MISSING, incremental=True)


def test_a_node_that_is_up(world: World) -> None:
    with peer.locked(world.ledger):
        assert "is the node down?" in refused(world, ToolReason.LEDGER_LOCKED)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"says": {"path": "/etc/passwd"}}, ToolReason.ARCHIVE_OUTSIDE),
        ({"says": {"path": "{room}/../{name}"}}, ToolReason.ARCHIVE_OUTSIDE),
        ({"says": {"path": "{room}/deeper/{name}"}}, ToolReason.ARCHIVE_OUTSIDE),
        ({"says": {"path": "{out}/{name}"}}, ToolReason.ARCHIVE_OUTSIDE),
        ({"says": {"path": "{room}"}}, ToolReason.ARCHIVE_OUTSIDE),
        ({"says": {"path": "{room}/.."}}, ToolReason.ARCHIVE_MISNAMED),
        ({"says": {"path": "{room}/snapshot-18-short.tar.zst"}}, ToolReason.ARCHIVE_MISNAMED),
        ({"says": {"path": "{room}/{name}.bz2"}}, ToolReason.ARCHIVE_MISNAMED),
        ({"says": {"base": 7}}, ToolReason.ARCHIVE_MISNAMED),
        ({"says": {"slot": 17}}, ToolReason.ARCHIVE_OTHER_SLOT),
        ({"unmade": True}, ToolReason.ARCHIVE_MISSING),
        ({"empty": True}, ToolReason.ARCHIVE_MISSING),
        ({"link": True}, ToolReason.ARCHIVE_NOT_REGULAR),
        ({"silent": True}, ToolReason.TOOL_ODD_OUTPUT),
        ({"versionless": True}, ToolReason.TOOL_ODD_OUTPUT),
        ({"long": 200_000}, ToolReason.TOOL_ODD_OUTPUT),
        ({"says": {"path": "relative"}}, ToolReason.TOOL_ODD_OUTPUT),
        ({"says": {"hash": "0"}}, ToolReason.TOOL_ODD_OUTPUT),
        ({"says": {"line": "Successfully created it"}}, ToolReason.TOOL_ODD_OUTPUT),
        ({"disk_full": True}, ToolReason.DISK_FULL),
        ({"die": True}, ToolReason.TOOL_FAILED),
        ({"code": 1, "stderr": "Error: something else"}, ToolReason.TOOL_FAILED),
    ],
)
def test_what_goes_wrong_leaves_nothing(world: World, fault: dict[str, Any], reason: ToolReason) -> None:
    room = world.out / NAME / "archives"
    name = f"snapshot-{NEWEST}-{peer.archive_hash(NEWEST)}.tar.zst"
    for key, said in fault.get("says", {}).items():
        if isinstance(said, str):
            fault["says"][key] = said.format(room=room, name=name, out=world.out)
    peer.fault(world.ledger, command="create-snapshot", **fault)
    refused(world, reason)


def test_an_incremental_one_in_place_of_a_full_one(world: World) -> None:
    peer.fault(world.ledger, says={"base": None})
    refused(world, ToolReason.ARCHIVE_MISNAMED, incremental=True)


def test_another_slot_than_the_one_that_was_asked_for(world: World) -> None:
    room = world.out / NAME / "archives"
    path = room / f"snapshot-17-{peer.archive_hash(17)}.tar.zst"
    peer.fault(world.ledger, says={"slot": 17, "path": str(path)})
    refused(world, ToolReason.ARCHIVE_OTHER_SLOT)


def test_other_lines_are_passed_over(world: World) -> None:
    peer.fault(world.ledger, long=1000)
    assert world.make().name.slot == NEWEST


def test_a_stop_ends_it_soon(world: World) -> None:
    peer.fault(world.ledger, command="create-snapshot", stall_s=60)
    told = threading.Event()
    threading.Timer(1.0, told.set).start()
    begun = time.monotonic()
    refused(world, ToolReason.STOPPED, stop=told.is_set)
    assert time.monotonic() - begun < 5


def test_the_deadline_ends_it(world: World) -> None:
    peer.fault(world.ledger, command="create-snapshot", stall_s=60)
    refused(world, ToolReason.TOOL_TIMEOUT, tool=replace(world.tool, limits=Limits(1, 1, 2)))


def test_what_a_crash_left_is_gone_after_the_next(world: World) -> None:
    for place in (world.out, world.scratch):
        (place / NAME / "archives" / "deep").mkdir(parents=True)
        (place / NAME / "archives" / "tmp-snapshot-archive-9.tar.zst").write_text("half")
        (place / NAME / "link").symlink_to(world.accounts)
    before = world.own()
    made = world.make()
    assert world.left() == [made.path.name]
    assert world.own() == before


def test_what_another_left_in_the_ledger_stays(world: World) -> None:
    (world.ledger / ".tmpXy34Zw").mkdir()
    (world.ledger / ".tmpXy34Zw" / "file").write_text("")
    (world.ledger / ".tmp-mine").mkdir()
    peer.fault(world.ledger, command="create-snapshot", die=True)
    refused(world, ToolReason.TOOL_FAILED)
    assert world.left() == [".tmp-mine", ".tmpXy34Zw"]


@pytest.mark.parametrize("place", ["none", "link", "file", "relative", "a\nb"])
def test_folders_that_cannot_be_worked_in(world: World, place: str) -> None:
    (world.folder / "link").symlink_to(world.out)
    (world.folder / "file").write_text("")
    path = Path(place) if place == "relative" else world.folder / place
    refused(world, ToolReason.WORK_UNUSABLE, out=path)
    refused(world, ToolReason.WORK_UNUSABLE, scratch=path)


def test_a_comma_would_end_the_path_of_the_accounts(world: World) -> None:
    scratch = world.folder / "a,b"
    scratch.mkdir()
    refused(world, ToolReason.WORK_UNUSABLE, scratch=scratch)


def test_no_shell_sees_the_paths(world: World) -> None:
    out = world.folder / "o ut; touch $(echo x)"
    out.mkdir()
    assert world.make(out=out).path.parent == out


def test_two_at_a_time_are_one_too_many(world: World) -> None:
    peer.fault(world.ledger, command="create-snapshot", stall_s=3)
    thread = threading.Thread(target=world.make)
    thread.start()
    while not (world.out / NAME / "archives").exists():
        time.sleep(0.02)
    assert failure(world.make).reason is ToolReason.WORK_BUSY
    thread.join()
    assert [name.split("-")[1] for name in os.listdir(world.out)] == [str(NEWEST)]
