"""Every flag that operators use, with its type and the versions that know it (Agave and Jito-Solana 2.3 to 4.3)."""

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from common.base58 import decode_key
from common.semver import Version

Kind = Literal["switch", "number", "text", "path", "pubkey", "address", "url", "port", "ports", "choice"]
NEVER = Version(999, 0, 0)


class Flag(NamedTuple):
    """One flag.

    Attributes:
        kind: what its value is; a switch has none.
        many: it may be given several times.
        since, until: the first version that knows it, and the first that refuses to start with it.
        choices: of a choice, the words that it takes.
        low, high: of a number, its bounds.
        guarded: it names a key, loads code, moves state, or decides whom the node trusts or who may reach it; root must
            list it by name.
    """

    name: str
    kind: Kind
    many: bool = False
    since: Version = Version(0, 0, 0)
    until: Version = NEVER
    choices: tuple[str, ...] = ()
    low: int = 0
    high: int = 2**63 - 1
    guarded: bool = False

    def known_to(self, version: Version) -> bool:
        """Whether a version starts with it."""
        return self.since <= version < self.until


def _flags(kind: Kind, names: str, **more: object) -> list[Flag]:
    """Make flags of one kind; a name that ends in * may be given several times."""
    return [Flag(name.rstrip("*"), kind, many=name.endswith("*"), **more) for name in names.split()]  # type: ignore[arg-type]


_ALL: list[Flag] = [
    # Identity and votes.
    *_flags("path", "identity vote-account-keypair authorized-voter*", guarded=True),
    *_flags("text", "vote-account", guarded=True),
    *_flags("switch", "no-voting require-tower", guarded=True),
    *_flags("switch", "do-not-require-vote-history", since=Version(4, 2, 0), guarded=True),
    # Storage.
    *_flags("path", "ledger accounts* accounts-index-path tower snapshots", guarded=True),
    *_flags("path", "incremental-snapshot-archive-path log", guarded=True),
    *_flags("number", "limit-ledger-size", low=50_000_000, until=Version(4, 3, 0)),
    *_flags("number", "limit-blockstore-size", low=50_000_000, since=Version(4, 3, 0)),
    *_flags("text", "accounts-index-limit", since=Version(4, 0, 0)),
    *_flags("number", "accounts-db-cache-limit-mb", until=Version(4, 2, 0)),
    *_flags("number", "accounts-db-write-cache-limit", since=Version(4, 2, 0)),
    Flag("wal-recovery-mode", "choice", choices=(
        "tolerate_corrupted_tail_records", "absolute_consistency", "point_in_time", "skip_any_corrupted_record",
    )),
    *_flags("switch", "skip-startup-ledger-verification no-snapshots"),
    *_flags("number", "full-snapshot-interval-slots incremental-snapshot-interval-slots snapshot-interval-slots"),
    *_flags("number", "maximum-full-snapshots-to-retain maximum-incremental-snapshots-to-retain", low=1),
    *_flags("number", "minimal-snapshot-download-speed maximum-snapshot-download-abort"),
    Flag("use-snapshot-archives-at-startup", "choice", choices=("always", "never", "when-newest")),
    *_flags("text", "snapshot-archive-format"),
    # Bootstrap.
    *_flags("address", "entrypoint*", guarded=True),
    *_flags("pubkey", "known-validator* gossip-validator*", guarded=True),
    *_flags("pubkey", "repair-validator* repair-whitelist*"),
    *_flags("switch", "only-known-rpc no-genesis-fetch no-snapshot-fetch", guarded=True),
    *_flags("switch", "no-port-check restricted-repair-only-mode"),
    *_flags("text", "expected-genesis-hash expected-bank-hash", guarded=True),
    *_flags("number", "expected-shred-version", high=65535, guarded=True),
    *_flags("number", "wait-for-supermajority hard-fork*", guarded=True),
    *_flags("path", "init-complete-file", guarded=True),
    # Network.
    *_flags("ports", "dynamic-port-range"),
    *_flags("port", "gossip-port rpc-port rpc-faucet-port"),
    *_flags("text", "bind-address* rpc-bind-address gossip-host advertised-ip", guarded=True),
    *_flags("address", "public-tpu-address public-tpu-forwards-address public-rpc-address"),
    *_flags("address", "public-tvu-address", since=Version(4, 0, 0)),
    *_flags("switch", "no-xdp xdp-zero-copy", since=Version(4, 0, 0)),
    *_flags("text", "xdp-interface xdp-cpu-cores", since=Version(4, 0, 0)),
    *_flags("path", "staked-nodes-overrides", guarded=True),
    *_flags("switch", "allow-private-addr"),
    # RPC.
    *_flags("switch", "private-rpc", guarded=True),
    *_flags("switch", "full-rpc-api enable-rpc-transaction-history enable-extended-tx-metadata-storage"),
    *_flags("switch", "rpc-scan-and-fix-roots rpc-pubsub-enable-block-subscription"),
    *_flags("switch", "rpc-pubsub-enable-vote-subscription"),
    Flag("account-index", "choice", many=True, choices=("program-id", "spl-token-owner", "spl-token-mint")),
    *_flags("pubkey", "account-index-include-key* account-index-exclude-key*"),
    *_flags("number", "rpc-threads rpc-blocking-threads", low=1, high=4096),
    *_flags("number", "rpc-max-multiple-accounts rpc-max-request-body-size health-check-slot-distance"),
    *_flags("number", "rpc-send-retry-ms rpc-send-batch-ms rpc-send-batch-size rpc-send-leader-count"),
    *_flags("number", "rpc-send-default-max-retries rpc-send-service-max-retries"),
    *_flags("number", "rpc-pubsub-max-connections rpc-pubsub-max-active-subscriptions rpc-pubsub-worker-threads"),
    # CPU and block production.
    *_flags("number", "poh-pinned-cpu-core replay-forks-threads replay-transactions-threads", high=4096),
    *_flags("switch", "no-poh-speed-test no-wait-for-vote-to-start-leader"),
    Flag("block-production-method", "choice", choices=("central-scheduler-greedy", "central-scheduler")),
    *_flags("number", "block-production-num-workers", low=1, high=64),
    *_flags("switch", "enable-scheduler-bindings", since=Version(4, 0, 0)),
    *_flags("switch", "disable-banking-trace no-os-network-limits-test"),
    # Others.
    *_flags("path", "geyser-plugin-config*", guarded=True),
    *_flags("switch", "geyser-plugin-always-enabled"),
    *_flags("number", "log-messages-bytes-limit contact-debug-interval"),
    # Jito.
    *_flags("url", "block-engine-url relayer-url", guarded=True),
    *_flags("url", "bam-url", since=Version(3, 0, 0), guarded=True),
    *_flags("switch", "disable-block-engine-autoconfig", since=Version(3, 0, 0)),
    *_flags("switch", "trust-block-engine-packets trust-relayer-packets", guarded=True),
    *_flags("number", "relayer-expected-heartbeat-interval-ms relayer-max-failed-heartbeats", low=1),
    *_flags("address", "shred-receiver-address* shred-retransmit-receiver-address*"),
    *_flags("pubkey", "tip-payment-program-pubkey tip-distribution-program-pubkey", guarded=True),
    *_flags("pubkey", "merkle-root-upload-authority", guarded=True),
    *_flags("number", "commission-bps", high=10_000, guarded=True),
    # Gone: a start with one of them is refused.
    *_flags("text", "etcd-endpoint* etcd-domain-name etcd-cacert-file", until=Version(3, 0, 0), guarded=True),
    *_flags("text", "etcd-key-file etcd-cert-file", until=Version(3, 0, 0), guarded=True),
    *_flags("text", "tower-storage", until=Version(3, 0, 0), guarded=True),
    *_flags("switch", "minimal-rpc-api enable-cpi-and-log-storage skip-poh-verify", until=Version(3, 0, 0)),
    *_flags("switch", "cuda monitor wait-for-exit tpu-enable-udp tpu-disable-quic", until=Version(4, 0, 0)),
    *_flags("text", "transaction-struct", until=Version(4, 0, 0)),
    *_flags("path", "accounts-hash-cache-path", until=Version(4, 0, 0), guarded=True),
]  # fmt: skip

