"""Settings: one YAML file and SOLWARD_* variables (which win), every one checked before anything starts."""

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from limits import parse as parse_rate
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from pydantic_settings import (
    SettingsError as SourceError,
)

from common.names import TRUST_DOMAIN
from controlplane.alerts.rules import AlertSettings
from controlplane.api.services import SERVICES
from controlplane.gateway.origins import origin
from controlplane.geyser.settings import GeyserSettings
from controlplane.identity.oidc.settings import OidcSettings
from controlplane.mev.settings import JitoSettings
from controlplane.networks import network
from controlplane.secret_refs import resolve
from controlplane.telemetry.logs.settings import LokiSettings
from controlplane.telemetry.otlp.settings import OtlpSettings
from controlplane.telemetry.remote_write.settings import RemoteWriteSettings
from controlplane.telemetry.store.settings import StoreSettings

DEFAULT_FILE = Path("/etc/solward/controlplane.yaml")


class SettingsError(Exception):
    """Settings that cannot be used; the message names each one and what would be right."""


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or not 0 <= int(port) <= 65535:
        raise ValueError("must be HOST:PORT, for example 0.0.0.0:7443")
    return text


def _rate(text: str) -> str:
    try:
        parse_rate(text)
    except ValueError:
        raise ValueError('must be a rate such as "100/second" or "10/minute"') from None
    return text


Address = Annotated[str, AfterValidator(_address)]
Rate = Annotated[str, AfterValidator(_rate)]


class RateLimits(BaseModel, extra="forbid"):
    """How often one caller may call methods of each rate class."""

    credential: Rate = "20/minute"
    read: Rate = "100/second"
    write: Rate = "10/second"
    stream: Rate = "10/second"
    # Everybody together behind one address (IPv6: one /64).
    address: Rate = "500/second"
    # By full name of the method, "solward.hosts.v1.HostsService/ListHosts", in place of its class's.
    methods: dict[str, Rate] = {}

    @field_validator("methods")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        known = {f"{service.full_name}/{method.name}" for service in SERVICES for method in service.methods}
        for name in value.keys() - known:
            close = difflib.get_close_matches(name, known, 1) or ["solward.hosts.v1.HostsService/ListHosts"]
            raise ValueError(f"there is no method {name[:200]!r}; a name is such as {close[0]!r}")
        return value


class GateLimits(BaseModel, extra="forbid"):
    """What must hold before a validator may go down."""

    idle_minutes: Annotated[float, Field(ge=0, le=120)] = 10
    behind_slots: Annotated[int, Field(ge=0, le=10_000)] = 50
    delinquent_percent: Annotated[float, Field(gt=0, le=100)] = 5
    snapshot_age_slots: Annotated[int, Field(ge=1)] = 2500
    free_gigabytes: Annotated[float, Field(ge=0)] = 20


class ReportSettings(BaseModel, extra="forbid"):
    """When compliance reports are made by themselves, and where they are kept."""

    every_days: Annotated[int, Field(ge=0, le=366)] = 0
    keep: Annotated[int, Field(ge=1, le=1000)] = 12
    folder: Path | None = None


def _range(text: str) -> str:
    return str(network(text))


def _url(text: str) -> str:
    if text and not text.startswith(("http://", "https://")):
        raise ValueError("must be an http or https URL")
    return text


def _redis(text: str) -> str:
    if text and not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must be a redis, rediss or unix URL")
    return text


# May stand in a file, a systemd credential or another variable: "file:PATH", "credential:NAME", "env:NAME".
Secret = Annotated[SecretStr, BeforeValidator(resolve)]
SecretUrl = Annotated[Secret, AfterValidator(lambda url: SecretStr(_url(url.get_secret_value())))]
Origin = Annotated[str, AfterValidator(origin)]
Range = Annotated[str, AfterValidator(_range)]


