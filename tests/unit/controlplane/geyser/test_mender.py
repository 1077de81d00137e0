"""The mender: what recovery decides becomes an operation, once, unless a gate or an operator stands in its way."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import grpc
import pytest
from solward.geyser.v1 import geyser_pb2 as pb
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2

from common.errors import SolwardError
from controlplane.geyser import mender as module
from controlplane.geyser.mender import Mender
from controlplane.geyser.pipelines import Pipelines
from controlplane.geyser.settings import PipelineSettings
from controlplane.links.registry import Links
from controlplane.operations.gates import Gate
from controlplane.operations.plan import UnitPlan
from controlplane.store.hosts import HostRow
from controlplane.store.recoveries import Switch, Try
from controlplane.telemetry.ingest import Ingest
from tests.unit.controlplane.geyser.test_settings import HOPS, pipeline

PLUGIN_CURE = {"hop": "plugin", "steps": ["reload_plugin", "load_plugin", "restart_validator"], "for_seconds": 5}
UNIT_CURE = {"hop": "reader", "steps": ["restart_unit"], "for_seconds": 5}
RECOVERY = {"cures": [PLUGIN_CURE, UNIT_CURE], "settle_seconds": 5, "back_off_seconds": 5}
PASS, FAIL = operations_pb2.VERDICT_PASS, operations_pb2.VERDICT_FAIL
SOL, READER = "sol.service", "reader.service"


class Stored:
    def __init__(self) -> None:
        self.said = {"slots": Switch(True, "ana", 1)}
        self.made: list[Try] = []

    async def switches(self) -> dict[str, Switch]:
        return dict(self.said)

    async def set(self, name: str, switch: Switch) -> None:
        self.said[name] = switch

    async def tries(self, name: str, since_ms: int) -> list[Try]:
        return [one for one in self.made if one.begun_ms >= since_ms]

    async def drop(self, uid: str) -> None:
        self.made = [one for one in self.made if one.uid != uid]

    async def add(self, name: str, switch: Switch, tried: Try, after: str, since_ms: int) -> bool:
        known = [one.uid for one in self.made if one.begun_ms >= since_ms]
        if not switch.enabled or self.said[name] != switch or (known[-1] if known else "") != after:
            return False
        self.made.append(tried)
        return True


class Hosts:
    async def by_name(self, name: str) -> HostRow | None:
        return cast(HostRow, _Row(name)) if name != "gone" else None


class _Row:
    def __init__(self, name: str) -> None:
        self.name, self.uid = name, f"uid-{name}"


class Engine:
    def __init__(self) -> None:
        self.begun: list[tuple[UnitPlan, dict[str, Any]]] = []
        self.operations: dict[str, operations_pb2.Operation] = {}
        self.busy = False
        # What others did, the newest first.
        self.others: list[operations_pb2.Operation] = []

    async def newest_on(self, host_uid: str) -> list[operations_pb2.Operation]:
        return [*self.others, *reversed(self.operations.values())] if host_uid == "uid-sol-1" else []

    async def by_request(self, key: str) -> operations_pb2.Operation | None:
        return self.operations.get(key)

    async def steer(self, uid: str, edit: Any) -> operations_pb2.Operation:
        (operation,) = [one for one in self.operations.values() if one.name == f"operations/{uid}"]
        edit(operation)
        operation.state = operations_pb2.OPERATION_STATE_ABORTED
        return operation

    async def begin_unit(self, plan: UnitPlan, **asked: Any) -> operations_pb2.Operation:
        if self.busy:
            raise SolwardError(grpc.StatusCode.ABORTED, "HOST_BUSY", "operations/1 is at work on hosts/sol-1")
        self.begun.append((plan, asked))
        operation = operations_pb2.Operation(name=f"operations/{len(self.begun)}", host=f"hosts/{plan.host}")
        operation.state = operations_pb2.OPERATION_STATE_RUNNING
        self.operations[asked["request_key"]] = operation
        return operation


class Gating:
    verdict = PASS

    async def judge(self, plan: UnitPlan, own: str = "") -> tuple[None, list[Gate]]:
        return None, [Gate(name, "", self.verdict, f"{name} says so", {}) for name in plan.gates]


class Names:
    """Who may ask for what, by name; everybody, unless said otherwise."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.refused: dict[str, str] = {}

    async def judge(self, name: str, since_ms: int, method: str, request: Any) -> None:
        self.asked.append((name, method, request))
        if reason := self.refused.get(method):
            raise SolwardError(grpc.StatusCode.PERMISSION_DENIED, reason, f"{name} may not")


