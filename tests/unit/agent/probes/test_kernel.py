"""The kernel probe: its parsers on true samples and on any text, and its readings of this very host."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.probes import kernel
from agent.probes.base import Series
from tests.support.sink import Kept

SNMP = """Ip: Forwarding DefaultTTL
Ip: 1 64
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors
Udp: 2000 3 5 999 7 11 0
UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors
UdpLite: 1 1 1 1 1 1 1
"""
SOFTNET = """00000010 00000002 0000000a 00000000 00000000
000000ff 00000001 00000000 00000000 00000000
"""
DEV = """Inter-|   Receive                    |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0
  eth0: 5000000 4000 0 12 0 0 0 0 7000000 3000 0 9 0 0 0 0
 veth9: 50 1 0 0 0 0 0 0 60 1 0 0 0 0 0 0
"""
PRESSURE = """some avg10=1.50 avg60=0.10 avg300=0.00 total=2500000
full avg10=9.00 avg60=0.00 avg300=0.00 total=9000000
"""
DISKSTATS = """ 259       0 nvme0n1 10 0 80 5 20 0 160 9 0 1500 14 0 0 0 0 0 0
 259       1 nvme0n1p1 10 0 80 5 20 0 160 9 0 1400 14 0 0 0 0 0 0
 259       2 nvme1n1 1 0 8 1 2 0 16 1 0 500 2
   7       0 loop0 1 0 8 1 2 0 16 1 0 77 2
