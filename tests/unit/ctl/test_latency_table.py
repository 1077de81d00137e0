"""The latency table, at the widths that consoles have."""

import io

import pytest
from rich.console import Console
from solward.rpc.v1 import rpc_pb2 as pb

from ctl.views.rpc import metrics_table

WIDTHS = (80, 100, 132)
FIGURES = ["12.34", "10.11", "98.76", "1234", "60", "10.0%"]


def report(**fields: object) -> pb.Metrics:
    row = {
        "host": "hosts/sol-1", "method": "getProgramAccounts", "last_ms": 12.34, "p50_ms": 10.11, "p95_ms": 98.76,
        "p99_ms": 1234.4, "requests": 60, "error_rate": 0.1, "errors": {"jsonrpc_-32004": 3, "timeout": 3},
        "recent_ms": [2.0] * 30,
    }  # fmt: skip
    return pb.Metrics(window_seconds=60, methods=[pb.MethodMetrics(**(row | fields))])


def drawn(metrics: pb.Metrics, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(metrics_table(metrics))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_figure_is_whole(width: int) -> None:
    row = next(line for line in drawn(report(), width) if "sol-1" in line)
    assert row.split()[:8] == ["sol-1", "getProgramAccounts", *FIGURES]


@pytest.mark.parametrize("width", WIDTHS)
def test_reasons_are_never_cut(width: int) -> None:
    assert "jsonrpc_-32004 3, timeout 3" in "\n".join(drawn(report(), width))


@pytest.mark.parametrize(("width", "bars"), [(70, 0), (80, 11), (90, 21), (132, 30)])
def test_bars_give_way_first(width: int, bars: int) -> None:
    assert sum(line.count("█") for line in drawn(report(), width)) == bars


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_console(width: int) -> None:
    assert max(len(line) for line in drawn(report(), width)) <= width


def test_last_is_a_cross_when_the_newest_second_was_not_answered() -> None:
    row = next(line for line in drawn(report(recent_ms=[2.0, -1]), 100) if "sol-1" in line)
    assert row.split()[2] == "×"
