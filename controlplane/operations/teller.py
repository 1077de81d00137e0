"""Progress of a step, shown at a pace that a store and a person can follow."""

import asyncio
from collections.abc import Awaitable, Callable

# How often a step's progress is shown at the most.
PROGRESS_SECONDS = 0.1


class Teller:
    """Shows progress, the newest word only: an agent that chatters is not listened to all day."""

    def __init__(self, show: Callable[[str], Awaitable[None]]) -> None:
        self._show = show
        self._newest = ""
        self._task: asyncio.Task[None] | None = None

    def tell(self, message: str) -> None:
        """Show a message soon."""
        self._newest = message
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Show no more."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while message := self._newest:
            self._newest = ""
            await self._show(message)
            await asyncio.sleep(PROGRESS_SECONDS)
