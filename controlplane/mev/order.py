"""Bundles that have ended, in the order in which they were sent; no I/O.

One that lands is known of within seconds, one that does not only when its blockhash is dead: whoever counted them as
they end would see successes first, and a rate that begins at all of them.
"""

from collections import OrderedDict

from solward.jito.v1 import jito_pb2 as pb

from controlplane.store.bundles import uid_of


class InOrder:
    """Holds ends back until every bundle that was sent before has ended, too."""

    def __init__(self) -> None:
        # In the order of sending; None while it is under way.
        self._sent: OrderedDict[str, pb.Bundle | None] = OrderedDict()

    def sent(self, bundle: pb.Bundle) -> None:
        """Note that a bundle is under way."""
        self._sent[uid_of(bundle)] = None

    def ended(self, bundle: pb.Bundle) -> list[pb.Bundle]:
        """Take an end; gives those whose turn it is now."""
        self._sent[uid_of(bundle)] = bundle
        ready = []
        while self._sent and (first := next(iter(self._sent.values()))):
            ready.append(first)
            self._sent.popitem(last=False)
        return ready
