"""The crash matrix's own logic: when it kills, what it counts, and that each of its checks can fail."""

from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from solward.operations.v1 import operations_pb2 as pb

from tests.bench.crash import rows
from tests.bench.crash_kinds import KINDS, Kind
from tests.bench.crash_run import Moments, Ran, begun, compare, progress, trouble, turn
from tests.bench.crash_watch import AtOnce, Files

BEGUN = Timestamp(seconds=1)


async def _nothing(_: object) -> None:
    return


def kind(**once: int) -> Kind:
    return Kind("restart", _nothing, lambda _: (), once, besides={"exit": 1})


def operation(*steps: pb.Step, targets: tuple[int, ...] = ()) -> pb.Operation:
    hosts = [pb.Target(host=f"hosts/sol-{number}", state=state) for number, state in enumerate(targets, 1)]  # type: ignore[arg-type]
    return pb.Operation(steps=steps, targets=hosts)


def step(name: str, verdict: pb.Verdict = pb.VERDICT_UNSPECIFIED, message: str = "") -> pb.Step:
    return pb.Step(id=name, verdict=verdict, message=message, start_time=BEGUN)


def test_each_progress_is_a_moment_and_its_middle_is_another() -> None:
    now = 0.0
    moments = Moments(1.0, lambda: now)
    first, second = progress(operation(step("check"))), progress(operation(step("check", pb.VERDICT_PASS)))
    assert moments.take(first)
    assert not moments.take(first)
    now = 1.5
    assert (moments.take(first), moments.new) == (True, False)
    now = 9.0
    assert not moments.take(first)
    assert (moments.take(second), moments.new) == (True, True)
    # Seen before: an operation that goes to and fro does not keep it killing for ever.
    assert not moments.take(first)


def test_progress_is_what_has_begun_and_ended_and_what_an_agent_says() -> None:
    act = progress(operation(step("act", message="12 of 40 MB")))
    assert act == progress(operation(step("act", message="30.5 of 40 MB")))
    assert act != progress(operation(step("act", message="waiting")))
    assert progress(operation(step("ready", message="1"))) == progress(operation(step("ready", message="x")))
    assert progress(operation(pb.Step(id="act"))) != progress(operation(step("act")))
    part = operation(step("check"))
    assert progress(operation(), [part]) != progress(operation(), [operation(step("check", pb.VERDICT_PASS))])


def test_an_operation_is_not_begun_before_its_first_step() -> None:
    waiting, running = int(pb.TARGET_STATE_WAITING), int(pb.TARGET_STATE_RUNNING)
    assert not begun(operation(pb.Step(id="check")))
    assert not begun(operation(targets=(waiting, waiting)))
    assert begun(operation(step("check")))
    assert begun(operation(targets=(running, waiting)))


def test_the_host_whose_turn_it_is_comes_before_those_that_wait() -> None:
    done, waiting, running = pb.TARGET_STATE_SUCCEEDED, pb.TARGET_STATE_WAITING, pb.TARGET_STATE_RUNNING
    assert turn(operation(targets=(done, waiting, running))) == "sol-3"
    assert turn(operation(targets=(done, waiting, waiting))) == "sol-2"
    assert turn(operation(targets=(done, done))) == "sol-2"
    assert turn(operation()) == ""


@pytest.mark.parametrize(
    ("done", "doubled", "missing"),
    [
        ({("sol-1", "start"): 1, ("sol-2", "start"): 0}, 0, 0),
        ({("sol-1", "start"): 3}, 2, 0),
        ({("sol-1", "start"): 0}, 0, 1),
        ({("sol-1", "start"): 1, ("sol-2", "start"): 1}, 1, 0),
        ({("sol-1", "start"): 1, ("sol-1", "pin made"): 1}, 1, 0),
        ({("sol-1", "start"): 1, ("sol-1", "exit"): 1}, 0, 0),
        ({("sol-1", "start"): 1, ("sol-1", "exit"): 2}, 1, 0),
        ({("sol-1", "start"): 1, ("sol-2", "exit"): 1}, 1, 0),
    ],
)
def test_what_was_done_is_compared_with_what_was_asked(
    done: dict[tuple[str, str], int], doubled: int, missing: int
) -> None:
    found = compare(done, kind(start=1))
    assert (len(found[0]), len(found[1])) == (doubled, missing)


def test_a_run_without_kills_or_without_success_has_not_come_through() -> None:
    done = pb.Operation(state=pb.OPERATION_STATE_SUCCEEDED)
    assert trouble(done, 2) == ""
    assert trouble(done, 1) == "only 1 kills"
    assert trouble(pb.Operation(state=pb.OPERATION_STATE_PAUSED), 9) == "OPERATION_STATE_PAUSED"


def test_too_many_at_once_are_counted_each_time_that_it_begins() -> None:
    at_once = AtOnce(1)
    for now in (0, 1, 2, 3, 1, 2, 0):
        at_once.look(now)
    assert (at_once.exceeded, at_once.most) == (2, 3)


def test_files_that_come_change_and_go_are_counted(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("1")
    files = Files(lambda: tmp_path.iterdir())
    (tmp_path / "new").write_text("1")
    files.look()
    assert (files.made, files.gone) == (1, 0)
    (tmp_path / "other").write_text("2")
    (tmp_path / "other").rename(tmp_path / "old")
    files.look()
    assert (files.made, files.gone) == (2, 0)
    (tmp_path / "old").unlink()
    files.look()
    files.look()
    assert (files.made, files.gone) == (2, 1)


def test_each_figure_can_be_missed() -> None:
    good = Ran("restart/agent", 5, "", [], 0, [1.0])
    assert all(each["met"] for each in rows([good]))
    bad = Ran("restart/control plane", 5, "PAUSED", ["restart: start on sol-1"], 1, [40.0])
    found = {each["name"]: each for each in rows([good, bad])}
    assert (found["crash_resumed_percent"]["value"], found["crash_doubled"]["value"]) == (50, 1)
    assert not any(found[f"crash_{name}"]["met"] for name in ("resumed_percent", "doubled", "recovery_max_s"))
    assert not found["crash_max_unavailable_exceeded"]["met"]
    assert "PAUSED" in found["crash_resumed_percent"]["detail"]


def test_kinds_have_names_of_their_own() -> None:
    assert len({each.name for each in KINDS}) == len(KINDS)
