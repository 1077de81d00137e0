"""Write the Grafana dashboards: dashboards/."""

import sys
from pathlib import Path

from tools.dashboards import mev_tracking, rpc_performance, system_overview, validator_health
from tools.dashboards.model import Board

BOARDS: tuple[Board, ...] = (rpc_performance.BOARD, mev_tracking.BOARD, validator_health.BOARD, system_overview.BOARD)


def write(folder: Path) -> None:
    """Write every dashboard into a folder, one file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        (folder / f"{board.uid}.json").write_text(board.json())


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "dashboards"))
