"""geyser: pipelines from a node's plugin to the last row, which hop is slow, and how they mend themselves."""

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text
from solward.geyser.v1 import geyser_pb2 as pb

from ctl import exits, live, names
from ctl.client import Client, run
from ctl.output import (
    Form,
    as_data,
    console,
    output_option,
    pairs_of,
    print_data,
    print_messages,
    print_pairs,
    safe,
    table_of,
)  # fmt: skip
from ctl.prompts import confirm
from ctl.views import geyser as views

SERVICE = "solward.geyser.v1.GeyserService"


@click.group()
def geyser() -> None:
    """Geyser pipelines: how they stand, which hop is slow, and how they mend themselves."""


@geyser.command(short_help="List pipelines, and which hop is at fault.")
@live.watch_option
@output_option
@click.pass_obj
def pipelines(context: str | None, watch: bool, form: Form) -> None:
    """List pipelines: how each flows, how far its last row is behind the node, and which hop is at fault."""

    async def once(client: Client) -> list[pb.Pipeline]:
        answer = await client.call(f"{SERVICE}/ListPipelines", pb.ListPipelinesRequest(), pb.ListPipelinesResponse)
        return list(answer.pipelines)

    def draw(found: list[pb.Pipeline]) -> Table:
        return table_of(found, views.PIPELINE_HEADINGS, views.pipeline_row)

    nothing = "pipelines stand in controlplane.yaml, under geyser: see docs/geyser.md"
    live.show(context, once, draw, form, watch=watch, nothing=nothing)


@geyser.command(short_help="Say how one pipeline stands, hop by hop, and why.")
@click.argument("pipeline")
@click.option("--watch", is_flag=True, help="Keep the view live.")
@output_option
@click.pass_obj
def explain(context: str | None, pipeline: str, watch: bool, form: Form) -> None:
    """Say how PIPELINE stands, hop by hop: what each adds, and which one is at fault."""

    async def once(client: Client) -> pb.Pipeline:
        return await client.call(f"{SERVICE}/GetPipeline", pb.GetPipelineRequest(pipeline=pipeline), pb.Pipeline)

    live.show(context, once, _whole, form, watch=watch)


@geyser.command(short_help="List Kafka consumer groups, the furthest behind first.")
@click.option("--host", default="", help="Only as this host's agent sees them.")
@click.option("--group", default="", help="Only this group.")
@click.option("--partitions", is_flag=True, help="Every partition of one --group and --topic, asked of the agent now.")
@click.option("--topic", default="", help="With --partitions: the topic.")
@click.option("--source", default="", help="With --partitions: the cluster, where several have the group.")
@click.option("--limit", type=click.IntRange(1, 500), default=100, help="With --partitions: how many at the most.")
@live.watch_option
@output_option
@click.pass_obj
def lag(
    context: str | None, host: str, group: str, partitions: bool, topic: str, source: str, limit: int, watch: bool,
    form: Form,
) -> None:  # fmt: skip
    """List how far Kafka consumer groups are behind, in messages and in seconds; or one group, by partition."""
    if partitions:
        if not (group and topic):
            exits.fail("--partitions is about one group and topic", exits.USAGE, "give --group and --topic")
        if watch:
            exits.fail("--partitions asks the agent once", exits.USAGE, "leave out --watch")
        asked = pb.ListPartitionLagsRequest(
            host=names.host(host), source=source, group=group, topic=topic, limit=limit
        )  # fmt: skip
        _partitions(context, asked, form)
        return
    if topic or source:
        exits.fail("--topic and --source are for one group by partition", exits.USAGE, "add --partitions")
    request = pb.ListConsumerGroupsRequest(host=names.host(host), group=group)

    async def once(client: Client) -> list[pb.ConsumerGroup]:
        answer = await client.call(f"{SERVICE}/ListConsumerGroups", request, pb.ListConsumerGroupsResponse)
        return list(answer.groups)

    def draw(found: list[pb.ConsumerGroup]) -> Table:
        return table_of(found, views.GROUP_HEADINGS, views.group_row)

    narrow = "leave out --group and --host; " if group or host else ""
    nothing = f"{narrow}agents look at Kafka where agent.yaml has geyser.kafka"
    live.show(context, once, draw, form, watch=watch, nothing=nothing)


@geyser.command(short_help="List clusters, plugins, streams and sinks, and whether they answer.")
@click.option("--host", default="", help="Only this host's.")
@live.watch_option
@output_option
@click.pass_obj
def sources(context: str | None, host: str, watch: bool, form: Form) -> None:
    """List what agents look at: Kafka clusters, plugins, streams and sinks; -o json gives every figure."""
    request = pb.ListSourcesRequest(host=names.host(host))

    async def once(client: Client) -> list[pb.Source]:
        return list((await client.call(f"{SERVICE}/ListSources", request, pb.ListSourcesResponse)).sources)

    def draw(found: list[pb.Source]) -> Table:
        return table_of(found, views.SOURCE_HEADINGS, views.source_row)

    nothing = "agents tell of sources where agent.yaml has geyser"
    live.show(context, once, draw, form, watch=watch, nothing=nothing)


@geyser.command(short_help="Have a pipeline mend itself, or no more.")
@click.argument("pipeline")
@click.argument("switch", type=click.Choice(["on", "off"]))
@click.option("--yes", is_flag=True, help="Do not ask before turning it on.")
@output_option
@click.pass_obj
def recovery(context: str | None, pipeline: str, switch: str, yes: bool, form: Form) -> None:
    """Turn the automatic recovery of PIPELINE on or off; what it may do stands in controlplane.yaml.

    Every try is an operation: ctl operations list shows it, with its gates and its receipt.
    """

    async def work(client: Client) -> pb.Pipeline:
        if switch == "on" and not yes:
            now = await client.call(f"{SERVICE}/GetPipeline", pb.GetPipelineRequest(pipeline=pipeline), pb.Pipeline)
            for rule in now.recovery.rules:
                console.print(f"  {rule}", highlight=False, markup=False)
            confirm(f"Let {pipeline} do this by itself, at most {now.recovery.budget_per_hour} times an hour?")
        request = pb.SetRecoveryRequest(pipeline=pipeline, enabled=switch == "on")
        return await client.call(f"{SERVICE}/SetRecovery", request, pb.Pipeline)

    found = run(context, work)
    if form == "table":
        print_pairs(views.recovery_pairs(found.recovery))
    else:
        print_data(as_data(found), form)


def _partitions(context: str | None, asked: pb.ListPartitionLagsRequest, form: Form) -> None:
    async def work(client: Client) -> pb.PartitionLags:
        return await client.call(f"{SERVICE}/ListPartitionLags", asked, pb.PartitionLags)

    found = run(context, work)
    if form != "table":
        print_data(as_data(found), form)
        return
    print_messages(found.partitions, form, views.PARTITION_HEADINGS, views.partition_row)
    console.print(views.partitions_line(found), highlight=False, markup=False)


def _whole(found: pb.Pipeline) -> Group:
    """Draw one pipeline: the verdict, its hops, and how it mends itself."""
    verdict = Text.assemble(Text.from_markup(views.flow(found.flow)), ": ", safe(found.message))
    parts: list[Text | Table] = [verdict, table_of(found.hops, views.HOP_HEADINGS, views.hop_row)]
    if found.HasField("recovery"):
        parts.append(pairs_of(views.recovery_pairs(found.recovery)))
    return Group(*parts)