CATALOGUE: dict[str, Flag] = {flag.name: flag for flag in _ALL}

_HOST = r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?)"
_ADDRESS = re.compile(rf"{_HOST}:(\d{{1,5}})")
_URL = re.compile(rf"https?://{_HOST}(:\d{{1,5}})?(/[A-Za-z0-9._~/-]*)?")
_PORTS = re.compile(r"(\d{1,5})-(\d{1,5})")
# A path or text becomes a word of a unit, a script or a YAML file: what those treat in a way of their own is left out.
_PATH = re.compile(r"/[A-Za-z0-9._/+@:-]{0,1023}")
_TEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@,+=-]{0,255}")
# Ports that a range must hold: 25 are advised since 3.0, 26 needed since 4.1.
PORTS_WIDE = 25


def wrong_value(flag: Flag, value: str) -> str:
    """Say what is wrong with a value; empty if nothing is."""
    return _CHECKS[flag.kind](flag, value)


def _number(flag: Flag, value: str) -> str:
    whole = value.isascii() and value.isdigit() and len(value) < 20
    return (
        ""
        if whole and flag.low <= int(value) <= flag.high
        else f"must be a whole number from {flag.low} to {flag.high}"
    )


def _pubkey(_flag: Flag, value: str) -> str:
    try:
        decode_key(value)
    except ValueError:
        return "must be a public key, base58 of 32 bytes"
    return ""


def _address(_flag: Flag, value: str) -> str:
    match = _ADDRESS.fullmatch(value)
    return "" if match and int(match[match.lastindex or 0]) < 65536 else "must be HOST:PORT"


def _ports(_flag: Flag, value: str) -> str:
    match = _PORTS.fullmatch(value)
    if not match or not 0 < int(match[1]) < int(match[2]) < 65536:
        return "must be LOW-HIGH, two ports"
    return "" if int(match[2]) - int(match[1]) >= PORTS_WIDE else f"must hold at least {PORTS_WIDE} ports"


def _path(_flag: Flag, value: str) -> str:
    plain = _PATH.fullmatch(value) and ".." not in value.split("/")
    return "" if plain else "must be an absolute path of letters, digits and ._/+@:- without .."


def _matches(pattern: re.Pattern[str], words: str) -> Callable[[Flag, str], str]:
    return lambda _flag, value: "" if pattern.fullmatch(value) else words


_CHECKS: dict[str, Callable[[Flag, str], str]] = {
    "switch": lambda _flag, _value: "takes no value",
    "number": _number,
    "pubkey": _pubkey,
    "address": _address,
    "ports": _ports,
    "path": _path,
    "port": lambda flag, value: _number(flag._replace(low=1, high=65535), value),
    "url": _matches(_URL, "must be an http or https URL without user, query or fragment"),
    "text": _matches(_TEXT, "must be letters, digits and ._:/@,+=- alone"),
    "choice": lambda flag, value: "" if value in flag.choices else f"must be one of {', '.join(flag.choices)}",
}
