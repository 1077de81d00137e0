"""Whoever watches bundles is told of each change at once, and the newest changes are kept."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from itertools import islice

from solward.jito.v1 import jito_pb2 as pb
from solward.metrics.v1 import topics_pb2

from controlplane.telemetry.topics import View

# Changes that are kept for those who read slowly.
KEPT = 1_000
# Of them in one frame of the live topic.
FRAME = 256
# How long is waited for a change before it is looked anew.
LONG_S = 60.0
TOPIC = "bundles"


class BundleBus:
    """Tells watchers.

    Args:
        newest: the number from which changes are counted on: greater than any that an earlier life has given, so that
            whoever goes on watching sees that some were missed.
    """

    def __init__(self, newest: int = 0) -> None:
        self._recent: deque[pb.Bundle] = deque(maxlen=KEPT)
        self._changed = asyncio.Event()
        self.newest = newest

    def tell(self, bundle: pb.Bundle) -> None:
        """Tell everybody how a bundle stands now."""
        # It changes while it waits to be read.
        copy = pb.Bundle()
        copy.CopyFrom(bundle)
        self._recent.append(copy)
        self.newest += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def watch(self, after: int) -> AsyncIterator[pb.Bundle]:
        """Give each change after a number; of who reads too slowly the oldest are lost."""
        while True:
            await self.wait(after, LONG_S)
            changes, after = self._after(after), self.newest
            for bundle in changes:
                yield bundle

    async def wait(self, after: int, seconds: float) -> None:
        """Wait for a change after a number, at most so long."""
        if self.newest <= after:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                return

    def since(self, view: View, after: int) -> topics_pb2.TopicFrame:
        """Tell the changes after a number, of those that are kept and that a view may see."""
        changes = self._after(after)[-FRAME:]
        seen = [bundle for bundle in changes if not bundle.canary and view.sees(TOPIC, bundle.host)]
        before = self.newest - len(changes)
        return topics_pb2.TopicFrame(bundles=topics_pb2.BundlesNow(before=before, newest=self.newest, bundles=seen))

    def _after(self, number: int) -> list[pb.Bundle]:
        count = min(self.newest - number, len(self._recent))
        return list(islice(self._recent, len(self._recent) - count, None))
