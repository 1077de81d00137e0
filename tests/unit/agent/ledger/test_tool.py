"""The tool is run by its own command line, and never longer, nor with more of its output, than was said."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agent.ledger import child
from agent.ledger.child import Limits, ToolError, ToolReason
from agent.ledger.output import MAX_SLOT
from agent.ledger.tool import SLOTS_AT_ONCE, LedgerTool
from tests.peers import ledger_tool as peer

SLOTS = {**peer.chain(range(10, 20)), 25: peer.placeholder(), **peer.chain([26], 25, full=False, shreds=4)}


@pytest.fixture
def tool(tmp_path: Path) -> LedgerTool:
    ledger = peer.write(tmp_path / "ledger", SLOTS, roots=[10, 11, 14], dead=[19])
    return LedgerTool(peer.program(tmp_path), ledger, Limits(20, 20, 5))


def failure(call: Callable[[], object]) -> ToolError:
    with pytest.raises(ToolError) as caught:
        call()
    return caught.value


def reason(call: Callable[[], object]) -> ToolReason:
    return failure(call).reason


def children() -> list[psutil.Process]:
    return psutil.Process().children()


def test_what_is_read(tool: LedgerTool) -> None:
    bounds = tool.bounds()
    assert (bounds.slots.total, bounds.slots.first, bounds.slots.last, bounds.roots.last) == (12, 10, 26, 14)
    assert tool.dead_slots() == tool.dead_slots(19) == [19]
    assert tool.dead_slots(20) == []
    assert [slot.slot for slot in tool.slots(12, 25)] == [*range(12, 20), 25]
    assert [slot.slot for slot in tool.slots(20, most=1)] == [25]
    assert tool.slots(0, 9) == tool.slots(MAX_SLOT) == []


def test_what_is_written(tool: LedgerTool) -> None:
    assert tool.repair_roots(14, 10, 10) == 2
    assert tool.repair_roots(14, 10, 10) == 0
    tool.remove_dead_slots([19])
    assert tool.dead_slots() == []
    tool.purge(16, 25)
    assert [slot.slot for slot in tool.slots(15, 30)] == [15, 26]


def test_many_slots_are_named_a_part_at_a_time(tool: LedgerTool) -> None:
    peer.write(tool.ledger, SLOTS, dead=[1, 2, 3000, SLOTS_AT_ONCE + 1000])
    tool.remove_dead_slots([*range(1, SLOTS_AT_ONCE + 2)])
    assert tool.dead_slots() == [3000]


def test_a_locked_ledger_is_read_and_not_written(tool: LedgerTool) -> None:
    with peer.locked(tool.ledger):
        assert tool.dead_slots() == [19]
        for call in (
            lambda: tool.purge(10, 26),
            lambda: tool.remove_dead_slots([19]),
            lambda: tool.repair_roots(14, 11, 9),
        ):
            assert reason(call) is ToolReason.LEDGER_LOCKED
    assert tool.repair_roots(14, 11, 9) == 2


def test_what_the_tool_refuses(tool: LedgerTool) -> None:
    assert "SlotNotRooted" in str(failure(lambda: tool.repair_roots(13, 10, 10)))
    assert "too large" in str(failure(lambda: tool.repair_roots(14, 10, 1)))
    assert "should be less than or equal" in str(failure(lambda: tool.purge(27, 30)))


def test_what_is_no_slot_never_reaches_the_tool(tool: LedgerTool) -> None:
    for call in (
        lambda: tool.slots(-1),
        lambda: tool.purge(0, MAX_SLOT + 1),
        lambda: tool.purge(6, 5),
        lambda: tool.repair_roots(5, 5, 1),
        lambda: tool.create_snapshot(-1, Path("/out"), Path("/accounts")),
        lambda: tool.verify(MAX_SLOT + 1, Path("/archives")),
    ):
        with pytest.raises(ValueError, match=r"is no|is above|is not above"):
            call()


def test_the_version(tool: LedgerTool, tmp_path: Path) -> None:
    assert tool.version() == (4, 2, 1)
    peer.program(tmp_path, "3.0.14")
    assert tool.version() == (3, 0, 14)
    assert reason(replace(tool, program=tmp_path / "none").version) is ToolReason.TOOL_MISSING
    assert reason(replace(tool, program=Path("/bin/true")).version) is ToolReason.TOOL_ODD_OUTPUT


@pytest.fixture
def own(tool: LedgerTool, tmp_path: Path) -> LedgerTool:
    """A ledger of our own, with a genesis alone; archives are in tmp_path."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / peer.GENESIS).write_bytes((tool.ledger / peer.GENESIS).read_bytes())
    return replace(tool, ledger=tmp_path / "own")


