"""rpc: latency and errors of Solana RPC methods."""

import click
from rich.live import Live
from solward.rpc.v1 import rpc_pb2 as pb

from ctl import names
from ctl.client import Client, run
from ctl.output import (
    Form,
    as_data,
    console,
    found_nothing,
    output_option,
    print_data,
    print_line,
    print_messages,
    when,
)  # fmt: skip
from ctl.views.rpc import metrics_table
from ctl.views.rpc_connections import HEADINGS, node_row
from ctl.views.rpc_explain import explained
from ctl.views.rpc_health import HOST_HEADINGS, METHOD_HEADINGS, host_row, method_row, score_of, unusual

SERVICE = "solward.rpc.v1.RpcService"


@click.group()
def rpc() -> None:
    """Latency and errors of Solana RPC methods."""


@rpc.command(short_help="Show latency percentiles and error rates.")
@click.option("--host", default="", help="Only this host.")
@click.option("--method", default="", help="Only this JSON-RPC method.")
@click.option(
    "--window", "window_s", type=click.IntRange(1, 900), default=60, show_default=True, help="How many seconds back."
)
@click.option("--watch", is_flag=True, help="Keep the view live.")
@output_option
@click.pass_obj
def latency(context: str | None, host: str, method: str, window_s: int, watch: bool, form: Form) -> None:
    """Show latency percentiles and error rates, for every host and method."""
    name = names.host(host)

    async def once(client: Client) -> pb.Metrics:
        if method:
            one = pb.GetLatencyRequest(method=method, host=name, window_seconds=window_s)
            return await client.call(f"{SERVICE}/GetLatency", one, pb.Metrics)
        request = pb.GetMetricsRequest(host=name, window_seconds=window_s)
        return await client.call(f"{SERVICE}/GetMetrics", request, pb.Metrics)

    async def live(client: Client) -> None:
        request = pb.WatchMetricsRequest(host=name, window_seconds=window_s)
        if form != "table":
            async for metrics in client.watch(f"{SERVICE}/WatchMetrics", request, pb.Metrics):
                print_line(as_data(_only(metrics, method)), form)
            return
        with Live(console=console, auto_refresh=False) as view:
            async for metrics in client.watch(f"{SERVICE}/WatchMetrics", request, pb.Metrics):
                view.update(metrics_table(metrics, method), refresh=True)

    if watch:
        run(context, live)
        return
    metrics = run(context, once)
    if form == "table":
        console.print(metrics_table(metrics, method))
    else:
        print_data(as_data(metrics), form)
    found_nothing(not metrics.methods, "see ctl hosts list, and leave out --method for the methods that are probed")


@rpc.command(short_help="Show connections, subscriptions, and how far nodes are behind.")
@click.option("--host", default="", help="Only this host.")
@click.option(
    "--window", "window_s", type=click.IntRange(1, 900), default=60, show_default=True, help="How many seconds back."
)
@output_option
@click.pass_obj
def connections(context: str | None, host: str, window_s: int, form: Form) -> None:
    """Show how the probes are connected to each node, what its subscription pushes, and how far it is behind.

    Behind is what a majority of the nodes outside says, which rpc.references of the agent names; where they do not
    agree, nothing is said of the node.
    """
    request = pb.GetConnectionsRequest(host=names.host(host), window_seconds=window_s)

    async def work(client: Client) -> pb.Connections:
        return await client.call(f"{SERVICE}/GetConnections", request, pb.Connections)

    found = run(context, work)
    if form == "table":
        console.print(f"[bold]Connections to nodes, last {found.window_seconds} s, at {when(found.time)} UTC[/]")
    print_messages(found.nodes, form, HEADINGS, node_row)
    found_nothing(not found.nodes, "see ctl hosts list")


@rpc.command(short_help="Show health scores, and what is unusual.")
@click.option("--host", default="", help="Only this host, with each of its methods.")
@output_option
@click.pass_obj
def health(context: str | None, host: str, form: Form) -> None:
    """Show health scores of the last 30 s, 0 to 100, and what is unusual of a host."""
    request = pb.GetHealthRequest(host=names.host(host))

    async def work(client: Client) -> pb.Health:
        return await client.call(f"{SERVICE}/GetHealth", request, pb.Health)

    found = run(context, work)
    if form != "table":
        print_data(as_data(found), form)
    elif host and found.hosts:
        print_messages(found.hosts[0].methods, form, METHOD_HEADINGS, method_row)
    else:
        console.print(f"[bold]Fleet: {score_of(found.fleet)}[/], at {when(found.time)} UTC")
        print_messages(found.hosts, form, HOST_HEADINGS, host_row)
    for row in found.hosts if form == "table" else ():
        if row.HasField("anomaly"):
            console.print(unusual(row.anomaly))
    found_nothing(not found.hosts, "a host is scored once it sends samples: see ctl hosts list")


@rpc.command(short_help="Tell what moves with latency and errors.")
@click.argument("host", default="")
@output_option
@click.pass_obj
def explain(context: str | None, host: str, form: Form) -> None:
    """Tell which counters of HOST's kernel and network move with the latency and errors of its RPC methods.

    Each minute the last 15 are looked at; what was found within the hour is shown. What moves together need not be
    cause and effect, and where nothing does, nothing is said. Without HOST, all hosts are shown.
    """
    request = pb.GetExplanationsRequest(host=names.host(host))

    async def work(client: Client) -> pb.Explanations:
        return await client.call(f"{SERVICE}/GetExplanations", request, pb.Explanations)

    found = run(context, work)
    if form == "table":
        for row in found.hosts:
            console.print(explained(row))
    else:
        print_data(as_data(found), form)
    found_nothing(not found.hosts, "a host is looked at within a minute after it connects: see ctl hosts list")


@rpc.command(short_help="Be quiet about what is unusual of a host, while it lasts.")
@click.argument("host")
@output_option
@click.pass_obj
def acknowledge(context: str | None, host: str, form: Form) -> None:
    """Be quiet about what is unusual of HOST now, while it lasts; other series of it still count."""
    request = pb.AcknowledgeAnomalyRequest(host=names.host(host))

    async def work(client: Client) -> pb.Anomaly:
        return await client.call(f"{SERVICE}/AcknowledgeAnomaly", request, pb.Anomaly)

    found = run(context, work)
    if form == "table":
        console.print(unusual(found))
        console.print("[green]Quiet while it lasts.[/]")
    else:
        print_data(as_data(found), form)


def _only(metrics: pb.Metrics, method: str) -> pb.Metrics:
    if method:
        rows = [row for row in metrics.methods if row.method == method]
        del metrics.methods[:]
        metrics.methods.extend(rows)
    return metrics
