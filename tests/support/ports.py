"""Free ports on loopback."""

import random
import socket
from contextlib import ExitStack

# Below the range from which the kernel gives connections their own port: such a one could take ours before we listen.
FIRST, LAST = 15_000, 32_000
TRIES = 1_000


def free_ports(count: int) -> list[int]:
    """Give ports that nobody listens on now; all different, since they are held until the last is found."""
    found: list[int] = []
    with ExitStack() as stack:
        for port in random.sample(range(FIRST, LAST), TRIES):
            if len(found) == count:
                break
            sock = stack.enter_context(socket.socket())
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    return found
