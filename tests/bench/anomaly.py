"""How well anomalies and correlations are found, how seldom they are found where there are none, and what it costs.

The corpus of the Numenta Anomaly Benchmark is read from the folder NAB_FOLDER names, else from data/NAB.
"""

import asyncio
import os
import time
from pathlib import Path

import numpy as np

from controlplane.telemetry.anomaly.bank import Bank
from controlplane.telemetry.anomaly.hosts import Verdict, Verdicts
from controlplane.telemetry.correlation import LEVEL, correlate
from tests.bench import nab, nab_detector
from tests.bench.anomaly_world import DAY, LENGTHS, Fault, World, in_turn
from tests.bench.rows import Row, row

FOLDER = Path(os.environ.get("NAB_FOLDER", "data/NAB"))
NAB_AIMS = {"standard": ">= 66", "low_fp": ">= 57", "low_fn": ">= 72"}
RECALL_AIMS = {
    "x1.5": ">= 0.8",
    "x2": ">= 0.98",
    "x4": ">= 0.98",
    "ramp": ">= 0.8",
    "noise": ">= 0.9",
    "freeze": ">= 1",
}
SERIES_PER_HOST = 10
QUIET_HOSTS, FAULTY_HOSTS = 40, 100
FLEET = 18_000
LOOK_S, LOOKED_AT_S = 60, 900
HOUR = 3600


async def run() -> list[Row]:
    """Measure everything, one after the other, in a thread."""
    parts = (_corpus, _faults, _false_alerts, _cost, _correlations)
    return [one for part in parts for one in await asyncio.to_thread(part)]


def _corpus() -> list[Row]:
    if not nab.present(FOLDER):
        absent = "not measured: there is no corpus in NAB_FOLDER, nor in data/NAB"
        return [row(f"nab_{name}", 0.0, "", aim, absent) for name, aim in NAB_AIMS.items()]
    corpus = nab.read_corpus(FOLDER)
    found = nab.score(corpus, nab_detector.detect(corpus))
    how = f"{len(corpus)} files, one plan, causal; plan chosen on this corpus; threshold chosen for the profile, "
    return [row(f"nab_{name}", found[name][0], "", aim, f"{how}{found[name][1]:.2f}") for name, aim in NAB_AIMS.items()]


def _verdicts(world: World, seconds: int, faults: list[Fault]) -> list[tuple[int, Verdict]]:
    """Give every verdict that is not an end, with its second."""
    bank, hosts = Bank(world.count), Verdicts(world.count, int(world.hosts[-1]) + 1)
    for host in range(int(world.hosts[-1]) + 1):
        hosts.place(np.flatnonzero(world.hosts == host), host)
    found, second = [], 0
    for block in world.blocks(seconds, faults):
        for line in block:
            changed = hosts.update(bank, bank.update(line), float(second))
            found += [(second, verdict) for verdict in changed if not verdict.over]
            second += 1
    return found


def _faults() -> list[Row]:
    """Strike one series of ten, on every host in turn, and ask whether the host was called anomalous meanwhile."""
    world = World(FAULTY_HOSTS, SERIES_PER_HOST, seed=12)
    faults = in_turn(list(range(0, world.count, SERIES_PER_HOST)), first=2 * HOUR, apart=HOUR)
    begun = [(second, verdict.host) for second, verdict in _verdicts(world, 9 * HOUR, faults)]
    rows = []
    for kind, aim in RECALL_AIMS.items():
        struck = [fault for fault in faults if fault.kind == kind]
        delays = [
            min(after)
            for fault in struck
            if (after := [at - fault.start for at, host in begun if _during(fault, at, host, world)])
        ]
        how = f"{len(struck)} faults of {LENGTHS[kind]} s, each in one of a host's {SERIES_PER_HOST} series; host"
        median = f"after {np.median(delays):.0f} s in the median" if delays else "never"
        rows.append(
            row(
                f"fault_recall_{kind.replace('.', '_')}",
                len(delays) / len(struck),
                "",
                aim,
                f"{how} called anomalous {median}",
            )
        )
    return rows


