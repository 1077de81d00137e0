"""The spool: batches on disk until the control plane has them, bounded, the oldest dropped first."""

import json
import secrets
import sqlite3
from collections import deque
from pathlib import Path

import structlog
from solward.hosts.v1 import link_pb2

from agent.probes.base import Series

log = structlog.get_logger(__name__)

# How many batches are kept in memory when the disk refuses them.
MEMORY_BATCHES = 600
# How many batches a life that could not write may have sent beyond what is noted: about a year's.
UNNOTED_BATCHES = 32_000_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, name TEXT NOT NULL, labels TEXT NOT NULL,
    counts INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS batches (sequence INTEGER PRIMARY KEY, samples INTEGER NOT NULL, body BLOB NOT NULL);
"""


class Spool:
    """Keeps what is not acknowledged. Calls block for a moment on the disk: use them from one worker thread."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._database = sqlite3.connect(folder / "spool.db", check_same_thread=False, isolation_level=None)
        # Losing the last second to a power cut is allowed; waiting for the disk every second is not.
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" + _SCHEMA)
        if "counts" not in {row[1] for row in self._database.execute("PRAGMA table_info(series)")}:
            # A spool that an older agent left; what it holds is sent like the rest.
            self._database.execute("ALTER TABLE series ADD COLUMN counts INTEGER NOT NULL DEFAULT 0")
        self.id = self._meta("id", secrets.token_hex(16))
        self.dropped_samples = int(self._meta("dropped", "0"))
        self._ids: dict[Series, int] = {}
        self._definitions: list[Series] = []
        self._stored_series = 0
        self._load_series()
        self._memory: deque[tuple[int, int, bytes]] = deque()
        self._bytes, last = self._database.execute(
            "SELECT coalesce(sum(length(body)), 0), coalesce(max(sequence), 0) FROM batches"
        ).fetchone()
        self._last: int = max(last, int(self._meta("last", "0")))
        self._full = False

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @property
    def first_sequence(self) -> int:
        """The least sequence number that is still held; one past the last where nothing is."""
        row = self._database.execute("SELECT min(sequence) FROM batches").fetchone()
        held = [number for number in (row[0], self._memory[0][0] if self._memory else None) if number is not None]
        return min(held, default=self._last + 1)

    def series_id(self, series: Series) -> int:
        """Give a series its id, the same one over restarts."""
        known = self._ids.get(series)
        if known is not None:
            return known
        self._ids[series] = number = len(self._definitions)
        self._definitions.append(series)
        self._store_series()
        return number

    def definition(self, number: int) -> link_pb2.SeriesDefinition:
        """Define an id for a stream that has not seen it."""
        series = self._definitions[number]
        return link_pb2.SeriesDefinition(id=number, name=series.name, labels=dict(series.labels), counts=series.counts)

    def append(self, request: link_pb2.ConnectRequest) -> int:
        """Give a batch the next sequence number and keep it."""
        self._last += 1
        batch = request.samples if request.HasField("samples") else request.events
        batch.sequence = self._last
        count = len(request.samples.values)
        body = request.SerializeToString()
        # In order: while older batches wait in memory, this one must not overtake them on disk.
        self._memory.append((self._last, count, body))
        self._flush_memory()
        if len(self._memory) > MEMORY_BATCHES:
            self._count_dropped(self._memory.popleft()[1])
        self._trim()
        return self._last

    def after(self, sequence: int, limit: int) -> list[link_pb2.ConnectRequest]:
        """Give the oldest batches past a sequence number, in order."""
        rows = self._database.execute(
            "SELECT body FROM batches WHERE sequence > ? ORDER BY sequence LIMIT ?", (sequence, limit)
        ).fetchall()
        bodies = [row[0] for row in rows]
        bodies += [body for number, _, body in self._memory if number > sequence][: limit - len(bodies)]
        return [link_pb2.ConnectRequest.FromString(body) for body in bodies]

    def acknowledge(self, sequence: int) -> None:
        """Drop what the control plane has."""
        # A life whose disk was full may have sent more than it could note, but not for years.
        if sequence > self._last + UNNOTED_BATCHES:
            log.error("an acknowledgement that cannot be right is ignored", sequence=sequence)
            return
        while self._memory and self._memory[0][0] <= sequence:
            self._memory.popleft()
        self._last = max(self._last, sequence)
        self._note_last()
        freed = self._size_up_to(sequence)
        if self._store("DELETE FROM batches WHERE sequence <= ?", (sequence,)):
            self._bytes -= freed
        self._flush_memory()

    def position(self, source: str) -> str:
        """Give how far a source was read, as noted last; empty for one that is new."""
        row = self._database.execute("SELECT value FROM meta WHERE key = ?", (f"position:{source}",)).fetchone()
        return str(row[0]) if row else ""

    def note_position(self, source: str, value: str) -> None:
        """Keep how far a source was read."""
        self._store("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"position:{source}", value))

    def make_room(self) -> None:
        """Give half of the spool's disk space back: control must never fail for the sake of telemetry."""
        goal = self._bytes // 2
        while self._bytes > goal and self._drop_oldest():
            pass
        # Freed pages stay in the file, where SQLite uses them again; the log beside it can be cut.
        self._store("PRAGMA wal_checkpoint(TRUNCATE)", ())

    def _trim(self) -> None:
        while self._bytes > self._max_bytes and self._drop_oldest():
            pass

    def _drop_oldest(self) -> bool:
        rows = self._database.execute(
            "SELECT sequence, samples, length(body) FROM batches ORDER BY sequence LIMIT 60"
        ).fetchall()
        if not rows:
            return False
        self._note_last()
        # A disk too full to delete on keeps what it has; nothing was dropped then.
        if not self._store("DELETE FROM batches WHERE sequence <= ?", (rows[-1][0],)):
            return False
        self._bytes -= sum(row[2] for row in rows)
        self._count_dropped(sum(row[1] for row in rows))
        return True

    def _flush_memory(self) -> None:
        # A batch on disk must not speak of a series that the next life does not know.
        while self._memory and self._store_series() and self._insert(*self._memory[0]):
            self._memory.popleft()

    def _insert(self, number: int, count: int, body: bytes) -> bool:
        if not self._store("INSERT INTO batches VALUES (?, ?, ?)", (number, count, body)):
            return False
        self._full = False
        self._bytes += len(body)
        return True

    def _store(self, statement: str, values: tuple[object, ...]) -> bool:
        try:
            self._database.execute(statement, values)
        except sqlite3.OperationalError as error:
            if not self._full:
                log.warning("the spool cannot be written; batches wait in memory", error=str(error))
            self._full = True
            return False
        return True

    def _note_last(self) -> None:
        # Kept beside the batches, so that numbers never begin anew while the spool lives, though it be empty.
        self._store("INSERT OR REPLACE INTO meta VALUES ('last', ?)", (str(self._last),))

    def _count_dropped(self, samples: int) -> None:
        self.dropped_samples += samples
        self._store("INSERT OR REPLACE INTO meta VALUES ('dropped', ?)", (str(self.dropped_samples),))

    def _size_up_to(self, sequence: int) -> int:
        statement = "SELECT coalesce(sum(length(body)), 0) FROM batches WHERE sequence <= ?"
        size: int = self._database.execute(statement, (sequence,)).fetchone()[0]
        return size

    def _store_series(self) -> bool:
        while self._stored_series < len(self._definitions):
            series = self._definitions[self._stored_series]
            values = (self._stored_series, series.name, json.dumps(series.labels), series.counts)
            if not self._store("INSERT INTO series VALUES (?, ?, ?, ?)", values):
                return False
            self._stored_series += 1
        return True

    def _load_series(self) -> None:
        for name, labels, counts in self._database.execute("SELECT name, labels, counts FROM series ORDER BY id"):
            series = Series(name, tuple((key, value) for key, value in json.loads(labels)), bool(counts))
            self._ids[series] = len(self._definitions)
            self._definitions.append(series)
        self._stored_series = len(self._definitions)

    def _meta(self, key: str, default: str) -> str:
        self._database.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, default))
        value: str = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]
        return value
