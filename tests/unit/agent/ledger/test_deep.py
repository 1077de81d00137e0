"""One archive is checked by itself, away from all that is the validator's, and the verdict is the tool's."""

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ledger import deep as module
from agent.ledger.child import Limits, ToolError, ToolReason, failed, lines
from agent.ledger.deep import SHOWN_CHARACTERS, Deep, deep_check, last_error
from agent.ledger.room import NAME
from agent.ledger.tool import LedgerTool, never
from agent.snapshots.catalogue import Archive, Places, scan
from tests.peers import ledger_tool as peer

FULL, INCREMENTAL = 10, 13


class World:
    """A validator's folders, and the tool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = peer.write(folder / "ledger", peer.chain(range(5, 20)), roots=range(5, 19))
        self.snapshots, self.scratch = folder / "snapshots", folder / "scratch"
        for place in ("ledger/accounts/run", "snapshots/snapshots/13", "scratch"):
            (folder / place).mkdir(parents=True)
        (self.ledger / "accounts" / "run" / "13.0").write_text("the validator's own")
        # Newer ones, that must not be taken in place of the one that is asked for.
        peer.archive(self.snapshots, 17, raw="damaged")
        peer.archive(self.snapshots, 15, FULL, raw="damaged")
        self.paths = {None: peer.archive(self.snapshots, FULL), FULL: peer.archive(self.snapshots, INCREMENTAL, FULL)}
        self.tool = LedgerTool(peer.program(folder), self.ledger, Limits(20, 20, 2))
        self.told: list[str] = []

    def archive(self, slot: int) -> Archive:
        places = Places(self.snapshots, self.snapshots, self.snapshots)
        return next(each for each in scan(places).archives if each.name.slot == slot)

    def check(self, slot: int = FULL, **more: Any) -> Deep:
        given = {"tool": self.tool, "scratch": self.scratch, "stop": never, **more}
        given.setdefault("base", self.archive(FULL) if slot == INCREMENTAL else None)
        if "archive" not in given:
            given["archive"] = self.archive(slot)
        return deep_check(tell=self.told.append, **given)

    def own(self) -> dict[str, bytes]:
        """Give all that is the validator's own."""
        files = (path for place in (self.snapshots, self.ledger) for path in place.rglob("*"))
        return {str(path): path.read_bytes() for path in files if path.is_file()}

    def left(self) -> list[Path]:
        return list(self.scratch.iterdir())

    def spoil(self, which: int = FULL, **wrong: Any) -> None:
        path = peer.archive(self.snapshots, which, FULL if which == INCREMENTAL else None, raw=wrong.pop("raw", None))
        if wrong:
            path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def refused(world: World, reason: ToolReason, slot: int = FULL, **more: Any) -> str:
    """Look whether a check fails for a reason, and leaves nothing."""
    before = world.own()
    with pytest.raises(ToolError) as caught:
        world.check(slot, **more)
    assert caught.value.reason is reason
    assert world.own() == before
    assert world.left() == []
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1200
    return str(caught.value)


@pytest.mark.parametrize("slot", [FULL, INCREMENTAL])
def test_a_good_archive(world: World, slot: int) -> None:
    before = world.own()
    assert world.check(slot) == Deep(slot, peer.bank_hash(slot))
    assert world.own() == before
    assert world.left() == []
    assert all(path.stat().st_nlink == 1 for path in world.paths.values())
    assert f"-{slot}-" in world.told[0]


def test_it_is_checked_beside_a_node_that_is_up(world: World) -> None:
    with peer.locked(world.ledger):
        assert world.check().slot == FULL


def test_one_that_was_downloaded(world: World) -> None:
    (world.snapshots / "remote").mkdir()
    peer.archive(world.snapshots / "remote", 11)
    assert world.check(11).slot == 11


def test_a_ledger_behind_a_link(world: World) -> None:
    (world.folder / "link").symlink_to(world.ledger)
    assert world.check(tool=replace(world.tool, ledger=world.folder / "link")).slot == FULL


