"""A receiver of remote write that is as strict as its specifications, and can be told to misbehave.

Specifications: docs/specs/prw/remote_write_spec.md and remote_write_spec_2_0.md of prometheus/docs. Bodies are read by
Google's own protobuf, from messages of the peer's.
"""

import asyncio
import math
import re
import ssl
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cramjam
from aiohttp import web
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.unknown_fields import UnknownFieldSet
from grpc_tools import protoc

V1 = ("application/x-protobuf", "0.1.0")
V2 = ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
STALE = struct.pack("<Q", 0x7FF0000000000002)

Labels = tuple[tuple[str, str], ...]


class Invalid(Exception):
    """What the specifications do not allow."""


@cache
def messages() -> dict[str, Any]:
    """Give the classes of the messages, made of the .proto beside this."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        here = Path(__file__).parent
        assert protoc.main(["protoc", f"-I{here}", f"--descriptor_set_out={out}", "remote_write.proto"]) == 0
        found = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in found.file:
        pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"peer.{name}"))
        for name in ("WriteRequest", "Request2", "Histogram")
    }


@dataclass
class Kept:
    """One series as it is kept: (Unix milliseconds, value) each, None for its end."""

    samples: list[tuple[int, float | None]] = field(default_factory=list)
    histograms: list[Any] = field(default_factory=list)
    about: tuple[int, str, str] = (0, "", "")


class RemoteWritePeer:
    """Takes what is written.

    Attributes:
        versions: protocols that it has.
        silent: it takes bodies that it does not understand, says 204, and keeps nothing, as older servers do.
        answers: statuses, with headers, that the next requests get whatever they say.
        status: the status that every request gets; 0: what it deserves.
    """

    def __init__(self, versions: tuple[str, ...] = ("v1", "v2"), silent: bool = False, authorization: str = "") -> None:
        self.versions = versions
        self.silent = silent
        self.authorization = authorization
        self.series: dict[Labels, Kept] = {}
        self.metadata: dict[str, Any] = {}
        self.requests: list[str] = []
        self.headers: list[Any] = []
        self.refusals: list[str] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.status = 0

    def samples(self, name: str, **labels: str) -> list[tuple[int, float | None]]:
        """Give what is kept of the one series that has a name and some labels."""
        wanted = {("__name__", name), *labels.items()}
        (found,) = [kept for key, kept in self.series.items() if wanted <= set(key)]
        return found.samples

    @asynccontextmanager
    async def serving(self, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Serve on loopback for the length of the block; gives the URL."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/api/v1/write", self._write)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}/api/v1/write"
        finally:
            await runner.cleanup()

    async def _write(self, request: web.Request) -> web.Response:
        told = request.headers
        self.headers.append(told)
        if self.authorization and told.get("Authorization") != self.authorization:
            return web.Response(status=401)
        if self.answers or self.status:
            status, headers = self.answers.pop(0) if self.answers else (self.status, {})
            return web.Response(status=status, headers=headers, text="as told")
        asked = told.get("Content-Type", ""), told.get("X-Prometheus-Remote-Write-Version", "")
        version = {V1: "v1", V2: "v2"}.get(asked, "")
        self.requests.append(version)
        if version not in self.versions:
            if self.silent:
                return web.Response(status=204)
            return web.Response(status=415, text=f"{asked} is not taken here")
        try:
            if told.get("Content-Encoding") != "snappy" or not told.get("User-Agent"):
                raise Invalid("Content-Encoding or User-Agent")
            body = await request.read()
            samples, histograms = await asyncio.to_thread(self._take, version, body)
        except Invalid as error:
            self.refusals.append(str(error))
            return web.Response(status=400, text=str(error))
        written = {"Samples": samples, "Histograms": histograms, "Exemplars": 0} if version == "v2" else {}
        headers = {f"X-Prometheus-Remote-Write-{what}-Written": str(count) for what, count in written.items()}
        return web.Response(status=204, headers=headers)

    def _take(self, version: str, packed: bytes) -> tuple[int, int]:
        made = messages()["WriteRequest" if version == "v1" else "Request2"]
        request = made.FromString(bytes(cramjam.snappy.decompress_raw(packed)))
        _no_unknown(request)
        counts = [0, 0]
        staged = [
            (self._labels(version, request, one), self._about(version, request, one), one) for one in request.timeseries
        ]
        for labels, _, one in staged:
            self._in_order(self.series.get(labels, Kept()), one)
        if len({labels for labels, *_ in staged}) != len(staged):
            raise Invalid("a series comes twice")
        for labels, about, one in staged:
            kept = self.series.setdefault(labels, Kept())
            kept.about = about
            kept.samples += [(sample.timestamp, _value(sample.value)) for sample in one.samples]
            kept.histograms += one.histograms
            counts = [counts[0] + len(one.samples), counts[1] + len(one.histograms)]
        if version == "v1":
            self.metadata |= {one.metric_family_name: one for one in request.metadata}
        return counts[0], counts[1]

    def _labels(self, version: str, request: Any, one: Any) -> Labels:
        if version == "v1":
            pairs = [(label.name, label.value) for label in one.labels]
        else:
            if request.symbols[0] or len(set(request.symbols)) != len(request.symbols) or len(one.labels_refs) % 2:
                raise Invalid("symbols")
            texts = [request.symbols[number] for number in one.labels_refs]
            pairs = list(zip(texts[::2], texts[1::2], strict=True))
        names = [name for name, _ in pairs]
        if names != sorted(set(names)):
            raise Invalid(f"labels that are not sorted, or come twice: {names}")
        if not all(value for _, value in pairs) or not all(map(LABEL.fullmatch, names)):
            raise Invalid(f"empty labels, or names that are none: {pairs}")
        if not NAME.fullmatch(dict(pairs).get("__name__", "")):
            raise Invalid(f"no name: {pairs}")
        if bool(one.samples) == bool(one.histograms):
            raise Invalid("a series has either samples or histograms")
        return tuple(pairs)

    def _about(self, version: str, request: Any, one: Any) -> tuple[int, str, str]:
        if version == "v1":
            return 0, "", ""
        return one.metadata.type, request.symbols[one.metadata.help_ref], request.symbols[one.metadata.unit_ref]

    def _in_order(self, kept: Kept, one: Any) -> None:
        before = [time for time, _ in kept.samples[-1:]] + [one.timestamp for one in kept.histograms[-1:]]
        times = [max(before, default=0), *(sample.timestamp for sample in (*one.samples, *one.histograms))]
        if times != sorted(set(times)):
            raise Invalid("out of order sample")
        for histogram in one.histograms:
            spans, deltas = histogram.positive_spans, histogram.positive_deltas
            if sum(span.length for span in spans) != len(deltas):
                raise Invalid("spans and deltas do not go together")
            if sum(buckets(histogram).values()) + histogram.zero_count_int != histogram.count_int:
                raise Invalid("the count is not that of the buckets")


def buckets(histogram: Any) -> dict[int, int]:
    """Give the count of each bucket of a native histogram by its number."""
    found, place, count = {}, 0, 0
    deltas = iter(histogram.positive_deltas)
    for span in histogram.positive_spans:
        place += span.offset
        for _ in range(span.length):
            count += next(deltas)
            found[place] = count
            place += 1
    return found


def _value(value: float) -> float | None:
    if math.isnan(value) and struct.pack("<d", value) == STALE:
        return None
    return value


def _no_unknown(message: Any) -> None:
    if len(UnknownFieldSet(message)):
        raise Invalid(f"unknown fields in {type(message).__name__}")
    for described, value in message.ListFields():
        if described.message_type is not None:
            for one in value if described.is_repeated else [value]:
                _no_unknown(one)
