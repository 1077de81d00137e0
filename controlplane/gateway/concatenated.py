"""JSON objects one after the other, as they come: what a client streams."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

from aiohttp import web

from controlplane.gateway.bodies import too_large, too_slow
from controlplane.gateway.errors import bad_request
from controlplane.gateway.site import Limits

_OUTSIDE, _WITHIN = re.compile(rb'["{}\[\]]'), re.compile(rb'["\\]')
_SPACE = b" \t\r\n"


class Objects:
    """Cuts bytes into whole JSON objects, by their brackets; what is within them is for a parser to judge.

    Args:
        most: how long one object may be, in bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = bytearray()
        self._place = 0
        self._depth = 0
        self._in_string = False

    @property
    def pending(self) -> bool:
        """Whether an object has begun and not ended."""
        return bool(self._rest.strip(_SPACE))

    @property
    def too_long(self) -> bool:
        """Whether the object that has begun is longer than one may be."""
        return len(self._rest) > self._most

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes in; give the objects that are whole with them; ValueError for what is no object."""
        self._rest += data
        while (end := self._end()) is not None:
            whole = bytes(self._rest[:end])
            del self._rest[:end]
            self._place = 0
            yield whole

    def _end(self) -> int | None:
        """Find where the object that has begun ends; None where it does not yet."""
        if self._depth == 0 and not self._begins():
            return None
        while True:
            found = (_WITHIN if self._in_string else _OUTSIDE).search(self._rest, self._place)
            if found is None:
                self._place = len(self._rest)
                return None
            self._place = found.end()
            mark = found[0]
            if mark == b"\\":
                if self._place == len(self._rest):
                    # What is escaped has not come yet.
                    self._place -= 1
                    return None
                self._place += 1
            elif mark == b'"':
                self._in_string = not self._in_string
            elif mark in b"{[":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth == 0:
                    return self._place

    def _begins(self) -> bool:
        begin = len(self._rest) - len(self._rest.lstrip(_SPACE))
        del self._rest[:begin]
        self._place = 0
        if self._rest and self._rest[:1] != b"{":
            raise ValueError("the body is JSON objects, one after the other")
        return bool(self._rest)


async def read_objects(request: web.Request, limits: Limits) -> AsyncIterator[bytes]:
    """Read the objects of a body as they come, each within the limits of a body.

    Raises: GatewayError where one is too large or cut short, or something else stands between them.
    """
    objects, loop = Objects(limits.body_bytes), asyncio.get_running_loop()
    until = loop.time() + limits.body_s
    try:
        # Of each object and not of each read: one that trickles in is as slow as one that does not come.
        while data := await _some(request, until):
            for whole in objects.feed(data):
                if len(whole) > limits.body_bytes:
                    raise too_large(limits)
                yield whole
                until = loop.time() + limits.body_s
            if objects.too_long:
                raise too_large(limits)
    except ValueError as error:
        raise bad_request(str(error)) from None
    except web.RequestPayloadError:
        raise bad_request("the body ends before its end") from None
    except TimeoutError:
        raise too_slow(limits) from None
    if objects.pending:
        raise bad_request("the last object of the body does not end")


async def _some(request: web.Request, until: float) -> bytes:
    async with asyncio.timeout_at(until):
        return await request.content.readany()