class Settings(BaseSettings):
    """Every setting of the control plane."""

    model_config = SettingsConfigDict(env_prefix="SOLWARD_", env_nested_delimiter="__", extra="forbid")

    data_dir: Path = Field(Path("/var/lib/solward-controlplane"), description="state, keys and certificates")
    trust_domain: str = Field("solward.internal", description="of every certificate's SPIFFE id")
    server_names: list[str] = Field(
        ["localhost", "127.0.0.1", "::1"], min_length=1, description="DNS names and addresses of this server"
    )
    server_certificate_days: float = Field(90, gt=0, le=825, description="life of the server's own certificate")
    mtls_listen: Address = Field("0.0.0.0:7443", description="gRPC for holders of a client certificate")
    tls_listen: Address = Field("0.0.0.0:7444", description="gRPC with bearer tokens, and enrollment")
    gateway_listen: Address = Field("127.0.0.1:3000", description="REST over HTTPS")
    gateway_share_port: bool = Field(
        False, description="several gateways that run apart may listen on one port, of one user"
    )
    gateway_dir: Path | None = Field(
        None, description="the gateway runs apart, and finds its certificate here; empty: it runs within"
    )
    gateway_target: str = Field("", description="where a gateway apart finds gRPC; empty: loopback, port of tls_listen")
    metrics_listen: Address = Field("127.0.0.1:3050", description="Prometheus, without authentication")
    database_url: Annotated[str, BeforeValidator(resolve)] = Field(
        "", description="postgresql://USER:PASSWORD@HOST/DATABASE of the state; empty: SQLite in data_dir"
    )
    redis_url: Annotated[Secret, AfterValidator(lambda url: SecretStr(_redis(url.get_secret_value())))] = Field(
        SecretStr(""), description="redis://:PASSWORD@HOST:PORT/0 that control planes share; empty: none is needed"
    )
    oidc: OidcSettings = Field(
        OidcSettings(), description="the identity provider where people sign in; see docs/access.md"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="of the log on standard error")
    log_format: Literal["json", "text"] = Field("json", description="JSON lines, or text for a terminal")
    reflection: bool = Field(True, description="offer gRPC reflection to signed-in callers, and OpenAPI to all")
    require_second_factor: bool = Field(True, description="off only for a laboratory; the start says so loudly")
    second_factor_roles: list[str] = Field(
        ["admin", "operator"],
        description="who has one of these, or a role of your own beyond viewing, first sets an authenticator up",
    )
    access_token_seconds: int = Field(600, ge=60, le=3600, description="life of a bearer token")
    session_hours: int = Field(12, ge=1, le=168, description="life of a session, however much it is used")
    refresh_idle_minutes: int = Field(60, ge=5, le=1440, description="a session unused for so long ends")
    live_seconds: int = Field(900, ge=60, le=3600, description="how far back the live ring reaches")
    command_expire_seconds: int = Field(120, ge=5, le=3600, description="a command not begun by then is void")
    drain_seconds: float = Field(10, ge=0, le=120, description="how long calls may go on after SIGTERM")
    checkpoint_seconds: float = Field(60, gt=0, le=3600, description="between signed audit checkpoints")
    audit_retention_days: int = Field(
        0, ge=0, le=36_500, description="audit entries older than this are pruned, each cut signed; 0: kept for ever"
    )
    reports: ReportSettings = Field(
        ReportSettings(), description="compliance reports: every so many days (0: never), into data_dir/reports"
    )
    rate_limits: RateLimits = Field(
        RateLimits(), description="calls of one caller by rate class or method, and of one address"
    )
    allow_networks: list[Range] = Field([], description="ranges that clients and agents may come from; empty: any")
    deny_networks: list[Range] = Field([], description="ranges that nobody may come from, whatever is allowed")
    trusted_proxies: list[Range] = Field([], description="ranges of proxies whose X-Forwarded-For is believed")
    cors_origins: list[Origin] = Field([], description="exact origins of other pages that may call with cookies")
    gateway_connections: int = Field(20_000, ge=1, description="that the gateway holds at the most")
    gateway_connections_per_ip: int = Field(256, ge=1, description="of one address, or one /64; proxies are exempt")
    store: StoreSettings = Field(
        StoreSettings(), description="telemetry that is kept: where, how much and how long; see docs/telemetry.md"
    )
    jito: JitoSettings = Field(
        default_factory=JitoSettings, description="Bundles: which cluster they are for, and where tips are told."
    )
    geyser: GeyserSettings = Field(
        GeyserSettings(), description="pipelines from a node's plugin to the last row; see docs/geyser.md"
    )
    loki: LokiSettings = Field(
        LokiSettings(), description="the Loki that logs are sent to and asked for in, by its url; see docs/logs.md"
    )
    remote_write: RemoteWriteSettings = Field(
        RemoteWriteSettings(), description="receivers that every metric is written to; see docs/monitoring.md"
    )
    alertmanager_url: SecretUrl = Field(
        SecretStr(""), description="an Alertmanager that is sent every alert; its password is a secret; empty: none"
    )
    solana_rpc_url: SecretUrl = Field(
        SecretStr(""), description="a Solana RPC outside the fleet, by which nodes are judged too; its key is a secret"
    )
    gates: GateLimits = Field(GateLimits(), description="what must hold before a validator may go down")
    ready_seconds: int = Field(3600, ge=5, le=86_400, description="how long a started validator may take to catch up")
    alerts: AlertSettings = Field(AlertSettings(), description="rules beside the built-in ones, and what is not judged")
    otlp: OtlpSettings = Field(
        OtlpSettings(), description="the collector that traces, metrics and logs are sent to; see docs/tracing.md"
    )
    audit_signing_key: Secret | None = Field(None, description="HMAC key of the audit log; default: made by init")
    csrf_secret: Secret | None = Field(
        None, description="HMAC key of browser sessions' cookies and CSRF tokens; default: made by init"
    )

    @field_validator("trust_domain")
    @classmethod
    def _domain(cls, value: str) -> str:
        if not TRUST_DOMAIN.fullmatch(value):
            raise ValueError("must be lower-case letters, digits, dots and hyphens")
        return value

    @field_validator("audit_signing_key", "csrf_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("must have at least 32 characters")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let variables win over the file."""
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls, _file())

    @property
    def shares_store(self) -> bool:
        """Whether other control planes may be at work on the same store."""
        return self.database_url.startswith("postgres")

    def operations_database(self) -> str:
        """Give the URL of the store that keeps workflows, as psycopg takes it."""
        if not self.shares_store:
            return f"sqlite:///{self.data_dir / 'operations.db'}"
        return f"postgresql://{self.database_url.partition('://')[2]}"

    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir / 'solward.db'}"


