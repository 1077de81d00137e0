"""An authenticator, as a person's phone would be: it gives each code once."""

import asyncio
import time

import pyotp

STEP_SECONDS = 30


class Authenticator:
    """Gives codes that the server has not seen; waits for the next one where it must."""

    def __init__(self, seed: str) -> None:
        self._totp = pyotp.TOTP(seed)
        self._last = 0

    async def code(self) -> str:
        """Give the next code. The server takes the step before, this one and the next."""
        step = max(self._last + 1, int(time.time()) // STEP_SECONDS - 1)
        # One second of grace, so that the code is still good when it arrives.
        while step > int(time.time()) // STEP_SECONDS + 1 or self._too_old(step):
            await asyncio.sleep(0.2)
            step = max(step, int(time.time()) // STEP_SECONDS - 1)
        self._last = step
        return self._totp.generate_otp(step)

    def now(self) -> str:
        """Give the code of this moment, seen or not."""
        return self._totp.now()

    def _too_old(self, step: int) -> bool:
        return step < (time.time() + 1) // STEP_SECONDS - 1
