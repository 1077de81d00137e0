"""What canaries may cost: counted on disk before anything is sent, so that no death in between makes it more."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from common.files import write_private

DAY_S = 86_400
_MOST_BYTES = 4096


class PurseError(Exception):
    """Nothing may be sent; `reason` is stable, the message says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Spent(NamedTuple):
    """What is on disk.

    Attributes:
        day: since the epoch, UTC.
        lamports: what was put aside on that day, whether it landed or not.
        unix_s: when the last was put aside.
        region: where that went.
    """

    day: int = 0
    lamports: int = 0
    unix_s: float = 0.0
    region: str = ""


class Purse:
    """Puts lamports aside. Calls wait for the disk: use them from a worker thread.

    Args:
        path: the file.
        one: lamports that one canary may cost.
        daily: lamports that all of one day (UTC) may cost.
        now: seconds since the epoch.
    """

    def __init__(self, path: Path, one: int, daily: int, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._one, self._daily = one, daily
        self._now = now

    def read(self) -> Spent:
        """Give what is on disk; raises PurseError PURSE_UNREADABLE."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return Spent()
        except OSError as error:
            raise self._unreadable(error.strerror or "error") from None
        try:
            told = json.loads(content[:_MOST_BYTES])
            spent = Spent(told["day"], told["lamports"], told["unix_s"], told["region"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._unreadable("not as the agent writes it") from None
        counts = all(type(one) is int and one >= 0 for one in (spent.day, spent.lamports))
        timed = type(spent.unix_s) in (int, float) and math.isfinite(spent.unix_s)
        if not counts or not timed or not isinstance(spent.region, str):
            raise self._unreadable("not as the agent writes it")
        return spent

    def wait_s(self, period_s: float) -> float:
        """In how many seconds the next may go, by what an earlier life has sent as well; raises PurseError."""
        since = self._now() - self.read().unix_s
        # A time that lies ahead is from before the clock was set back.
        return period_s if since < 0 else max(0.0, period_s - since)

    def put_aside(self, lamports: int, region: str) -> Spent:
        """Count what is about to be sent, durably.

        Raises: PurseError CANARY_OVER_CAP, DAY_OVER_CAP, CLOCK_BACK, PURSE_UNREADABLE or PURSE_UNWRITABLE; nothing is
            counted then.
        """
        before, now = self.read(), self._now()
        day = int(now // DAY_S)
        if day < before.day:
            # What that day has cost already is not on disk any more.
            why = "the clock was set back over midnight, and what this day has cost is not known"
            raise PurseError("CLOCK_BACK", f"{why}: wait until it has caught up, or remove {self._path}")
        spent = Spent(day, (before.lamports if day == before.day else 0) + lamports, now, region)
        if not 0 < lamports <= self._one:
            raise PurseError("CANARY_OVER_CAP", f"it would cost {lamports:,} lamports, and one may cost {self._one:,}")
        if spent.lamports > self._daily:
            why = f"with it the day would cost {spent.lamports:,} lamports, and it may cost {self._daily:,}"
            raise PurseError("DAY_OVER_CAP", why)
        try:
            write_private(self._path, json.dumps(spent._asdict()).encode())
        except OSError as error:
            raise PurseError("PURSE_UNWRITABLE", f"{self._path}: {error.strerror}") from None
        return spent

    def today(self) -> int:
        """Give the lamports that are put aside today; raises PurseError."""
        spent = self.read()
        return spent.lamports if spent.day >= int(self._now() // DAY_S) else 0

    def _unreadable(self, why: str) -> PurseError:
        words = f"{self._path}: {why}; what canaries have cost is not known, so none is sent: remove the file"
        return PurseError("PURSE_UNREADABLE", words)
