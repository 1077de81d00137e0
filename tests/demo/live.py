"""The live view of the demo, and how to try things beside it."""

import asyncio
import io
import os
import re
import time
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from solward.rpc.v1 import rpc_pb2

from ctl.client import Client
from ctl.contexts import load
from ctl.views.rpc import metrics_table
from tests.support.cluster import PASSWORD, Cluster
from tests.support.codes import STEP_SECONDS
from tests.support.programs import BIN

WATCH = "solward.rpc.v1.RpcService/WatchMetrics"
PICTURE_SECONDS = 35


async def watch(fleet: Cluster) -> None:
    """Keep the live view until Ctrl-C; where nobody has a terminal, say how to try things, and each new code."""
    if not Console().is_terminal:
        await _without_terminal(fleet)
    with Live(auto_refresh=False, screen=False) as view:
        async for metrics in _metrics(fleet):
            hints = Panel(_hints(fleet), title="try", border_style="dim")
            view.update(Group(metrics_table(metrics), hints), refresh=True)


async def _without_terminal(fleet: Cluster) -> None:
    print(_hints(fleet), flush=True)
    shown = fleet.authenticator.now()
    while True:
        await asyncio.sleep(1)
        if (code := fleet.authenticator.now()) != shown:
            print(f"authenticator: {code}", flush=True)
            shown = code


async def picture(fleet: Cluster, target: Path) -> None:
    """Draw the live view once it has half a minute to show."""
    began = time.monotonic()
    console = Console(record=True, width=132, file=io.StringIO())
    async for metrics in _metrics(fleet):
        if time.monotonic() - began >= PICTURE_SECONDS:
            console.print(metrics_table(metrics))
            break
    # The reader's own font will do: a picture must not fetch anything from elsewhere.
    drawn = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="ctl rpc latency --watch"), flags=re.DOTALL)
    target.write_text(re.sub(r"<!--.*?-->", "", drawn))
    print(f"drawn: {target}")


async def _metrics(fleet: Cluster):  # type: ignore[no-untyped-def]
    os.environ["XDG_CONFIG_HOME"] = str(fleet.folder / "config")
    async with Client(load(None)) as client:
        async for metrics in client.watch(WATCH, rpc_pb2.WatchMetricsRequest(), rpc_pb2.Metrics):
            yield metrics


def _hints(fleet: Cluster) -> str:
    left = STEP_SECONDS - int(time.time()) % STEP_SECONDS
    lines = [
        "In another terminal:",
        f"  export XDG_CONFIG_HOME={fleet.folder / 'config'} PATH={BIN}:$PATH",
        "  ctl hosts list",
        "  ctl validator restart sol-2        # asks for a code, as the authenticator shows it below",
        "  ctl controls restart --all --soak 10",
        "  ctl jito bundles --watch           # a searcher sends them through sol-3, and rivals bid, too",
        "  ctl jito spend",
        f"  touch {fleet.folder / 'hang'}; ctl geyser explain slots --watch   # then: ctl geyser recovery slots on",
        "  ctl audit list",
        f"  curl -X POST http://127.0.0.1:{fleet.hosts['sol-1'].control_port}/faults -d '{{\"latency_ms\": 80}}'",
        f"Metrics: http://127.0.0.1:{fleet.metrics_port}/metrics   REST: https://127.0.0.1:{fleet.rest_port}/health",
        f"User admin, password “{PASSWORD}”, authenticator: {fleet.authenticator.now()} ({left} s left, good once)",
        "Ctrl-C ends everything and removes it.",
    ]
    return "\n".join(lines)
