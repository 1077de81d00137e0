"""A pulse: wakes everyone who waits at once, and keeps nothing."""

import asyncio


class Pulse:
    """Something that happens again and again, and that many may wait for."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def beat(self) -> None:
        """Wake whoever waits."""
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self) -> None:
        """Wait for the next beat."""
        await self._next.wait()
