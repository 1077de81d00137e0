"""The fleet's figures as Prometheus reads them, read back by its own parser."""

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from solward.hosts.v1 import link_pb2

from controlplane.telemetry.fleet_page import FRESH_SECONDS, FleetPage, write
from controlplane.telemetry.ingest import Ingest

Read = dict[tuple[str, tuple[tuple[str, str], ...]], float]
Told = tuple[str, dict[str, str], float]


def tell(ingest: Ingest, host: str, *told: Told, second: int = 1000, counts: bool = False) -> None:
    """Let a host send one second of samples."""
    ingest.open(host, link_pb2.Hello(spool_id=f"{second:032x}"))
    definitions = [
        link_pb2.SeriesDefinition(id=place, name=name, labels=labels, counts=counts)
        for place, (name, labels, _) in enumerate(told)
    ]
    batch = link_pb2.SampleBatch(
        sequence=1, unix_ms=second * 1000, definitions=definitions, series=range(len(told)),
        values=[value for *_, value in told],
    )  # fmt: skip
    ingest.samples(host, batch)


def read(page: FleetPage) -> tuple[Read, dict[str, str]]:
    """Read a page: the value of every line, and the kind of every family."""
    families = list(text_string_to_metric_families(write(page.read()).decode()))
    lines: Read = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in lines
            lines[key] = sample.value
    assert len({family.name for family in families}) == len(families)
    return lines, {family.name: family.type for family in families}


