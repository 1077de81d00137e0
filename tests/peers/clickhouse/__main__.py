"""`python -m tests.peers.clickhouse FOLDER PASSWORD`: serve the engine on a free port of loopback.

Headers and codes are those of ClickHouse's manual, "HTTP Interface": X-ClickHouse-User and -Key in, and
X-ClickHouse-Exception-Code out beside a text that begins with "Code: N. DB::Exception".
"""

import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chdb.session import Session

STATUS = {516: 403, 60: 404, 47: 404, 164: 500, 252: 500, 241: 500}
SETTINGS = ("readonly", "max_execution_time", "max_result_rows")


class Engine:
    """The one session, one query at a time, and the faults that were asked for."""

    def __init__(self, folder: str, password: str) -> None:
        self.password = password
        self.faults: dict[str, Any] = {}
        self.asked: list[str] = []
        self._session = Session(folder)
        self._lock = threading.Lock()

    def query(self, text: str, params: dict[str, list[str]]) -> bytes:
        """Run a query; raises RuntimeError with the engine's words."""
        self.asked.append(f"{' '.join(text.split())} {sorted(params)}")
        settings = {name: params[name][0] for name in SETTINGS if name in params}
        if self.faults.get("readonly") and settings:
            raise RuntimeError(
                "Code: 164. DB::Exception: Cannot modify 'readonly' setting in readonly mode. (READONLY)"
            )
        if self.faults.get("hidden") and str(self.faults["hidden"]) in text:
            raise RuntimeError("Code: 60. DB::Exception: Unknown table expression identifier. (UNKNOWN_TABLE)")
        if "readonly" in settings and not text.lstrip().upper().startswith("SELECT"):
            raise RuntimeError("Code: 164. DB::Exception: default: Cannot execute query in readonly mode. (READONLY)")
        if settings:
            text += " SETTINGS " + ", ".join(
                f"{name} = {value}" for name, value in settings.items() if name != "readonly"
            )
        with self._lock:
            try:
                return bytes(self._session.query(text, params.get("default_format", ["TabSeparated"])[0]).bytes())
            except Exception as error:
                raise RuntimeError(str(error)) from None


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    engine: Engine

    def do_POST(self) -> None:
        """Answer a query, or one of the test's own wishes."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        parts, own = urlsplit(self.path), "X-Test" in self.headers
        if own and parts.path == "/faults":
            self.engine.faults = json.loads(body)
            return self._answer(200, b"")
        if own and parts.path == "/asked":
            asked, self.engine.asked = self.engine.asked, []
            return self._answer(200, json.dumps(asked).encode())
        if self.headers.get("X-ClickHouse-Key", "") != self.engine.password:
            return self._failed("Code: 516. DB::Exception: default: Authentication failed. (AUTHENTICATION_FAILED)")
        if not own:
            time.sleep(float(self.engine.faults.get("slow_s", 0)))
            if size := int(self.engine.faults.get("big_mb", 0)):
                return self._answer(200, b"x" * (size * 1_000_000))
        try:
            return self._answer(200, self.engine.query(body, parse_qs(parts.query)))
        except RuntimeError as error:
            return self._failed(str(error))

    def _failed(self, words: str) -> None:
        found = re.search(r"Code: (\d+)", words)
        code = int(found[1]) if found else 0
        self._answer(STATUS.get(code, 500), words.encode(), {"X-ClickHouse-Exception-Code": str(code)})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        try:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until the end of the process."""
    Handler.engine = Engine(sys.argv[1], sys.argv[2])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"ready {server.server_port}", flush=True)
    server.serve_forever()


main()
