"""The command line: exit codes, harmless output, the checkpoint an operator holds, and what is drawn."""

import contextlib
import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import click
import grpc
import pytest
import yaml
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType
from rich.text import Text
from solward.audit.v1 import audit_pb2
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb
from solward.rpc.v1 import rpc_pb2

from common import auditlog, merkle
from common.errors import STATUS_KEY, SolwardError
from ctl import contexts, exits
from ctl.__main__ import COMMANDS, cli
from ctl.client import _failure
from ctl.contexts import Context
from ctl.held import held_checkpoint, hold
from ctl.output import cell, print_data, safe, when
from ctl.views.operation import operation_view
from ctl.views.rpc import metrics_table, sparkline


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "solward"


def drawn(view: RenderableType, width: int = 110) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(view)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined]


# Exit codes

CODES = {
    "INVALID_ARGUMENT": 2, "UNAUTHENTICATED": 3, "PERMISSION_DENIED": 4, "NOT_FOUND": 5, "FAILED_PRECONDITION": 6,
    "ABORTED": 6, "ALREADY_EXISTS": 6, "UNAVAILABLE": 7, "DEADLINE_EXCEEDED": 7, "RESOURCE_EXHAUSTED": 9, "INTERNAL": 1,
    "DATA_LOSS": 1, "UNKNOWN": 1,
}  # fmt: skip


def refusal(code: str, reason: str = "WHY", message: str = "because") -> exits.Failure:
    packed = SolwardError(grpc.StatusCode[code], reason, message).status().SerializeToString()
    trailing = grpc.aio.Metadata((STATUS_KEY, packed))
    error = grpc.aio.AioRpcError(grpc.StatusCode[code], grpc.aio.Metadata(), trailing, details=message)
    return _failure(error, Context("x", "localhost:1", "no ca"))


@pytest.mark.parametrize("code", CODES)
def test_every_status_has_its_stable_exit_code(code: str) -> None:
    failure = refusal(code)
    assert failure.exit_code == CODES[code]
    assert failure.message == "because [WHY]"


def test_help_shows_exit_codes_a_line_each() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output
    assert "\\b" not in shown
    assert "Exit codes:\n      0  done\n      1  failed" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_no_summary_of_a_command_is_cut(name: str) -> None:
    assert "..." not in CliRunner().invoke(cli, [name, "--help"]).output.partition("Commands:")[2]


def test_wrong_code_is_not_allowed_and_a_refused_login_does_not_send_back_to_login() -> None:
    assert refusal("UNAUTHENTICATED", "CODE_REFUSED").exit_code == exits.NOT_ALLOWED
    refused = refusal("UNAUTHENTICATED", "LOGIN_REFUSED")
    assert (refused.exit_code, refused.hint) == (exits.NOT_SIGNED_IN, "")


def test_fields_of_a_request_are_named_as_options() -> None:
    assert "--limit: is 0" in refusal("INVALID_ARGUMENT", message="page_size: is 0").message


def test_refused_session_says_what_to_do_but_a_wrong_code_does_not() -> None:
    assert refusal("UNAUTHENTICATED", "SESSION_OVER").hint == "ctl --context x login"
    assert refusal("UNAUTHENTICATED", "CODE_REFUSED").hint == ""


def test_mute_refusal_is_looked_into() -> None:
    bare = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())
    failure = _failure(bare, Context("x", "localhost:1", "no ca"))
    assert (failure.exit_code, failure.message) == (7, "the CA file holds no PEM certificate")


def test_words_of_a_server_cannot_drive_the_terminal() -> None:
    assert "\x1b" not in refusal("ABORTED", message="\x1b[2Jowned\r\n").message


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nonsense"], 2),
        (["hosts", "list"], 3),
        (["hosts", "list", "--output", "xml"], 2),
        (["--context", "no-such", "status"], 2),
        (["--context", "../../etc/passwd", "status"], 2),
        (["context", "use", "no-such"], 2),
        (["context", "delete", "no-such"], 2),
        (["login", "--server", "localhost:abc", "--ca-file", __file__], 2),
        (["login", "--server", "localhost", "--ca-file", __file__], 2),
        (["validator", "status", "SOL"], 2),
        (["operations", "show", "nonsense"], 2),
        (["hosts", "enroll", "sol-1", "--ca-out", "/nonexistent/ca.pem"], 2),
        (["audit", "verify", "/nonexistent"], 2),
        (["login"], 2),
        (["--help"], 0),
        (["--version"], 0),
    ],
)
def test_program_leaves_with(arguments: list[str], code: int) -> None:
    assert CliRunner().invoke(cli, arguments).exit_code == code


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_has_help(name: str) -> None:
    shown = CliRunner().invoke(cli, [name, "--help"])
    assert shown.exit_code == 0
    assert shown.output.startswith("Usage:")


def test_nobody_is_signed_in_at_first_and_the_hint_says_how() -> None:
    shown = CliRunner().invoke(cli, ["status"])
    assert "next:  ctl login --server" in shown.stderr


# Contexts


