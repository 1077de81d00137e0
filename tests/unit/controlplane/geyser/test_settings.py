"""Pipelines that cannot be meant are refused, with the hop that is wrong and what would be right."""

from typing import Any

import pytest
from pydantic import ValidationError

from controlplane.geyser.settings import GeyserSettings, PipelineSettings

NODE = {"name": "node", "kind": "node", "host": "sol-1"}
PLUGIN = {"name": "plugin", "kind": "plugin", "host": "sol-1", "source": "yellowstone"}
TOPIC = {"name": "topic", "kind": "topic", "host": "k-1", "source": "main", "topic": "solana.slots"}
READER = {
    "name": "reader", "kind": "consumer", "host": "k-1", "source": "main", "topic": "solana.slots", "group": "g",
    "unit": "reader.service", "unit_host": "idx-1",
}  # fmt: skip
SINK = {"name": "rows", "kind": "sink", "host": "db-1", "source": "pg", "table": "slot"}
HOPS = [NODE, PLUGIN, TOPIC, READER, SINK]


def pipeline(hops: list[dict[str, Any]], **more: Any) -> PipelineSettings:
    return PipelineSettings.model_validate({"hops": hops} | more)


def test_hops_follow_each_other_unless_they_say_otherwise() -> None:
    second = SINK | {"name": "more", "table": "account", "after": "reader"}
    before = pipeline([*HOPS, second]).before()
    assert before == {
        "node": "", "plugin": "node", "topic": "plugin", "reader": "topic", "rows": "reader", "more": "reader",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("hops", "why"),
    [
        ([NODE], "at least 2"),
        ([PLUGIN, TOPIC], "the first hop is the node"),
        ([NODE, NODE | {"name": "other"}], "the first hop is the node, and no other is"),
        ([NODE, PLUGIN, PLUGIN], "hop plugin is there twice"),
        ([NODE, PLUGIN | {"after": "topic"}, TOPIC], "hop plugin: after names topic, which is no hop above it"),
        ([NODE, TOPIC | {"topic": ""}], "hop topic: a topic needs topic"),
        ([NODE, PLUGIN | {"table": "x"}], "hop plugin: a plugin has no table"),
        ([NODE, SINK | {"source": ""}], "hop rows: a sink needs source"),
        ([NODE, READER | {"unit": "reader.timer"}], "String should match pattern"),
        ([NODE, PLUGIN | {"kind": "pluggin"}], "Input should be"),
        ([NODE, PLUGIN | {"hots": "x"}], "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_meant_is_refused(hops: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        pipeline(hops)


@pytest.mark.parametrize(
    ("cure", "why"),
    [
        ({"hop": "nobody", "steps": ["restart_unit"]}, "recovery: there is no hop nobody"),
        ({"hop": "reader", "steps": ["reload_plugin"]}, "cannot mend a consumer: what can is restart_unit"),
        ({"hop": "topic", "steps": ["restart_unit"]}, "restart_unit cannot mend a topic: nothing here can"),
        ({"hop": "node", "steps": ["restart_validator"]}, "restart_validator cannot mend a node"),
        ({"hop": "rows", "steps": ["restart_unit"]}, "hop rows names no unit to restart"),
        ({"hop": "plugin", "steps": []}, "at least 1"),
        ({"hop": "plugin", "steps": ["reload_plugin"], "flaws": ["unknown"]}, "Input should be"),
        ({"hop": "plugin", "steps": ["reload_plugin"], "for_seconds": 1}, "greater than or equal to 5"),
    ],
)  # fmt: skip
def test_a_cure_that_cannot_be_carried_out_is_refused(cure: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        pipeline(HOPS, recovery={"cures": [cure]})


def test_a_stream_without_a_plugin_before_it_has_none_to_reload() -> None:
    stream = {"name": "stream", "kind": "stream", "host": "sol-1", "source": "y"}
    cures = {"cures": [{"hop": "stream", "steps": ["reload_plugin"]}]}
    with pytest.raises(ValidationError, match="no plugin is before hop stream"):
        pipeline([NODE, stream], recovery=cures)
    assert pipeline([NODE, PLUGIN, stream], recovery=cures).recovery


def test_nothing_mends_itself_by_default() -> None:
    assert GeyserSettings().pipelines == {}
    assert pipeline(HOPS).recovery is None
