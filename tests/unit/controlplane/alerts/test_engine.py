"""The engine with a real store, live samples and findings; time is given."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from solward.alerts.v1 import alerts_pb2 as pb
from solward.hosts.v1 import link_pb2
from sqlalchemy.ext.asyncio import AsyncEngine

from common.errors import SolwardError
from controlplane.alerts import engine as module
from controlplane.alerts import findings
from controlplane.alerts.book import Book
from controlplane.alerts.engine import MAX_DETAILS, SETTLE_MS, AlertEngine
from controlplane.alerts.findings import MAX_A_MINUTE, Findings
from controlplane.alerts.rules import BUILT_IN, EventTrigger, LinkTrigger, Rule, SeriesTrigger
from controlplane.links.registry import AgentLink, Links
from controlplane.store.alerts import AlertRepository
from controlplane.store.database import close_engine, migrate, open_engine
from controlplane.store.events import EventRepository
from controlplane.store.hosts import ACTIVE, HostRepository, HostRow
from controlplane.telemetry.ingest import Ingest

UID = {"sol-1": "1" * 32, "sol-2": "2" * 32}
SPOOL = "a" * 32
DOWN = Rule(
    name="validator_down", severity="critical", summary="down", for_seconds=3, resolve_seconds=2,
    series=SeriesTrigger(series="solana_validator_active", below=1),
)  # fmt: skip
OFFLINE = Rule(
    name="agent_offline", severity="error", subject="monitor", summary="offline", for_seconds=2, resolve_seconds=1,
    during_operations=True, link=LinkTrigger(state="offline"),
)  # fmt: skip
STALLED = Rule(
    name="replay_stalled", severity="critical", summary="stalled", hold=("validator_down",),
    series=SeriesTrigger(series="slot", statistic="stalled", window_seconds=3),
)  # fmt: skip
FOUND = Rule(
    name="critical_finding", severity="critical", summary="found", events=EventTrigger(severities=("critical",)),
    resolve_seconds=5, during_operations=True,
)  # fmt: skip
OFTEN = Rule(
    name="repeated_warning", severity="warning", summary="often",
    events=EventTrigger(severities=("warning",), times=3, window_seconds=10), resolve_seconds=5,
)  # fmt: skip


@dataclass
class World:
    """A control plane's alerts, with a clock that is moved by hand."""

    database: AsyncEngine
    rules: list[Rule]
    links: Links = field(default_factory=Links)
    ingest: Ingest = field(default_factory=lambda: Ingest(600))
    now: int = 1_000_000_000
    busy: set[str] = field(default_factory=set)
    sequence: int = 0

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Make the process anew, on the same store."""
        self.book = Book(AlertRepository(self.database))
        hosts = HostRepository(self.database)
        self.engine = AlertEngine(self.rules, hosts, self.links, self.ingest, self.book, lambda: self.busy)
        self.findings = Findings(EventRepository(self.database), AlertRepository(self.database), self.engine)

    async def add(self, name: str, group: str = "") -> None:
        hosts = HostRepository(self.database)
        await hosts.replace(UID[name], name, self.now)
        await hosts.set_state(UID[name], ACTIVE)
        await hosts.seen(UID[name], self.now, host_group=group)
        await self.connect(name)

    async def connect(self, name: str) -> AgentLink:
        hello = link_pb2.Hello(spool_id=SPOOL)
        link = AgentLink(UID[name], name, 0, hello)
        await self.links.attach(link, successor=True)
        self.ingest.open(name, hello)
        for number, series in enumerate(("solana_validator_active", "slot")):
            definition = link_pb2.SeriesDefinition(id=number, name=series)
            self.ingest.feeds[name].ring.define(definition)
        return link

    def sample(self, name: str, active: float = 1.0, slot: float | None = None) -> None:
        values = {0: active} | ({} if slot is None else {1: slot})
        ring = self.ingest.feeds[name].ring
        ring.write(link_pb2.SampleBatch(unix_ms=self.now, series=values.keys(), values=values.values()), self.now)

    async def second(self, *names: str, active: float = 1.0, slot: float | None = None) -> None:
        self.now += 1000
        for name in names:
            self.sample(name, active, slot)
        await self.engine.tick(self.now)

    async def found(self, name: str, kind: str, severity: link_pb2.Severity, times: int = 1) -> None:
        self.sequence += 1
        event = link_pb2.Event(kind=kind, severity=severity, times=times, unix_ms=self.now, message="said", advice="do")
        batch = link_pb2.EventBatch(sequence=self.sequence, events=[event])
        await self.findings.take(UID[name], name, SPOOL, batch)

    def firing(self) -> list[tuple[str, str, str]]:
        return sorted((a.rule, a.host, a.detail) for a in self.book.open.values())

    async def all(self) -> list[pb.Alert]:
        return [
            alert for _, alert in await AlertRepository(self.database).page("", resolved=True, after=None, size=100)
        ]


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    database = open_engine(f"sqlite+aiosqlite:///{tmp_path / 'state.db'}")
    await migrate(database)
    made = World(database, [DOWN, OFFLINE, STALLED, FOUND, OFTEN])
    monkeypatch.setattr(module, "now_ms", lambda: made.now)
    yield made
    await close_engine(database)


async def test_a_validator_that_goes_down_fires_and_is_resolved(world: World) -> None:
    await world.add("sol-1", "mainnet")
    for _ in range(3):
        await world.second("sol-1", active=0)
    assert world.firing() == []
    await world.second("sol-1", active=0)
    assert world.firing() == [("validator_down", "hosts/sol-1", "")]
    (alert,) = world.book.open.values()
    assert (alert.group, alert.severity, alert.evidence) == ("mainnet", link_pb2.SEVERITY_CRITICAL, "last 0")
    assert alert.fire_time.ToMilliseconds() - alert.start_time.ToMilliseconds() == 3000
    for _ in range(2):
        await world.second("sol-1")
    assert world.firing() == []
    (alert,) = await world.all()
    assert alert.state == pb.ALERT_STATE_RESOLVED
    assert alert.resolve_time.ToMilliseconds() == world.now


async def test_a_blind_monitor_says_so_and_says_nothing_of_the_validator(world: World) -> None:
    await world.add("sol-1")
    await world.second("sol-1")
    link = world.links.open_links()[0]
    world.links.detach(link)
    for _ in range(20):
        await world.second()
    assert world.firing() == [("agent_offline", "hosts/sol-1", "")]
    (alert,) = world.book.open.values()
    assert alert.subject == pb.ALERT_SUBJECT_MONITOR
    await world.connect("sol-1")
    await world.second("sol-1")
    await world.second("sol-1")
    assert world.firing() == []


async def test_an_alert_that_fires_while_the_monitor_goes_blind_is_unsure_and_stays(world: World) -> None:
    await world.add("sol-1")
    for _ in range(4):
        await world.second("sol-1", active=0)
    world.links.detach(world.links.open_links()[0])
    for _ in range(20):
        await world.second()
    down = next(alert for alert in world.book.open.values() if alert.rule == "validator_down")
    assert down.unsure
    await world.connect("sol-1")
    await world.second("sol-1", active=0)
    assert not down.unsure
    assert down.state == pb.ALERT_STATE_FIRING


async def test_an_operation_takes_a_validator_down_without_an_alert(world: World) -> None:
    await world.add("sol-1")
    world.busy = {"hosts/sol-1"}
    for _ in range(10):
        await world.second("sol-1", active=0)
    assert world.firing() == []
    world.busy = set()
    for _ in range(SETTLE_MS // 1000 + 5):
        await world.second("sol-1", active=0)
    # It is still down when the operation has long ended: that is news.
    assert world.firing() == [("validator_down", "hosts/sol-1", "")]


async def test_one_cause_raises_one_alert(world: World) -> None:
    await world.add("sol-1")
    for slot in range(5):
        await world.second("sol-1", slot=slot)
    for _ in range(4):
        await world.second("sol-1", slot=4)
    assert world.firing() == [("replay_stalled", "hosts/sol-1", "")]
    for slot in range(5, 40):
        await world.second("sol-1", slot=slot)
    assert world.firing() == []
    for _ in range(10):
        await world.second("sol-1", active=0)
    # The slots stand too, but because the validator is down.
    assert world.firing() == [("validator_down", "hosts/sol-1", "")]


async def test_findings_fire_at_once_each_kind_by_itself(world: World) -> None:
    await world.add("sol-1")
    await world.second("sol-1")
    await world.found("sol-1", "validator.panic", link_pb2.SEVERITY_CRITICAL)
    await world.found("sol-1", "validator.disk_full", link_pb2.SEVERITY_CRITICAL)
    await world.found("sol-1", "validator.panic", link_pb2.SEVERITY_CRITICAL)
    assert [(rule, detail) for rule, _, detail in world.firing()] == [
        ("critical_finding", "validator.disk_full"), ("critical_finding", "validator.panic"),
    ]  # fmt: skip
    panic = next(alert for alert in world.book.open.values() if alert.detail == "validator.panic")
    assert (panic.evidence, panic.advice) == ("said", "do")
    for _ in range(70):
        await world.second("sol-1")
    assert world.firing() == []


async def test_a_warning_must_come_often(world: World) -> None:
    await world.add("sol-1")
    await world.second("sol-1")
    for _ in range(2):
        await world.found("sol-1", "validator.behind", link_pb2.SEVERITY_WARNING)
    for _ in range(15):
        await world.second("sol-1")
    await world.found("sol-1", "validator.behind", link_pb2.SEVERITY_WARNING, times=2)
    assert world.firing() == []
    await world.found("sol-1", "validator.behind", link_pb2.SEVERITY_WARNING)
    assert world.firing() == [("repeated_warning", "hosts/sol-1", "validator.behind")]


async def test_a_batch_that_comes_twice_counts_once(world: World) -> None:
    await world.add("sol-1")
    await world.second("sol-1")
    for _ in range(5):
        world.sequence = 0
        await world.found("sol-1", "validator.behind", link_pb2.SEVERITY_WARNING)
    assert world.firing() == []
    stored = await EventRepository(world.database).page("", 0, None, 100)
    assert [(name, event.kind) for _, name, event in stored] == [("sol-1", "validator.behind")]


async def test_a_flood_of_findings_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.add("sol-1")
    await world.second("sol-1")
    # All within one minute.
    monkeypatch.setattr(findings, "time", SimpleNamespace(monotonic=lambda: 90.0))
    for number in range(3):
        events = [link_pb2.Event(kind="x", unix_ms=world.now)] * 1000
        await world.findings.take(UID["sol-1"], "sol-1", SPOOL, link_pb2.EventBatch(sequence=number + 1, events=events))
    repository = EventRepository(world.database)
    assert len(await repository.page("", 0, None, 5000)) == MAX_A_MINUTE
    await repository.prune(0, 500)
    assert len(await repository.page("", 0, None, 5000)) <= 500
    await repository.prune(world.now + 1, 500)
    assert await repository.page("", 0, None, 5000) == []


async def test_after_a_restart_the_same_alert_goes_on(world: World) -> None:
    await world.add("sol-1")
    for _ in range(4):
        await world.second("sol-1", active=0)
    (name,) = world.book.open
    world.begin()
    await world.engine.start()
    for _ in range(3):
        await world.second("sol-1", active=0)
    assert list(world.book.open) == [name]
    for _ in range(5):
        await world.second("sol-1")
    assert [alert.state for alert in await world.all()] == [pb.ALERT_STATE_RESOLVED]


async def test_what_no_rule_or_host_stands_for_any_more_is_resolved(world: World) -> None:
    await world.add("sol-1")
    await world.add("sol-2")
    for _ in range(4):
        await world.second("sol-1", "sol-2", active=0)
    assert len(world.firing()) == 2
    await HostRepository(world.database).set_state(UID["sol-1"], "revoked")
    await world.second("sol-2", active=0)
    assert world.firing() == [("validator_down", "hosts/sol-2", "")]
    world.rules = [OFFLINE]
    world.begin()
    await world.engine.start()
    assert world.firing() == []


async def test_within_the_cooldown_the_alert_keeps_its_name(world: World) -> None:
    await world.add("sol-1")
    names = set()
    for _ in range(3):
        for _ in range(4):
            await world.second("sol-1", active=0)
        names |= set(world.book.open)
        for _ in range(3):
            await world.second("sol-1")
    assert len(names) == 1
    (alert,) = await world.all()
    assert alert.times == 3


async def test_silences_keep_quiet_what_they_cover_until_they_end(world: World) -> None:
    await world.add("sol-1")
    told: list[list[pb.Alert]] = []

    async def listen() -> None:
        async for group in world.book.watch(lambda alert: not alert.silence):
            told.append(group)

    listener = asyncio.create_task(listen())
    silence = pb.Silence(rule="validator_down", host="hosts/sol-1", reason="work")
    silence.end_time.FromMilliseconds(world.now + 60_000)
    await world.book.silence(silence)
    for _ in range(4):
        await world.second("sol-1", active=0)
    await asyncio.sleep(0)
    assert [alert.silence for alert in world.book.open.values()] == [silence.name]
    assert told == []
    world.now += 60_000
    await world.second("sol-1", active=0)
    await asyncio.sleep(0.01)
    assert [[alert.rule for alert in group] for group in told] == [["validator_down"]]
    with pytest.raises(SolwardError, match="no silences/"):
        await world.book.end_silence(silence.name)
    listener.cancel()


async def test_changes_of_one_rule_are_told_together(world: World) -> None:
    await world.add("sol-1")
    await world.add("sol-2")
    told: list[list[str]] = []

    async def listen() -> None:
        async for group in world.book.watch(lambda alert: True):
            told.append(sorted(alert.host for alert in group))

    listener = asyncio.create_task(listen())
    for _ in range(4):
        await world.second("sol-1", "sol-2", active=0)
    await asyncio.sleep(0.01)
    assert told == [["hosts/sol-1", "hosts/sol-2"]]
    listener.cancel()


async def test_acknowledgement_is_kept_and_ends_with_the_alert(world: World) -> None:
    await world.add("sol-1")
    for _ in range(4):
        await world.second("sol-1", active=0)
    (name,) = world.book.open
    assert (await world.book.acknowledge(name, "users/ann", "mine")).acknowledged_by == "users/ann"
    await world.second("sol-1", active=0)
    (stored,) = await world.all()
    assert (stored.acknowledged_by, stored.comment) == ("users/ann", "mine")
    for _ in range(3):
        await world.second("sol-1")
    with pytest.raises(SolwardError) as caught:
        await world.book.acknowledge(name, "users/ann", "late")
    assert caught.value.reason == "ALERT_RESOLVED"
    with pytest.raises(SolwardError) as caught:
        await world.book.acknowledge("alerts/" + "0" * 32, "users/ann", "")
    assert caught.value.reason == "ALERT_NOT_FOUND"


async def test_a_watcher_who_does_not_read_is_let_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controlplane.alerts.book.QUEUE", 2)
    watch = world.book.watch(lambda alert: True)
    first = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    alert = pb.Alert(name="alerts/" + "0" * 32, rule="x", state=pb.ALERT_STATE_FIRING)
    alert.fire_time.FromMilliseconds(1)
    await world.book.put([alert])
    await first
    for _ in range(3):
        await world.book.put([alert])
    with pytest.raises(SolwardError) as caught:
        for _ in range(5):
            await anext(watch)
    assert caught.value.reason == "TOO_SLOW"


async def test_the_built_in_rules_are_quiet_on_a_well_host(world: World) -> None:
    world.rules = list(BUILT_IN)
    world.begin()
    await world.add("sol-1")
    for slot in range(120):
        await world.second("sol-1", slot=slot)
    assert world.firing() == []


async def test_a_hosts_row_is_found_for_every_host(world: World) -> None:
    await world.add("sol-1")
    row = await HostRepository(world.database).by_name("sol-1")
    assert isinstance(row, HostRow)
    with pytest.raises(SolwardError, match="there are agent_offline, critical_finding"):
        world.engine.must_know("nothing")


async def test_kinds_without_end_share_one_alert(world: World) -> None:
    await world.add("sol-1")
    await world.second("sol-1")
    for number in range(MAX_DETAILS + 50):
        await world.found("sol-1", f"validator.made_up_{number}", link_pb2.SEVERITY_CRITICAL)
    assert len(world.firing()) == MAX_DETAILS + 1
    assert ("critical_finding", "hosts/sol-1", "other") in world.firing()


async def test_an_alert_that_cannot_be_stored_is_told_and_stored_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.add("sol-1")

    async def full(_self: AlertRepository, _alert: pb.Alert) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(AlertRepository, "save", full)
        for _ in range(4):
            await world.second("sol-1", active=0)
    assert world.firing() == [("validator_down", "hosts/sol-1", "")]
    assert await world.all() == []
    await world.second("sol-1", active=0)
    assert [alert.rule for alert in await world.all()] == ["validator_down"]


async def test_alerts_long_over_are_let_go_and_those_that_fire_are_not(world: World) -> None:
    await world.add("sol-1")
    for _ in range(4):
        await world.second("sol-1", active=0)
    repository = AlertRepository(world.database)
    await repository.prune(world.now + 1)
    assert len(await world.all()) == 1
    for _ in range(5):
        await world.second("sol-1")
    await repository.prune(world.now + 1)
    assert await world.all() == []
