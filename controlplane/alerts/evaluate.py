"""Whether a rule's condition holds on a host's live samples."""

import numpy as np

from controlplane.alerts.rules import SeriesTrigger
from controlplane.telemetry.live import Floats, HostRing

# How far back a number that only grows is looked for before its window.
BEFORE_SECONDS = 300


def series_holds(trigger: SeriesTrigger, ring: HostRing) -> tuple[bool | None, str]:
    """Judge a trigger on a host's ring.

    Returns: whether it holds, None where there is nothing to tell it by; and the figure that tells it.
    """
    columns = ring.columns(trigger.series, trigger.labels)
    if not columns:
        return None, ""
    if trigger.statistic == "missing":
        return _missing(trigger, ring.window(columns, ring.seconds))
    if trigger.statistic == "stalled":
        return _stalled(trigger, ring.window(columns, min(ring.seconds, trigger.window_seconds + BEFORE_SECONDS)))
    values = ring.window(columns, trigger.window_seconds)
    if trigger.statistic == "ratio":
        return _ratio(trigger, values, ring)
    if np.isnan(values).all():
        return None, ""
    figure = _last(values, low=trigger.below is not None) if trigger.statistic == "last" else float(np.nansum(values))
    return _beyond(trigger, figure)


def _ratio(trigger: SeriesTrigger, values: Floats, ring: HostRing) -> tuple[bool | None, str]:
    whole_columns = ring.columns(trigger.over, {})
    whole = float(np.nansum(ring.window(whole_columns, trigger.window_seconds))) if whole_columns else 0.0
    return _beyond(trigger, float(np.nansum(values)) / whole) if whole else (None, "")


def _beyond(trigger: SeriesTrigger, figure: float) -> tuple[bool, str]:
    above = trigger.above is not None and figure > trigger.above
    below = trigger.below is not None and figure < trigger.below
    return above or below, f"{trigger.statistic} {figure:.4g}"


def _last(values: Floats, *, low: bool) -> float:
    """The newest value of each series; of several the one that is nearest to trouble."""
    latest = [column[~np.isnan(column)][-1] for column in values.T if not np.isnan(column).all()]
    return float(min(latest) if low else max(latest))


def _stalled(trigger: SeriesTrigger, values: Floats) -> tuple[bool | None, str]:
    before, within = values[: -trigger.window_seconds], values[-trigger.window_seconds :]
    if np.isnan(before).all():
        return None, ""
    reached = float(np.nanmax(before))
    holds = bool(np.isnan(within).all() or np.nanmax(within) <= reached)
    return holds, f"stands at {reached:.0f}"


def _missing(trigger: SeriesTrigger, values: Floats) -> tuple[bool | None, str]:
    if np.isnan(values).all():
        return None, ""
    return bool(np.isnan(values[-trigger.window_seconds :]).all()), f"no value for {trigger.window_seconds} s"