def test_links_in_a_folder_of_their_own(world: World) -> None:
    links = world.folder / "links"
    links.mkdir()
    assert world.check(INCREMENTAL, links=links).slot == INCREMENTAL
    assert world.check(INCREMENTAL, links=world.scratch).slot == INCREMENTAL
    assert list(links.iterdir()) == world.left() == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"hash": peer.archive_hash(99)}, "snapshot hash mismatch: deserialized bank"),
        ({"slot": 99}, "snapshot slot mismatch: deserialized bank: 99, snapshot archive: "),
        ({"capitalization": 4}, "capitalization mismatch: expected: 4, calculated: 5"),
        ({"lattice": "expected"}, "Verifying accounts failed: accounts lattice hashes do not match, expected: "),
        ({"deltas": "too many entries: 301 (max: 300)"}, "snapshot slot deltas are invalid"),
    ],
)
@pytest.mark.parametrize("slot", [FULL, INCREMENTAL])
def test_an_archive_that_holds_something_else(world: World, slot: int, wrong: dict[str, Any], says: str) -> None:
    world.spoil(slot, **wrong)
    said = refused(world, ToolReason.DEEP_HASH_MISMATCH, slot)
    assert says in said
    assert len(said) <= SHOWN_CHARACTERS


def test_a_base_that_holds_something_else(world: World) -> None:
    world.spoil(FULL, capitalization=4)
    assert "capitalization mismatch" in refused(world, ToolReason.DEEP_HASH_MISMATCH, INCREMENTAL)


def test_an_error_that_the_tool_does_not_end_for(world: World) -> None:
    world.spoil(FULL, capitalization=4)
    peer.fault(world.ledger, mildly=True)
    refused(world, ToolReason.DEEP_HASH_MISMATCH)


def test_the_logs_other_lines_are_no_errors(world: World) -> None:
    peer.fault(
        world.ledger, code=1, stderr="[t WARN  a::b] hash mismatch, and asked again\nfailed to load bank: I/O error"
    )
    assert refused(world, ToolReason.DEEP_FAILED) == "failed to load bank: I/O error"


def test_an_archive_that_is_damaged(world: World) -> None:
    world.spoil(FULL, raw="{")
    said = refused(world, ToolReason.DEEP_FAILED)
    assert said.startswith("Exiting. Failed to load and process ledger: failed to load bank forks: failed to load bank")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"disk_full": True}, ToolReason.DISK_FULL),
        ({"code": 1, "stderr": "error: Found argument '--snapshots' which wasn't expected"}, ToolReason.TOOL_FAILED),
        ({"code": 1, "stderr": "x" * 5_000_000}, ToolReason.TOOL_FAILED),
        ({"code": 101, "stderr": "thread 'main' panicked at a.rs:1:\nhelp " + "x" * 9_000}, ToolReason.TOOL_FAILED),
        ({"code": 101, "stderr": "thread 'main' panicked at a.rs:1:\nhelp"}, ToolReason.DEEP_FAILED),
        ({"code": 1, "stderr": "\x1b[31mhash mismatch\x07: " + "x" * 2_000}, ToolReason.DEEP_HASH_MISMATCH),
        ({"code": 1, "stderr": "x" * 2_000 + "hash mismatch: it"}, ToolReason.DEEP_HASH_MISMATCH),
        ({"odd": "", "code": 0}, ToolReason.TOOL_ODD_OUTPUT),
        ({"odd": "[]\n", "code": 0}, ToolReason.TOOL_ODD_OUTPUT),
        ({"odd": "Bank hash for slot 10: x\n", "code": 0}, ToolReason.TOOL_ODD_OUTPUT),
        ({"odd": "x" * 60_000, "huge": 10_000}, ToolReason.TOOL_ODD_OUTPUT),
        ({"says": {"hash": "0"}}, ToolReason.TOOL_ODD_OUTPUT),
        ({"says": {"hash": ""}}, ToolReason.TOOL_ODD_OUTPUT),
        ({"says": {"slot": 2**64}}, ToolReason.TOOL_ODD_OUTPUT),
        ({"says": {"slot": -1}}, ToolReason.TOOL_ODD_OUTPUT),
        ({"says": {"slot": 11}}, ToolReason.TOOL_ODD_OUTPUT),
    ],
)
def test_what_goes_wrong_is_no_verdict(world: World, fault: dict[str, Any], reason: ToolReason) -> None:
    peer.fault(world.ledger, command="verify", **fault)
    refused(world, reason)