def test_context_is_stored_for_its_owner_alone(home: Path) -> None:
    contexts.save(Context("prod", "cp:7444", "ca", access_token="secret"))
    path = home / "contexts" / "prod.yaml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    assert contexts.load("prod").access_token == "secret"
    contexts.use("prod")
    assert (contexts.names(), contexts.current_name()) == (["prod"], "prod")
    contexts.delete("prod")
    assert contexts.names() == []


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "a b", "a.b", "\0"])
def test_name_of_a_context_is_never_a_path(name: str) -> None:
    with pytest.raises(exits.Failure):
        contexts.save(Context(name, "", ""))


# Harmless output

hostile = st.text(st.characters(), max_size=40)
OBEYED = {chr(number) for number in (*range(32), *range(0x7F, 0xA0))} | set("\u202e\u2066\u200b\u2028\u2029\ufeff")


@given(hostile)
def test_safe_text_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    made = safe(text)
    assert not set(made) & OBEYED
    assert len(made) == len(text)
    made.encode()


@given(st.one_of(hostile, st.text("\\[]/abc=# ", max_size=12)))
def test_cell_shows_its_text_and_is_no_markup(text: str) -> None:
    shown = Text.from_markup(cell(text))
    # rich may drop or double a backslash where a bracket could follow; every other character is shown.
    assert shown.plain.replace("\\", "") == safe(text).replace("\\", "")
    assert not shown.spans


@given(st.dictionaries(hostile, hostile, max_size=4))
def test_data_for_programs_is_harmless_and_reads_back(data: dict[str, str]) -> None:
    for form, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            print_data(data, form)  # type: ignore[arg-type]
        shown = out.getvalue()
        assert not set(shown) & (OBEYED - {"\n"}), form
        assert read(shown) == data, form


def test_time_is_shown_in_utc_and_none_as_a_dash() -> None:
    stamp = Timestamp()
    stamp.FromDatetime(dt.datetime(2026, 1, 2, 3, 4, 5))
    assert (when(stamp), when(Timestamp())) == ("2026-01-02 03:04:05", "-")


# The checkpoint that is held

KEY = Ed25519PrivateKey.generate()


def point(size: int, root: bytes = b"r" * 32, key: Ed25519PrivateKey = KEY) -> audit_pb2.Checkpoint:
    signed = auditlog.sign(key, origin="test", size=size, root=root, time_ms=1_700_000_000_123)
    made = audit_pb2.Checkpoint(
        origin=signed.origin, size=size, root=root, signature=signed.signature, public_key=signed.public_key
    )
    made.time.FromMilliseconds(signed.time_ms)
    return made


def test_greatest_checkpoint_is_held_and_the_key_pinned() -> None:
    context = Context("prod", "", "")
    leaves = [bytes([number]) * 32 for number in range(5)]
    for size in (3, 3, 5):
        grown = point(size, merkle.root_of(leaves[:size]))
        grown.consistency_proof.extend(merkle.consistency_proof(leaves[:size], 3))
        hold(context, grown)
    stored = contexts.load("prod")
    held = held_checkpoint(stored)
    assert held is not None
    assert (held.size, stored.log_key) == (5, KEY.public_key().public_bytes_raw().hex())
    assert held.signed_by(KEY.public_key())


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (point(4), "cut short"),
        (point(9, key=Ed25519PrivateKey.generate()), "another key"),
        (point(5, root=b"x" * 32), "another than the one signed before"),
    ],
)
def test_log_that_is_shorter_or_another_ends_the_program(bad: audit_pb2.Checkpoint, says: str) -> None:
    context = Context("prod", "", "")
    hold(context, point(5))
    with pytest.raises(exits.Failure, match=says) as caught:
        hold(context, bad)
    assert caught.value.exit_code == exits.NOT_INTACT
    held = held_checkpoint(contexts.load("prod"))
    assert held is not None
    assert held.root == b"r" * 32


def test_checkpoint_without_its_signature_is_not_held() -> None:
    context, unsigned = Context("prod", "", ""), point(5)
    unsigned.size = 6
    with pytest.raises(exits.Failure, match="signature"):
        hold(context, unsigned)
    assert (context.log_key, context.held_checkpoint) == ("", "")


# Views


