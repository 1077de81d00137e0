"""ctl logs: what is drawn, what is refused before anything is asked, and that nothing is shown twice."""

import io
import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from solward.hosts.v1 import link_pb2
from solward.metrics.v1 import logs_pb2 as pb

from ctl.__main__ import cli
from ctl.commands import logs as module
from ctl.views.logs import Lines

NS = 1_700_000_000_123_000_007


def entry(host: str = "sol-1", ns: int = NS, **event: object) -> pb.LogEntry:
    wanted = {"kind": "agent.log", "message": "m", "severity": link_pb2.SEVERITY_WARNING} | event
    return pb.LogEntry(host=f"hosts/{host}", unix_nanos=ns, event=link_pb2.Event(**wanted))  # type: ignore[arg-type]


def drawn(*entries: pb.LogEntry) -> list[str]:
    console = Console(file=io.StringIO(), width=200, highlight=False)
    lines = Lines()
    lines.measure(list(entries))
    for one in entries:
        console.print(lines.draw(one), soft_wrap=True)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_entries_stand_in_columns() -> None:
    shown = drawn(
        entry("sol-1", message="the stream ended", attributes={"why": "x", "a": "1"}, times=3),
        entry("a-much-longer-name", kind="validator.panic", severity=link_pb2.SEVERITY_CRITICAL, message="[red]x"),
        entry(severity=0, message="nobody said how grave"),
    )
    assert shown == [
        "2023-11-14 22:13:20.123  sol-1               warning   agent.log        the stream ended (×3) a=1 why=x",
        "2023-11-14 22:13:20.123  a-much-longer-name  critical  validator.panic  [red]x",
        "2023-11-14 22:13:20.123  sol-1               -         agent.log        nobody said how grave",
    ]


@given(st.text(), st.text(), st.text(), st.integers(-(2**31), 2**31 - 1))
def test_nothing_that_was_logged_can_drive_the_terminal(message: str, kind: str, value: str, severity: int) -> None:
    shown = drawn(entry(message=message, kind=kind, severity=severity, attributes={value: message}))
    assert len(shown) == 1
    assert all(character.isprintable() or character.isspace() for character in shown[0] if ord(character) < 0xA0)


def test_an_entry_is_shown_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KNOWN", 3)
    screen = module._Screen("json")
    screen.show([entry(ns=1), entry(ns=2)])
    screen.show([entry(ns=2), entry("sol-2", ns=2), entry(ns=3)])
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["host"], one["unixNanos"]) for one in shown] == [
        ("hosts/sol-1", "1"), ("hosts/sol-1", "2"), ("hosts/sol-2", "2"), ("hosts/sol-1", "3"),
    ]  # fmt: skip
    assert len(screen._known) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--until", "2h"], "less long ago"),
        (["--since", "yesterday"], "is not a time"),
        (["--until", "1m", "-f"], "do not go together"),
        (["--field", "novalue"], "NAME=VALUE"),
        (["--field", "a="], "NAME=VALUE"),
        (["SOL"], "is not a host's name"),
        (["--severity", "bad"], "Invalid value"),
        (["--limit", "0"], "range"),
        (["-o", "xml"], "Invalid value"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], words: str) -> None:
    ran = CliRunner().invoke(cli, ["logs", *arguments])
    assert (ran.exit_code, words in ran.output) == (2, True), ran.output
