"""Verdicts on hosts: joined, patient, explained, and quiet about what was acknowledged."""

import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.anomaly.bank import Bank
from controlplane.telemetry.anomaly.hosts import CALM_S, LEVEL, SUSPECTS_MOST, Verdict, Verdicts

SERIES = 10
HOSTS = 3


class Stage:
    """Three hosts of ten series; scores are given, not measured."""

    def __init__(self) -> None:
        self.bank = Bank(HOSTS * SERIES)
        self.bank.update(np.zeros(HOSTS * SERIES))
        self.verdicts = Verdicts(HOSTS * SERIES, HOSTS)
        for host in range(HOSTS):
            self.verdicts.place(np.arange(host * SERIES, (host + 1) * SERIES), host)
        self.now = 1000.0

    def seconds(self, count: int, scores: dict[int, float]) -> list[Verdict]:
        changed = []
        for _ in range(count):
            line: NDArray[np.float32] = np.zeros(HOSTS * SERIES, dtype=np.float32)
            line[list(scores)] = list(scores.values())
            changed += self.verdicts.update(self.bank, line, self.now)
            self.now += 1
        return changed


def test_one_series_must_be_more_surprising_the_more_of_them_there_are() -> None:
    stage = Stage()
    assert not stage.seconds(30, {3: LEVEL + 0.9})
    [verdict] = stage.seconds(30, {3: LEVEL + 1.1})
    assert (verdict.host, verdict.over) == (0, False)
    assert [suspect.row for suspect in verdict.suspects] == [3]


def test_many_series_together_need_less_each() -> None:
    stage = Stage()
    [verdict] = stage.seconds(30, {10 + at: LEVEL + 0.1 for at in range(SERIES)})
    assert verdict.host == 1
    assert len(verdict.suspects) == SUSPECTS_MOST


def test_a_moment_is_not_enough() -> None:
    stage = Stage()
    for _ in range(20):
        assert not stage.seconds(2, {3: 15.0})
        assert not stage.seconds(6, {})


def test_a_verdict_says_since_when_and_ends_after_a_calm_minute() -> None:
    stage = Stage()
    stage.seconds(10, {})
    stage.seconds(10, {3: 3.5})
    [begun] = stage.seconds(20, {3: 12.0, 5: 4.0})
    assert begun.since_s == 1010.0
    assert [suspect.row for suspect in begun.suspects] == [3, 5]
    assert stage.verdicts.anomalous == [begun]
    assert not stage.seconds(int(CALM_S) - 1, {})
    [over] = stage.seconds(2, {})
    assert over.over
    assert over.suspects == begun.suspects
    assert not stage.verdicts.anomalous


def test_an_acknowledged_anomaly_is_quiet_while_it_lasts() -> None:
    stage = Stage()
    stage.seconds(10, {3: 12.0})
    assert stage.verdicts.acknowledge(0) == [3]
    assert not stage.seconds(600, {3: 12.0})
    # It was calm for a while: what comes then is new.
    assert not stage.seconds(int(CALM_S) + 1, {})
    assert len(stage.seconds(10, {3: 12.0})) == 1


def test_another_series_of_an_acknowledged_host_still_counts() -> None:
    stage = Stage()
    stage.seconds(10, {3: 12.0})
    stage.verdicts.acknowledge(0)
    [verdict] = stage.seconds(10, {3: 12.0, 4: 12.0})
    assert [suspect.row for suspect in verdict.suspects] == [4]


def test_hosts_do_not_touch_each_other() -> None:
    stage = Stage()
    assert {verdict.host for verdict in stage.seconds(10, {3: 12.0, 23: 12.0})} == {0, 2}
    stage.verdicts.acknowledge(0)
    assert [verdict.host for verdict in stage.verdicts.anomalous] == [2]


def test_a_forgotten_host_gives_its_rows_back() -> None:
    stage = Stage()
    stage.seconds(10, {3: 12.0})
    assert stage.verdicts.forget(0).tolist() == list(range(SERIES))
    assert not stage.verdicts.anomalous
    assert not stage.seconds(10, {3: 12.0})
