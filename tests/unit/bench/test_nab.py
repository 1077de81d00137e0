"""The scorer against one file of the benchmark and what the benchmark's own program gave two detectors on it.


`nab/` holds that file, its labels and the detectors' results (Numenta Anomaly Benchmark, MIT licence, Copyright
2014-2024 Numenta Inc.; the results cut to four digits).
"""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from tests.bench import nab, nab_detector

FOLDER = Path(__file__).parent / "nab"
START = dt.datetime(2020, 1, 1)


def made(length: int, *windows: tuple[int, int]) -> nab.Series:
    times = tuple(START + dt.timedelta(minutes=5 * at) for at in range(length))
    return nab.Series("made", times, np.zeros(length), windows)


def detections(length: int, *at: int) -> dict[str, nab.Floats]:
    scores = np.zeros(length)
    scores[list(at)] = 1.0
    return {"made": scores}


@pytest.mark.parametrize(
    ("detector", "profile", "stored"),
    [
        ("knncad", "standard", 0.2503685327),
        ("knncad", "low_fp", -0.1896105196),
        ("knncad", "low_fn", -0.7496314673),
        ("windowedGaussian", "standard", 0.2922884634),
        ("windowedGaussian", "low_fp", -0.1476807696),
        ("windowedGaussian", "low_fn", -0.7077115366),
    ],
)
def test_it_gives_what_the_benchmark_itself_gave(detector: str, profile: str, stored: float) -> None:
    [series] = nab.read_corpus(FOLDER)
    scores = nab.read_results(FOLDER / "results" / detector, [series])[series.name]
    assert nab.raw_score(series, scores, nab.PROFILES[profile], 1.0) == pytest.approx(stored, abs=1e-9)


def test_the_folder_is_known_by_its_layout(tmp_path: Path) -> None:
    assert nab.present(FOLDER)
    assert not nab.present(tmp_path)


def test_nothing_found_is_0_and_every_window_at_its_first_point_100() -> None:
    series = made(1000, (300, 399), (700, 799))
    for name, (score, _) in nab.score([series], detections(1000)).items():
        assert score == 0.0, name
    for name, (score, _) in nab.score([series], detections(1000, 300, 700)).items():
        assert score == pytest.approx(100.0), name


def test_earlier_is_better_and_the_best_of_a_window_counts() -> None:
    series = made(1000, (300, 399))

    def standard(*at: int) -> float:
        return nab.score([series], detections(1000, *at))["standard"][0]

    assert standard(310) > standard(350) > standard(390) > 0
    assert standard(310, 350, 390) == standard(310)


def test_false_detections_cost_and_those_in_probation_do_not() -> None:
    series = made(1000, (300, 399))
    clean = nab.score([series], detections(1000, 300))
    assert nab.score([series], detections(1000, 300, 10, 149)) == clean
    false = nab.score([series], detections(1000, 300, 160, 200, 250))
    assert false["standard"][0] == pytest.approx(clean["standard"][0] - 100 * 0.33 / 2)
    assert false["low_fp"][0] < false["standard"][0]


def test_the_threshold_is_the_best_one() -> None:
    series = made(1000, (300, 399))
    scores = detections(1000, 300)
    scores["made"][500:520] = 0.5
    assert nab.score([series], scores)["standard"] == (pytest.approx(100.0), 1.0)


def test_a_record_is_kept_once() -> None:
    scores = np.zeros((200, 1))
    scores[[10, 11, 40, 120, 121], 0] = [3.0, 2.0, 3.0, 2.5, 4.0]
    assert np.flatnonzero(nab_detector.records(scores)[:, 0]).tolist() == [10, 120, 121]


def test_detection_looks_at_nothing_that_comes_later() -> None:
    [series] = nab.read_corpus(FOLDER)
    whole = nab_detector.detect([series])[series.name]
    assert whole.max() > 3
    for cut in (300, 801, 1200):
        part = nab.Series(series.name, series.times[:cut], series.values[:cut], ())
        np.testing.assert_array_equal(nab_detector.detect([part])[series.name], whole[:cut])
