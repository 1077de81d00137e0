"""Whoever watches bundles is told of each change at once."""

import asyncio
from collections.abc import AsyncIterator

from solward.jito.v1 import jito_pb2 as pb

# Changes that may wait for one who does not read; then the oldest go.
QUEUE = 1_000


class BundleBus:
    """Tells watchers."""

    def __init__(self) -> None:
        self._watchers: set[asyncio.Queue[pb.Bundle]] = set()

    def tell(self, bundle: pb.Bundle) -> None:
        """Tell everybody how a bundle stands now."""
        if not self._watchers:
            return
        # It changes while it waits to be read.
        copy = pb.Bundle()
        copy.CopyFrom(bundle)
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
