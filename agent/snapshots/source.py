"""An archive's bytes, read once: hashed by a thread of its own while the reader decodes them."""

import hashlib
import os
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import Self

from agent.snapshots.pace import Pace

# Larger ones are no faster, and the decoders copy what they do not consume at once.
CHUNK_BYTES = 1 << 18
# The hash is at most this many chunks behind: it bounds the memory, and evens out what decoding takes.
_QUEUED = 32
# The page cache is given back in pieces of this many bytes.
_DROP_BYTES = 8 << 20


class Source:
    """Reads a file from its beginning to the size it had then; what the validator cached is left in peace.

    Args:
        handle: the open file.
        size: its size; what is written to it later is not read.
        pace: limits, tells and stops.
    """

    def __init__(self, handle: int, size: int, pace: Pace) -> None:
        self._handle, self._size, self._pace = handle, size, pace
        self._hash = hashlib.sha256()
        # An empty chunk ends the thread.
        self._queue: Queue[bytes] = Queue(_QUEUED)
        self._thread = Thread(target=self._digest, name="snapshot-sha256", daemon=True)
        self._dropped = 0
        self.bytes_read = 0

    def __enter__(self) -> Self:
        os.posix_fadvise(self._handle, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        self._pace.begin(self._size)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(b"")
        self._thread.join()
        self._drop()

    def read(self) -> bytes:
        """Give the next chunk, empty at the end. Raises OSError, Stopped."""
        chunk = os.read(self._handle, min(CHUNK_BYTES, self._size - self.bytes_read))
        if not chunk:
            return b""
        self.bytes_read += len(chunk)
        self._queue.put(chunk)
        if self.bytes_read - self._dropped >= _DROP_BYTES:
            self._drop()
        self._pace.step(len(chunk))
        return chunk

    def sha256(self) -> str:
        """Give the hash of the whole file, in hex; empty if it was not read whole. To be asked after the end."""
        return self._hash.hexdigest() if self.bytes_read == self._size and not self._thread.is_alive() else ""

    def _digest(self) -> None:
        while chunk := self._queue.get():
            self._hash.update(chunk)

    def _drop(self) -> None:
        os.posix_fadvise(self._handle, self._dropped, self.bytes_read - self._dropped, os.POSIX_FADV_DONTNEED)
        self._dropped = self.bytes_read
