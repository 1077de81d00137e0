"""What a bank looks at in each series, and for how long it remembers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stream:
    """One way of looking at a series: a short average less a long one.

    Spans are in samples; the short average has this sample in it, the long one has not. A short span of 0 is the sample
    itself, a long span of 1 the sample before.
    """

    short: int
    long: int

    @property
    def name(self) -> str:
        """Say what is compared with what."""
        return f"{f'mean {self.short}' if self.short else 'value'} against mean {self.long}"


@dataclass(frozen=True)
class Plan:
    """How a bank judges; one plan for every series in it.

    `smooth`: judge the median of the last nine samples, so that single outliers are no news.
    `hours`: judge the difference from the mean of the hour of the day, too.
    `settle`: samples that averages alone learn from, before tails do.
    `warm_up`: samples after that, before the first judgement; the `kept` greatest of them set where a tail begins.
    `memory`: what a tail's sums keep of themselves from one sample to the next.
    `learnt_most`: a tail learns from what is rarer than this (-log10) as if it were just so rare: a fault must not make
    the next one usual, while what stays becomes so.
    `shape`: least and greatest shape of a tail; never below 0, which would be a tail with an end.
    `scale`: over how many samples the usual size of a difference is learnt, for nothing is more surprising than a
    normal law of that size would have it; 0 for no such bound.
    `drift`: spans of the slow comparison that finds ramps, and of the same for scatter around the level, or None.
    `freeze`: whether a value that stands still is news.
    """

    streams: tuple[Stream, ...]
    smooth: bool
    hours: bool
    settle: int
    warm_up: int
    kept: int
    memory: float
    learnt_most: float
    shape: tuple[float, float]
    scale: int
    drift: tuple[int, int] | None
    freeze: bool


# Samples of a second: heavy-tailed, with single outliers that mean nothing.
SECONDS = Plan(
    streams=(Stream(0, 25), Stream(0, 100), Stream(0, 1800), Stream(25, 1800)),
    smooth=True,
    hours=False,
    settle=600,
    warm_up=1200,
    kept=6,
    memory=1 - 1 / 40_000,
    learnt_most=3.5,
    shape=(0.01, 0.2),
    scale=20_000,
    drift=(60, 3600),
    freeze=True,
)

# Samples of minutes, each of which means something, with the day in them.
MINUTES = Plan(
    streams=(Stream(0, 1), Stream(0, 400), Stream(10, 50), Stream(25, 300), Stream(50, 600), Stream(100, 1000)),
    smooth=False,
    hours=True,
    settle=0,
    warm_up=200,
    kept=2,
    memory=0.999,
    learnt_most=15.0,
    shape=(0.01, 0.2),
    scale=0,
    drift=None,
    freeze=False,
)
