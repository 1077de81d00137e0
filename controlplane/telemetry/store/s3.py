"""A shelf in an S3-compatible store, with the files that were read last kept near."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from common.breaker import Breaker, BreakerOpen
from controlplane.telemetry.store.model import StoreDown
from controlplane.telemetry.store.settings import S3Settings
from controlplane.telemetry.store.shelf import SUFFIX, day_number, day_text

Result = TypeVar("Result")
# A call, with its retries, is given up after this.
CALL_SECONDS = 60
TRIES = 3


class S3Shelf:
    """Files in a bucket.

    Args:
        settings: which bucket.
        cache: the folder for files that were read.
    """

    def __init__(self, settings: S3Settings, cache: Path) -> None:
        self._breaker = Breaker("cold store")
        self._cache = cache
        self._cache_bytes = settings.cache_megabytes * 1_000_000
        # One reader at a time, so that nobody's files are put away while they are read.
        self._lock = threading.Lock()
        keys = {
            "access_key_id": settings.access_key.get_secret_value(),
            "secret_access_key": settings.secret_key.get_secret_value(),
            "endpoint": settings.endpoint,
        }
        self._store = S3Store(
            settings.bucket,
            prefix=settings.prefix,
            region=settings.region,
            config={name: value for name, value in keys.items() if value},  # type: ignore[arg-type]
            client_options={
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(seconds=CALL_SECONDS),
                "allow_http": settings.endpoint.startswith("http://"),
            },
            retry_config={"max_retries": TRIES - 1, "retry_timeout": timedelta(seconds=CALL_SECONDS)},
        )

    def put(self, name: str, day: int, path: Path) -> None:
        """Upload; S3 shows an object when it is whole."""
        self._call(lambda: obstore.put(self._store, _key(name, day), path))

    def days(self, name: str) -> Mapping[int, str]:
        """List the metric's objects."""
        found = {}
        for meta in self._call(lambda: [one for page in obstore.list(self._store, prefix=name) for one in page]):
            day = day_number(meta["path"].rpartition("/")[2].removesuffix(SUFFIX))
            if day is not None:
                found[day] = meta["e_tag"] or meta["last_modified"].isoformat()
        return found

    def names(self) -> set[str]:
        """List what stands before the objects' first slash."""
        listed = self._call(lambda: obstore.list_with_delimiter(self._store))
        return {path.strip("/").rpartition("/")[2] for path in listed["common_prefixes"]}

    @contextmanager
    def reading(self, name: str, days: Mapping[int, str]) -> Iterator[Mapping[int, Path]]:
        """Download what is not near."""
        with self._lock:
            yield {day: self._near(name, day, mark) for day, mark in days.items()}
            self._shrink()

    def close(self) -> None:
        """Forget the breaker."""
        self._breaker.close()

    def _near(self, name: str, day: int, mark: str) -> Path:
        folder = self._cache / name
        path = folder / f"{day_text(day)}.{hashlib.sha256(mark.encode()).hexdigest()[:16]}{SUFFIX}"
        if path.exists():
            path.touch()
            return path
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        self._call(lambda: self._download(_key(name, day), part))
        part.replace(path)
        return path

    def _download(self, key: str, path: Path) -> None:
        with path.open("wb") as file:
            for chunk in obstore.get(self._store, key).stream(1 << 20):
                file.write(chunk)

    def _shrink(self) -> None:
        """Put away what was read the longest ago, until the rest fits."""
        kept = 0
        stats = [(path, path.stat()) for path in self._cache.rglob("*") if path.is_file()]
        for path, stat in sorted(stats, key=lambda pair: -pair[1].st_mtime_ns):
            kept += stat.st_size
            if kept > self._cache_bytes:
                path.unlink()

    def _call(self, ask: Callable[[], Result]) -> Result:
        try:
            self._breaker.before()
            result = ask()
        except BreakerOpen as error:
            raise StoreDown(str(error)) from None
        except BaseError as error:
            # What the library says may repeat the address with its query.
            self._breaker.failed()
            raise StoreDown(f"the cold store does not answer ({type(error).__name__})") from None
        self._breaker.succeeded()
        return result


def _key(name: str, day: int) -> str:
    return f"{name}/{day_text(day)}{SUFFIX}"
