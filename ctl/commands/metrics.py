"""metrics: stored telemetry over a range of time."""

import click
from google.protobuf.timestamp_pb2 import Timestamp
from solward.metrics.v1 import metrics_pb2 as pb

from common.clock import now_ms
from ctl.client import Client, run
from ctl.durations import DURATION
from ctl.output import Form, as_data, console, found_nothing, output_option, print_data, safe
from ctl.views.metrics import range_table

SERVICE = "solward.metrics.v1.MetricsService"
_MADE = {
    "avg": pb.AGGREGATION_UNSPECIFIED, "sum": pb.AGGREGATION_SUM, "count": pb.AGGREGATION_COUNT,
    "min": pb.AGGREGATION_MIN, "max": pb.AGGREGATION_MAX, "last": pb.AGGREGATION_LAST,
}  # fmt: skip
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@click.group()
def metrics() -> None:
    """Stored telemetry over a range of time."""


@metrics.command(short_help="Ask for a metric's series.")
@click.argument("metric")
@click.option("--match", "matchers", multiple=True, help="host=sol-1, method!=getBlock, method=~get.*; all must hold.")
@click.option("--since", type=DURATION, default="1h", show_default=True, help="How far back, for example 30m or 7d.")
@click.option("--step", type=DURATION, help="The length of a step; by default about 300 of them.")
@click.option(
    "--as", "made", type=click.Choice([*_MADE, *_QUANTILES]), default="avg", show_default=True,
    help="What is made of each step.",
)  # fmt: skip
@output_option
@click.pass_obj
def query(
    context: str | None, metric: str, matchers: tuple[str, ...], since: int, step: int | None, made: str, form: Form
) -> None:
    """Ask for METRIC, for example solana_rpc_latency_seconds, of every host that you may see."""
    end, start = Timestamp(), Timestamp()
    end.FromMilliseconds(now_ms())
    start.FromMilliseconds(now_ms() - since * 1000)
    request = pb.QueryRangeRequest(
        metric=metric, matchers=matchers, start_time=start, end_time=end, step_seconds=step or 0,
        aggregation=_MADE.get(made, pb.AGGREGATION_QUANTILE), quantile=_QUANTILES.get(made, 0.0),
    )  # fmt: skip

    async def work(client: Client) -> pb.QueryRangeResponse:
        return await client.call(f"{SERVICE}/QueryRange", request, pb.QueryRangeResponse)

    found = run(context, work)
    if form == "table":
        console.print(range_table(metric, made, found))
    else:
        print_data(as_data(found), form)
    found_nothing(not found.series, "names are those of docs/monitoring.md without _total; leave out --match")


@metrics.command(short_help="Take a day back from the cold store.")
@click.argument("day")
@output_option
@click.pass_obj
def restore(context: str | None, day: str, form: Form) -> None:
    """Take DAY (2026-08-01, UTC) back from the cold store into the hot one, after the hot one was lost.

    The day must have ended, and be young enough to be hot: older ones are read from the cold by every question.
    """
    request = pb.RestoreDayRequest(day=day)

    async def work(client: Client) -> pb.RestoreDayResponse:
        return await client.call(f"{SERVICE}/RestoreDay", request, pb.RestoreDayResponse)

    found = run(context, work)
    if form == "table":
        console.print(f"{safe(day)}: {found.minutes:,} minutes of series are hot again")
    else:
        print_data(as_data(found), form)