def links() -> Links:
    """Agents that are connected, whose roots allow what is needed."""
    known: dict[str, Any] = {}
    for host, unit, actions in (
        ("sol-1", SOL, ["validator.restart", "geyser.plugin"]), ("idx-1", READER, ["geyser.restart"]),
    ):  # fmt: skip
        state = link_pb2.UnitState(unit=unit, active_state="active", sub_state="running", invocation_id="i", main_pid=7)
        hello = link_pb2.Hello(knows_validator=True)
        hello.allowed_units.add(unit=unit, actions=actions)
        report = link_pb2.UnitReport(state=state)
        known[f"uid-{host}"] = type("Known", (), {
            "link": type("Link", (), {"hello": hello})(), "units": {unit: report}, "connected": True,
            "validator": unit if host == "sol-1" else "",
        })()  # fmt: skip
    return cast(Links, known)


class Stand:
    def __init__(self, settings: PipelineSettings) -> None:
        self.now, self.age_ms = 10**12, 0
        self.stored, self.engine, self.gating = Stored(), Engine(), Gating()
        self.pipelines = Pipelines({"slots": settings}, Ingest(60), lambda host, event: None)
        self.told: list[link_pb2.Event] = []
        self.names = Names()
        self.mender = Mender(
            self.pipelines, cast(Any, self.stored), cast(Any, Hosts()), links(), cast(Any, self.engine),
            cast(Any, self.gating), cast(Any, self.names), lambda host, event: self.told.append(event),
        )  # fmt: skip

    async def pass_time(self, seconds: int, **flows: pb.Flow) -> str:
        """Let time pass with the hops as given, all others well; gives what the recovery says."""
        for _ in range(seconds):
            self.now += 1000
            hops = [
                pb.Hop(name=hop["name"], host=f"hosts/{hop['host']}", flow=flows.get(hop["name"], pb.FLOW_OK),
                       message="it is so") for hop in HOPS
            ]  # fmt: skip
            at_fault = next((name for name, flow in flows.items() if flow != pb.FLOW_OK), "")
            pipeline = pb.Pipeline(name="pipelines/slots", hops=hops, slow_hop=at_fault)
            pipeline.time.FromMilliseconds(self.now - self.age_ms)
            self.pipelines.newest["slots"] = pipeline
            self.mender._switches = await self.stored.switches()
            await self.mender._look_after("slots")
        shown = self.mender.shown("slots")
        assert shown is not None
        return shown.message

    def end(self, state: operations_pb2.OperationState) -> None:
        newest = list(self.engine.operations.values())[-1]
        newest.state = state


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    stand = Stand(pipeline(HOPS, recovery=RECOVERY))
    monkeypatch.setattr(module, "now_ms", lambda: stand.now)
    yield stand


DOWN = pb.FLOW_DOWN


async def test_off_by_default_and_off_when_said_so(stand: Stand) -> None:
    stand.stored.said.clear()
    await stand.pass_time(60, plugin=DOWN)
    await stand.mender.set("slots", enabled=True, by="ana")
    await stand.mender.set("slots", enabled=False, by="ben")
    await stand.pass_time(60, plugin=DOWN)
    assert stand.engine.begun == []
    shown = stand.mender.shown("slots")
    assert shown is not None
    assert (shown.enabled, shown.set_by) == (False, "ben")


async def test_a_plugin_is_reloaded_once_and_the_attempt_is_on_the_books_first(stand: Stand) -> None:
    said = await stand.pass_time(20, plugin=DOWN)
    assert said == "operations/1 is at work"
    ((plan, asked),) = stand.engine.begun
    assert (plan.kind, plan.action, plan.host) == ("geyser.reload_plugin", "geyser.plugin", "sol-1")
    assert plan.gates == ("health", "leader")
    request = link_pb2.ActionRequest.FromString(plan.request).plugin
    assert (request.source, request.verb) == ("yellowstone", link_pb2.PLUGIN_VERB_RELOAD)
    assert asked["request_key"] == f"recovery/{stand.stored.made[0].uid}"
    assert asked["requester"] == "ana"
    assert asked["reason"] == "recovery of pipelines/slots: plugin is at fault: it is so"
    assert asked["approvals"] == 0
    assert [event.kind for event in stand.told] == ["geyser.recovery"]


async def test_a_gate_that_does_not_pass_costs_no_try(stand: Stand) -> None:
    stand.gating.verdict = FAIL
    assert await stand.pass_time(20, plugin=DOWN) == "plugin: reload_plugin waits: health: health says so"
    assert (stand.engine.begun, stand.stored.made) == ([], [])
    stand.gating.verdict = PASS
    await stand.pass_time(1, plugin=DOWN)
    assert len(stand.engine.begun) == 1


async def test_the_steps_follow_each_other_and_a_validators_restart_waits_for_a_person(stand: Stand) -> None:
    for kind, approvals in (("geyser.reload_plugin", 0), ("geyser.load_plugin", 0), ("validator.restart", 1)):
        await stand.pass_time(60, plugin=DOWN)
        plan, asked = stand.engine.begun[-1]
        assert (plan.kind, asked["approvals"]) == (kind, approvals)
        stand.end(operations_pb2.OPERATION_STATE_FAILED)
    assert len(stand.engine.begun) == 3
    assert "the budget of 3 tries an hour is used up" in await stand.pass_time(120, plugin=DOWN)
    assert len(stand.engine.begun) == 3


