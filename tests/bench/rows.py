"""Rows: one measured figure each, with its aim."""

import operator
from collections.abc import Callable, Sequence
from typing import TypedDict


class Row(TypedDict):
    """One figure."""

    name: str
    value: float
    unit: str
    aim: str
    met: bool
    detail: str


_COMPARE: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge, "<": operator.lt}


def row(name: str, value: float, unit: str, aim: str, detail: str) -> Row:
    """Make a row; `aim` is a comparison such as "<= 10"."""
    comparison, _, bound = aim.partition(" ")
    return Row(
        name=name,
        value=round(value, 4),
        unit=unit,
        aim=aim,
        met=_COMPARE[comparison](value, float(bound)),
        detail=detail,
    )


def quantile(values: Sequence[float], share: float) -> float:
    """Give the value below which a share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
