"""Settings of the telemetry store."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr, field_validator

from controlplane.telemetry.store.retention import Retention
from controlplane.telemetry.store.s3 import S3Settings, Secret


class HotSettings(BaseModel, extra="forbid"):
    """Bounds of the hot store."""

    memory_megabytes: Annotated[int, Field(ge=128)] = 512
    threads: Annotated[int, Field(ge=1, le=64)] = 2
    # Of the disk; below, nothing is written.
    reserve_megabytes: Annotated[int, Field(ge=0)] = 1024
    max_series: Annotated[int, Field(ge=1, le=10_000_000)] = 200_000
    max_series_of_host: Annotated[int, Field(ge=1, le=1_000_000)] = 4096


class StoreSettings(BaseModel, extra="forbid"):
    """Where telemetry is kept, how much of it and how long."""

    enabled: bool = True
    hot: HotSettings = HotSettings()
    retention: Retention = Retention()
    # Beside the hot store unless given; a bucket goes before a folder.
    cold_folder: Path | None = None
    cold_s3: S3Settings | None = None
    # http(s)://[USER:PASSWORD@]HOST:PORT in place of the hot store; how long it keeps samples is its own setting.
    victoria_metrics_url: Secret = SecretStr("")
    # Samples that may wait to be written, in memory.
    queue_samples: Annotated[int, Field(ge=1000)] = 2_000_000

    @field_validator("victoria_metrics_url")
    @classmethod
    def _http(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value() and not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("must be an http or https URL")
        return url