def stamped(ms: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMilliseconds(ms)
    return stamp


def operation(**fields: Any) -> pb.Operation:
    receipt = link_pb2.Receipt(
        result=link_pb2.RECEIPT_RESULT_DONE,
        before=link_pb2.UnitState(main_pid=10, invocation_id="a" * 32),
        after=link_pb2.UnitState(main_pid=20, invocation_id="b" * 32),
        job_ms=12.5,
    )
    steps = [
        pb.Step(id="check", title="Check", verdict=pb.VERDICT_PASS, start_time=stamped(1000), end_time=stamped(1250)),
        pb.Step(
            id="act", title="Restart", verdict=pb.VERDICT_PASS, message="done in 40 ms", start_time=stamped(1250),
            end_time=stamped(2250), receipt=receipt, signed_receipt={"certificate_serial": "5e" * 20},
        ),
        pb.Step(id="verify", title="Verify", verdict=pb.VERDICT_INCONCLUSIVE, message="nobody can tell"),
    ]  # fmt: skip
    wanted = {
        "name": "operations/1", "kind": "validator.restart", "host": "hosts/sol-1", "plan_hash": "c" * 64,
        "state": pb.OPERATION_STATE_PAUSED, "steps": steps,
    }  # fmt: skip
    made = pb.Operation(**(wanted | fields))
    made.error.message = "step verify did not pass"
    return made


def test_operation_that_is_to_pause_or_to_end_says_so_while_it_is_at_work() -> None:
    running = {"state": pb.OPERATION_STATE_RUNNING}
    assert "asked for a pause" in drawn(operation_view(operation(**running, wish=pb.WISH_PAUSE)), 200)
    assert "asked for its end" in drawn(operation_view(operation(**running, wish=pb.WISH_ABORT)), 200)
    assert "asked for" not in drawn(operation_view(operation(wish=pb.WISH_PAUSE)), 200)


def test_receipt_of_what_leaves_the_unit_alone_names_no_other_run() -> None:
    made = operation()
    made.steps[1].receipt.ClearField("after")
    assert "receipt: done, pid 10; signed with" in drawn(operation_view(made), 200)


def test_operation_is_drawn_with_steps_times_receipt_and_error() -> None:
    assert drawn(operation_view(operation()), 200) == (
        "validator.restart on hosts/sol-1  operations/1  paused  plan cccccccccccc\n"
        "✓  Check                     0.25 s\n"
        "✓  Restart  done in 40 ms    1.00 s\n"
        "?  Verify   nobody can tell\n"
        "receipt: done, pid 10 → 20, invocation aaaaaaaa → bbbbbbbb, systemd took 12.5 ms; "
        "signed with certificate 5e5e5e5e5e5e…\n"
        "step verify did not pass"
    )


ATTACK = "\x1b[2J[bold]x[/bold] [/] \\[red]y\u202e\r"


def test_operation_of_a_hostile_host_is_drawn_without_harm() -> None:
    state = link_pb2.UnitState(invocation_id=ATTACK)
    step = pb.Step(
        title=ATTACK, message=ATTACK, receipt=link_pb2.Receipt(before=state, after=state),
        signed_receipt={"certificate_serial": ATTACK},
    )  # fmt: skip
    shown = drawn(operation_view(operation(kind=ATTACK, host=ATTACK, name=ATTACK, plan_hash=ATTACK, steps=[step])), 400)
    assert not set(shown) & (OBEYED - {"\n"})
    assert "[bold]x[/bold]" in shown


def metrics(**fields: Any) -> rpc_pb2.Metrics:
    row = {
        "host": "hosts/sol-1", "method": "getSlot", "last_ms": 1.5, "p50_ms": 1.25, "p95_ms": 2, "p99_ms": 123.4,
        "requests": 60, "error_rate": 0.05, "errors": {"timeout": 3}, "recent_ms": [1, -1, -2, 2],
    }  # fmt: skip
    return rpc_pb2.Metrics(time=stamped(0), window_seconds=60, methods=[rpc_pb2.MethodMetrics(**(row | fields))])


def test_latency_is_drawn_with_bars_and_reasons() -> None:
    lines = drawn(metrics_table(metrics())).splitlines()
    row = next(line for line in lines if "getSlot" in line)
    assert row.split() == ["sol-1", "getSlot", "1.50", "1.25", "2.00", "123", "60", "5.0%", "▅×", "█", "timeout", "3"]
    assert not any("getSlot" in line for line in drawn(metrics_table(metrics(), "getBlock")).splitlines())


def test_latency_of_a_hostile_host_is_drawn_without_harm() -> None:
    shown = drawn(metrics_table(metrics(host=ATTACK, method=ATTACK, errors={ATTACK: 1})), 400)
    assert not set(shown) & (OBEYED - {"\n"})
    assert "[bold]x[/bold]" in shown


@given(st.lists(st.one_of(st.floats(0, 1e6), st.sampled_from([-1.0, -2.0])), max_size=40))
def test_sparkline_has_a_mark_for_every_second(values: list[float]) -> None:
    line = sparkline(values).plain
    assert len(line) == len(values)
    for value, mark in zip(values, line, strict=True):
        assert (mark == "×") is (value == -1)
        assert (mark == " ") is (value == -2)


def test_failure_is_shown_with_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    exits.Failure("it broke", exits.FAILED, "mend it").show()
    assert click.unstyle(capsys.readouterr().err) == "error: it broke\nnext:  mend it\n"


RECORDED = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


@pytest.mark.parametrize(("told", "shown"), [("", ""), ("junk", ""), (RECORDED[:-1] + "0", ""), (RECORDED, "a" * 32)])
def test_a_failure_shows_its_trace_where_the_server_recorded_it(
    told: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trailing = grpc.aio.Metadata(("traceresponse", told)) if told else grpc.aio.Metadata()
    error = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), trailing, details="gone")
    failure = _failure(error, Context("home", "localhost:1", ""))
    failure.show()
    assert failure.trace_id == shown
    assert ("trace: " in capsys.readouterr().err) is bool(shown)