def test_a_tool_that_is_killed_is_no_verdict() -> None:
    # As where memory runs out, whatever it logged before.
    error = failed(-9, b"failed to load bank: capitalization mismatch")
    assert module._verdict(error) is error


def test_a_panic_shows_its_words(world: World) -> None:
    peer.fault(
        world.ledger, code=101, stderr="thread 'main' panicked at a.rs:1:\nhelp\nnote: run with `RUST_BACKTRACE=1`"
    )
    assert refused(world, ToolReason.DEEP_FAILED) == "help"


def test_a_stop_ends_it_soon(world: World) -> None:
    peer.fault(world.ledger, stall_s=60)
    told = threading.Event()
    threading.Timer(1.0, told.set).start()
    begun = time.monotonic()
    refused(world, ToolReason.STOPPED, stop=told.is_set)
    assert time.monotonic() - begun < 5


def test_what_is_deaf_to_sigterm_is_killed(world: World) -> None:
    peer.fault(world.ledger, command="verify", slow_s=60, deaf=True)
    begun = time.monotonic()
    refused(world, ToolReason.TOOL_TIMEOUT, tool=replace(world.tool, limits=Limits(1.5, 1.5, 0.5)))
    assert time.monotonic() - begun < 6


def test_what_a_crash_left_is_gone_after_the_next(world: World) -> None:
    left = world.scratch / NAME / "ledger"
    (left / "accounts" / "run").mkdir(parents=True)
    (left / "accounts" / "run" / "9.0").write_text("half")
    (left / peer.FILE).write_text("half")
    archives = world.scratch / NAME / "archives"
    archives.mkdir()
    os.link(world.paths[None], archives / world.paths[None].name)
    peer.archive(archives, 99)
    assert world.check(INCREMENTAL).slot == INCREMENTAL
    assert world.left() == []
    assert world.paths[None].stat().st_nlink == 1


def test_two_at_a_time_are_one_too_many(world: World) -> None:
    peer.fault(world.ledger, stall_s=3)
    thread = threading.Thread(target=world.check)
    thread.start()
    while not (world.scratch / NAME / "ledger" / "accounts").exists():
        time.sleep(0.02)
    with pytest.raises(ToolError) as caught:
        world.check()
    assert caught.value.reason is ToolReason.WORK_BUSY
    thread.join()
    assert world.left() == []


@pytest.mark.parametrize("version", ["3.0.14", "2.3.13"])
def test_a_tool_that_can_end_before_it_has_compared(world: World, version: str) -> None:
    said = refused(
        world, ToolReason.TOOL_TOO_OLD, tool=replace(world.tool, program=peer.program(world.folder, version))
    )
    assert version in said


@pytest.mark.parametrize("version", ["3.1.0", "4.3.0-beta.2"])
def test_tools_that_are_new_enough(world: World, version: str) -> None:
    peer.program(world.folder, version)
    assert world.check().slot == FULL


def test_an_archive_that_went_or_was_replaced(world: World) -> None:
    before = world.archive(FULL)
    world.paths[None].unlink()
    refused(world, ToolReason.ARCHIVE_CHANGED, archive=before)
    world.spoil(FULL, more="another")
    refused(world, ToolReason.ARCHIVE_CHANGED, archive=before)
    world.paths[None].unlink()
    world.paths[None].symlink_to(world.paths[FULL])
    refused(world, ToolReason.ARCHIVE_CHANGED, archive=before)


def test_an_archive_that_is_written_to_meanwhile(world: World) -> None:
    peer.fault(world.ledger, stall_s=1)

    def write(line: str) -> None:
        threading.Timer(0.5, lambda: world.spoil(FULL, more="another")).start()

    with pytest.raises(ToolError) as caught:
        deep_check(world.tool, world.archive(FULL), None, world.scratch, write, never)
    assert caught.value.reason is ToolReason.ARCHIVE_CHANGED


