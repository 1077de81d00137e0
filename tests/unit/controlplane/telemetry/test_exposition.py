"""Which format of the page a scraper gets, by what it says it takes."""

import gzip

import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from controlplane.telemetry.exposition import render, wants_gzip, wants_openmetrics
from controlplane.telemetry.fleet_page import FleetPage
from controlplane.telemetry.ingest import SHOWN, Ingest
from controlplane.telemetry.prometheus import Whole
from tests.unit.controlplane.telemetry.test_fleet_page import tell

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ([], False),
        (["*/*"], False),
        (["text/html,application/xhtml+xml,*/*;q=0.8"], False),
        ([PROMETHEUS_2], True),
        ([PROMETHEUS_3], True),
        (["application/openmetrics-text"], True),
        (["Application/OpenMetrics-Text; Version=1.0.0"], True),
        (["text/plain", "application/openmetrics-text"], True),
        (["application/openmetrics-text;q=0.4, text/plain;q=0.5"], False),
        (["application/openmetrics-text;q=0"], False),
        (["application/openmetrics-text;version=2.0.0"], False),
        (["application/openmetrics-text;q=much"], False),
    ],
)
def test_openmetrics_is_for_whom_likes_it_as_much_as_text(accept: list[str], openmetrics: bool) -> None:
    assert wants_openmetrics(accept) is openmetrics


@pytest.mark.parametrize(
    ("accept", "packed"),
    [([], False), (["gzip"], True), (["deflate, gzip;q=1.0, *;q=0.5"], True), (["gzip;q=0"], False), (["br"], False)],
)
def test_gzip_is_for_whom_asks(accept: list[str], packed: bool) -> None:
    assert wants_gzip(accept) is packed


def whole() -> Whole:
    ingest = Ingest(60)
    tell(ingest, "sol-1", ("node_cpu_seconds_total", {}, 4.0), ("solana_rpc_latency_seconds", {"method": "a"}, 0.2))
    own = CollectorRegistry()
    seconds = Histogram("solward_x_seconds", "x", registry=own)
    seconds.observe(0.3, {"trace_id": "abc"})
    return Whole(FleetPage(ingest).read(), list(own.collect()))


def test_one_page_of_three_parts_is_read_by_each_formats_parser() -> None:
    packed = render(whole(), True, True)
    text = gzip.decompress(packed).decode()
    assert text.endswith("# EOF\n")
    assert text.count("# EOF") == 1
    families = {family.name: family for family in openmetrics_families(text)}
    assert families["node_cpu_seconds"].type == "counter"
    own = families["solward_x_seconds"]
    assert own.unit == "seconds"
    assert [one.exemplar.labels for one in own.samples if one.exemplar] == [{"trace_id": "abc"}]
    plain = render(whole(), False, False).decode()
    assert "trace_id" not in plain
    assert "# EOF" not in plain
    names = {family.name for family in text_string_to_metric_families(plain)}
    assert names >= {"node_cpu_seconds", "solward_x_seconds", "solana_rpc_latency_seconds", "python_info"}


def test_no_metric_of_the_process_has_a_name_that_an_agent_may_use() -> None:
    assert not [family.name for family in whole().all_families() if family.name.startswith(SHOWN)]