def _file() -> Path | None:
    named = os.environ.get("SOLWARD_CONFIG")
    path = Path(named) if named else DEFAULT_FILE
    return path if named or path.exists() else None


def load(**overrides: Any) -> Settings:
    """Read the settings, or raise SettingsError that names every wrong one."""
    path = _file()
    if path and not path.is_file():
        raise SettingsError(f"SOLWARD_CONFIG names {path}, which is not a file")
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None
    except SourceError as error:
        raise SettingsError(f"{error}: it must be JSON") from None
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"{path} is not a YAML file of settings: {error}") from None
    _refuse_unknown_variables()
    return settings


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = "__".join(str(part) for part in problem["loc"])
        what = problem["msg"].removeprefix("Value error, ")
        lines.append(f"  {name} (SOLWARD_{name.upper()}): {what}")
    return "the settings cannot be used:\n" + "\n".join(lines)


def _refuse_unknown_variables() -> None:
    # A misspelt variable would otherwise be a setting that silently stays at its default.
    known = {"CONFIG", "AGENT_CONFIG", *(name.upper() for name in Settings.model_fields)}
    for variable in os.environ:
        stem = variable.removeprefix("SOLWARD_").split("__")[0].upper()
        if variable.startswith("SOLWARD_") and stem not in known:
            raise SettingsError(f"{variable} is not a setting; known are SOLWARD_{', SOLWARD_'.join(sorted(known))}")
