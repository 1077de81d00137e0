"""Settings of the telemetry store; whoever reads them need not carry the store itself in memory."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, field_validator, model_validator

from controlplane.secret_refs import resolve

# May stand elsewhere: "file:PATH", "credential:NAME", "env:NAME".
Secret = Annotated[SecretStr, BeforeValidator(resolve)]


class Retention(BaseModel, extra="forbid"):
    """How long samples are kept hot; the cold keeps minutes for ever."""

    raw_hours: Annotated[int, Field(ge=1, le=24 * 90)] = 48
    ten_seconds_days: Annotated[int, Field(ge=1, le=90)] = 14
    minute_days: Annotated[int, Field(ge=2, le=3660)] = 90

    @model_validator(mode="after")
    def _coarser_is_longer(self) -> "Retention":
        if not self.raw_hours <= (self.ten_seconds_days - 1) * 24 or self.ten_seconds_days > self.minute_days:
            raise ValueError(
                "a coarser tier must be kept at least a day longer than the samples, and than a finer tier"
            )
        return self


class S3Settings(BaseModel, extra="forbid"):
    """A bucket for the cold store."""

    bucket: Annotated[str, Field(min_length=3, max_length=63)]
    prefix: Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)*$")] = "solward"
    region: str = "us-east-1"
    # Empty: Amazon's own.
    endpoint: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    # Empty: those of the machine's role.
    access_key: Secret = SecretStr("")
    secret_key: Secret = SecretStr("")
    cache_megabytes: Annotated[int, Field(ge=1)] = 2048


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