def test_a_ledger_of_our_own_needs_a_genesis_alone(own: LedgerTool, tmp_path: Path) -> None:
    peer.archive(tmp_path, 5)
    assert own.verify(5, tmp_path)[0].hash == peer.bank_hash(5)
    # It is of no use a second time.
    assert reason(lambda: own.verify(5, tmp_path)) is ToolReason.WORK_UNUSABLE


def test_the_validators_ledger_is_not_taken_for_our_own(tool: LedgerTool, tmp_path: Path) -> None:
    peer.archive(tmp_path, 5)
    assert reason(lambda: tool.verify(5, tmp_path)) is ToolReason.WORK_UNUSABLE
    assert reason(lambda: replace(tool, ledger=tmp_path).verify(5, tmp_path)) is ToolReason.LEDGER_MISSING
    (tmp_path / peer.GENESIS).touch()
    (tmp_path / "accounts").mkdir()
    assert reason(lambda: replace(tool, ledger=tmp_path).verify(5, tmp_path)) is ToolReason.WORK_UNUSABLE


@pytest.mark.parametrize(("archive", "says"), [(None, "starting slot 0"), (6, "less than the starting slot")])
def test_another_archive_is_not_taken_for_it(own: LedgerTool, tmp_path: Path, archive: int | None, says: str) -> None:
    if archive is not None:
        peer.archive(tmp_path, archive)
    assert says in str(failure(lambda: own.verify(5, tmp_path)))


def test_paths_that_the_tool_would_take_for_others(tool: LedgerTool, tmp_path: Path) -> None:
    for call in (
        lambda: tool.create_snapshot(5, Path("out"), tmp_path),
        lambda: tool.create_snapshot(5, tmp_path, Path("/a,/b")),
        lambda: tool.create_snapshot(5, tmp_path / "..", tmp_path),
        lambda: tool.verify(5, Path("/a\nb")),
    ):
        assert reason(call) is ToolReason.WORK_UNUSABLE


def test_where_there_is_no_tool_or_no_ledger(tool: LedgerTool, tmp_path: Path) -> None:
    assert reason(replace(tool, program=Path("agave-ledger-tool")).bounds) is ToolReason.TOOL_NOT_ABSOLUTE
    assert reason(replace(tool, ledger=Path("ledger")).bounds) is ToolReason.TOOL_NOT_ABSOLUTE
    assert reason(replace(tool, program=tmp_path / "none").bounds) is ToolReason.TOOL_MISSING
    assert reason(replace(tool, program=tmp_path).bounds) is ToolReason.TOOL_MISSING
    assert reason(replace(tool, ledger=tmp_path).bounds) is ToolReason.LEDGER_MISSING
    text = tmp_path / "text"
    text.write_text("#!/nonexistent\n")
    assert reason(replace(tool, program=text).bounds) is ToolReason.TOOL_MISSING
    text.chmod(0o755)
    assert reason(replace(tool, program=text).bounds) is ToolReason.TOOL_MISSING


def test_a_failure_says_the_last_words(tool: LedgerTool) -> None:
    peer.fault(tool.ledger, code=1, stderr="one\n" * 50 + "\x1b[31mthe disk\x07 is full\x1b[0m")
    error = failure(tool.bounds)
    assert error.reason is ToolReason.TOOL_FAILED
    assert str(error).startswith("the tool ended with 1: ")
    assert str(error).endswith("one | the disk is full")
    peer.fault(tool.ledger, code=1)
    assert "Opening blockstore" in str(failure(tool.bounds))


def test_a_full_disk_is_told(tool: LedgerTool) -> None:
    peer.fault(tool.ledger, code=1, stderr="IO error: No space left on device: While appending to file")
    error = failure(tool.bounds)
    assert (error.reason, error.code) == (ToolReason.DISK_FULL, 1)
    assert b"appending" in error.stderr


