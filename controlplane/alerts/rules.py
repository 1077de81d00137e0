"""Rules: when an alert is raised. Data alone; `evaluate` and `track` say what it means."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator
from solward.hosts.v1 import link_pb2

SeverityWord = Literal["info", "warning", "error", "critical"]
SEVERITIES: dict[str, link_pb2.Severity] = {
    "info": link_pb2.SEVERITY_INFO,
    "warning": link_pb2.SEVERITY_WARNING,
    "error": link_pb2.SEVERITY_ERROR,
    "critical": link_pb2.SEVERITY_CRITICAL,
}
Seconds = Annotated[int, Field(ge=0, le=86_400)]
Window = Annotated[int, Field(ge=1, le=900)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class SeriesTrigger(BaseModel, extra="forbid", frozen=True):
    """Holds while a figure of a host's series is beyond a bound.

    `last`, `sum`, `ratio` (of sums, `series` over `over`) are of the window; `stalled`: a number that only grows has
    not grown within it; `missing`: a series that was there has had no value within it.
    """

    series: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,127}$")]
    labels: dict[str, str] = {}
    statistic: Literal["last", "sum", "ratio", "stalled", "missing"] = "last"
    over: str = ""
    above: float | None = None
    below: float | None = None
    window_seconds: Window = 15

    @model_validator(mode="after")
    def _whole(self) -> "SeriesTrigger":
        bounded = (self.above is None) != (self.below is None)
        if self.statistic in ("last", "sum", "ratio") and not bounded:
            raise ValueError("needs above or below, and not both")
        if (self.statistic == "ratio") != bool(self.over):
            raise ValueError("over goes with the statistic ratio, and with no other")
        return self

    def words(self) -> str:
        """Say it in words."""
        labels = ",".join(f"{key}={value}" for key, value in self.labels.items())
        what = f"{self.series}{{{labels}}}" if labels else self.series
        within = f"for {self.window_seconds} s" if self.statistic in ("stalled", "missing") else ""
        bound = f"> {self.above:g}" if self.above is not None else f"< {self.below:g}" if self.below is not None else ""
        over = f" / {self.over}" if self.over else ""
        return " ".join(filter(None, (f"{self.statistic}({what}{over})", bound, within)))


class EventTrigger(BaseModel, extra="forbid", frozen=True):
    """Holds when findings of a kind came often enough within a window; each kind raises an alert of its own."""

    kinds: tuple[str, ...] = ()
    severities: tuple[SeverityWord, ...] = ()
    times: Annotated[int, Field(ge=1, le=10_000)] = 1
    window_seconds: Window = 60

    def matches(self, event: link_pb2.Event) -> bool:
        """Whether a finding counts."""
        graves = {SEVERITIES[word] for word in self.severities}
        return (not self.kinds or event.kind in self.kinds) and (not graves or event.severity in graves)

    def words(self) -> str:
        """Say it in words."""
        what = " or ".join(self.kinds) or f"a finding that is {' or '.join(self.severities) or 'of any kind'}"
        return what if self.times == 1 else f"{what}, {self.times} times in {self.window_seconds} s"


class LinkTrigger(BaseModel, extra="forbid", frozen=True):
    """Holds while nothing is heard of an active host: `offline` without a stream, `silent` with one."""

    state: Literal["offline", "silent"]

    def words(self) -> str:
        """Say it in words."""
        return "its agent is not connected" if self.state == "offline" else "its agent sends no samples"


class Rule(BaseModel, extra="forbid", frozen=True):
    """One rule; exactly one of `series`, `events` and `link` says when it holds.

    `hold`: while one of these rules fires on the host, or is about to, this one can tell nothing. `during_operations`:
    it is judged also while an operation is at work on the host, which takes a validator down for good reason.
    """

    name: Name
    severity: SeverityWord
    subject: Literal["validator", "monitor", "pipeline", "bundles"] = "validator"
    summary: Annotated[str, Field(max_length=256)]
    advice: Annotated[str, Field(max_length=512)] = ""
    series: SeriesTrigger | None = None
    events: EventTrigger | None = None
    link: LinkTrigger | None = None
    for_seconds: Seconds = 0
    resolve_seconds: Seconds = 15
    cooldown_seconds: Seconds = 300
    hold: tuple[Name, ...] = ()
    during_operations: bool = False

    @model_validator(mode="after")
    def _one_trigger(self) -> "Rule":
        if sum(trigger is not None for trigger in (self.series, self.events, self.link)) != 1:
            raise ValueError("needs exactly one of series, events and link")
        return self

    @property
    def trigger(self) -> SeriesTrigger | EventTrigger | LinkTrigger:
        """What it listens to."""
        trigger = self.series or self.events or self.link
        if trigger is None:
            raise ValueError(self.name)
        return trigger


class AlertSettings(BaseModel, extra="forbid"):
    """Rules beside the built-in ones; one of the same name takes a built-in one's place."""

    rules: list[Rule] = []
    disabled: list[str] = []

    @model_validator(mode="after")
    def _known(self) -> "AlertSettings":
        unknown = sorted(set(self.disabled) - {rule.name for rule in BUILT_IN})
        if unknown:
            raise ValueError(f"disabled names no built-in rule: {', '.join(unknown)}")
        return self

    def in_force(self) -> list[Rule]:
        """Every rule that is judged."""
        own = {rule.name for rule in self.rules}
        built_in = [rule for rule in BUILT_IN if rule.name not in own and rule.name not in self.disabled]
        return [*built_in, *self.rules]


