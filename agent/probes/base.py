"""What a probe is: it measures, and hands readings to a sink; it knows nothing of the link."""

from typing import NamedTuple, Protocol


class Series(NamedTuple):
    """A measured quantity: a Prometheus-style name and its sorted label pairs (without the host)."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, name: str, **labels: str) -> "Series":
        """Name a series with its labels in canonical (sorted) order."""
        return cls(name, tuple(sorted(labels.items())))


class Sink(Protocol):
    """Where probes put what they measured; the batcher closes one batch a second."""

    def sample(self, series: Series, value: float) -> None:
        """Record one value of a series in the second that is open now."""


class Probe(Protocol):
    """One source of readings, run by the agent for its whole life."""

    name: str

    async def run(self, sink: Sink) -> None:
        """Measure until cancelled; a failure of the target is a reading, never an exception."""
