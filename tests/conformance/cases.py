"""The cases, as data: what is sent, and what must be answered."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
_METHODS = ("get", "post", "put", "patch", "delete", "head")
_KNOWN = {"json", "body", "headers", "status", "is", "lines", "code", "headers_are", *_METHODS}


@dataclass(frozen=True)
class Try:
    """One request and its answer."""

    method: str
    path: str
    wanted: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    value: Any = None
    body: str | None = None

    @property
    def status(self) -> int:
        """The HTTP status that is wanted."""
        return int(self.wanted.get("status", 200))

    @property
    def label(self) -> str:
        """What it sends, in one line."""
        body = self.body if self.value is None else json.dumps(self.value, separators=(",", ":"))
        return " ".join(
            filter(None, (self.method, self.path, body, *(f"{key}: {value}" for key, value in self.headers.items())))
        )

    def options(self) -> dict[str, Any]:
        """Say it to a client."""
        sent: dict[str, Any] = {"headers": dict(self.headers)}
        if self.value is not None:
            sent["json"] = self.value
        if self.body is not None:
            sent["data"] = self.body.encode()
            sent["headers"].setdefault("Content-Type", "application/json")
        return sent


def fits(one: Try, status: int, text: str) -> bool:
    """Whether an answer is the one that is wanted, as far as every transcoder could give it."""
    if status != one.status:
        return False
    try:
        if "is" in one.wanted:
            return bool(json.loads(text) == one.wanted["is"])
        if "lines" in one.wanted:
            return [json.loads(line) for line in text.splitlines()] == one.wanted["lines"]
    except ValueError:
        return False
    return True


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


def differences() -> list[dict[str, Any]]:
    """Read where Envoy answers otherwise, and what for."""
    read: list[dict[str, Any]] = yaml.safe_load((HERE / "differences.yaml").read_text())
    return read


def _try(raw: dict[str, Any]) -> Try:
    assert not raw.keys() - _KNOWN, raw
    (method,) = [name for name in _METHODS if name in raw]
    wanted = {key: raw[key] for key in ("status", "is", "lines", "code", "headers_are") if key in raw}
    return Try(method.upper(), raw[method], wanted, raw.get("headers", {}), raw.get("json"), raw.get("body"))
