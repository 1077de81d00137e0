"""The Numenta Anomaly Benchmark: its corpus read from a folder of its layout, and its rules of scoring.

Written from the public rules (Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms", 2015): the first
15 % of a file, at most 750 points, are not scored; in a window the best placed detection counts, the earlier the
better; every other detection costs; one threshold for all files, the best for each profile.
"""

import csv
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PROBATION_SHARE = 0.15
PROBATION_MOST = 750


@dataclass(frozen=True)
class Profile:
    """What a missed window and a false detection cost, where a found window is worth 1."""

    missed: float
    false: float


PROFILES = {
    "standard": Profile(missed=1.0, false=0.11),
    "low_fp": Profile(missed=1.0, false=0.22),
    "low_fn": Profile(missed=2.0, false=0.11),
}


@dataclass(frozen=True)
class Series:
    """One file: its times, its values, and its windows as first and last index."""

    name: str
    times: tuple[dt.datetime, ...]
    values: Floats
    windows: tuple[tuple[int, int], ...]


def present(folder: Path) -> bool:
    """Tell whether a folder has the benchmark's layout."""
    return (folder / "data").is_dir() and (folder / "labels" / "combined_windows.json").is_file()


def read_corpus(folder: Path) -> list[Series]:
    """Read every file that has labels.

    Raises: OSError, ValueError: the folder is not of the benchmark's layout.
    """
    labels: dict[str, list[list[str]]] = json.loads((folder / "labels" / "combined_windows.json").read_text())
    return [_read_series(folder / "data" / name, name, windows) for name, windows in sorted(labels.items())]


def _read_series(path: Path, name: str, windows: list[list[str]]) -> Series:
    times, values = [], []
    for line in _lines(path):
        times.append(dt.datetime.fromisoformat(line["timestamp"]))
        values.append(float(line["value"]))
    # Where clocks were set back a time stands twice; the first one counts.
    index = {time: at for at, time in reversed(list(enumerate(times)))}
    spans = tuple((index[_label_time(first)], index[_label_time(last)]) for first, last in windows)
    return Series(name, tuple(times), np.array(values), spans)


def _label_time(text: str) -> dt.datetime:
    return dt.datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f")


def read_results(folder: Path, corpus: list[Series]) -> dict[str, Floats]:
    """Read a detector's stored scores, from `results/DETECTOR` of the benchmark's layout."""
    found = {}
    for series in corpus:
        group, file = series.name.split("/")
        lines = _lines(folder / group / f"{folder.name}_{file}")
        found[series.name] = np.array([float(line["anomaly_score"]) for line in lines])
    return found


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def score(corpus: list[Series], scores: Mapping[str, Floats]) -> dict[str, tuple[float, float]]:
    """Score a detector.

    Args:
        corpus: the files.
        scores: for each file one number a point, the greater the stranger.

    Returns: for each profile the score (0 for no detection at all, 100 for every window found at its first point and
        nothing else) and the threshold that gives it.
    """
    anomaly = np.concatenate([scores[series.name] for series in corpus])
    worth, window = _worths(corpus)
    counted = ~np.isnan(worth)
    anomaly, worth, window = anomaly[counted], worth[counted], window[counted]
    order = np.argsort(-anomaly, kind="stable")
    anomaly, worth, window = anomaly[order], worth[order], window[order]
    # A threshold takes all points of equal score, or none.
    ends = np.append(anomaly[1:] != anomaly[:-1], True)
    found = _found(worth, window)
    false = np.cumsum(np.where(window < 0, worth, 0.0))
    total = sum(len(series.windows) for series in corpus)
    return {name: _best(profile, found, false, ends, anomaly, total) for name, profile in PROFILES.items()}


def raw_score(series: Series, scores: Floats, profile: Profile, threshold: float) -> float:
    """Score one file at a threshold, as the benchmark's own tables do: what is found and missed, less what is false."""
    worth, window = _worths([series])
    detected = (scores >= threshold) & ~np.isnan(worth)
    found, hit = _found(worth[detected], window[detected])
    false = float(worth[detected & (window < 0)].sum())
    gained, hits = (float(found[-1]), float(hit[-1])) if len(found) else (0.0, 0.0)
    return gained + profile.false * false - profile.missed * (len(series.windows) - hits)


def _best(
    profile: Profile,
    found: tuple[Floats, Floats],
    false: Floats,
    ends: NDArray[np.bool_],
    anomaly: Floats,
    total: int,
) -> tuple[float, float]:
    gained, hit = found
    null = -profile.missed * total
    raw = np.where(ends, gained + profile.false * false - profile.missed * (total - hit), -np.inf)
    at = int(np.argmax(raw))
    best = max(float(raw[at]), null)
    return 100.0 * (best - null) / (total - null), float(anomaly[at])


def _found(worth: Floats, window: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Give what windows are worth, and how many are hit, with the first n detections."""
    gain, hit = np.zeros(len(worth)), np.zeros(len(worth))
    for number in range(int(window.max(initial=-1)) + 1):
        at = np.flatnonzero(window == number)
        if len(at):
            gain[at] = np.diff(np.maximum.accumulate(worth[at]), prepend=0.0)
            hit[at[0]] = 1.0
    return np.cumsum(gain), np.cumsum(hit)


def _worths(corpus: list[Series]) -> tuple[Floats, NDArray[np.int64]]:
    """Give for each point what a detection is worth, NaN where none counts, and its window's number or -1."""
    worths, windows, first = [], [], 0
    for series in corpus:
        worth, window = _file_worths(series)
        worth[: min(int(PROBATION_SHARE * len(worth)), PROBATION_MOST)] = np.nan
        worths.append(worth)
        windows.append(np.where(window >= 0, window + first, -1))
        first += len(series.windows)
    return np.concatenate(worths), np.concatenate(windows)


def _file_worths(series: Series) -> tuple[Floats, NDArray[np.int64]]:
    length = len(series.values)
    worth, window = np.full(length, -1.0), np.full(length, -1, dtype=np.int64)
    for number, (left, right) in enumerate(series.windows):
        width = right - left + 1
        inside = np.arange(left, right + 1)
        worth[inside] = _sigmoid(-(right - inside + 1) / width) / _sigmoid(np.array([-1.0]))
        window[inside] = number
        after = np.arange(right + 1, length)
        worth[after] = _sigmoid((after - right) / max(width - 1, 1))
    return worth, window


def _sigmoid(position: Floats) -> Floats:
    """Weigh a place: 1 far left of a window's right edge, 0 at it, -1 far right."""
    return np.where(position > 3.0, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(position, 3.0))) - 1.0)
