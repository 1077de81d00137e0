"""The step journal: a step of an operation is done once, however often it is told and whenever we die."""

import sqlite3
from pathlib import Path
from typing import NamedTuple

from solward.hosts.v1 import link_pb2

KEEP_STEPS = 10_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS steps (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    operation TEXT NOT NULL,
    step TEXT NOT NULL,
    request_sha256 BLOB NOT NULL,
    start_unix_ms INTEGER NOT NULL,
    before BLOB NOT NULL,
    receipt BLOB,
    UNIQUE (operation, step)
);
CREATE TABLE IF NOT EXISTS terms (one INTEGER PRIMARY KEY CHECK (one = 1), term INTEGER NOT NULL);
"""


class JournalError(Exception):
    """The journal cannot be written; nothing may be done that it should remember."""


class Step(NamedTuple):
    """A step that was begun; its receipt once it has ended."""

    request_sha256: bytes
    start_unix_ms: int
    before: link_pb2.UnitState
    receipt: link_pb2.SignedReceipt | None


class Journal:
    """Remembers steps on disk. Calls wait for the disk: use them from a worker thread."""

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / "journal.db", check_same_thread=False, isolation_level=None)
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def term(self) -> int:
        """Give the latest term of a control plane that was seen."""
        row = self._database.execute("SELECT term FROM terms").fetchone()
        return int(row[0]) if row else 0

    def see_term(self, term: int) -> int:
        """Remember, durably, the term of a control plane, if it is the latest so far.

        Returns: the latest. Raises: JournalError.
        """
        latest = self.term()
        if term > latest:
            self._write(
                "INSERT INTO terms (one, term) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET term = excluded.term",
                (term,),
            )
        return max(term, latest)

    def forget_terms(self) -> None:
        """Begin anew with the terms of another control plane, whose permits are of another key."""
        self._write("DELETE FROM terms", ())

    def find(self, operation: str, step: str) -> Step | None:
        """Find a step that was begun before."""
        row = self._database.execute(
            "SELECT request_sha256, start_unix_ms, before, receipt FROM steps WHERE operation = ? AND step = ?",
            (operation, step),
        ).fetchone()
        if row is None:
            return None
        receipt = link_pb2.SignedReceipt.FromString(row[3]) if row[3] is not None else None
        return Step(row[0], row[1], link_pb2.UnitState.FromString(row[2]), receipt)

    def begin(self, permit: link_pb2.Permit, start_unix_ms: int, before: link_pb2.UnitState) -> None:
        """Remember, durably, that a step is about to be done, and what it will change."""
        self._write(
            "INSERT INTO steps (operation, step, request_sha256, start_unix_ms, before) VALUES (?, ?, ?, ?, ?)",
            (permit.operation, permit.step, permit.request_sha256, start_unix_ms, before.SerializeToString()),
        )
        # What has no receipt may have been done: it is never forgotten, however much comes after it.
        old = "number <= (SELECT max(number) FROM steps) - ? AND receipt IS NOT NULL"
        self._write(f"DELETE FROM steps WHERE {old}", (KEEP_STEPS,))  # noqa: S608

    def end(self, permit: link_pb2.Permit, receipt: link_pb2.SignedReceipt) -> None:
        """Remember a step's receipt, durably; a step that was refused before it began is remembered whole."""
        self._write(
            "INSERT INTO steps (operation, step, request_sha256, start_unix_ms, before, receipt) "
            "VALUES (?, ?, ?, 0, x'', ?) ON CONFLICT (operation, step) DO UPDATE SET receipt = excluded.receipt",
            (permit.operation, permit.step, permit.request_sha256, receipt.SerializeToString()),
        )

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            self._database.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise JournalError(str(error)) from error