@pytest.mark.parametrize(("slot", "base"), [(FULL, INCREMENTAL), (INCREMENTAL, None), (INCREMENTAL, 17), (FULL, 17)])
def test_a_base_that_is_none(world: World, slot: int, base: int | None) -> None:
    with pytest.raises(ValueError, match="does not stand on"):
        world.check(slot, base=None if base is None else world.archive(base))


def test_a_ledger_without_a_genesis(world: World) -> None:
    genesis = world.ledger / peer.GENESIS
    genesis.unlink()
    refused(world, ToolReason.GENESIS_MISSING)
    genesis.symlink_to(world.paths[None])
    refused(world, ToolReason.GENESIS_MISSING)
    genesis.unlink()
    os.mkfifo(genesis)
    before = time.monotonic()
    with pytest.raises(ToolError):
        world.check()
    assert time.monotonic() - before < 3


def test_a_genesis_that_is_too_large(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_GENESIS_BYTES", 5)
    refused(world, ToolReason.GENESIS_MISSING)


@pytest.mark.parametrize("place", ["none", "link", "file", "a\nb"])
def test_folders_that_cannot_be_worked_in(world: World, place: str) -> None:
    (world.folder / "link").symlink_to(world.scratch)
    (world.folder / "file").write_text("")
    refused(world, ToolReason.WORK_UNUSABLE, scratch=world.folder / place)
    refused(world, ToolReason.WORK_UNUSABLE, links=world.folder / place)


def test_links_cannot_lead_to_another_filesystem(world: World) -> None:
    other = Path("/dev/shm") / f"solward-test-{os.getpid()}"
    other.mkdir()
    try:
        assert other.stat().st_dev != world.scratch.stat().st_dev, "TMPDIR must not lie in /dev/shm"
        refused(world, ToolReason.OTHER_FILESYSTEM, scratch=other)
        # The accounts may be there, where the links are not.
        assert world.check(scratch=other, links=world.scratch).slot == FULL
        assert list(other.iterdir()) == world.left() == []
    finally:
        other.rmdir()


@pytest.mark.parametrize("number", [28, 122])
def test_a_disk_that_is_full(world: World, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise OSError(number, os.strerror(number))

    archive = world.archive(FULL)
    monkeypatch.setattr(module.os, "link", refuse)
    refused(world, ToolReason.DISK_FULL, archive=archive)


def errors(text: str) -> Callable[[], str]:
    return lambda: last_error(lines(text.encode()))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "the tool did not say why"),
        ("[t INFO  a] fine\n", "the tool did not say why"),
        ("Error: no\n[t INFO  a] fine\n", "Error: no"),
        ("[t ERROR a::b] no\n[t WARN  a] hm\nnote: run with `RUST_BACKTRACE=1`\n", "no"),
        ("thread 'x' panicked at a.rs:5:\nno\nstack backtrace:\n   0: std::a\n             at /b.rs:5\n", "no"),
        ("x" * 1000, "x" * SHOWN_CHARACTERS),
    ],
)
def test_the_last_error_is_found(text: str, shown: str) -> None:
    assert errors(text)() == shown


@given(st.binary(max_size=400), st.integers(-15, 255).filter(bool))
def test_whatever_the_tool_says_there_is_a_verdict(stderr: bytes, code: int) -> None:
    said = lines(stderr)
    assert len(last_error(said)) <= SHOWN_CHARACTERS
    assert last_error(said).isprintable()
    verdict = module._verdict(failed(code, stderr))
    assert str(verdict).isprintable()
    assert code > 0 or verdict.reason is ToolReason.TOOL_FAILED


TELLING = (
    b"snapshot hash mismatch: a",
    b"capitalization mismatch: expected: 1, calculated: 2",
    b"accounts lattice hashes do not match, expected: a, calculated: b",
    b"Snapshot bank for slot 5 failed to verify",
)


@given(st.sampled_from(TELLING), st.binary(max_size=200), st.binary(max_size=200))
def test_a_mismatch_is_found_wherever_it_is_said(telling: bytes, before: bytes, after: bytes) -> None:
    verdict = module._verdict(failed(1, before + b"\n" + telling + b"\n" + after))
    assert verdict.reason is ToolReason.DEEP_HASH_MISMATCH
    assert len(str(verdict)) <= SHOWN_CHARACTERS
