"""Logins that have begun: each ends once, in time, by who began it; bounded, since anyone can begin one."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Login = TypeVar("Login")
MOST = 10_000


class Pending(Generic[Login]):
    """Keeps what has begun under an unguessable name.

    Args:
        life_s: how long it may take, in seconds.
    """

    def __init__(self, life_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._life_s = life_s
        self._now = now
        self._kept: OrderedDict[str, tuple[float, Login]] = OrderedDict()

    def add(self, login: Login, life_s: float | None = None) -> str:
        """Keep one; gives its name. The oldest goes where there are too many."""
        name = secrets.token_urlsafe(32)
        self._kept[name] = (self._now() + min(life_s or self._life_s, self._life_s), login)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return name

    def take(self, name: str) -> Login | None:
        """Take one out, which is then gone; None for one that is unknown, taken or over."""
        until, login = self._kept.pop(name, (0.0, None))
        return login if self._now() < until else None

    def look(self, name: str) -> Login | None:
        """Look at one that goes on."""
        until, login = self._kept.get(name, (0.0, None))
        return login if self._now() < until else None