def _during(fault: Fault, at: int, host: int, world: World) -> bool:
    return bool(host == world.hosts[fault.series]) and fault.start <= at < fault.start + fault.seconds


def _false_alerts() -> list[Row]:
    world = World(QUIET_HOSTS, SERIES_PER_HOST, seed=11)
    begun = _verdicts(world, DAY + HOUR, [])
    false = sum(second >= HOUR for second, _ in begun)
    how = f"{false} on {QUIET_HOSTS} hosts of {SERIES_PER_HOST} series in a day without faults, after the first hour"
    return [row("false_host_alerts_per_day", false / QUIET_HOSTS, "per host", "<= 0.2", how)]


def _cost() -> list[Row]:
    random = np.random.default_rng(3)
    bank, hosts = Bank(FLEET), Verdicts(FLEET, FLEET // 60)
    for host in range(FLEET // 60):
        hosts.place(np.arange(host * 60, host * 60 + 60), host)
    lines = random.standard_t(4, (64, FLEET)) * 0.12
    lines[random.random(lines.shape) < 0.01] = np.nan
    took, judged = [], []
    for second in range(2200):
        begin = time.perf_counter()
        scores = bank.update(lines[second % 64] + 1e-6 * second)
        middle = time.perf_counter()
        hosts.update(bank, scores, float(second))
        took.append(middle - begin)
        judged.append(time.perf_counter() - middle)
    each = float(np.median(took[-200:])) / FLEET * 1e6
    how = f"median of 200 ticks after the warm-up, 1 % of samples missing; the {FLEET // 60} hosts' verdicts take "
    how += f"{np.median(judged[-200:]) * 1000:.1f} ms a tick more"
    held = f"{FLEET} series, {bank.bytes_per_series * FLEET / 1e6:.1f} MB together"
    return [
        row("anomaly_us_per_point", each, "us", "<= 1", f"{FLEET} series; {how}"),
        row("anomaly_bytes_per_series", bank.bytes_per_series, "bytes", "<= 1024", held),
    ]


def _correlations() -> list[Row]:
    random = np.random.default_rng(4)
    days = 2
    false = sum(_false_findings(random) for _ in range(days))
    planted = [_planted(random) for _ in range(60)]
    noise = "6 targets and 12 counters of a host, white to random walk, that have nothing in common"
    how = "of 60 windows of 15 min with one counter that moves one target 7 s later, by 0.4 of its own news"
    return [
        row(
            "correlation_false_per_day",
            false / days,
            "per host",
            "<= 1",
            f"{days} host-days, a look a minute at 15 min, level {LEVEL:.1g}; {noise}",
        ),
        row("correlation_recall", float(np.mean(planted)), "", ">= 0.9", f"{how}: found, at its lag, and nothing else"),
    ]


def _false_findings(random: np.random.Generator) -> int:
    """Count findings in a day that the look before did not have."""
    targets, counters = _wandering(random, DAY, 6), _wandering(random, DAY, 12)
    count, before = 0, set[tuple[int, int]]()
    for end in range(LOOKED_AT_S, DAY + 1, LOOK_S):
        window = slice(end - LOOKED_AT_S, end)
        now = {(one.target, one.counter) for one in correlate(targets[window], counters[window])}
        count += len(now - before)
        before = now
    return count


def _planted(random: np.random.Generator) -> bool:
    targets, counters = _wandering(random, LOOKED_AT_S, 6), _wandering(random, LOOKED_AT_S, 12)
    targets[7:, 1] += 0.4 * counters[:-7, 1]
    found = correlate(targets, counters)
    return [(one.target, one.counter, one.lag_s) for one in found] == [(1, 1, 7)]


def _wandering(
    random: np.random.Generator, seconds: int, count: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Make autocorrelated series, from white noise to a random walk, with heavy tails."""
    keeps = np.resize([0.0, 0.9, 0.98, 0.995, 1.0, 0.5], count)
    series = random.standard_t(4, (seconds + 1000, count))
    for second in range(1, len(series)):
        series[second] += keeps * series[second - 1]
    return series[1000:]
