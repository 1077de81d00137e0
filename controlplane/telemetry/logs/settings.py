"""Settings of the Loki that logs are sent to and asked for in."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, field_validator, model_validator

from controlplane.secret_refs import resolve
from controlplane.urls import http_url

# May stand elsewhere: "file:PATH", "credential:NAME", "env:NAME".
Secret = Annotated[SecretStr, BeforeValidator(resolve)]


class LokiSettings(BaseModel, extra="forbid"):
    """A Loki, and who this control plane is there."""

    # http(s)://HOST:PORT, with the path before /loki/api where there is one; empty: logs stay in the state store.
    url: str = ""
    # Sent as X-Scope-OrgID.
    tenant: Annotated[str, Field(pattern=r"^[a-zA-Z0-9!_.*'()-]{0,150}$")] = ""
    user: Annotated[str, Field(pattern=r"^[^:\x00-\x1f\x7f]*$")] = ""
    password: Secret = SecretStr("")
    # A bearer token, in place of user and password.
    token: Secret = SecretStr("")
    # Authorities that its certificate may come from, PEM; by default the system's.
    ca_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _http(cls, text: str) -> str:
        if not text:
            return text
        url = http_url(text)
        if url.query_string or url.fragment or url.path.rstrip("/").endswith("/push"):
            raise ValueError("must end before /loki/api, and have neither query nor fragment")
        return text

    @model_validator(mode="after")
    def _one_way_in(self) -> "LokiSettings":
        password, token = self.password.get_secret_value(), self.token.get_secret_value()
        if bool(self.user) != bool(password):
            raise ValueError("user and password go together")
        if token and self.user:
            raise ValueError("token goes in place of user and password")
        if not self.url and (self.tenant or self.user or token):
            raise ValueError("url is missing")
        if not token.isprintable() or not token.isascii():
            raise ValueError("token must be printable ASCII")
        return self
