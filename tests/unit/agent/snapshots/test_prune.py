"""A plan is carried out on just those files that were planned, any number of times."""

import contextlib
import os
import time
from pathlib import Path

import pytest

from agent.snapshots import prune
from agent.snapshots.catalogue import Places, scan
from agent.snapshots.pin import pin_newest
from agent.snapshots.policy import Known, Plan, Policy, plan
from agent.snapshots.prune import Ended, SkipReason, carry_out
from tests.peers.snapshots import name, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "snapshots"
    folder.mkdir()
    for slot, base in ((100, None), (150, 100), (200, None), (250, 200), (300, None), (350, 300)):
        write(folder, slot, base)
    (folder / "snapshot-broken").touch()
    (folder / "tmp-snapshot-archive-5").touch()
    return folder


def planned(folder: Path) -> Plan:
    return plan(scan(Places(folder, folder, folder)), Policy(1, 1), Known(), time.time() + 1)


def slots(folder: Path) -> list[int]:
    return [archive.name.slot for archive in scan(Places(folder, folder, folder)).archives]


def test_what_was_planned_goes_and_no_more(folder: Path) -> None:
    made = planned(folder)
    outcome = carry_out(made)
    assert [archive.name.slot for archive in outcome.removed] == [150, 100, 250, 200]
    assert outcome.ended is Ended.DONE
    assert outcome.bytes_freed == made.size > 0
    assert slots(folder) == [350, 300]
    assert len(list(folder.iterdir())) == 4


def test_a_second_time_is_harmless(folder: Path) -> None:
    made = planned(folder)
    carry_out(made)
    again = carry_out(made)
    assert not again.removed
    assert [skipped.reason for skipped in again.skipped] == [SkipReason.GONE] * 4
    assert slots(folder) == [350, 300]


def test_a_crash_in_between_is_harmless(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, real = planned(folder), os.unlink
    for _ in made.removals:
        calls = iter(range(99))

        def unlink(*args: str, calls=calls, **named: int) -> None:  # type: ignore[no-untyped-def]
            if next(calls) == 1:
                raise KeyboardInterrupt
            real(*args, **named)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(prune.os, "unlink", unlink)
            with contextlib.suppress(KeyboardInterrupt):
                carry_out(made)
        assert slots(folder)[:2] == [350, 300]
    assert slots(folder) == [350, 300]


def test_another_file_under_the_name_is_left(folder: Path) -> None:
    made = planned(folder)
    replaced, written, linked = (folder / name(*each) for each in ((100,), (150, 100), (250, 200)))
    (folder / "new").write_bytes(replaced.read_bytes())
    (folder / "new").rename(replaced)
    written.write_bytes(b"x")
    linked.rename(folder / "moved")
    linked.symlink_to("moved")
    outcome = carry_out(made)
    assert [archive.name.slot for archive in outcome.removed] == [200]
    assert [skipped.reason for skipped in outcome.skipped] == [SkipReason.CHANGED] * 3
    assert (folder / "moved").exists()


def test_nothing_goes_once_a_pair_that_must_stay_is_gone(folder: Path) -> None:
    made = planned(folder)
    (folder / name(350, 300)).unlink()
    outcome = carry_out(made)
    assert (outcome.removed, outcome.ended) == ([], Ended.KEEPER_GONE)
    made = planned(folder)
    (folder / name(300)).write_bytes(b"x")
    assert carry_out(made).ended is Ended.KEEPER_GONE
    assert len(slots(folder)) == 5


def test_it_stops_when_told(folder: Path) -> None:
    calls = iter(range(9))
    outcome = carry_out(planned(folder), lambda: next(calls) == 1)
    assert (len(outcome.removed), outcome.ended) == (1, Ended.STOPPED)


def test_what_cannot_be_removed_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlink(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    made = planned(folder)
    monkeypatch.setattr(prune.os, "unlink", unlink)
    outcome = carry_out(made)
    assert [skipped.reason for skipped in outcome.skipped] == [SkipReason.FAILED] * 4
    assert outcome.bytes_freed == 0


def test_what_is_pinned_besides_frees_nothing(folder: Path, tmp_path: Path) -> None:
    pin_newest(Places(folder, folder, folder), tmp_path / "pins", bad={name(300)})
    outcome = carry_out(planned(folder))
    assert len(outcome.removed) == 4
    freed = sum(archive.size for archive in outcome.removed if archive.name.slot < 200)
    assert outcome.bytes_freed == freed
    assert (tmp_path / "pins" / "250" / name(200)).exists()