"""
PARSERS: list[Callable[[str], Iterator[kernel.Reading]]] = [
    kernel.udp,
    kernel.softnet,
    lambda text: kernel.network(text, frozenset({"eth0", "0", ""})),
    lambda text: kernel.pressure(text, "cpu"),
    kernel.oom_kills,
    kernel.loads,
    kernel.memory,
    lambda text: kernel.disks(text, frozenset({"nvme0n1", "0"})),
]
SAMPLES = [
    SNMP,
    SOFTNET,
    DEV,
    PRESSURE,
    DISKSTATS,
    "oom_kill 3\n",
    "0.5 0.4 0.3 1/2 3\n",
    "MemAvailable: 8 kB\n",
]


def shown(readings: Iterator[kernel.Reading]) -> dict[str, float]:
    return {
        series.name.removeprefix("node_") + "".join(f" {value}" for _, value in series.labels): number
        for series, number in readings
    }


def test_udp_counters_are_those_of_udp_alone() -> None:
    assert shown(kernel.udp(SNMP)) == {
        "udp_no_ports_total": 3,
        "udp_in_errors_total": 5,
        "udp_rcvbuf_errors_total": 7,
        "udp_sndbuf_errors_total": 11,
    }


def test_softnet_is_hexadecimal_and_summed_over_processors() -> None:
    assert shown(kernel.softnet(SOFTNET)) == {
        "softnet_processed_total": 271,
        "softnet_dropped_total": 3,
        "softnet_times_squeezed_total": 10,
    }


def test_only_the_chosen_interfaces_are_read() -> None:
    assert shown(kernel.network(DEV, frozenset({"eth0"}))) == {
        "network_receive_bytes_total eth0": 5_000_000,
        "network_receive_drop_total eth0": 12,
        "network_transmit_bytes_total eth0": 7_000_000,
        "network_transmit_drop_total eth0": 9,
    }


def test_pressure_is_of_some_tasks_in_ratio_and_seconds() -> None:
    assert shown(kernel.pressure(PRESSURE, "io")) == {
        "pressure_some_avg10_ratio io": pytest.approx(0.015),
        "pressure_waiting_seconds_total io": pytest.approx(2.5),
    }


def test_disks_are_summed_without_their_partitions() -> None:
    assert shown(kernel.disks(DISKSTATS, frozenset({"nvme0n1", "nvme1n1"}))) == {"disk_io_time_seconds_total": 2.0}


def test_the_small_files() -> None:
    assert shown(kernel.oom_kills("nr_free_pages 9\noom_kill 3\n")) == {"vmstat_oom_kill_total": 3}
    assert shown(kernel.loads("0.25 0.50 1.00 1/99 1234\n")) == {"load1": 0.25, "load5": 0.5, "load15": 1.0}
    memory = "MemTotal:  16 kB\nMemFree: 1 kB\nMemAvailable:  8 kB\n"
    assert shown(kernel.memory(memory)) == {"memory_total_bytes": 16_384, "memory_available_bytes": 8_192}


@given(st.sampled_from(PARSERS), st.text() | st.lists(st.sampled_from(SAMPLES)).map("".join))
def test_no_text_is_an_error(parse: Callable[[str], Iterator[kernel.Reading]], text: str) -> None:
    assert all(number >= 0 for _, number in parse(text))


@given(st.sampled_from(PARSERS), st.sampled_from(SAMPLES), st.data())
def test_a_file_that_is_cut_or_changed_is_no_error(
    parse: Callable[[str], Iterator[kernel.Reading]], sample: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(sample)))
    text = sample[:at] + data.draw(st.text(max_size=3)) + sample[at + data.draw(st.integers(0, 5)) :]
    assert all(0 <= number < float("inf") for _, number in parse(text))


@given(st.lists(st.tuples(*[st.integers(0, 2**32 - 1)] * 3), min_size=1))
def test_softnet_sums_any_number_of_processors(rows: list[tuple[int, int, int]]) -> None:
    text = "\n".join(" ".join(f"{count:08x}" for count in row) for row in rows)
    assert [number for _, number in kernel.softnet(text)] == [sum(column) for column in zip(*rows, strict=True)]


def host(root: Path) -> Path:
    """Lay out a small /proc and /sys."""
    for name, text in (
        ("net/snmp", SNMP),
        ("net/dev", DEV),
        ("diskstats", DISKSTATS),
        ("loadavg", "1 2 3 4/5 6"),
    ):
        path = root / "proc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for device in (
        "class/net/eth0/device",
        "class/net/lo",
        "class/net/veth9",
        "block/nvme0n1/device",
        "block/loop0",
    ):
        (root / "sys" / device).mkdir(parents=True)
    return root


def test_missing_files_are_missing_series(tmp_path: Path) -> None:
    probe = kernel.KernelProbe(host(tmp_path))
    probe.scan()
    names = {series.name for series, _ in probe.read()}
    assert "node_udp_in_errors_total" in names and "node_load1" in names
    assert not any("softnet" in name or "pressure" in name or "memory" in name for name in names)
    devices = {value for series, _ in probe.read() for key, value in series.labels if key == "device"}
    assert devices == {"eth0"}
    assert dict(probe.read())[Series.of("node_disk_io_time_seconds_total")] == 1.5

    empty = kernel.KernelProbe(tmp_path / "nowhere")
    empty.scan()
    assert list(empty.read()) == []


def test_interfaces_are_bounded_where_none_is_physical(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"sys/class/net/veth{number:02}").mkdir(parents=True)
    (tmp_path / "sys/class/net/lo").mkdir()
    (tmp_path / "proc/net").mkdir(parents=True)
    row = " ".join("1" * 16)
    lines = [f"veth{number:02}: {row}" for number in range(40)] + [f"lo: {row}"]
    (tmp_path / "proc/net/dev").write_text("\n".join(lines))
    probe = kernel.KernelProbe(tmp_path)
    probe.scan()
    devices = {value for series, _ in probe.read() for _, value in series.labels}
    assert len(devices) == kernel.MAX_INTERFACES and "lo" not in devices


async def test_it_reads_this_host_on_schedule() -> None:
    sink = Kept()
    task = asyncio.create_task(kernel.KernelProbe(period_s=0.05).run(sink))
    await asyncio.sleep(0.52)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    loads = sink.values[Series.of("node_load1")]
    assert 3 <= len(loads) <= 12
    counts = sink.values[Series.of("node_softnet_processed_total")]
    assert counts == sorted(counts)
    assert (
        sink.values[Series.of("node_memory_available_bytes")][0] < sink.values[Series.of("node_memory_total_bytes")][0]
    )
