"""Settings of the collector that telemetry is sent to."""

from pathlib import Path
from typing import Annotated, Literal

import yarl
from pydantic import BaseModel, BeforeValidator, Field, SecretStr, field_validator, model_validator

from controlplane.secret_refs import resolve

Signal = Literal["traces", "metrics", "logs"]
# May stand elsewhere: "file:PATH", "credential:NAME", "env:NAME".
Secret = Annotated[SecretStr, BeforeValidator(resolve)]
_KEY = r"^[a-z0-9][a-z0-9_.-]{0,127}$"


class OtlpSettings(BaseModel, extra="forbid"):
    """An OTLP/gRPC collector, and what it is sent. OTEL_* variables are not read."""

    # https://HOST:PORT, or http:// for one without TLS; empty: nothing is sent.
    endpoint: str = ""
    # Authorities that its certificate may come from, PEM; by default the system's.
    ca_file: Path | None = None
    # Sent with every request; the values are secret.
    headers: dict[Annotated[str, Field(pattern=_KEY)], Secret] = {}
    signals: list[Signal] = ["traces", "metrics", "logs"]
    # Of calls that may change something and have no sampled parent: which share is traced, with all that they begin.
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    # The same of calls that only read.
    read_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    # Seconds between two pushes of the metrics; 0: never.
    metrics_seconds: Annotated[float, Field(ge=0, le=3600)] = 60.0
    # deployment.environment.name of everything that is sent.
    environment: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,63}$")] = ""

    @field_validator("endpoint")
    @classmethod
    def _address(cls, text: str) -> str:
        if not text:
            return text
        try:
            url = yarl.URL(text)
        except ValueError:
            raise ValueError("must be http://HOST:PORT or https://HOST:PORT") from None
        if url.scheme not in ("http", "https") or not url.host or url.explicit_port is None:
            raise ValueError("must be http://HOST:PORT or https://HOST:PORT")
        if url.user or url.password or url.path not in ("", "/") or url.query_string or url.fragment:
            raise ValueError("must end after the port; a password goes into headers")
        return text

    @field_validator("headers")
    @classmethod
    def _plain(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for key, value in headers.items():
            text = value.get_secret_value()
            if key.startswith("grpc-") or key.endswith("-bin"):
                raise ValueError(f"{key} is gRPC's own")
            if not text.isascii() or not text.isprintable():
                raise ValueError(f"the value of {key} must be printable ASCII")
        return headers

    @model_validator(mode="after")
    def _whole(self) -> "OtlpSettings":
        if not self.endpoint and self.headers:
            raise ValueError("endpoint is missing")
        if self.ca_file and not self.endpoint.startswith("https://"):
            raise ValueError("ca_file goes with an https:// endpoint")
        if self.ca_file and not self.ca_file.is_file():
            raise ValueError(f"ca_file: {self.ca_file} is not a file")
        return self

    def sends(self, signal: Signal) -> bool:
        """Whether a signal is sent."""
        pushes = signal != "metrics" or self.metrics_seconds > 0
        return bool(self.endpoint) and signal in self.signals and pushes
