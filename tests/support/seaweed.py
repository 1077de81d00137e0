"""A real S3-compatible server for tests: SeaweedFS on free ports of loopback, with one empty bucket."""

import http
import json
import secrets
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import obstore
from obstore.store import S3Store
from pydantic import SecretStr

from controlplane.telemetry.store.settings import S3Settings
from tests.support.ports import free_ports
from tests.support.programs import BIN

READY_S = 60.0
BUCKET = "telemetry"


class SeaweedServer:
    """One server; every method waits until it is so.

    Args:
        folder: where everything of it goes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.access_key, self.secret_key = secrets.token_hex(8), secrets.token_hex(16)
        names = (
            "master",
            "master.port.grpc",
            "volume",
            "volume.port.grpc",
            "filer",
            "filer.port.grpc",
            "s3",
            "s3.port.grpc",
        )
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.endpoint = f"http://127.0.0.1:{self._ports['s3']}"
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> S3Settings:
        """Give what a shelf needs."""
        return S3Settings(
            bucket=BUCKET,
            endpoint=self.endpoint,
            access_key=SecretStr(self.access_key),
            secret_key=SecretStr(self.secret_key),
        )

    def start(self) -> None:
        """Start, and wait until the bucket is there."""
        rights = {
            "name": "tests", "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "Write", "List"],
        }  # fmt: skip
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": [rights]}))
        command = [
            str(BIN / "weed"), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self.folder}", "-s3",
            f"-s3.config={config}", "-master.volumeSizeLimitMB=64", "-volume.max=20",
        ]  # fmt: skip
        for name, port in self._ports.items():
            command.append(f"-{name}={port}" if "grpc" in name else f"-{name}.port={port}")
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and self._server.poll() is None:
            if self._has_bucket():
                return
            time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"SeaweedFS did not start:\n{(self.folder / 'log').read_text()[-4000:]}")

    def stop(self) -> None:
        """End it at once."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it stand still for the length of a block: it takes connections, and never answers."""
        assert self._server
        self._server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._server.send_signal(signal.SIGCONT)

    @staticmethod
    def _make(bucket: urllib.request.Request) -> None:
        try:
            urllib.request.urlopen(bucket, timeout=5).close()
        except urllib.error.HTTPError as error:
            if error.code != http.HTTPStatus.CONFLICT:
                raise

    def _has_bucket(self) -> bool:
        # Its filer makes a bucket of a folder without a signature.
        bucket = urllib.request.Request(f"http://127.0.0.1:{self._ports['filer']}/buckets/{BUCKET}/", method="POST")
        store = S3Store(
            BUCKET, region="us-east-1", endpoint=self.endpoint, access_key_id=self.access_key,
            secret_access_key=self.secret_key, client_options={"allow_http": True}, retry_config={"max_retries": 0},
        )  # fmt: skip
        try:
            self._make(bucket)
            obstore.put(store, "ready", b"yes")
            obstore.delete(store, "ready")
        except (OSError, obstore.exceptions.BaseError):
            return False
        return True


@contextmanager
def seaweed() -> Iterator[SeaweedServer]:
    """Run a SeaweedFS for the length of a block; nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="solward-seaweed-") as folder:
        server = SeaweedServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
