"""`python -m tests.demo`: live until Ctrl-C; `--once`: the tour, unattended; `--picture FILE`: the README's picture;
`--boards FOLDER`: pictures of the dashboards."""

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.demo import boards, live, tour
from tests.demo.fleet import demo_fleet
from tests.demo.searcher import search
from tests.support.authorities import task


def main() -> int:
    """Run the demo; the exit status is 0 only if everything did what it says."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="take the tour and end")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the live view as SVG and end")
    parser.add_argument("--boards", type=Path, metavar="FOLDER", help="draw the Grafana dashboards as SVG and end")
    arguments = parser.parse_args()
    if shutil.which("dbus-daemon") is None:
        print("the demo needs dbus-daemon (Debian package dbus): as root, apt-get install dbus", file=sys.stderr)
        return 2
    try:
        asyncio.run(_demo(arguments))
    except tour.TourFailed as failure:
        print(f"  \033[31m✗\033[0m {failure}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\nstopped and cleaned up")
    return 0


async def _demo(arguments: argparse.Namespace) -> None:
    own = asyncio.current_task()
    assert own is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        # A terminal that is closed ends it as Ctrl-C does: nothing is left running.
        asyncio.get_running_loop().add_signal_handler(number, own.cancel)
    print("starting a control plane, three validators and their agents, all on this machine", flush=True)
    async with demo_fleet() as demo:
        fleet = demo.fleet
        await tour.run(demo, tour.SET_UP)
        if arguments.once:
            await tour.run(demo, tour.TOUR)
            print("the tour is complete")
        elif arguments.picture:
            await live.picture(fleet, arguments.picture)
        elif arguments.boards:
            with tempfile.TemporaryDirectory() as folder:
                made = sorted(Path("dashboards").glob("*.json"))
                async with task(search(fleet, demo.engine)):
                    await boards.draw(fleet.metrics_port, made, arguments.boards, Path(folder))
        else:
            with contextlib.suppress(asyncio.CancelledError):
                async with task(search(fleet, demo.engine)):
                    await live.watch(fleet)
            raise KeyboardInterrupt


if __name__ == "__main__":
    # The demo is its own world: settings of this machine's installation must not reach into it.
    for name in [name for name in os.environ if name.startswith("SOLWARD_")]:
        del os.environ[name]
    sys.exit(main())
