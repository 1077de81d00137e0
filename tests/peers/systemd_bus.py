"""A private D-Bus daemon for tests."""

import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.peers.process import running

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


@asynccontextmanager
async def private_bus(directory: Path | None = None) -> AsyncIterator[tuple[Process, str]]:
    """Run a dbus-daemon of our own and yield it with its address.

    Args:
        directory: where its socket and configuration go, so that a second bus can take the same address.
    """
    with tempfile.TemporaryDirectory(prefix="peer-bus-") as fresh:
        home = directory or Path(fresh)
        config = home / "bus.conf"
        socket = home / "bus"
        socket.unlink(missing_ok=True)
        config.write_text(_CONFIG.format(socket=socket))
        argv = ["dbus-daemon", f"--config-file={config}", "--print-address", "--nofork", "--nopidfile"]
        async with running(argv, prefix="unix:", quiet=True) as (process, _):
            yield process, f"unix:path={socket}"
