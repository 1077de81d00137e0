"""A bell within one event loop: who waits for something to happen looks at once when it has."""

import asyncio


class Bell:
    """Rung by who knows that something happened; heard by everybody who waits, and by who comes to wait too late."""

    def __init__(self) -> None:
        self.times = 0
        self._next = asyncio.Event()

    def ring(self) -> None:
        """Say that it has happened."""
        self.times += 1
        self._next.set()
        self._next = asyncio.Event()

    async def after(self, times: int, within_s: float | None = None) -> bool:
        """Wait until it has been rung more often than it had been.

        Args:
            times: what `times` was when the caller last looked.
            within_s: seconds to wait at the most; None: for ever.

        Returns: whether it was rung.
        """
        if self.times > times:
            return True
        try:
            async with asyncio.timeout(within_s):
                await self._next.wait()
        except TimeoutError:
            return False
        return True
