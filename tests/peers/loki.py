"""A peer that speaks Loki's HTTP API, and refuses what Loki refuses with its default limits.

Formats and limits: Loki's docs/sources/reference/loki-http-api.md and pkg/validation/limits.go.
"""

import gzip
import json
import re
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web

from tests.peers.logql import BadQuery, parse

LABELS = 15
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
NAME_LENGTH, VALUE_LENGTH = 1024, 2048
LINE = 256 * 1024
METADATA_BYTES, METADATA_NAMES = 64 * 1024, 128
OLDEST_S, NEWEST_S, BEHIND_S = 7 * 86_400, 600, 3_600
STREAMS = 5_000
MOST_ENTRIES = 5_000
LONGEST_QUERY_S = 721 * 3_600
S = 1_000_000_000


class Line(NamedTuple):
    """One entry as it is kept."""

    unix_ns: int
    text: str
    metadata: dict[str, str]


class Invalid(Exception):
    """A push whose body is none."""


class LokiPeer:
    """A Loki that can be told to misbehave.

    Attributes:
        streams: what was taken, by labels.
        pushes: how many pushes came, refused ones included.
        repeated: how many lines came again, and were kept once.
        answers: statuses, with headers, that the next calls get whatever they say.
        status: the status that every call gets; 0: what it deserves.
    """

    def __init__(self, tenant: str = "", authorization: str = "") -> None:
        self.tenant = tenant
        self.authorization = authorization
        self.streams: dict[tuple[tuple[str, str], ...], list[Line]] = {}
        self.pushes = self.repeated = self.status = 0
        self.refusals: list[str] = []
        self.queries: list[str] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.now_ns = time.time_ns

    @property
    def lines(self) -> list[Line]:
        """Every line, in the order of their times."""
        return sorted((line for stream in self.streams.values() for line in stream), key=lambda line: line.unix_ns)

    def app(self) -> web.Application:
        """Build the application."""
        app = web.Application(client_max_size=100 * 1024 * 1024, middlewares=[self._admit])
        app.router.add_post("/loki/api/v1/push", self._push)
        app.router.add_post("/loki/api/v1/query_range", self._query)
        app.router.add_get("/loki/api/v1/query_range", self._query)
        return app

    @asynccontextmanager
    async def serving(self, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Serve on loopback for the length of the block; gives the URL."""
        runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True, ssl_context=tls).start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    @web.middleware
    async def _admit(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.answers:
            status, headers = self.answers.pop(0)
            return web.Response(status=status, headers=headers, text="as it was told to")
        if self.status:
            return web.Response(status=self.status, text="as it was told to")
        if self.authorization and request.headers.get("Authorization") != self.authorization:
            return web.Response(status=401, text="no or wrong credentials")
        if request.headers.get("X-Scope-OrgID", "") != self.tenant:
            return web.Response(status=401, text="no org id")
        response: web.StreamResponse = await handler(request)
        return response

    async def _push(self, request: web.Request) -> web.Response:
        self.pushes += 1
        if request.content_type != "application/json":
            return web.Response(status=415, text=f"{request.content_type} is not supported")
        try:
            # The library has taken gzip off already, where the header says so.
            body = await request.read()
            if request.headers.get("Content-Encoding") not in (None, "gzip") or body[:2] == gzip.compress(b"")[:2]:
                raise Invalid("Content-Encoding and body do not fit")
            streams = _streams(json.loads(body))
        except (ValueError, Invalid) as error:
            self.refusals.append(str(error))
            return web.Response(status=400, text=f"couldn't parse push request: {error}")
        ignored = [why for stream in streams if (why := self._take(*stream))]
        if len(self.streams) > STREAMS:
            return web.Response(status=429, text="Maximum active stream limit exceeded")
        if ignored:
            # What is good is kept though the answer is 400.
            self.refusals += ignored
            return web.Response(status=400, text=ignored[-1])
        return web.Response(status=204)

    def _take(self, labels: dict[str, str], values: list[Line]) -> str:
        """Keep the good lines of a stream; say why the last bad one was refused."""
        if why := _bad_labels(labels):
            return why
        stream = self.streams.setdefault(tuple(sorted(labels.items())), [])
        why = ""
        for line in values:
            bad = self._bad(line, labels, max((kept.unix_ns for kept in stream), default=0))
            why = bad or why
            if bad:
                continue
            if any((line.unix_ns, line.text) == (kept.unix_ns, kept.text) for kept in stream):
                self.repeated += 1
                continue
            stream.append(line)
        return why

    def _bad(self, line: Line, labels: dict[str, str], newest_ns: int) -> str:
        now, named = self.now_ns(), json.dumps(labels)
        if line.unix_ns < now - OLDEST_S * S:
            return f"entry for stream '{named}' has timestamp too old: {line.unix_ns}"
        if line.unix_ns > now + NEWEST_S * S:
            return f"entry for stream '{named}' has timestamp too new: {line.unix_ns}"
        if line.unix_ns < newest_ns - BEHIND_S * S:
            return f"entry with timestamp {line.unix_ns} ignored, reason: 'entry too far behind', total ignored: 1"
        if len(line.text.encode()) > LINE:
            return f"max entry size '{LINE}' bytes exceeded for stream '{named}'"
        size = sum(len(name.encode()) + len(value.encode()) for name, value in line.metadata.items())
        if size > METADATA_BYTES or len(line.metadata) > METADATA_NAMES:
            return f"stream '{named}' has structured metadata too large"
        return ""

    async def _query(self, request: web.Request) -> web.Response:
        asked = dict(await request.post()) or dict(request.query)
        start, end, limit = int(str(asked["start"])), int(str(asked["end"])), int(str(asked.get("limit", 100)))
        self.queries.append(str(asked["query"]))
        try:
            query = parse(str(asked["query"]))
        except BadQuery as error:
            return web.Response(status=400, text=f"parse error : {error}")
        if limit > MOST_ENTRIES or end - start > LONGEST_QUERY_S * S or end < start:
            return web.Response(status=400, text="max entries limit or query length exceeded, or end before start")
        # Structured metadata comes back among the labels, and with it the level that Loki finds by itself.
        found = [
            (line, dict(labels) | line.metadata | {"detected_level": "info"})
            for labels, stream in self.streams.items()
            for line in stream
            if start <= line.unix_ns < end and query.matches(dict(labels), line.metadata, line.text)
        ]
        found.sort(key=lambda one: one[0].unix_ns, reverse=asked.get("direction", "backward") == "backward")
        result: dict[str, dict[str, Any]] = {}
        for line, labels in found[:limit]:
            named = json.dumps(labels, sort_keys=True)
            result.setdefault(named, {"stream": labels, "values": []})["values"].append([str(line.unix_ns), line.text])
        data = {"resultType": "streams", "result": list(result.values()), "stats": {}}
        return web.json_response({"status": "success", "data": data})


def _streams(body: Any) -> list[tuple[dict[str, str], list[Line]]]:
    """Read a push; Invalid for whatever Loki's own reader would not take."""
    if not isinstance(body, dict) or not isinstance(body.get("streams"), list):
        raise Invalid("no streams")
    return [(_texts(one.get("stream")), list(map(_line, one.get("values", ())))) for one in body["streams"]]


def _line(value: Any) -> Line:
    if not isinstance(value, list) or len(value) not in (2, 3):
        raise Invalid("a value is [time, line, metadata?]")
    if not isinstance(value[0], str) or not value[0].isdigit() or not isinstance(value[1], str):
        raise Invalid("time and line must be strings")
    metadata = _texts(value[2]) if len(value) == 3 else {}
    if not all(NAME.fullmatch(name) for name in metadata):
        raise Invalid("a name of structured metadata is none")
    return Line(int(value[0]), value[1], metadata)


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise Invalid("labels and metadata must be flat, and strings")
    return value


def _bad_labels(labels: dict[str, str]) -> str:
    if not labels:
        return "error at least one label pair is required per stream"
    if len(labels) > LABELS:
        return f"entry for stream has {len(labels)} label names; limit {LABELS}"
    for name, value in labels.items():
        if not NAME.fullmatch(name) or len(name) > NAME_LENGTH or len(value) > VALUE_LENGTH or not value:
            return f"stream has a label that is none: {name[:64]}"
    return ""
