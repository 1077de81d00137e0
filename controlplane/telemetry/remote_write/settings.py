"""Settings of those who are written to."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, field_validator, model_validator

from controlplane.secret_refs import resolve
from controlplane.urls import http_url

# May stand elsewhere: "file:PATH", "credential:NAME", "env:NAME".
Secret = Annotated[SecretStr, BeforeValidator(resolve)]
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# What the protocol says there is ours to say (docs/specs/prw/remote_write_spec.md).
_RESERVED = ("content-", "x-prometheus-remote-write-", "host", "user-agent", "transfer-encoding", "authorization")


class ReceiverSettings(BaseModel, extra="forbid"):
    """One receiver, and who this control plane is there."""

    # Names it in metrics, logs and ctl status.
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,31}$")]
    # Whole, as http://prometheus:9090/api/v1/write.
    url: str
    # auto: 2.0 where the receiver says that it has it, else 1.0.
    protocol: Literal["auto", "v1", "v2"] = "auto"
    user: Annotated[str, Field(pattern=r"^[^:\x00-\x1f\x7f]*$")] = ""
    password: Secret = SecretStr("")
    # A bearer token, in place of user and password.
    token: Secret = SecretStr("")
    # Authorities that its certificate may come from, PEM; by default the system's.
    ca_file: Path | None = None
    # More of them, such as X-Scope-OrgID; secrets too.
    headers: dict[str, Secret] = {}

    @field_validator("url")
    @classmethod
    def _http(cls, text: str) -> str:
        http_url(text, "http://prometheus:9090/api/v1/write")
        return text

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name) or name.lower().startswith(_RESERVED):
                raise ValueError(f"{name[:64]!r} is no header that may be set here")
            if not _is_printable(value):
                raise ValueError(f"the value of {name[:64]!r} must be printable ASCII")
        return headers

    @model_validator(mode="after")
    def _one_way_in(self) -> "ReceiverSettings":
        if bool(self.user) != bool(self.password.get_secret_value()):
            raise ValueError("user and password go together")
        if self.token.get_secret_value() and self.user:
            raise ValueError("token goes in place of user and password")
        if not _is_printable(self.token):
            raise ValueError("token must be printable ASCII")
        return self


class RemoteWriteSettings(BaseModel, extra="forbid"):
    """Who is written to, how often and what."""

    receivers: list[ReceiverSettings] = []
    interval_seconds: Annotated[float, Field(ge=1, le=300)] = 15
    # What waits for a receiver that is away; in memory, 8 bytes a sample.
    queue_minutes: Annotated[float, Field(gt=0, le=120)] = 10
    # Latencies as native histograms too.
    native_histograms: bool = False
    # Beside cluster (trust_domain), job (solward) and instance (the machine's name); an empty one leaves it out.
    external_labels: dict[str, str] = {}

    @field_validator("receivers")
    @classmethod
    def _told_apart(cls, receivers: list[ReceiverSettings]) -> list[ReceiverSettings]:
        names = [one.name for one in receivers]
        if len(set(names)) != len(names):
            raise ValueError("two receivers have the same name")
        return receivers

    @field_validator("external_labels")
    @classmethod
    def _labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for name in labels:
            if not _LABEL.fullmatch(name):
                raise ValueError(f"{name[:64]!r} is no label: letters, digits and _, not two _ at the start")
        return labels

    @property
    def counts_natively(self) -> bool:
        """Whether latencies are to be counted for native histograms."""
        return self.native_histograms and bool(self.receivers)


def _is_printable(secret: SecretStr) -> bool:
    text = secret.get_secret_value()
    return text.isprintable() and text.isascii()