def line(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


def test_states_counts_and_latencies_have_their_kinds() -> None:
    ingest = Ingest(120)
    latency = {"method": "getSlot"}
    tell(ingest, "sol-1", ("solana_rpc_latency_seconds", latency, 0.003), ("solana_validator_root_slot", {}, 412e6))
    tell(ingest, "sol-2", ("solana_rpc_requests", latency, 3.0), ("solana_ws_slots", {}, 2.0), counts=True)
    lines, kinds = read(FleetPage(ingest))
    assert lines[line("solana_validator_root_slot", host="sol-1")] == 412e6
    assert lines[line("solana_rpc_requests_total", host="sol-2", method="getSlot")] == 3.0
    assert lines[line("solana_ws_slots_total", host="sol-2")] == 2.0
    buckets = {
        labels["le"]: value for (name, pairs), value in lines.items()
        if name.endswith("_bucket") and (labels := dict(pairs))["host"] == "sol-1"
    }  # fmt: skip
    assert {bound for bound, value in buckets.items() if value == 1.0} >= {"0.005", "10.0", "+Inf"}
    assert buckets["0.0025"] == 0.0
    assert math.isclose(lines[line("solana_rpc_latency_seconds_sum", host="sol-1", method="getSlot")], 0.003)
    assert lines[line("solana_rpc_latency_seconds_count", host="sol-1", method="getSlot")] == 1.0
    assert kinds == {
        "solana_rpc_latency_seconds": "histogram", "solana_validator_root_slot": "gauge",
        "solana_rpc_requests": "counter", "solana_ws_slots": "counter",
    }  # fmt: skip


def test_the_newest_value_is_shown_and_an_old_one_is_not() -> None:
    ingest, page = Ingest(300), None
    tell(ingest, "sol-1", ("solana_ws_up", {}, 1.0), second=1000)
    tell(ingest, "sol-1", ("solana_ws_up", {}, 0.0), second=1001)
    page = FleetPage(ingest)
    assert read(page)[0] == {line("solana_ws_up", host="sol-1"): 0.0}
    tell(ingest, "sol-1", ("solana_rpc_slot_lag", {}, 5.0), second=1001 + FRESH_SECONDS)
    assert read(page)[0] == {line("solana_rpc_slot_lag", host="sol-1"): 5.0}


def test_hosts_of_one_name_are_one_family_and_one_that_is_forgotten_is_gone() -> None:
    ingest = Ingest(120)
    page = FleetPage(ingest)
    for host in ("sol-1", "sol-2"):
        tell(ingest, host, ("solana_ws_up", {}, 1.0), ("solana_rpc_latency_seconds", {"method": "a"}, 1.0))
    assert len([key for key in read(page)[0] if key[0] == "solana_ws_up"]) == 2
    ingest.forget("sol-1")
    assert {dict(labels)["host"] for _, labels in read(page)[0]} == {"sol-2"}


def test_what_is_not_listed_or_no_name_is_not_shown() -> None:
    ingest = Ingest(120)
    bad = "solana_ws_up 1\nsolana_validator_status"
    told = (("kernel_loadavg1", {}, 1.0), (bad, {}, 1.0), ("solana_ws_up", {'x="1",host': "y"}, 1.0))
    tell(ingest, "sol-1", *told)
    tell(ingest, "sol-1", *told, second=1001, counts=True)
    assert read(FleetPage(ingest))[0] == {}


LABELS = st.dictionaries(st.sampled_from(["detail", "source", "class"]), st.text(max_size=20), max_size=3)


@given(LABELS, st.floats(-1e15, 1e15), st.booleans())
def test_whatever_a_label_holds_is_read_back(labels: dict[str, str], value: float, counts: bool) -> None:
    ingest: Any = Ingest(60)
    tell(ingest, "sol-1", ("solana_log_lines", labels, value), counts=counts)
    lines, _ = read(FleetPage(ingest))
    ((name, pairs),) = lines
    kept = {name: text.replace("\0", "") for name, text in labels.items()}
    assert dict(pairs) == {name: text for name, text in kept.items() if text} | {"host": "sol-1"}
    assert name == ("solana_log_lines_total" if counts else "solana_log_lines")


def test_the_kernels_counters_are_counters_as_the_kernel_counts_them() -> None:
    ingest = Ingest(120)
    tell(ingest, "sol-1", ("node_network_receive_bytes_total", {"device": "eth0"}, 4e14), ("node_load1", {}, 0.5))
    lines, kinds = read(FleetPage(ingest))
    assert lines[line("node_network_receive_bytes_total", host="sol-1", device="eth0")] == 4e14
    assert (kinds["node_network_receive_bytes"], kinds["node_load1"]) == ("counter", "gauge")


SOME_NAMES = st.sampled_from([
    "solana_ws_a", "solana_ws_a_total", "solana_ws_a_total_total", "solana_ws_a_created", "solana_ws_a_bucket",
    "solana_ws_a_seconds", "solana_ws_a_info", "solana_ws_a_seconds_total", "solana_ws_total", "solana_ws_a_count",
    "solana_validator_status", "solana_validator_status_total", "solana_rpc_requests", "solana_rpc_latency_seconds",
    "node_bytes", "node_:x", "solana_ws_a b", "solward_agent_", "solana_ws_seconds_sum", "node_a_gsum", "node_ratio",
])  # fmt: skip
SOME_LABELS = st.dictionaries(
    st.sampled_from(["le", "quantile", "method", "host", "__name__", "a:b", "class", ""]),
    st.text(max_size=3),
    max_size=2,
)
NUMBERS = st.one_of(st.floats(-1e15, 1e15), st.sampled_from([0.0, -1.0, 3.0]))


@given(st.lists(st.tuples(SOME_NAMES, SOME_LABELS, NUMBERS, st.booleans(), st.sampled_from(["sol-1", "sol-2"]))))
def test_whatever_agents_tell_both_formats_are_read_and_say_the_same(
    told: list[tuple[str, dict[str, str], float, bool, str]],
) -> None:
    ingest = Ingest(60)
    page = FleetPage(ingest)
    for number, (name, labels, value, counts, host) in enumerate(told):
        tell(ingest, host, (name, labels, value), second=1000 + number, counts=counts)
    lines, kinds = read(page)
    families = list(openmetrics_families((write(page.read(), openmetrics=True) + b"# EOF\n").decode()))
    said = {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}
    assert said == lines
    assert {family.name: family.type for family in families} == kinds
    assert all("" not in dict(labels).values() for _, labels in lines)


def test_openmetrics_names_units_and_counters_without_total() -> None:
    ingest = Ingest(120)
    tell(ingest, "sol-1", ("node_cpu_seconds_total", {}, 4.0), ("solana_ws_up", {}, 1.0))
    text = write(FleetPage(ingest).read(), openmetrics=True).decode()
    assert "# TYPE node_cpu_seconds counter\n# UNIT node_cpu_seconds seconds\nnode_cpu_seconds_total{" in text
    assert "# UNIT solana_rpc_latency_seconds seconds\n" in text
    assert "UNIT solana_ws_up" not in text


def test_a_name_is_of_one_kind_and_a_state_of_the_control_plane_is_its_own() -> None:
    ingest = Ingest(120)
    page = FleetPage(ingest)
    tell(ingest, "sol-1", ("solana_ws_a", {}, 1.0), ("solana_validator_status", {"state": "active"}, 1.0))
    assert list(read(page)[0]) == [line("solana_ws_a", host="sol-1")]
    tell(ingest, "sol-2", ("solana_ws_a", {}, 2.0), counts=True)
    assert list(read(page)[0]) == [line("solana_ws_a", host="sol-1")]
