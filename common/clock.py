"""Wall-clock time in the unit that the wire and the store use."""

import time

from google.protobuf.timestamp_pb2 import Timestamp


def now_ms() -> int:
    """Give the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def timestamp(unix_ms: int | None) -> Timestamp | None:
    """Turn milliseconds since the epoch into a Timestamp; nothing for nothing (None or 0)."""
    if not unix_ms:
        return None
    stamp = Timestamp()
    stamp.FromMilliseconds(unix_ms)
    return stamp


def timestamp_now() -> Timestamp:
    """Give the time as a Timestamp."""
    stamp = Timestamp()
    stamp.FromMilliseconds(now_ms())
    return stamp
