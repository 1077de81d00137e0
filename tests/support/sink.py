"""A sink that keeps what probes give it."""

from solward.hosts.v1 import link_pb2

from agent.probes.base import Series


class Kept:
    """Keeps every value by series, every event, and the last position of every source."""

    def __init__(self) -> None:
        self.values: dict[Series, list[float]] = {}
        self.events: list[link_pb2.Event] = []
        self.positions: dict[str, str] = {}

    def sample(self, series: Series, value: float) -> None:
        """Keep a value."""
        self.values.setdefault(series, []).append(value)

    def event(self, event: link_pb2.Event) -> None:
        """Keep a finding."""
        self.events.append(event)

    def position(self, source: str, value: str) -> None:
        """Keep a position."""
        self.positions[source] = value

    def of(self, name: str, **labels: str) -> list[float]:
        """Give the values of a series, whether it counts or not."""
        return self.values.get(Series.of(name, **labels), []) + self.values.get(Series.counting(name, **labels), [])

    @property
    def kinds(self) -> list[str]:
        """The kinds of the findings, in order."""
        return [event.kind for event in self.events]
