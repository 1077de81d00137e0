"""Which pipelines there are, and what each may do to mend itself; checked whole before anything starts."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

Kind = Literal["node", "plugin", "stream", "topic", "consumer", "sink"]
Name = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")]
HostId = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")]
SourceName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Word = Annotated[str, Field(max_length=249)]
Unit = Annotated[str, Field(pattern=r"^[a-zA-Z0-9:_.@\\-]{1,240}\.service$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]

# The delay that a hop may add before it is called slow, in seconds.
SLOW_S: dict[Kind, float] = {"node": 10, "plugin": 2, "stream": 2, "topic": 5, "consumer": 10, "sink": 10}
# What each kind of hop must say of itself, besides its host.
_NEEDS: dict[Kind, tuple[str, ...]] = {
    "node": (),
    "plugin": ("source",),
    "stream": ("source",),
    "topic": ("source", "topic"),
    "consumer": ("source", "topic", "group"),
    "sink": ("source", "table"),
}
_PARTS = ("source", "topic", "group", "table")
# What can be done about each kind of hop.
_CURES: dict[Kind, tuple[str, ...]] = {
    # A node that is not well is not restarted by itself, and one that is has nothing to be mended.
    "node": (),
    "plugin": ("reload_plugin", "load_plugin", "restart_validator"),
    "stream": ("reload_plugin", "restart_validator"),
    "topic": (),
    "consumer": ("restart_unit",),
    "sink": ("restart_unit",),
}

Cure = Literal["reload_plugin", "load_plugin", "restart_unit", "restart_validator"]
Flaw = Literal["slow", "losing", "stalled", "down"]


class HopSettings(BaseModel, extra="forbid", frozen=True):
    """One hop.

    `host` is whose agent looks at it. `after` names the hop before it, by default the one above. `slow_seconds` is
    the delay that it may add. `unit` is the consumer's systemd unit, on `unit_host` (by default `host`).
    """

    name: Name
    kind: Kind
    host: HostId
    source: SourceName | Literal[""] = ""
    topic: Word = ""
    group: Word = ""
    table: Word = ""
    after: Name | Literal[""] = ""
    slow_seconds: Seconds | None = None
    unit: Unit | Literal[""] = ""
    unit_host: HostId | Literal[""] = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        needed = _NEEDS[self.kind]
        for field in _PARTS:
            if bool(getattr(self, field)) != (field in needed):
                must = "needs" if field in needed else "has no"
                raise ValueError(f"hop {self.name}: a {self.kind} {must} {field}")
        return self

    @property
    def part(self) -> str:
        """What it is within its source."""
        return self.group or self.topic or self.table

    @property
    def slow_s(self) -> float:
        """The delay that it may add, in seconds."""
        return self.slow_seconds or SLOW_S[self.kind]


class CureSettings(BaseModel, extra="forbid", frozen=True):
    """What is done once a hop has been at fault for a while: the steps, one try each, until it flows again.

    A validator's restart waits for another person's approval, whatever the policy of operations says.
    """

    hop: Name
    flaws: Annotated[tuple[Flaw, ...], Field(min_length=1)] = ("down", "stalled")
    for_seconds: Annotated[float, Field(ge=5, le=86_400)] = 60
    steps: Annotated[tuple[Cure, ...], Field(min_length=1, max_length=8)]

    @property
    def words(self) -> str:
        """Say it in words."""
        steps = ", then ".join(step.replace("_", " ") for step in self.steps)
        return f"when {self.hop} is {' or '.join(self.flaws)} for {self.for_seconds:g} s: {steps}"


class RecoverySettings(BaseModel, extra="forbid", frozen=True):
    """How a pipeline mends itself, once an operator turns that on.

    `settle_seconds` is how long a step may take to show; `back_off_seconds` lies between two tries and doubles.
    """

    cures: Annotated[tuple[CureSettings, ...], Field(min_length=1)]
    budget_per_hour: Annotated[int, Field(ge=1, le=60)] = 3
    settle_seconds: Annotated[float, Field(ge=5, le=3600)] = 60
    back_off_seconds: Annotated[float, Field(ge=5, le=3600)] = 60


class PipelineSettings(BaseModel, extra="forbid", frozen=True):
    """One pipeline: its hops from the node on, and how it mends itself."""

    hops: Annotated[tuple[HopSettings, ...], Field(min_length=2, max_length=32)]
    recovery: RecoverySettings | None = None

    @model_validator(mode="after")
    def _linked(self) -> Self:
        seen: list[str] = []
        for hop in self.hops:
            if hop.name in seen:
                raise ValueError(f"hop {hop.name} is there twice")
            if hop.after and hop.after not in seen:
                raise ValueError(f"hop {hop.name}: after names {hop.after}, which is no hop above it")
            seen.append(hop.name)
        if self.hops[0].kind != "node" or any(hop.kind == "node" for hop in self.hops[1:]):
            raise ValueError("the first hop is the node, and no other is")
        return self

    @model_validator(mode="after")
    def _curable(self) -> Self:
        hops = {hop.name: hop for hop in self.hops}
        for cure in self.recovery.cures if self.recovery else ():
            hop = hops.get(cure.hop)
            if hop is None:
                raise ValueError(f"recovery: there is no hop {cure.hop}")
            for step in cure.steps:
                if step not in _CURES[hop.kind]:
                    raise ValueError(f"recovery: {step} cannot mend a {hop.kind}: {_curing(hop.kind)}")
            if hop.kind == "stream" and "reload_plugin" in cure.steps and not self._hangs_on_plugin(hop):
                raise ValueError(f"recovery: no plugin is before hop {hop.name}, so none can be reloaded")
            if "restart_unit" in cure.steps and not hop.unit:
                raise ValueError(f"recovery: hop {hop.name} names no unit to restart")
        return self

    def _hangs_on_plugin(self, hop: HopSettings) -> bool:
        hops, before = {one.name: one for one in self.hops}, self.before()
        name = before[hop.name]
        while name and hops[name].kind != "plugin":
            name = before[name]
        return bool(name)

    def before(self) -> dict[str, str]:
        """Name the hop before each; of the first there is none."""
        links = {hop.name: hop.after or above.name for above, hop in pairwise(self.hops)}
        return {self.hops[0].name: "", **links}


def _curing(kind: Kind) -> str:
    return f"what can is {', '.join(_CURES[kind])}" if _CURES[kind] else "nothing here can"


class GeyserSettings(BaseModel, extra="forbid", frozen=True):
    """Every pipeline, by name."""

    pipelines: dict[Name, PipelineSettings] = {}
