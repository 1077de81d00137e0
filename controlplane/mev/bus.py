"""Whoever watches bundles is told of each change at once, and the newest changes are kept."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from itertools import islice

from solward.jito.v1 import jito_pb2 as pb
from solward.metrics.v1 import topics_pb2

from controlplane.telemetry.topics import View

# Changes that may wait for one who does not read; then the oldest go.
QUEUE = 1_000
# Changes that are kept for live topics.
KEPT = 256
TOPIC = "bundles"


class BundleBus:
    """Tells watchers."""

    def __init__(self) -> None:
        self._watchers: set[asyncio.Queue[pb.Bundle]] = set()
        self._recent: deque[pb.Bundle] = deque(maxlen=KEPT)
        self._changed = asyncio.Event()
        self.newest = 0

    def tell(self, bundle: pb.Bundle) -> None:
        """Tell everybody how a bundle stands now."""
        # It changes while it waits to be read.
        copy = pb.Bundle()
        copy.CopyFrom(bundle)
        self._recent.append(copy)
        self.newest += 1
        self._changed.set()
        self._changed = asyncio.Event()
        for queue in self._watchers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(copy)

    async def watch(self) -> AsyncIterator[pb.Bundle]:
        """Give each change from now on."""
        queue: asyncio.Queue[pb.Bundle] = asyncio.Queue(QUEUE)
        self._watchers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers.discard(queue)

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
        count = min(self.newest - after, len(self._recent))
        newest = islice(self._recent, len(self._recent) - count, None)
        seen = [bundle for bundle in newest if view.sees(TOPIC, bundle.host)]
        return topics_pb2.TopicFrame(
            bundles=topics_pb2.BundlesNow(before=self.newest - count, newest=self.newest, bundles=seen)
        )
