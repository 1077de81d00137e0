"""Tell systemd that the service is ready, alive or stopping (sd_notify(3))."""

import asyncio
import os
import socket


def notify(state: str) -> None:
    """Send a state such as "READY=1" to systemd; does nothing where no supervisor listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    # A leading "@" is systemd's spelling of the abstract namespace.
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(target)
        sock.send(state.encode())


async def watchdog() -> None:
    """Pat systemd's watchdog at half its period until cancelled; a stuck loop stops patting."""
    period_us = int(os.environ.get("WATCHDOG_USEC", "0"))
    if not period_us:
        return
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(period_us / 2_000_000)
