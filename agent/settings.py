"""The agent's settings: one YAML file, checked whole before anything starts."""

import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from agent.geyser import settings as geyser_settings
from agent.geyser.settings import GeyserSettings
from agent.logs import metrics_config
from agent.probes.rpc_methods import MAX_CALLS_PER_SECOND, RpcMethod, check_methods

LABELS = 16
DEFAULT_FILE = Path("/etc/solward/agent.yaml")

Label = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9]([a-zA-Z0-9._/-]{0,61}[a-zA-Z0-9])?$")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class SettingsError(Exception):
    """Settings that cannot be used; the message names the field and what would be right."""


class RpcSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The RPC endpoint beside the agent.

    `websocket` is where slots are subscribed to; left out, they are not. `references` are one node outside or three,
    asked for their slot every `reference_period_seconds`; those within `reference_agree_slots` of each other agree.
    """

    url: Annotated[str, msgspec.Meta(pattern="^https?://")] = "http://127.0.0.1:8899"
    methods: tuple[RpcMethod, ...] = (RpcMethod("getHealth"), RpcMethod("getSlot"), RpcMethod("getLatestBlockhash"))
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0
    websocket: Annotated[str, msgspec.Meta(pattern="^(wss?://.+)?$")] = ""
    references: tuple[Annotated[str, msgspec.Meta(pattern="^https?://")], ...] = ()
    reference_period_seconds: Annotated[float, msgspec.Meta(ge=0.5, le=60)] = 2.0
    reference_agree_slots: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 50
    max_calls_per_second: Annotated[float, msgspec.Meta(gt=0, le=1000)] = MAX_CALLS_PER_SECOND


class MetricsEndpointSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where the validator may send its metrics, on loopback, and whom they are sent on to.

    `forward` reads as SOLANA_METRICS_CONFIG does: host=URL,db=NAME,u=USER,p=PASSWORD.
    """

    port: Port = 8086
    forward: str = ""


class ValidatorSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The validator beside the agent: where it writes, and how it is spoken to besides `rpc.url`.

    `admin_socket` is by default the helper's, which passes only what root listed; `<ledger>/admin.rpc` works for
    an agent that runs as the validator's own user. `tower` and `snapshots` are by default the ledger,
    `incremental_snapshots` is where the full ones are, and `pins`, on the same filesystem, `solward-pins` there;
    `scratch`, where jobs of agave-ledger-tool unpack accounts, where full archives are.
    `log` is "journal" or the file that `--log` names. With `metrics_endpoint` the validator's figures come from its own
    posts, and the log is read for what it means alone.
    """

    ledger: Path
    vote_account: Annotated[str, msgspec.Meta(pattern="^([1-9A-HJ-NP-Za-km-z]{32,44})?$")] = ""
    admin_socket: Path = Path("/run/solward-admin/admin.sock")
    tower: Path | None = None
    snapshots: Path | None = None
    incremental_snapshots: Path | None = None
    pins: Path | None = None
    scratch: Path | None = None
    accounts: tuple[Path, ...] = ()
    log: Annotated[str, msgspec.Meta(pattern="^(journal|/.+)$")] = "journal"
    metrics_endpoint: MetricsEndpointSettings | None = None
    config_socket: Path = Path("/run/solward-config/config.sock")

    @property
    def tower_dir(self) -> Path:
        """Where towers are kept."""
        return self.tower or self.ledger

    @property
    def snapshots_dir(self) -> Path:
        """Where full archives stand."""
        return self.snapshots or self.ledger

    @property
    def pins_dir(self) -> Path:
        """Where pinned archives are kept."""
        return self.pins or self.snapshots_dir / "solward-pins"

    @property
    def scratch_dir(self) -> Path:
        """Where jobs unpack accounts."""
        return self.scratch or self.snapshots_dir

    @property
    def written(self) -> tuple[Path, ...]:
        """Every folder that the validator writes to."""
        return tuple(dict.fromkeys((self.ledger, self.tower_dir, self.snapshots or self.ledger, *self.accounts)))


RegionName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
EngineUrl = Annotated[
    str, msgspec.Meta(pattern=r"^(https://[^/\s]+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?)/?$")
]


class JitoRegion(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where one region of the block engine is; `json_rpc` is by default where gRPC is."""

    url: EngineUrl
    json_rpc: Annotated[str, msgspec.Meta(pattern=r"^(https?://\S+)?$")] = ""


class JitoSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The Jito block engine.

    `regions` are, by name, where regions are; empty: those that Jito lists for `cluster`. `auth_key` is a keypair file
    for the agent's user alone; most searchers need none. `requests_per_second` holds for each region and for all ways
    to it. `relays` are watched for whether they can be reached. `tls_roots` replaces the authorities that are trusted.
    """

    cluster: Literal["mainnet", "testnet"] = "mainnet"
    regions: dict[RegionName, JitoRegion] = {}
    auth_key: Path | None = None
    requests_per_second: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 1.0
    results: bool = True
    silent_seconds: Annotated[float, msgspec.Meta(ge=1, le=600)] = 30.0
    rtt_period_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 60.0
    send_timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0
    relays: dict[RegionName, Annotated[str, msgspec.Meta(pattern="^https?://")]] = {}
    tls_roots: Path | None = None


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Every setting of the agent.

    `server` is the control plane's name; `mtls_port` and `tls_port` are its two doors. `jobs_dir` holds what
    the agent asks of long jobs, `job_results_dir` what they answer. `allowlist_owner` is
    the user who alone may write the allowlist: root, except on a machine without root's help. Hosts of one
    `group` stand in for each other, and two of them are never restarted at once; `labels` (16 at the most) are
    what hosts are selected by.
    """

    server: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    mtls_port: Port = 7443
    tls_port: Port = 7444
    state_dir: Path = Path("/var/lib/solward-agent")
    jobs_dir: Path = Path("/var/lib/solward-jobs")
    job_results_dir: Path = Path("/var/lib/solward-job")
    allowlist: Path = Path("/etc/solward/allowlist.yaml")
    allowlist_owner: str = "root"
    bus_address: str = ""
    spool_megabytes: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 64
    rpc: RpcSettings | None = None
    validator: ValidatorSettings | None = None
    jito: JitoSettings | None = None
    geyser: GeyserSettings | None = None
    group: Annotated[str, msgspec.Meta(pattern="^([a-z]([a-z0-9-]{0,61}[a-z0-9])?)?$")] = ""
    labels: dict[Label, Label] = {}
    kernel: bool = True
    log_level: Annotated[str, msgspec.Meta(pattern="^(debug|info|warning|error)$")] = "info"
    log_format: Annotated[str, msgspec.Meta(pattern="^(json|text)$")] = "json"


def load(path: Path | None = None) -> Settings:
    """Read the settings from a file, by default the one that SOLWARD_AGENT_CONFIG names or /etc/solward/agent.yaml.

    Raises: SettingsError.
    """
    path = path or Path(os.environ.get("SOLWARD_AGENT_CONFIG", DEFAULT_FILE))
    try:
        settings = msgspec.yaml.decode(path.read_bytes(), type=Settings, dec_hook=_decode)
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise SettingsError(f"{path}: {error}") from None
    if len(settings.labels) > LABELS:
        raise SettingsError(f"{path}: labels: {len(settings.labels)} are given, and {LABELS} are the most")
    if settings.validator and not settings.rpc:
        raise SettingsError(f"{path}: validator needs rpc, whose url is the validator's own")
    if settings.rpc:
        if len(settings.rpc.references) not in (0, 1, 3):
            raise SettingsError(
                f"{path}: rpc.references: name one node outside or three, so that a majority can be had"
            )
        try:
            check_methods(settings.rpc.methods, settings.rpc.max_calls_per_second)
        except ValueError as error:
            raise SettingsError(f"{path}: rpc.methods: {error}") from None
    _check_jito(settings.jito or JitoSettings(), path)
    _check_geyser(settings.geyser or GeyserSettings(), path)
    endpoint = settings.validator.metrics_endpoint if settings.validator else None
    if endpoint and endpoint.forward:
        try:
            metrics_config.parse(endpoint.forward)
        except ValueError as error:
            raise SettingsError(f"{path}: validator.metrics_endpoint.{error}") from None
    return settings


def _check_geyser(geyser: GeyserSettings, path: Path) -> None:
    try:
        geyser_settings.check(geyser)
    except ValueError as error:
        raise SettingsError(f"{path}: geyser.{error}") from None


def _check_jito(jito: JitoSettings, path: Path) -> None:
    """Refuse URLs that no pattern tells from good ones."""
    urls = {f"relays.{name}": url for name, url in jito.relays.items()}
    for name, region in jito.regions.items():
        urls |= {f"regions.{name}.url": region.url, f"regions.{name}.json_rpc": region.json_rpc or region.url}
    for field, url in urls.items():
        try:
            parts = urlsplit(url)
            good = bool(parts.hostname) and parts.port != 0 and parts.username is None
        except ValueError:
            good = False
        if not good:
            raise SettingsError(f"{path}: jito.{field}: must be a URL with a host, such as https://ny.example:443")


def _decode(wanted: type, value: object) -> object:
    if wanted is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"Expected `{wanted.__name__.lower()}`, got `{type(value).__name__}`")