async def test_a_consumer_is_restarted_on_its_own_host(stand: Stand) -> None:
    await stand.pass_time(20, reader=pb.FLOW_STALLED)
    ((plan, _),) = stand.engine.begun
    assert (plan.kind, plan.host, plan.unit) == ("geyser.restart", "idx-1", READER)
    asked = link_pb2.ActionRequest.FromString(plan.request)
    assert asked.WhichOneof("action") == "service"
    assert (asked.service.verb, asked.service.expected_invocation) == (link_pb2.UNIT_VERB_RESTART, "i")


async def test_an_operators_own_work_on_the_host_comes_first(stand: Stand) -> None:
    stand.engine.busy = True
    said = await stand.pass_time(8, plugin=DOWN)
    assert "reload_plugin cannot be done now: HOST_BUSY" in said
    # No try of ours, so it costs none.
    assert (stand.engine.begun, stand.stored.made) == ([], [])
    stand.engine.busy = False
    await stand.pass_time(1, plugin=DOWN)
    assert len(stand.engine.begun) == 1


async def test_what_an_operator_does_is_given_its_time_to_show(stand: Stand) -> None:
    await stand.pass_time(3, plugin=DOWN)
    other = operations_pb2.Operation(name="operations/theirs", kind="validator.restart")
    other.state = operations_pb2.OPERATION_STATE_RUNNING
    stand.engine.others = [other]
    said = await stand.pass_time(3, plugin=DOWN)
    assert said == "plugin: reload_plugin waits: operations/theirs has been at work on hosts/sol-1"
    await stand.pass_time(30, plugin=DOWN)
    other.state = operations_pb2.OPERATION_STATE_SUCCEEDED
    other.end_time.FromMilliseconds(stand.now)
    # The rule's five seconds begin anew, whatever it was at before.
    await stand.pass_time(4, plugin=DOWN)
    assert (stand.engine.begun, stand.stored.made) == ([], [])
    await stand.pass_time(8, plugin=DOWN)
    assert len(stand.engine.begun) == 1


async def test_what_does_not_touch_units_is_not_waited_for(stand: Stand) -> None:
    other = operations_pb2.Operation(name="operations/theirs", kind="validator.snapshot")
    other.end_time.FromMilliseconds(stand.now + 3000)
    stand.engine.others = [other]
    await stand.pass_time(8, plugin=DOWN)
    assert len(stand.engine.begun) == 1


@pytest.mark.parametrize(("reason", "tries"), [("INVOCATION_CHANGED", 0), ("PLUGIN_CONFIG_BAD", 1)])
async def test_a_try_that_came_after_an_operators_restart_is_given_back(stand: Stand, reason: str, tries: int) -> None:
    await stand.pass_time(8, plugin=DOWN)
    (operation,) = stand.engine.operations.values()
    receipt = link_pb2.Receipt(result=link_pb2.RECEIPT_RESULT_REFUSED, reason=reason)
    operation.steps.add(id="act").receipt.CopyFrom(receipt)
    stand.end(operations_pb2.OPERATION_STATE_FAILED)
    await stand.pass_time(2)
    assert len(stand.stored.made) == tries
    assert len(stand.engine.begun) == 1


async def test_a_hop_that_flows_again_is_left_alone(stand: Stand) -> None:
    await stand.pass_time(20, plugin=DOWN)
    stand.end(operations_pb2.OPERATION_STATE_SUCCEEDED)
    assert await stand.pass_time(600) == "nothing is at fault"
    assert len(stand.engine.begun) == 1


async def test_the_victim_of_a_fault_is_left_alone(stand: Stand) -> None:
    # The verdict names the database: its reader, which is down as well, cannot be helped by a restart.
    await stand.pass_time(120, rows=DOWN, reader=DOWN)
    assert stand.engine.begun == []


async def test_what_is_switched_off_while_gates_are_looked_at_is_not_begun(stand: Stand) -> None:
    class Slow(Gating):
        async def judge(self, plan: UnitPlan, own: str = "") -> tuple[None, list[Gate]]:
            await stand.mender.set("slots", enabled=False, by="ben")
            return await super().judge(plan, own)

    stand.mender._gating = cast(Any, Slow())
    await stand.pass_time(60, plugin=DOWN)
    assert (stand.engine.begun, stand.stored.made) == ([], [])


async def test_a_judgement_of_long_ago_is_none_of_now(stand: Stand) -> None:
    stand.age_ms = 60_000
    await stand.pass_time(120, plugin=DOWN)
    assert stand.engine.begun == []


