"""Read the kernel's counters that show trouble of a validator's host, once a second.

Each file has one parser, which takes what it can understand and leaves the rest: a kernel without a file, or
with another form of it, gives fewer series and never an error. Counters are sent as the kernel counts them,
since boot, under `node_…_total`; seconds and bytes are the units.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agent.probes.base import Series, Sink

PERIOD_S = 1.0
MAX_INTERFACES = 16
_RESCAN_TURNS = 60
Reading = tuple[Series, float]

_UDP = {
    "RcvbufErrors": Series.of("node_udp_rcvbuf_errors_total"),
    "InErrors": Series.of("node_udp_in_errors_total"),
    "SndbufErrors": Series.of("node_udp_sndbuf_errors_total"),
    "NoPorts": Series.of("node_udp_no_ports_total"),
}
_SOFTNET = (
    Series.of("node_softnet_processed_total"),
    Series.of("node_softnet_dropped_total"),
    Series.of("node_softnet_times_squeezed_total"),
)
# Columns of /proc/net/dev after the name: receive bytes and drop, transmit bytes and drop.
_NETWORK = {
    0: "node_network_receive_bytes_total",
    3: "node_network_receive_drop_total",
    8: "node_network_transmit_bytes_total",
    11: "node_network_transmit_drop_total",
}
_LOADS = tuple(Series.of(f"node_load{minutes}") for minutes in (1, 5, 15))
_MEMORY = {
    "MemAvailable:": Series.of("node_memory_available_bytes"),
    "MemTotal:": Series.of("node_memory_total_bytes"),
}
_OOM_KILLS = Series.of("node_vmstat_oom_kill_total")
_DISK_SECONDS = Series.of("node_disk_io_time_seconds_total")


def udp(text: str) -> Iterator[Reading]:
    """Parse /proc/net/snmp: a line of names and then a line of numbers for each protocol."""
    names: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] != "Udp:":
            continue
        if not names:
            names = words[1:]
            continue
        for name, word in zip(names, words[1:], strict=False):
            if name in _UDP:
                yield from _read(_UDP[name], word)
        return


def softnet(text: str) -> Iterator[Reading]:
    """Parse /proc/net/softnet_stat, hexadecimal and a line for each processor: their sums."""
    sums, found = [0, 0, 0], False
    for line in text.splitlines():
        words = line.split()[:3]
        try:
            counts = [int(word, 16) for word in words]
        except ValueError:
            continue
        if len(counts) == 3:
            found = True
            sums = [total + count for total, count in zip(sums, counts, strict=True)]
    if found:
        yield from zip(_SOFTNET, map(float, sums), strict=True)


def network(text: str, interfaces: frozenset[str]) -> Iterator[Reading]:
    """Parse /proc/net/dev for some interfaces."""
    for line in text.splitlines():
        name, colon, counts = line.partition(":")
        device = name.strip()
        words = counts.split()
        if colon and device in interfaces and len(words) >= 16:
            for column, series in _NETWORK.items():
                yield from _read(Series(series, (("device", device),)), words[column])


def pressure(text: str, resource: str) -> Iterator[Reading]:
    """Parse the "some" line of /proc/pressure/*: the share of the last 10 s, and all seconds of waiting."""
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] != "some":
            continue
        labels = (("resource", resource),)
        for word in words[1:]:
            key, _, value = word.partition("=")
            if key == "avg10":
                yield from _read(Series("node_pressure_some_avg10_ratio", labels), value, 0.01)
            elif key == "total":
                yield from _read(Series("node_pressure_waiting_seconds_total", labels), value, 1e-6)


def oom_kills(text: str) -> Iterator[Reading]:
    """Parse the kills for want of memory out of /proc/vmstat."""
    for line in text.splitlines():
        if line.startswith("oom_kill "):
            yield from _read(_OOM_KILLS, line[9:])


def loads(text: str) -> Iterator[Reading]:
    """Parse /proc/loadavg."""
    for series, word in zip(_LOADS, text.split(), strict=False):
        yield from _read(series, word)


def memory(text: str) -> Iterator[Reading]:
    """Parse the total and the available memory out of /proc/meminfo, which counts in KiB."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] in _MEMORY:
            yield from _read(_MEMORY[words[0]], words[1], 1024)


def disks(text: str, devices: frozenset[str]) -> Iterator[Reading]:
    """Parse /proc/diskstats: the seconds that whole disks were busy, added up."""
    total, found = 0.0, False
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 14 and words[2] in devices:
            for _, seconds in _read(_DISK_SECONDS, words[12], 0.001):
                total, found = total + seconds, True
    if found:
        yield _DISK_SECONDS, total


def _read(series: Series, word: str, scale: float = 1.0) -> Iterator[Reading]:
    try:
        value = float(word) * scale
    except ValueError:
        return
    # Not a number, or an infinity, is nothing the kernel counts.
    if 0 <= value < float("inf"):
        yield series, value


@dataclass
class KernelProbe:
    """The probe of the host's kernel.

    Args:
        root: where `proc` and `sys` are found.
        period_s: seconds between two readings.
    """

    root: Path = Path("/")
    period_s: float = PERIOD_S
    name: str = "kernel"
    _interfaces: frozenset[str] = field(default=frozenset(), init=False)
    _disks: frozenset[str] = field(default=frozenset(), init=False)

    async def run(self, sink: Sink) -> None:
        """Read until cancelled, on a schedule that does not drift."""
        loop = asyncio.get_running_loop()
        begun, turn = loop.time(), 0
        while True:
            if turn % _RESCAN_TURNS == 0:
                self.scan()
            # In the loop's own thread: /proc is computed and not fetched, in well under a millisecond for all.
            for series, value in self.read():
                sink.sample(series, value)
            turn = max(turn + 1, int((loop.time() - begun) / self.period_s) + 1)
            await asyncio.sleep(max(0.0, begun + turn * self.period_s - loop.time()))

    def scan(self) -> None:
        """Find the physical interfaces and disks; a host that shows none (a container) gives all but lo."""
        net = self.root / "sys/class/net"
        real = {name for name in _names(net) if (net / name / "device").exists()}
        chosen = sorted(real or {name for name in _names(net) if name != "lo"})
        self._interfaces = frozenset(chosen[:MAX_INTERFACES])
        block = self.root / "sys/block"
        self._disks = frozenset(name for name in _names(block) if (block / name / "device").exists())

    def read(self) -> Iterable[Reading]:
        """Read every file once."""
        yield from self._file("net/snmp", udp)
        yield from self._file("net/softnet_stat", softnet)
        yield from self._file("net/dev", lambda text: network(text, self._interfaces))
        yield from self._file("pressure/cpu", lambda text: pressure(text, "cpu"))
        yield from self._file("pressure/io", lambda text: pressure(text, "io"))
        yield from self._file("pressure/memory", lambda text: pressure(text, "memory"))
        yield from self._file("vmstat", oom_kills)
        yield from self._file("loadavg", loads)
        yield from self._file("meminfo", memory)
        yield from self._file("diskstats", lambda text: disks(text, self._disks))

    def _file(self, name: str, parse: Callable[[str], Iterator[Reading]]) -> Iterator[Reading]:
        try:
            with open(self.root / "proc" / name, "rb", buffering=0) as file:
                text = file.read()
        except OSError:
            # Also a file that exists and cannot be read, as pressure/* where it is switched off.
            return
        yield from parse(text.decode("ascii", "replace"))


def _names(directory: Path) -> list[str]:
    try:
        return [entry.name for entry in directory.iterdir()]
    except OSError:
        return []
