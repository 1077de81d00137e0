"""ClickHouse's own engine behind its HTTP interface, as far as a probe sees of it."""

import asyncio
import json
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.peers.process import start_ready, stop


class ClickhouseError(Exception):
    """The engine refused a statement."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


class Clickhouse:
    """One running server; its calls wait, so that a loop makes them in a thread."""

    def __init__(self, port: int, password: str) -> None:
        self.port = port
        self._password = password

    def sql(self, statement: str) -> str:
        """Run a statement; raises ClickhouseError where the engine refuses it."""
        return self._post("", statement.encode())

    def fault(self, **faults: object) -> None:
        """Set faults: `big_mb`, `slow_s`, `readonly`, `hidden` (a word whose queries are refused as unknown)."""
        self._post("faults", json.dumps(faults).encode())

    def asked(self) -> list[str]:
        """Give the queries since this was last asked, each with its parameters."""
        found: list[str] = json.loads(self._post("asked", b""))
        return found

    def _post(self, path: str, body: bytes) -> str:
        headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": self._password, "X-Test": "1"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text: bytes = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise ClickhouseError(error.headers["X-ClickHouse-Exception-Code"], error.read().decode()) from None
        return text.decode()

    def refused(self, statement: str) -> str:
        """Run a statement that must be refused; give the code."""
        try:
            self.sql(statement)
        except ClickhouseError as error:
            return error.code
        raise AssertionError("it was not refused")


@asynccontextmanager
async def clickhouse(folder: Path, *, password: str = "") -> AsyncIterator[Clickhouse]:
    """Run a server for the length of a block.

    Args:
        folder: where its data goes.
    """
    argv = [sys.executable, "-m", "tests.peers.clickhouse", str(folder), password]
    process, line = await start_ready(argv)
    try:
        yield Clickhouse(int(line.split()[1]), password)
    finally:
        await asyncio.shield(stop(process))
