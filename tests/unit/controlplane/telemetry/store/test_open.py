"""Which store the settings name, and what settings are refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from controlplane.telemetry.store.hot import HotStore
from controlplane.telemetry.store.open import open_store
from controlplane.telemetry.store.s3 import S3Shelf
from controlplane.telemetry.store.settings import StoreSettings
from controlplane.telemetry.store.shelf import FolderShelf
from controlplane.telemetry.store.victoria import VictoriaStore

S3 = {"bucket": "telemetry", "endpoint": "http://127.0.0.1:9", "access_key": "key", "secret_key": "hidden-word"}


async def test_duckdb_and_a_folder_unless_said_otherwise(tmp_path: Path) -> None:
    store = await open_store(StoreSettings(), tmp_path)
    assert isinstance(store, HotStore)
    assert isinstance(store._shelf, FolderShelf)
    await store.close()
    assert (tmp_path / "hot.duckdb").exists()


async def test_a_bucket_where_one_is_named(tmp_path: Path) -> None:
    store = await open_store(StoreSettings(cold_s3=S3), tmp_path)
    assert isinstance(store, HotStore)
    assert isinstance(store._shelf, S3Shelf)
    await store.close()


async def test_victoria_metrics_where_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE_IT_IS", "http://user:hidden-word@127.0.0.1:9/")
    settings = StoreSettings(victoria_metrics_url="env:WHERE_IT_IS")
    assert "hidden-word" not in repr(settings)
    store = await open_store(settings, tmp_path / "none")
    assert isinstance(store, VictoriaStore)
    await store.close()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"victoria_metrics_url": "127.0.0.1:8428"}, "http or https"),
        ({"cold_s3": S3 | {"endpoint": "minio:9000"}}, "endpoint"),
        ({"cold_s3": S3 | {"prefix": "/up/../there"}}, "prefix"),
        ({"hot": {"memory_megabytes": 1}}, "memory_megabytes"),
        ({"retention": {"raw_days": 1}}, "raw_days"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        StoreSettings(**given)


def test_keys_are_not_shown() -> None:
    assert "hidden-word" not in repr(StoreSettings(cold_s3=S3))