_DOWN = ("validator_down",)

BUILT_IN: tuple[Rule, ...] = (
    # Of the monitor: whoever fires here says that nothing is known, not that something is wrong.
    Rule(
        name="agent_offline", severity="error", subject="monitor", during_operations=True,
        summary="the agent is not connected, so nothing is known of the validator",
        advice="look at the host and at solward-agent on it; the validator may be well",
        link=LinkTrigger(state="offline"), for_seconds=30, resolve_seconds=5,
    ),
    Rule(
        name="agent_silent", severity="warning", subject="monitor", during_operations=True,
        summary="the agent is connected and sends no samples", advice="journalctl -u solward-agent on the host",
        link=LinkTrigger(state="silent"), for_seconds=20, resolve_seconds=5,
    ),
    Rule(
        name="unit_unreadable", severity="warning", subject="monitor", during_operations=True,
        summary="the agent cannot see the validator's unit", advice="solward-agent check on the host",
        series=SeriesTrigger(series="solana_validator_active", statistic="missing", window_seconds=30),
    ),
    Rule(
        name="log_unreadable", severity="warning", subject="monitor", during_operations=True,
        summary="the validator's log cannot be read", advice="is solward-agent in the group systemd-journal?",
        series=SeriesTrigger(series="solana_log_readable", below=1), for_seconds=60,
    ),
    Rule(
        name="audit_log_disputed", severity="critical", subject="monitor", during_operations=True,
        summary="what this host remembers of the audit log contradicts it",
        advice="ctl audit witness; ctl audit verify --witness an export, before anything is changed",
        events=EventTrigger(kinds=("audit.disputed",), window_seconds=900), resolve_seconds=0,
    ),
    Rule(
        name="references_disagree", severity="warning", subject="monitor", during_operations=True,
        summary="the nodes outside do not answer or do not agree, so it is not known how far this node is behind",
        advice="ctl rpc connections; rpc.references of the agent",
        series=SeriesTrigger(series="solana_rpc_monitor_reliable", below=1), for_seconds=60,
    ),
    # Of the validator.
    Rule(
        name="validator_down", severity="critical", summary="the validator's unit is not active",
        advice="ctl validator status, then its log; find out why before it is started",
        series=SeriesTrigger(series="solana_validator_active", below=1), for_seconds=10,
    ),
    Rule(
        name="rpc_down", severity="error", summary="nearly every RPC call to the node fails", hold=_DOWN,
        advice="ctl rpc latency shows which errors; a node that starts answers nothing for a while",
        series=SeriesTrigger(series="solana_rpc_errors", over="solana_rpc_requests", statistic="ratio", above=0.9),
        for_seconds=30,
    ),
    Rule(
        name="node_behind", severity="error", summary="the node is behind the cluster", hold=_DOWN,
        advice="ctl rpc connections; a node that starts catches up by itself",
        series=SeriesTrigger(series="solana_rpc_slot_lag", above=150), for_seconds=30, resolve_seconds=30,
    ),
    Rule(
        name="subscription_down", severity="warning", summary="slots cannot be subscribed to", hold=_DOWN,
        advice="ctl rpc connections says why; a node pushes nothing without --full-rpc-api",
        series=SeriesTrigger(series="solana_ws_up", below=1), for_seconds=60,
    ),
    Rule(
        name="rpc_unusual", severity="warning", summary="the node answers in a way that it is not used to",
        advice="ctl rpc health shows which series and since when; ctl rpc acknowledge makes it quiet while it lasts",
        events=EventTrigger(kinds=("rpc.unusual",)), hold=_DOWN, resolve_seconds=90,
    ),
    Rule(
        name="replay_stalled", severity="critical", summary="no slot was replayed", hold=_DOWN,
        advice="ctl validator node; compare with another node before anything is restarted",
        series=SeriesTrigger(series="solana_validator_frozen_slot", statistic="stalled", window_seconds=30),
    ),
    Rule(
        name="root_stalled", severity="error", summary="the root does not advance", hold=(*_DOWN, "replay_stalled"),
        advice="the cluster may not confirm, or this node is on a fork of its own",
        series=SeriesTrigger(series="solana_validator_root_slot", statistic="stalled", window_seconds=60),
    ),
    Rule(
        name="votes_stalled", severity="critical", summary="the tower does not advance: the node does not vote",
        advice="ctl validator node: its identity, its voters, its balance", hold=(*_DOWN, "replay_stalled"),
        series=SeriesTrigger(series="solana_validator_tower_vote_slot", statistic="stalled", window_seconds=60),
    ),
    Rule(
        name="udp_drops", severity="warning", summary="the kernel drops the validator's packets", hold=_DOWN,
        advice="net.core.rmem_max=134217728, and look at what else uses the CPU",
        series=SeriesTrigger(
            series="solana_validator_net_rcvbuf_errors", statistic="sum", above=1000, window_seconds=60
        ),
        for_seconds=60, resolve_seconds=60,
    ),
    Rule(
        name="memory_low", severity="error", summary="less than 5 % of memory is left", hold=_DOWN,
        advice="look at what else runs here; the kernel ends the largest process first",
        series=SeriesTrigger(series="solana_validator_memory_available_ratio", below=0.05), for_seconds=60,
    ),
    # Of bundles; their findings are of no severity of their own, so that each is told once.
    Rule(
        name="bundle_partial", severity="critical", subject="bundles",
        summary="part of a bundle landed alone", during_operations=True,
        advice="ctl jito bundles; what was meant to happen as one did not: look at the positions",
        events=EventTrigger(kinds=("jito.partial",)), resolve_seconds=900,
    ),
    Rule(
        name="shadow_drop", severity="error", subject="bundles",
        summary="bundles are received, and nothing becomes of them",
        advice="ctl jito regions: calls beyond the limit are answered and dropped; pause for some minutes, then slower",
        events=EventTrigger(kinds=("jito.shadow_drop",)), resolve_seconds=600, during_operations=True,
    ),
    Rule(
        name="acceptance_collapse", severity="warning", subject="bundles",
        summary="far fewer bundles are accepted than before",
        advice="ctl jito bundles tells why; ctl jito tips whether others tip more",
        events=EventTrigger(kinds=("jito.acceptance_collapse",)), resolve_seconds=600, during_operations=True,
    ),
    Rule(
        name="tip_budget", severity="warning", subject="bundles",
        summary="bundles are refused: the budget for tips is used up",
        advice="ctl jito budget", events=EventTrigger(kinds=("jito.budget_exhausted",)), resolve_seconds=600,
        during_operations=True,
    ),
    Rule(
        name="bundle_results_silent", severity="warning", subject="monitor", during_operations=True,
        summary="a region's results are not subscribed to, so silence of bundles means nothing",
        advice="ctl jito regions", series=SeriesTrigger(series="jito_results_stream_up", below=1), for_seconds=60,
    ),
    # Of Geyser pipelines; told each half minute while they last.
    Rule(
        name="pipeline_broken", severity="error", subject="pipeline",
        summary="a Geyser pipeline is broken", during_operations=True,
        advice="ctl geyser explain PIPELINE names the hop and says why",
        events=EventTrigger(kinds=("geyser.down", "geyser.stalled")), resolve_seconds=90,
    ),
    Rule(
        name="pipeline_losing", severity="error", subject="pipeline",
        summary="a Geyser pipeline loses events", during_operations=True,
        advice="ctl geyser explain PIPELINE names the hop and says why",
        events=EventTrigger(kinds=("geyser.losing",)), resolve_seconds=90,
    ),
    Rule(
        name="pipeline_slow", severity="warning", subject="pipeline",
        summary="a Geyser pipeline is late", during_operations=True,
        advice="ctl geyser explain PIPELINE names the hop and says why",
        events=EventTrigger(kinds=("geyser.slow",)), resolve_seconds=90,
    ),
    Rule(
        name="pipeline_recovery", severity="warning", subject="pipeline",
        summary="a Geyser pipeline mends itself", during_operations=True,
        advice="ctl operations list shows what was done", resolve_seconds=600,
        events=EventTrigger(kinds=("geyser.recovery",)),
    ),
    Rule(
        name="pipeline_recovery_refused", severity="error", subject="pipeline",
        during_operations=True, resolve_seconds=3600,
        summary="a Geyser pipeline does not mend itself: nobody who may answers for it",
        advice="ctl geyser recovery PIPELINE on, by an administrator",
        events=EventTrigger(kinds=("geyser.recovery_refused",)),
    ),
    Rule(
        name="critical_finding", severity="critical", summary="the validator's log says that it is in danger",
        events=EventTrigger(severities=("critical",)), resolve_seconds=600, during_operations=True,
    ),
    Rule(
        name="error_finding", severity="error", summary="the validator's log tells of an error",
        events=EventTrigger(severities=("error",)), resolve_seconds=300,
    ),
    Rule(
        name="repeated_warning", severity="warning", summary="the validator's log repeats a warning",
        events=EventTrigger(severities=("warning",), times=5), resolve_seconds=300,
    ),
)  # fmt: skip
