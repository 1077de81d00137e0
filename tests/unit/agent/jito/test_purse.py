"""What canaries cost stays below its caps, whatever dies and whatever the clock does."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.jito.purse import DAY_S, Purse, PurseError

NOON = 20_000.5 * DAY_S


class Clock:
    def __init__(self, at: float = NOON) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def test_a_day_costs_no_more_than_its_cap_and_the_next_begins_anew(tmp_path: Path) -> None:
    clock = Clock()
    purse = Purse(tmp_path / "p", 6_000, 13_000, clock)
    assert purse.put_aside(6_000, "ny").lamports == 6_000
    assert Purse(tmp_path / "p", 6_000, 13_000, clock).put_aside(6_000, "slc").lamports == 12_000
    with pytest.raises(PurseError) as refused:
        purse.put_aside(6_000, "ny")
    assert refused.value.reason == "DAY_OVER_CAP"
    with pytest.raises(PurseError) as refused:
        purse.put_aside(6_001, "ny")
    assert refused.value.reason == "CANARY_OVER_CAP"
    assert (purse.today(), purse.read().region) == (12_000, "slc")
    assert (tmp_path / "p").stat().st_mode & 0o777 == 0o600
    clock.at += DAY_S
    assert purse.today() == 0
    assert purse.put_aside(6_000, "ny").lamports == 6_000


def test_a_clock_that_is_set_back_opens_no_day_again_nor_sends_at_once(tmp_path: Path) -> None:
    clock = Clock()
    purse = Purse(tmp_path / "p", 6_000, 6_000, clock)
    purse.put_aside(6_000, "ny")
    clock.at += 30
    assert purse.wait_s(600) == 570
    clock.at = NOON - 2 * DAY_S
    assert purse.wait_s(600) == 600
    with pytest.raises(PurseError, match="the clock was set back over midnight"):
        purse.put_aside(6_000, "ny")


@pytest.mark.parametrize("content", [
    b"", b"[]", b"null", b"{}", b'{"day": 1, "lamports": -1, "unix_s": 0, "region": ""}', b"\xff" * 9,
    b'{"day": true, "lamports": 1, "unix_s": 0, "region": ""}', b"[" * 9_000,
    b'{"day": 1, "lamports": 1, "unix_s": NaN, "region": ""}', b'{"day": 1, "lamports": 1, "unix_s": 0, "region": 7}',
])  # fmt: skip
def test_a_file_that_says_nothing_lets_nothing_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(PurseError, match="remove the file") as refused:
        Purse(tmp_path / "p", 6_000, 10**6).put_aside(6_000, "ny")
    assert refused.value.reason == "PURSE_UNREADABLE"
    assert (tmp_path / "p").read_bytes() == content


def test_a_disk_that_takes_nothing_lets_nothing_out(tmp_path: Path) -> None:
    with pytest.raises(PurseError) as refused:
        Purse(tmp_path / "gone" / "p", 6_000, 10**6).put_aside(6_000, "ny")
    assert refused.value.reason == "PURSE_UNWRITABLE"


@given(st.lists(st.tuples(st.integers(-3 * DAY_S, 3 * DAY_S), st.integers(0, 9_000)), max_size=30))
def test_no_day_costs_more_whatever_the_clock_does(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int]]
) -> None:
    path, clock = tmp_path_factory.mktemp("purse") / "p", Clock()
    out: dict[int, int] = {}
    for step, lamports in moves:
        clock.at += step
        try:
            Purse(path, 8_000, 20_000, clock).put_aside(lamports, "ny")
        except PurseError:
            continue
        day = int(clock.at // DAY_S)
        out[day] = out.get(day, 0) + lamports
    assert all(spent <= 20_000 for spent in out.values())


LIFE = """
import sys
from pathlib import Path
from agent.jito.purse import Purse, PurseError
purse = Purse(Path(sys.argv[1]), 6_000, 300_000)
while True:
    purse.put_aside(6_000, "ny")
    print("sent", flush=True)
"""


def test_lives_that_are_killed_between_never_send_more_than_the_cap(tmp_path: Path) -> None:
    path, sent = tmp_path / "p", 0
    for _ in range(12):
        with subprocess.Popen([sys.executable, "-c", LIFE, str(path)], stdout=-1, stderr=subprocess.DEVNULL) as life:
            assert life.stdout
            for _ in range(7):
                sent += bool(life.stdout.readline())
            os.kill(life.pid, signal.SIGKILL)
            sent += len(life.stdout.read().splitlines())
    assert 40 <= sent <= 50
    assert sent * 6_000 <= json.loads(path.read_bytes())["lamports"] <= 300_000
