"""Which flags a running validator takes over its admin socket, and how each version wants to be told (agave 8.2)."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from common.base58 import decode_key
from common.flags.arguments import Argument
from common.semver import Version

Values = dict[str, list[str]]


class RuntimeCall(NamedTuple):
    """One call of the admin socket that makes a running validator take some flags.

    Attributes:
        flags: those that it tells; all of them are told whenever one has changed.
        since: the first version that knows the call.
        build: makes the parameters of the flags' values and the version; their number is strict in each version.
    """

    method: str
    flags: tuple[str, ...]
    since: Version
    build: Callable[[Values, Version], list[Any]]


def _first(values: Values, name: str, default: str = "") -> str:
    found = values.get(name)
    return found[0] if found else default


def _block_engine(values: Values, version: Version) -> list[Any]:
    trust = "trust-block-engine-packets" in values
    url = _first(values, "block-engine-url")
    if version < Version(3, 0, 0):
        return [url, trust]
    return [url, "disable-block-engine-autoconfig" in values, trust]


def _relayer(values: Values, _version: Version) -> list[Any]:
    heartbeat = int(_first(values, "relayer-expected-heartbeat-interval-ms", "500"))
    return [_first(values, "relayer-url"), heartbeat, int(_first(values, "relayer-max-failed-heartbeats", "3"))]


def _whitelist(values: Values, _version: Version) -> list[Any]:
    # Keys are arrays of 32 numbers on this socket, not base58.
    return [[list(decode_key(key)) for key in values.get("repair-whitelist", [])]]


def _one(name: str) -> Callable[[Values, Version], list[Any]]:
    return lambda values, _version: [_first(values, name)]


def _list(name: str) -> Callable[[Values, Version], list[Any]]:
    return lambda values, _version: [",".join(values.get(name, []))]


_ANY = Version(0, 0, 0)
CALLS: tuple[RuntimeCall, ...] = (
    RuntimeCall(
        "setBlockEngineConfig",
        ("block-engine-url", "disable-block-engine-autoconfig", "trust-block-engine-packets"), _ANY, _block_engine,
    ),
    RuntimeCall(
        "setRelayerConfig",
        ("relayer-url", "relayer-expected-heartbeat-interval-ms", "relayer-max-failed-heartbeats"), _ANY, _relayer,
    ),
    RuntimeCall("setBamUrl", ("bam-url",), Version(3, 0, 0), _one("bam-url")),
    RuntimeCall("setShredReceiverAddress", ("shred-receiver-address",), _ANY, _list("shred-receiver-address")),
    RuntimeCall(
        "setShredRetransmitReceiverAddress", ("shred-retransmit-receiver-address",), _ANY,
        _list("shred-retransmit-receiver-address"),
    ),
    RuntimeCall("setRepairWhitelist", ("repair-whitelist",), _ANY, _whitelist),
    RuntimeCall("setPublicTpuAddress", ("public-tpu-address",), _ANY, _one("public-tpu-address")),
    RuntimeCall(
        "setPublicTpuForwardsAddress", ("public-tpu-forwards-address",), _ANY, _one("public-tpu-forwards-address"),
    ),
    RuntimeCall("setPublicTvuAddress", ("public-tvu-address",), Version(4, 0, 0), _one("public-tvu-address")),
)  # fmt: skip
# Calls that refuse an empty value: to take such a flag away needs a restart.
_NEVER_EMPTY = {
    "setBlockEngineConfig": "block-engine-url", "setRelayerConfig": "relayer-url",
    "setPublicTpuAddress": "public-tpu-address", "setPublicTpuForwardsAddress": "public-tpu-forwards-address",
    "setPublicTvuAddress": "public-tvu-address",
}  # fmt: skip


class Split(NamedTuple):
    """Changed flags by how they take effect: calls to make now, and flags that wait for the next start."""

    calls: list[tuple[str, list[Any]]]
    at_start: list[str]


def split(before: Sequence[Argument], after: Sequence[Argument], version: Version | None) -> Split:
    """Tell which changes a running validator can take, and by which calls."""
    old, new = _values(before), _values(after)
    changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    calls: list[tuple[str, list[Any]]] = []
    for call in CALLS:
        touched = changed & set(call.flags)
        possible = version is not None and version >= call.since
        needed = _NEVER_EMPTY.get(call.method)
        if not touched or not possible or version is None or (needed and needed not in new):
            continue
        calls.append((call.method, call.build(new, version)))
        changed -= touched
    return Split(calls, sorted(changed))


def _values(arguments: Sequence[Argument]) -> Values:
    values: Values = {}
    for argument in arguments:
        values.setdefault(argument.name, []).append(argument.value or "")
    return values