def test_a_death_is_told(tool: LedgerTool) -> None:
    peer.fault(tool.ledger, die_after=2)
    error = failure(lambda: tool.purge(10, 26))
    assert (error.reason, "signal 9" in str(error)) == (ToolReason.TOOL_FAILED, True)
    # It died between two slots, and a second call finishes.
    assert next(slot.slot for slot in tool.slots(0)) == 12
    tool.purge(10, 26)
    assert tool.slots(0) == []


@pytest.mark.parametrize("odd", ["nonsense\n", "Slot 5", "\0\n", "{}\n"])
def test_odd_output_is_refused(tool: LedgerTool, odd: str) -> None:
    peer.fault(tool.ledger, odd=odd)
    for call in (
        tool.bounds, tool.dead_slots, lambda: tool.slots(0), lambda: tool.purge(10, 26),
        lambda: tool.repair_roots(14, 11, 9), lambda: tool.remove_dead_slots([19]),
    ):  # fmt: skip
        assert reason(call) is ToolReason.TOOL_ODD_OUTPUT


def test_a_huge_output_is_cut_short(tool: LedgerTool) -> None:
    # Were it read to its end it would be 600 MB; the line that does not fit ends it.
    peer.fault(tool.ledger, odd="x" * 60_000, huge=10_000)
    begun = time.monotonic()
    assert reason(tool.dead_slots) is ToolReason.TOOL_ODD_OUTPUT
    assert time.monotonic() - begun < 10
    assert children() == []


def test_a_huge_stderr_is_not_kept(tool: LedgerTool) -> None:
    peer.fault(tool.ledger, code=3, stderr="y" * 5_000_000)
    assert len(str(failure(tool.bounds))) < 1200


def test_the_deadline_ends_it(tool: LedgerTool) -> None:
    peer.fault(tool.ledger, slow_s=60)
    quick = replace(tool, limits=Limits(0.4, 0.4, 5))
    for call in (quick.bounds, lambda: quick.purge(10, 26)):
        begun = time.monotonic()
        assert reason(call) is ToolReason.TOOL_TIMEOUT
        assert time.monotonic() - begun < 3
    assert children() == []


def test_a_stop_ends_it_soon(tool: LedgerTool) -> None:
    peer.fault(tool.ledger, slow_s=60)
    told = threading.Event()
    threading.Timer(0.5, told.set).start()
    begun = time.monotonic()
    assert reason(replace(tool, stop=told.is_set).bounds) is ToolReason.STOPPED
    assert 0.4 < time.monotonic() - begun < 3
    assert children() == []
    # Told before, it is not even started.
    assert reason(replace(tool, stop=told.is_set, program=Path("/bin/true")).bounds) is ToolReason.STOPPED


def test_what_is_deaf_to_sigterm_is_killed(tool: LedgerTool) -> None:
    peer.fault(tool.ledger, slow_s=60, deaf=True)
    begun = time.monotonic()
    assert reason(replace(tool, limits=Limits(1.5, 1.5, 0.5)).bounds) is ToolReason.TOOL_TIMEOUT
    assert 1.9 < time.monotonic() - begun < 6
    assert children() == []


def test_the_environment_is_bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUST_LOG", "trace")
    lines: list[str] = []
    child.run(["/usr/bin/env"], lines.append, seconds=10, grace_s=1, stop=lambda: False)
    assert sorted(lines) == ["LANG=C.UTF-8", "PATH=/usr/bin:/bin"]


def test_no_shell_sees_the_arguments(tool: LedgerTool, tmp_path: Path) -> None:
    ledger = tmp_path / "a b; touch $(echo x)"
    peer.write(ledger, SLOTS)
    assert replace(tool, ledger=ledger).bounds().slots.total == 12


def test_a_last_line_without_its_end_is_a_line() -> None:
    lines: list[str] = []
    child.run(["/usr/bin/printf", "a\\nb"], lines.append, seconds=10, grace_s=1, stop=lambda: False)
    assert lines == ["a", "b"]


def test_a_tool_that_is_ended_together_with_its_job_was_stopped_and_did_not_fail(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\necho $$\nexec sleep 60 2>&-\n")
    program.chmod(0o755)
    told = threading.Event()

    def both(line: str) -> None:
        # As systemd does: every process of the unit is told at once.
        def end() -> None:
            told.set()
            psutil.Process(int(line)).terminate()

        threading.Timer(0.3, end).start()

    with pytest.raises(ToolError) as error:
        child.run([str(program)], both, seconds=10.0, grace_s=1.0, stop=told.is_set)
    assert error.value.reason is ToolReason.STOPPED
