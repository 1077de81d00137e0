"""Free ports on loopback."""

import os
import random
import socket
from contextlib import ExitStack

# Below the range from which the kernel gives connections their own port: such a one could take ours before we listen.
FIRST, LAST = 15_000, 32_000
TRIES, WORKERS = 1_000, 4


def _worker() -> int:
    """Give the number of this worker: a program that restarts finds its port free, for no other worker is given it."""
    name = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    return int(name.removeprefix("gw")) % WORKERS


def free_ports(count: int) -> list[int]:
    """Give ports that nobody listens on now; all different, since they are held until the last is found."""
    found: list[int] = []
    with ExitStack() as stack:
        for port in random.sample(range(FIRST + _worker(), LAST, WORKERS), TRIES):
            if len(found) == count:
                break
            sock = stack.enter_context(socket.socket())
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    return found
