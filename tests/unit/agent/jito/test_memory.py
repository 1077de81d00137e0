"""What was sent is known to be of ours after a restart, for its time and no longer."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.jito.memory import Memory, Remembered
from agent.jito.results import REMEMBERED_S
from agent.jito.transactions import read_bundle
from tests.peers.block_engine import block_engine
from tests.unit.agent.jito.stand import make_engine, standing

NOW = 1_800_000_000.0


def one(number: int, until: float = NOW + 100, *, canary: bool = False) -> Remembered:
    return Remembered(f"{number:064x}", until, canary)


def test_what_is_wanted_still_is_recalled_and_all_else_let_go(tmp_path: Path) -> None:
    path = tmp_path / "sent"
    memory = Memory(path, 10)
    for added in (one(1), one(2, NOW - 1), one(3, canary=True)):
        memory.add(added)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Memory(path, 10).recall(NOW, 900) == [one(1), one(3, canary=True)]
    assert f"{2:064x}" not in path.read_text()
    # A clock that was ahead makes nothing wanted for ever.
    assert [kept.until for kept in Memory(path, 10).recall(NOW, 50)] == [NOW + 50] * 2
    assert Memory(tmp_path / "none", 10).recall(NOW, 900) == []


def test_the_file_is_bounded_and_the_newest_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "sent"
    memory = Memory(path, 10)
    for number in range(95):
        memory.add(one(number))
        assert path.stat().st_size <= 21 * 82
    assert Memory(path, 10).recall(NOW, 900) == [one(number) for number in range(85, 95)]


@given(st.binary(max_size=300))
def test_a_file_of_anything_is_read_and_mended(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("memory") / "sent"
    path.write_bytes(content)
    memory = Memory(path, 10)
    # A line that was cut off spoils none that comes after.
    memory.add(one(7))
    assert memory.recall(NOW, 900)[-1] == one(7)
    assert Memory(path, 10).recall(NOW, 900)[-1] == one(7)


def test_a_disk_that_takes_nothing_holds_up_no_bundle(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "gone" / "sent", 10)
    memory.add(one(1))
    assert memory.recall(NOW, 900) == []


LIFE = """
import sys, time
from pathlib import Path
from agent.jito.memory import Memory, Remembered
memory = Memory(Path(sys.argv[1]), 1_000)
for number in range(10**6):
    memory.add(Remembered(f"{number:064x}", time.time() + 500, False))
    print(number, flush=True)
"""


def test_what_was_sent_before_a_kill_is_recalled(tmp_path: Path) -> None:
    path = tmp_path / "sent"
    with subprocess.Popen([sys.executable, "-c", LIFE, str(path)], stdout=-1, stderr=subprocess.DEVNULL) as life:
        assert life.stdout
        for _ in range(200):
            life.stdout.readline()
        os.kill(life.pid, signal.SIGKILL)
        sent = 200 + len(life.stdout.read().splitlines())
    known = {kept.ident for kept in Memory(path, 1_000).recall(0.0, 1e12)}
    assert {f"{number:064x}" for number in range(max(0, sent - 1_000), sent)} <= known


async def test_results_that_come_in_the_next_life_are_told_as_ours(tmp_path: Path) -> None:
    async with block_engine("ny") as peer:
        peer["ny"].faults.hold_auctions = True
        async with standing(peer, engine=make_engine(peer, Memory(tmp_path / "sent", 100))) as stand:
            raw, canary = stand.bundle(), stand.bundle()
            await stand.submit(raw)
            ident = read_bundle(canary).ident
            await stand.engine.send("ny", ident, canary, "grpc", lambda: None, canary=True)
        async with standing(peer, engine=make_engine(peer, Memory(tmp_path / "sent", 100))) as stand:
            peer["ny"].faults.hold_auctions = False
            await stand.until(lambda: "finalized" in stand.outcomes(read_bundle(raw).ident))
            await stand.until(lambda: "finalized" in stand.outcomes(ident))
            assert {(result.bundle == ident) == result.canary for result in stand.results} == {True}
            assert stand.engine.streams["ny"].foreign == 0
    assert REMEMBERED_S > 150 * 0.4
