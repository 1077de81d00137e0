"""How many bundles of ours landed of late, by host and region; what is long ago counts less."""

from collections.abc import Iterable
from typing import NamedTuple

from solward.jito.v1 import jito_pb2 as pb

HALF_LIFE_S = 1_800.0
_LANDED = {
    pb.BUNDLE_STATE_FINALIZED: True, pb.BUNDLE_STATE_LANDED: True, pb.BUNDLE_STATE_EXPIRED: False,
}  # fmt: skip


class Landed(NamedTuple):
    """Bundles that landed, and those of which that is known, each weighed by its age."""

    landed: float = 0.0
    known: float = 0.0


class Landings:
    """Counts.

    What a simulation refused says nothing of a region, nor does what nobody knows, nor a canary's small tip.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], tuple[float, Landed]] = {}

    def take(self, bundle: pb.Bundle, unix_s: float) -> None:
        """Count a bundle that has ended.

        Args:
            unix_s: when it ended.
        """
        landed = _LANDED.get(bundle.state)
        if landed is None or bundle.canary or not bundle.region or bundle.reason == "SIMULATION_FAILED":
            return
        before = self.of(bundle.host, bundle.region, unix_s)
        self._sums[bundle.host, bundle.region] = (unix_s, Landed(before.landed + landed, before.known + 1))

    def take_all(self, bundles: Iterable[pb.Bundle]) -> None:
        """Count bundles of before, by when they ended."""
        for bundle in sorted(bundles, key=lambda one: one.end_time.ToMilliseconds()):
            self.take(bundle, bundle.end_time.ToMilliseconds() / 1000)

    def of(self, host: str, region: str, unix_s: float) -> Landed:
        """Give what is known of a host ("hosts/{host}") and region at a time."""
        at, sums = self._sums.get((host, region), (unix_s, Landed()))
        keep = 0.5 ** (max(0.0, unix_s - at) / HALF_LIFE_S)
        return Landed(sums.landed * keep, sums.known * keep)
