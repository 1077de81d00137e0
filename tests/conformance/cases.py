"""The cases, as data: what is sent, and what must be answered."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
_METHODS = ("get", "post", "put", "patch", "delete", "head")
_KNOWN = {"json", "body", "headers", "status", "is", "lines", "code", "headers_are", "envoy", *_METHODS}


@dataclass(frozen=True)
class Try:
    """One request and its answer.

    Attributes:
        envoy: what Envoy's transcoder answers instead: status and the name of the difference; empty: the same.
    """

    method: str
    path: str
    wanted: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    json: Any = None
    body: str | None = None
    envoy: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status that is wanted."""
        return int(self.wanted.get("status", 200))

    def options(self) -> dict[str, Any]:
        """Say it to a client."""
        sent: dict[str, Any] = {"headers": dict(self.headers)}
        if self.json is not None:
            sent["json"] = self.json
        if self.body is not None:
            sent["data"] = self.body.encode()
            sent["headers"].setdefault("Content-Type", "application/json")
        return sent


@dataclass(frozen=True)
class Case:
    """One case, by its name."""

    name: str
    tries: list[Try]
    raw: dict[str, Any]


def load() -> list[Case]:
    """Read every case; whatever is not known in one is a mistake."""
    found = []
    for raw in yaml.safe_load((HERE / "cases.yaml").read_text()):
        unknown = raw.keys() - {"name", "tries", "scenario", "bindings", "refused", "routes", "together"}
        assert not unknown, unknown
        found.append(Case(raw["name"], [_try(one) for one in raw.get("tries", ())], raw))
    return found


def differences() -> dict[str, str]:
    """Read why Envoy answers otherwise, by name."""
    read: dict[str, str] = yaml.safe_load((HERE / "differences.yaml").read_text())
    return read


def _try(raw: dict[str, Any]) -> Try:
    assert not raw.keys() - _KNOWN, raw
    (method,) = [name for name in _METHODS if name in raw]
    wanted = {key: raw[key] for key in ("status", "is", "lines", "code", "headers_are") if key in raw}
    return Try(
        method.upper(), raw[method], wanted, raw.get("headers", {}), raw.get("json"), raw.get("body"),
        raw.get("envoy", {}),
    )  # fmt: skip
