"""Commands against a control plane that answers what the test says."""

import asyncio
import datetime as dt
import io
import json
from typing import Any

import pytest
from solward.hosts.v1 import hosts_pb2
from solward.operations.v1 import operations_pb2 as pb
from solward.rpc.v1 import rpc_pb2
from solward.validator.v1 import validator_pb2

from ctl import acting, exits
from ctl.commands import hosts, operations
from ctl.commands.rpc import _only
from ctl.output import print_line

ALREADY = pb.Operation(plan_hash="a", steps=[pb.Step(title="Start x.service: it is already active")])
PLAN = pb.Operation(plan_hash="a", steps=[pb.Step(title="Start x.service")])
OPTIONS = {"host": "sol-1", "plan_only": False, "reason": "", "yes": True, "detach": True}


class Fake:
    """Gives a plan, and takes what is asked for after it."""

    def __init__(self, plan: pb.Operation) -> None:
        self.plan = plan
        self.asked: list[Any] = []

    async def call(self, method: str, request: Any, reply: Any) -> pb.Operation:
        if request.validate_only:
            return self.plan
        self.asked.append(request)
        return pb.Operation(name="operations/1")


def start(fake: Fake, form: Any, **options: bool) -> None:
    fields: dict[str, object] = {}
    start = "solward.validator.v1.ValidatorService/Start"
    work = acting.act(start, "Start", validator_pb2.StartRequest, fields, form=form, **(OPTIONS | options))  # type: ignore[arg-type]
    # type: ignore[arg-type]
    asyncio.run(work(fake))  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["table", "json"])
def test_nothing_is_asked_for_where_the_plan_says_that_it_is_so_already(form: str) -> None:
    fake = Fake(ALREADY)
    start(fake, form, yes=False)
    assert fake.asked == []


def test_detached_operation_is_printed_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    start(Fake(PLAN), "json")
    assert json.loads(capsys.readouterr().out)["name"] == "operations/1"


def test_plan_is_shown_beside_the_output_before_a_question(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake(PLAN)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    with pytest.raises(exits.Failure, match="nothing was done"):
        start(fake, "json", yes=False)
    shown = capsys.readouterr()
    assert ("Start x.service" in shown.err, shown.out, fake.asked) == (True, "", [])


def test_watched_report_is_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        print_line({"number": number, "text": "a\nb\u2028"}, "json")
    assert [json.loads(line)["number"] for line in capsys.readouterr().out.splitlines()] == [1, 2]


def test_watched_report_keeps_to_its_method() -> None:
    rows = [rpc_pb2.MethodMetrics(method=name) for name in ("getSlot", "getBlock")]
    assert [row.method for row in _only(rpc_pb2.Metrics(methods=rows), "getSlot").methods] == ["getSlot"]


def host(**fields: Any) -> hosts_pb2.Host:
    made = hosts_pb2.Host(name="hosts/sol-1", **({"state": hosts_pb2.HOST_STATE_ACTIVE, "connected": True} | fields))
    made.last_seen_time.FromSeconds(1_700_000_000)
    return made


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"connected": False}, "offline"),
        ({"clock_skew_seconds": -3}, "clock is -3.0 s off"),
        ({"state": hosts_pb2.HOST_STATE_QUARANTINED}, "quarantined"),
        ({"certificate_expire_time": dt.datetime(2020, 1, 1)}, "certificate is over"),
    ],
)
def test_status_says_what_is_not_well(fields: dict[str, Any], says: str) -> None:
    now = dt.datetime.now(dt.UTC)
    (said,) = hosts.troubles([host(**fields), host()], now)
    assert says in said


def test_clock_that_agrees_has_no_sign_and_one_never_seen_has_a_dash() -> None:
    assert hosts._skew(host(clock_skew_seconds=-0.01)) == "0.0 s"
    assert hosts._skew(hosts_pb2.Host()) == "-"


def test_operations_are_listed_by_twelve_characters() -> None:
    assert operations._row(pb.Operation(name=f"operations/{'ab' * 16}"))[0] == "ab" * 6
