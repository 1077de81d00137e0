"""One HTTP/1.1 response, taken in as its bytes come."""

import re

_HEAD_BYTES = 64 * 1024
_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: [^\r\n]*)?")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?")


class InvalidAnswer(Exception):
    """What came is not HTTP/1.1."""


class TooLarge(Exception):
    """The body is larger than the reader holds."""


class Reader:
    """Takes the bytes of one response as they come, in any cut.

    Args:
        limit: the most bytes of body that are held.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._body: list[bytes] = []
        self._size = 0
        self._left = -1
        self._chunked = self._last_chunk = False
        self.status = 0
        self.retry_after_s: float | None = None
        self.keep = False
        self.done = False

    @property
    def body(self) -> bytes:
        """The body so far."""
        return b"".join(self._body)

    def feed(self, data: bytes) -> bool:
        """Take the next bytes (none: the peer closed) and say whether the response is complete.

        Raises:
            InvalidAnswer: it is not HTTP/1.1.
            TooLarge: the body is over the limit.
            ConnectionResetError: the peer closed before the end.
        """
        if not data:
            return self._closed()
        if not self.status:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > _HEAD_BYTES:
                    raise InvalidAnswer("no end of the headers")
                return False
            data = bytes(self._buffer[end + 4 :])
            self._head(bytes(self._buffer[:end]))
            self._buffer.clear()
        if self._chunked:
            self._buffer += data
            self._chunks()
            # What follows the last chunk belongs to no request of ours.
            self.keep = self.keep and not (self.done and self._buffer)
        else:
            self._take(data)
            self.done = self._left == 0
        return self.done

    def _closed(self) -> bool:
        if not self.status or self._chunked or self._left > 0:
            raise ConnectionResetError("closed in the middle of an answer")
        self.keep, self.done = False, True
        return True

    def _head(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        found = _STATUS.fullmatch(first)
        if found is None or found[2] < b"200":
            raise InvalidAnswer("no HTTP/1.1 status line")
        headers: dict[bytes, bytes] = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon:
                raise InvalidAnswer("a header without a colon")
            headers[name.lower()] = value.strip()
        self.status = int(found[2])
        connection = headers.get(b"connection", b"").lower()
        self.keep = found[1] == b"1" and b"close" not in connection
        self._chunked = b"chunked" in headers.get(b"transfer-encoding", b"").lower()
        # A date in its place is not read: the pause of the caller's own stands then.
        wait, wait_ms = headers.get(b"retry-after", b""), headers.get(b"x-wait-to-retry-ms", b"")
        self.retry_after_s = float(wait) if wait.isdigit() and len(wait) < 9 else None
        if wait_ms.isdigit() and len(wait_ms) < 12:
            # How a Jito block engine says it.
            self.retry_after_s = int(wait_ms) / 1000
        length = headers.get(b"content-length")
        if length is not None and not self._chunked:
            if not length.isdigit():
                raise InvalidAnswer("no number in content-length")
            self._left = int(length)
            if self._left > self._limit:
                raise TooLarge(f"{self._left} bytes")
        elif self.status in (204, 304):
            self._left = 0

    def _take(self, data: bytes) -> None:
        if self._left >= 0:
            if len(data) > self._left:
                raise InvalidAnswer("bytes after the end of the body")
            self._left -= len(data)
        self._keep_part(data)

    def _keep_part(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise TooLarge(f"over {self._limit} bytes")
        self._body.append(data)

    def _chunks(self) -> None:
        while not self.done:
            end = self._buffer.find(b"\r\n")
            if end < 0:
                if len(self._buffer) > _HEAD_BYTES:
                    raise InvalidAnswer("no end of a chunk's size")
                return
            line = bytes(self._buffer[:end])
            if self._last_chunk:
                # Trailers end with an empty line.
                del self._buffer[: end + 2]
                self.done = not line
                continue
            found = _CHUNK_SIZE.fullmatch(line)
            if found is None:
                raise InvalidAnswer("no size of a chunk")
            size = int(found[1], 16)
            if self._size + size > self._limit:
                raise TooLarge(f"over {self._limit} bytes")
            if size == 0:
                self._last_chunk = True
                del self._buffer[: end + 2]
                continue
            whole = end + 2 + size + 2
            if len(self._buffer) < whole:
                return
            self._keep_part(bytes(self._buffer[end + 2 : whole - 2]))
            del self._buffer[:whole]