async def test_what_waits_for_a_person_is_taken_back_once_all_is_well(stand: Stand) -> None:
    for _ in range(2):
        await stand.pass_time(60, plugin=DOWN)
        stand.end(operations_pb2.OPERATION_STATE_FAILED)
    await stand.pass_time(60, plugin=DOWN)
    stand.end(operations_pb2.OPERATION_STATE_AWAITING_APPROVAL)
    assert "waits for a person's approval" in await stand.pass_time(1, plugin=DOWN)
    assert "was taken back" in await stand.pass_time(1)
    assert list(stand.engine.operations.values())[-1].state == operations_pb2.OPERATION_STATE_ABORTED


async def test_switching_it_off_takes_back_what_waits_for_a_person(stand: Stand) -> None:
    await stand.pass_time(20, plugin=DOWN)
    stand.end(operations_pb2.OPERATION_STATE_AWAITING_APPROVAL)
    await stand.mender.set("slots", enabled=False, by="ben")
    assert list(stand.engine.operations.values())[-1].state == operations_pb2.OPERATION_STATE_ABORTED


async def test_what_waits_is_taken_back_when_nobody_answers_for_it(stand: Stand) -> None:
    for _ in range(2):
        await stand.pass_time(60, plugin=DOWN)
        stand.end(operations_pb2.OPERATION_STATE_FAILED)
    await stand.pass_time(60, plugin=DOWN)
    stand.end(operations_pb2.OPERATION_STATE_AWAITING_APPROVAL)
    stand.names.refused = {module.SET_RECOVERY: "USER_DISABLED"}
    assert "was taken back: USER_DISABLED" in await stand.pass_time(1, plugin=DOWN)
    assert list(stand.engine.operations.values())[-1].state == operations_pb2.OPERATION_STATE_ABORTED


@pytest.mark.parametrize("off", [True, False], ids=["off and on", "on once more"])
async def test_turned_on_again_it_mends_the_next_fault(stand: Stand, off: bool) -> None:
    await stand.pass_time(20, plugin=DOWN)
    stand.end(operations_pb2.OPERATION_STATE_SUCCEEDED)
    await stand.pass_time(600)
    if off:
        await stand.mender.set("slots", enabled=False, by="ana")
        await stand.pass_time(60)
        shown = stand.mender.shown("slots")
        assert shown is not None
        assert shown.attempts_last_hour == 1
    await stand.mender.set("slots", enabled=True, by="ana")
    await stand.pass_time(60, plugin=DOWN)
    assert [plan.kind for plan, _ in stand.engine.begun] == ["geyser.reload_plugin"] * 2


async def test_nothing_is_done_in_a_name_that_may_not_any_more(stand: Stand) -> None:
    stand.names.refused = {module.SET_RECOVERY: "USER_DISABLED"}
    said = await stand.pass_time(60, plugin=DOWN)
    assert said == (
        "plugin: reload_plugin is not done: USER_DISABLED: ana may not; an administrator may turn it on in his own"
        " name: ctl geyser recovery slots on"
    )
    assert (stand.engine.begun, stand.stored.made) == ([], [])
    # Told once, however often it is looked at.
    (event,) = stand.told
    assert (event.kind, "USER_DISABLED" in event.message) == ("geyser.recovery_refused", True)
    await stand.mender.set("slots", enabled=True, by="ben")
    stand.names.refused = {}
    await stand.pass_time(20, plugin=DOWN)
    ((_, asked),) = stand.engine.begun
    assert asked["requester"] == "ben"
    assert {name for name, _, _ in stand.names.asked} == {"ana", "ben"}


async def test_a_validators_restart_asks_for_the_right_to_restart_that_validator(stand: Stand) -> None:
    stand.names.refused = {module.RESTART_VALIDATOR: "PERMISSION_MISSING"}
    for _ in range(2):
        await stand.pass_time(60, plugin=DOWN)
        stand.end(operations_pb2.OPERATION_STATE_FAILED)
    assert "restart_validator is not done: PERMISSION_MISSING" in await stand.pass_time(60, plugin=DOWN)
    assert [plan.kind for plan, _ in stand.engine.begun] == ["geyser.reload_plugin", "geyser.load_plugin"]
    assert {request.host for _, method, request in stand.names.asked if method == module.RESTART_VALIDATOR} == {
        "hosts/sol-1"
    }


async def test_it_looks_as_soon_as_pipelines_were_judged(stand: Stand) -> None:
    running = asyncio.create_task(stand.mender.run())
    try:
        await asyncio.sleep(0)
        for _ in range(3):
            await stand.pass_time(1)
            stand.mender._shown.clear()
            stand.pipelines.judged.ring()
            async with asyncio.timeout(1):
                while "slots" not in stand.mender._shown:
                    await asyncio.sleep(0.005)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
