"""What a probe is: it measures, and hands readings to a sink; it knows nothing of the link."""

from typing import NamedTuple, Protocol

from solward.hosts.v1 import link_pb2


class Series(NamedTuple):
    """A measured quantity: a Prometheus-style name and its sorted label pairs (without the host).

    `counts`: a value tells how often something happened within its second, rather than a state.
    """

    name: str
    labels: tuple[tuple[str, str], ...] = ()
    counts: bool = False

    @classmethod
    def of(cls, name: str, **labels: str) -> "Series":
        """Name a series with its labels in canonical (sorted) order."""
        return cls(name, tuple(sorted(labels.items())))

    @classmethod
    def counting(cls, name: str, **labels: str) -> "Series":
        """Name a series of counts."""
        return cls(name, tuple(sorted(labels.items())), counts=True)


class Sink(Protocol):
    """Where probes put what they measured; the batcher closes one batch a second."""

    def sample(self, series: Series, value: float) -> None:
        """Record one value of a series in the second that is open now."""

    def event(self, event: link_pb2.Event, *, urgent: bool = False) -> None:
        """Record one finding in the second that is open now; an urgent one does not wait for its end."""

    def position(self, source: str, value: str) -> None:
        """Say how far a source was read; it is kept once what came of it is spooled."""


class Probe(Protocol):
    """One source of readings, run by the agent for its whole life."""

    name: str

    async def run(self, sink: Sink) -> None:
        """Measure until cancelled; a failure of the target is a reading, never an exception."""
