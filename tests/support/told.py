"""What agents told, put into a live ring as their batches would."""

from collections.abc import Mapping

from solward.hosts.v1 import link_pb2

from common.clock import now_ms
from controlplane.telemetry.ingest import Ingest


class Told:
    """Fills the live ring of hosts, second by second.

    Args:
        ingest: where it is filled.
    """

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._ids: dict[tuple[str, str, tuple[tuple[str, str], ...]], int] = {}
        self._sequence: dict[str, int] = {}

    def tell(
        self, host: str, seconds_ago: int, figures: Mapping[tuple[str, tuple[tuple[str, str], ...]], float],
        counts: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        """Have a host tell figures.

        Args:
            host: its id.
            seconds_ago: how long ago they were measured; never older than what it told before.
            figures: by series and label pairs.
            counts: the series that count.
        """
        if host not in self._sequence:
            self._ingest.open(host, link_pb2.Hello(spool_id="spool", first_sequence=1))
            self._sequence[host] = 0
        self._sequence[host] += 1
        batch = link_pb2.SampleBatch(sequence=self._sequence[host], unix_ms=now_ms() - seconds_ago * 1000)
        for (name, labels), value in figures.items():
            number = self._ids.setdefault((host, name, labels), len(self._ids))
            batch.definitions.add(id=number, name=name, labels=dict(labels), counts=name in counts)
            batch.series.append(number)
            batch.values.append(value)
        self._ingest.samples(host, batch)
