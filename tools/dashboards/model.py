"""What a dashboard is made of, and how it becomes Grafana's JSON."""

import json
from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import (
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHT = 8


@dataclass(frozen=True)
class Query:
    """A PromQL expression and the legend of its series."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        unit: Grafana's name of it: "s", "percentunit", "short", "bytes", "Bps", "none".
        kind: "graph", "stat", "states", "table" or "heatmap".
        about: what it tells, and what to do about it.
        steps: from which values on it is yellow and red; descending ones turn it round.
        words: what values 0, 1, 2... mean, for states.
        width: of 24 columns.
    """

    title: str
    about: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "graph"
    steps: tuple[float, ...] = ()
    words: tuple[str, ...] = ()
    width: int = 12
    height: int = HEIGHT


@dataclass(frozen=True)
class Row:
    """A row of panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Board:
    """A dashboard.

    Attributes:
        uid: its stable name, and its file's.
        variables: name and PromQL of label values, such as `label_values(solward_host_connected, host)`.
    """

    uid: str
    title: str
    about: str
    rows: tuple[Row, ...]
    variables: dict[str, str] = field(default_factory=dict)

    def json(self) -> str:
        """Give Grafana's JSON."""
        made = (
            dashboard.Dashboard(self.title)
            .uid(f"solward-{self.uid}")
            .description(self.about)
            .tags(["solward", "solana"])
            .editable()
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .timezone("utc")
            .refresh("10s")
            .time("now-1h", "now")
            .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        )
        for name, query in self.variables.items():
            made = made.with_variable(_variable(name, query))
        number = 0
        for row in self.rows:
            made = made.with_row(dashboard.Row(row.title))
            for panel in row.panels:
                number += 1
                made = made.with_panel(_panel(panel).id(number))
        return json.dumps(json.loads(JSONEncoder(sort_keys=True).encode(made.build())), indent=1, sort_keys=True) + "\n"


def _variable(name: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .include_all(True)
        .all_value(".*")
        .multi(True)
    )


def _panel(panel: Panel) -> Any:
    made = _KINDS[panel.kind](panel)
    made = made.title(panel.title).description(panel.about).datasource(SOURCE).unit(panel.unit)
    if panel.steps:
        made = made.thresholds(_thresholds(panel.steps))
    table_like = panel.kind == "table"
    for place, query in enumerate(panel.queries):
        asked = prometheus.Dataquery().ref_id(chr(ord("A") + place)).expr(query.expr).legend_format(query.legend)
        made = made.with_target(asked.format(PromQueryFormat.TABLE).instant() if table_like else asked.range())
    return made.span(panel.width).height(panel.height)


def _thresholds(steps: tuple[float, ...]) -> dashboard.ThresholdsConfig:
    colours = ["green", "yellow", "red"]
    if steps[0] > steps[-1]:
        # Less is worse.
        colours, steps = colours[::-1], steps[::-1]
    found = [Threshold(value=None, color=colours[0])]
    found += [Threshold(value=value, color=colour) for value, colour in zip(steps, colours[1:], strict=False)]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


def _graph(panel: Panel) -> Any:
    legend = (
        options.VizLegendOptions()
        .show_legend(True)
        .display_mode(common.LegendDisplayMode.TABLE)
        .placement(common.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull", "max"])
    )
    made = timeseries.Panel().legend(legend).line_width(1).fill_opacity(8)
    made = made.tooltip(options.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    if panel.steps:
        made = made.thresholds_style(options.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED))
    return made


def _stat(_: Panel) -> Any:
    reduce = options.ReduceDataOptions().calcs(["lastNotNull"])
    return stat.Panel().reduce_options(reduce).graph_mode(common.BigValueGraphMode.AREA)


def _states(panel: Panel) -> Any:
    made = statetimeline.Panel().show_value(common.VisibilityMode.NEVER)
    return made.mappings([_words(panel.words)]) if panel.words else made


def _words(words: tuple[str, ...]) -> Any:
    return ValueMap(options={str(value): ValueMappingResult(text=word) for value, word in enumerate(words)})


def _table(_: Panel) -> Any:
    return table.Panel()


def _heatmap(_: Panel) -> Any:
    return (
        heatmap.Panel()
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit("s").axis_placement(common.AxisPlacement.LEFT))
        .cell_gap(1)
        .color(heatmap.HeatmapColorOptions().mode(heat.HeatmapColorMode.SCHEME).scheme("Spectral").steps(64))
    )


_KINDS = {
    "graph": _graph, "stat": _stat, "states": _states, "table": _table, "heatmap": _heatmap,
}  # fmt: skip


def graph(
    title: str,
    about: str,
    unit: str,
    *queries: tuple[str, str],
    kind: str = "graph",
    steps: tuple[float, ...] = (),
    words: tuple[str, ...] = (),
) -> Panel:
    """Make a panel of half the width; each query is an expression and a legend."""
    return Panel(title, about, tuple(Query(*query) for query in queries), unit, kind, steps, words)


def figure(title: str, about: str, unit: str, expr: str, steps: tuple[float, ...] = ()) -> Panel:
    """Make a panel of one large figure."""
    return Panel(title, about, (Query(expr),), unit, "stat", steps, width=4, height=4)
