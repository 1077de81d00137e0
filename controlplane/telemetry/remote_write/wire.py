"""Requests of remote write 1.0 and 2.0, a bounded number of samples each (docs/specs/prw in prometheus/docs)."""

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Literal, NamedTuple

import cramjam
import numpy as np

from controlplane.telemetry.remote_write.model import ABSENT, About, Block, Labels, NativeSample, Page, encode_labels
from controlplane.telemetry.remote_write.protobuf import block, key, number, varint

Protocol = Literal["v1", "v2"]
MOST_SAMPLES = 10_000
_KINDS = {"counter": 1, "gauge": 2, "histogram": 3, "gaugehistogram": 4, "summary": 5, "info": 6, "stateset": 7}
_HEADERS = {
    "v1": {"Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Write-Version": "0.1.0"},
    "v2": {
        "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        "X-Prometheus-Remote-Write-Version": "2.0.0",
    },
}
_SERIES_V1, _SERIES_V2 = key(1, 2), key(5, 2)
_SAMPLE = key(2, 2)
_VALUE, _TIME = key(1, 1), key(2, 0)


class Request(NamedTuple):
    """One request: a compressed body, and how many samples and histograms it holds."""

    body: bytes
    samples: int
    histograms: int

    @property
    def size(self) -> int:
        """How many of both."""
        return self.samples + self.histograms


def headers(protocol: Protocol) -> dict[str, str]:
    """Give the headers of a request."""
    return {**_HEADERS[protocol], "Content-Encoding": "snappy"}


def requests(page: Page, protocol: Protocol) -> Iterator[Request]:
    """Give a page's requests, in the order in which they are to be sent; each is made when it is asked for."""
    made = _v1 if protocol == "v1" else _v2
    batch: list[Block] = []
    count = 0
    for part in _parts(page.blocks):
        if count + part.count > MOST_SAMPLES and batch:
            yield made(page.unix_ms, batch, [])
            batch, count = [], 0
        batch.append(part)
        count += part.count
    if count:
        yield made(page.unix_ms, batch, [])
    for begin in range(0, len(page.natives), MOST_SAMPLES):
        yield made(page.unix_ms, [], page.natives[begin : begin + MOST_SAMPLES])


def metadata(page: Page) -> Request:
    """Give a request of protocol 1.0 that says what each metric is; in 2.0 each series says it."""
    known: dict[str, About] = {}
    for one in page.blocks:
        for about in one.layout.metrics:
            known.setdefault(about.family, about)
    messages = (
        block(3, number(1, _KINDS.get(one.kind, 0)) + b"".join(
            block(field, text.encode()) for field, text in ((2, _full(one)), (4, one.what), (5, one.unit)) if text
        ))
        for one in known.values()
    )  # fmt: skip
    return Request(_packed(b"".join(messages)), 0, 0)


def _full(about: About) -> str:
    return f"{about.family}_total" if about.kind == "counter" else about.family


def _parts(blocks: Iterable[Block]) -> Iterator[Block]:
    """Cut what is too much for one request."""
    for one in blocks:
        if len(one.bits) <= MOST_SAMPLES:
            yield one
            continue
        for place, layout in enumerate(one.layout.parts(MOST_SAMPLES)):
            yield Block(layout, one.bits[place * MOST_SAMPLES : (place + 1) * MOST_SAMPLES])


def _values(one: Block) -> Iterator[tuple[int, bytes]]:
    """Give the place and the eight bytes of each sample."""
    places = np.flatnonzero(one.bits != ABSENT)
    raw = one.bits[places].astype("<u8").tobytes()
    for number_, place in enumerate(places.tolist()):
        yield place, raw[8 * number_ : 8 * number_ + 8]


def _packed(content: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(content))


def _v1(unix_ms: int, blocks: list[Block], natives: list[NativeSample]) -> Request:
    time = _TIME + varint(unix_ms)
    # Every sample is as long as every other.
    sample = _SAMPLE + varint(len(_VALUE) + 8 + len(time)) + _VALUE
    after = len(sample) + 8 + len(time)
    lengths = [varint(length) for length in range(after, after + 1024)]
    parts: list[bytes] = []
    add = parts.extend
    samples = 0
    for one in blocks:
        encoded = one.layout.encoded
        for place, value in _values(one):
            labels = encoded[place]
            length = lengths[len(labels)] if len(labels) < 1024 else varint(len(labels) + after)
            add((_SERIES_V1, length, labels, sample, value, time))
            samples += 1
    stamp = key(15, 0) + varint(unix_ms)
    add(block(1, encode_labels(one.labels) + block(4, one.message + stamp)) for one in natives)
    return Request(_packed(b"".join(parts)), samples, len(natives))


class _Symbols:
    """The texts of one request of protocol 2.0; the first is empty."""

    def __init__(self) -> None:
        self._numbers: dict[str, bytes] = {"": varint(0)}
        self._abouts: dict[About, bytes] = {}

    def reference(self, text: str) -> bytes:
        """Give the encoded number of a text."""
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = varint(len(self._numbers))
        return found

    def labels(self, labels: Labels) -> bytes:
        """Encode labels as a series' field 1."""
        return block(1, b"".join(map(self.reference, labels)))

    def about(self, about: About) -> bytes:
        """Encode what a series is, as its field 5."""
        found = self._abouts.get(about)
        if found is None:
            texts = key(3, 0) + self.reference(about.what) + key(4, 0) + self.reference(about.unit)
            found = self._abouts[about] = block(5, number(1, _KINDS.get(about.kind, 0)) + texts)
        return found

    def encoded(self) -> bytes:
        """Encode every text, field 4."""
        return b"".join(block(4, text.encode()) for text in self._numbers)


def _v2(unix_ms: int, blocks: list[Block], natives: list[NativeSample]) -> Request:
    symbols = _Symbols()
    time = _TIME + varint(unix_ms)
    sample = _SAMPLE + varint(len(_VALUE) + 8 + len(time)) + _VALUE
    parts: list[bytes] = []
    samples = 0
    for one in blocks:
        labels, abouts = one.layout.labels, one.layout.abouts
        for place, value in _values(one):
            series = symbols.labels(labels[place]) + sample + value + time + symbols.about(abouts[place])
            parts += (_SERIES_V2, varint(len(series)), series)
            samples += 1
    for native, stamp in zip(natives, repeat(key(15, 0) + varint(unix_ms)), strict=False):
        histogram = block(3, native.message + stamp + key(17, 0) + varint(native.since_ms))
        parts.append(block(5, symbols.labels(native.labels) + histogram + symbols.about(native.about)))
    return Request(_packed(symbols.encoded() + b"".join(parts)), samples, len(natives))
