"""The config helper: what it reads, writes and refuses, on scripts, YAML files and units."""

import asyncio
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.allowlist import Allowlist, ConfigEntry
from agent.config import files, sources
from agent.config.files import UnsafeFile
from agent.config.helper import ConfigHelper
from agent.config.sources import UnitSource, quoted
from agent.config.versions import MOST, Versions
from agent.host.systemd import SystemdError
from common.flags.arguments import Argument

UNIT = "sol.service"
SCRIPT = """#!/bin/bash
# keep me
export SOLANA_METRICS_CONFIG="host=x,db=y,u=z,p=secret"
exec agave-validator \\
    --ledger /mnt/ledger \\
    --log "$LOG" --rpc-threads 4 \\
    --entrypoint 'a.example:8001'
# and me
"""


class FakeSystemd:
    """Keeps one unit's ExecStart, which a drop-in takes the place of."""

    def __init__(self, argv: list[str], units: Path) -> None:
        self.argv, self.drop_in, self.reloads = argv, units / f"{UNIT}.d" / sources.DROP_IN, 0

    async def exec_start(self, unit: str) -> list[str]:
        if unit != UNIT:
            raise SystemdError("UNIT_NOT_FOUND", "none")
        return list(self.argv)

    async def reload(self) -> None:
        self.reloads += 1
        line = next(each for each in self.drop_in.read_text().splitlines() if each.startswith("ExecStart=/"))
        # As systemd: words, quotes away, specifiers resolved; "$$" stays until the process starts.
        self.argv = [word.replace("%%", "%") for word in shlex.split(line.removeprefix("ExecStart="))]


def helper(folder: Path, source: str, flags: tuple[str, ...] = ("*",), systemd: Any = None) -> ConfigHelper:
    entry = ConfigEntry(source, "agave-validator", flags)
    return ConfigHelper(Allowlist({UNIT: frozenset()}, config={UNIT: entry}), systemd, folder / "versions")


def ask(server: ConfigHelper, method: str, *params: Any) -> Any:
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    answer = asyncio.run(server.rpc.answer(line))
    return answer.get("result", answer.get("error", {}).get("message"))


def write(server: ConfigHelper, *changes: tuple[str, list[str], bool], **more: Any) -> Any:
    return ask(server, "write", {"unit": UNIT, "changes": changes, "node_version": "4.2.1"} | more)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "validator.sh"
    path.write_text(SCRIPT)
    path.chmod(0o750)
    return path


def test_a_script_is_read_and_changed_and_nothing_else_in_it(tmp_path: Path, script: Path) -> None:
    server = helper(tmp_path, str(script))
    found = ask(server, "read", UNIT)
    assert found["arguments"] == [
        ["ledger", "/mnt/ledger", False], ["log", "$LOG", True], ["rpc-threads", "4", False],
        ["entrypoint", "a.example:8001", False],
    ]  # fmt: skip
    done = write(server, ("rpc-threads", ["8"], False), ("full-rpc-api", [], False), etag=found["etag"])
    assert (done["previous_version"], done["version"]) == (1, 2)
    assert script.read_text() == SCRIPT.replace('"$LOG" --rpc-threads 4', '"$LOG" \\\n    --rpc-threads 8').replace(
        "'a.example:8001'", "'a.example:8001' \\\n    --full-rpc-api"
    )
    assert script.stat().st_mode & 0o777 == 0o750
    # Told again after its answer was lost, it finds its own work.
    assert write(server, ("rpc-threads", ["8"], False), ("full-rpc-api", [], False), etag=found["etag"]) == done
    assert ask(server, "write", {"unit": UNIT, "to_version": 1})["diff"] == [
        "- --rpc-threads 8", "- --full-rpc-api", "+ --rpc-threads 4",
    ]  # fmt: skip
    assert [each[0] for each in ask(server, "read", UNIT)["versions"]] == [3, 2, 1]
    assert ask(server, "read", UNIT)["etag"] == found["etag"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("exec ", "exec 2>&1 "), "SCRIPT_ODD"),
        (lambda text: text + "exec agave-validator --ledger /x\n", "SCRIPT_ODD"),
        (lambda text: text.replace("exec", "run"), "SCRIPT_ODD"),
        (lambda text: text.replace("agave-validator", "other-program"), "PROGRAM_ODD"),
        (lambda text: text.replace("8001'", "8001' $(reboot)"), "SCRIPT_ODD"),
        (lambda text: text.replace("8001'", "8001"), "SCRIPT_ODD"),
    ],
)
def test_an_odd_script_is_left_alone(tmp_path: Path, script: Path, change: Callable[[str], str], said: str) -> None:
    script.write_text(change(SCRIPT))
    server = helper(tmp_path, str(script))
    assert ask(server, "read", UNIT).startswith(said)
    assert write(server, ("rpc-threads", ["8"], False)).startswith(said)
    assert script.read_text() == change(SCRIPT)


@pytest.mark.parametrize(
    ("changes", "more", "said"),
    [
        ([("rpc-threads", ["$(reboot)"], False)], {}, "VALUE_WRONG"),
        ([("log", ["/x"], False)], {}, "FLAG_FIXED"),
        ([("identity", ["/k"], False)], {}, "FLAG_NOT_LISTED"),
        ([("ledger", [], True)], {}, "FLAG_NOT_LISTED"),
        ([("rpc-threads", ["8"], False)], {"etag": "0" * 32}, "CONFIG_CHANGED"),
        ([("rpc-threads", ["8"], False)], {"unit": "other.service"}, "NOT_ON_ALLOWLIST"),
        ([("rpc-threads", ["8"], False)], {"node_version": ""}, "VERSION_UNKNOWN"),
        ([], {"to_version": 9}, "VERSION_NOT_FOUND"),
        ([("rpc-threads", 8, False)], {}, "REQUEST_WRONG"),
        ([], {"program": "/bin/sh"}, "REQUEST_WRONG"),
    ],
)
def test_what_is_refused_changes_nothing(
    tmp_path: Path, script: Path, changes: list[Any], more: dict[str, Any], said: str
) -> None:
    assert write(helper(tmp_path, str(script)), *changes, **more).startswith(said)
    assert script.read_text() == SCRIPT
    assert not (tmp_path / "versions").exists()


def test_only_what_root_listed_may_change(tmp_path: Path, script: Path) -> None:
    server = helper(tmp_path, str(script), ("rpc-threads",))
    assert write(server, ("full-rpc-api", [], False)).startswith("FLAG_NOT_LISTED")
    assert write(server, ("rpc-threads", ["8"], False))["version"] == 2
    # Root may edit by hand; but to go back over root's own edit is not the helper's to do.
    script.write_text(script.read_text().replace("/mnt/ledger", "/mnt/other"))
    assert ask(server, "write", {"unit": UNIT, "to_version": 1}).startswith("FLAG_NOT_LISTED")


def test_a_dry_run_writes_nothing(tmp_path: Path, script: Path) -> None:
    told = write(helper(tmp_path, str(script)), ("rpc-threads", ["8"], False), dry_run=True)
    assert told["diff"] == ["- --rpc-threads 4", "+ --rpc-threads 8"]
    assert script.read_text() == SCRIPT
    assert not (tmp_path / "versions").exists()


def test_a_yaml_file_is_read_and_changed(tmp_path: Path) -> None:
    path = tmp_path / "v.yaml"
    head = "program: /opt/agave-validator\nflags:\n  full-rpc-api: true\n"
    path.write_text(head + "  rpc-port: 8899\n  entrypoint: [a:1, b:2]\n")
    server = helper(tmp_path, str(path), ("*", "entrypoint"))
    assert write(server, ("rpc-threads", ["8"], False), ("entrypoint", ["a:1"], False))["version"] == 2
    assert path.read_text() == head + "  rpc-port: '8899'\n  entrypoint: a:1\n  rpc-threads: '8'\n"
    path.write_text("program: /opt/agave-validator\nflags: {rpc-port: [[1]]}\n")
    assert ask(server, "read", UNIT).startswith("YAML_ODD")


def test_a_unit_is_changed_by_a_drop_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "UNITS", tmp_path)
    systemd = FakeSystemd(
        ["/opt/agave-validator", "--ledger", "/mnt/100% mine", "--log", "$LOG", "--rpc-threads", "4"], tmp_path
    )
    monkeypatch.setattr("agent.config.helper.UnitSource", lambda unit, bus: UnitSource(unit, bus, tmp_path))
    server = helper(tmp_path, "unit", systemd=systemd)
    assert write(server, ("rpc-threads", ["8"], False))["version"] == 2
    assert systemd.drop_in.read_text().endswith(
        'ExecStart=\nExecStart=/opt/agave-validator --ledger "/mnt/100%% mine" --log $LOG --rpc-threads 8\n'
    )
    assert (systemd.reloads, systemd.argv[-1]) == (1, "8")


def test_words_of_a_unit_are_quoted() -> None:
    assert quoted("a$b%n", vary=False) == "a$$b%%n"
    assert quoted("$LOG", vary=True) == "$LOG"
    assert quoted('a "b" \\', vary=False) == '"a \\"b\\" \\\\"'
    with pytest.raises(sources.ConfigError):
        quoted("a\nExecStartPre=/bin/sh", vary=False)


def test_links_do_not_lead_astray(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "f").write_text("x")
    (tmp_path / "link").symlink_to(real)
    (real / "g").symlink_to(real / "f")
    os.mkfifo(real / "pipe")
    for path in (tmp_path / "link" / "f", real / "g", real / "pipe", real / "none", real):
        with pytest.raises(UnsafeFile):
            files.replace(path, b"y")
        with pytest.raises(UnsafeFile):
            files.read(path)
    assert (real / "f").read_text() == "x"
    assert sorted(each.name for each in real.iterdir()) == ["f", "g", "pipe"]


def test_versions_are_bounded_and_survive_one_that_is_broken(tmp_path: Path) -> None:
    versions = Versions(tmp_path, UNIT)
    for number in range(MOST + 5):
        versions.keep(sources.Launch("p", [Argument("rpc-threads", str(number))]), "unit")
    # And the first one, which root had, stays whatever comes.
    assert len(versions.all()) == MOST + 1
    assert versions.all()[-1].number == 1
    newest = versions.all()[0].number
    (tmp_path / UNIT / f"{newest:08d}.json").write_bytes(b"{half")
    assert versions.all()[0].number == newest - 1


def test_a_version_of_another_source_is_not_written_into_this_one(tmp_path: Path, script: Path) -> None:
    Versions(tmp_path / "versions", UNIT).keep(sources.Launch("/x/agave-validator", []), "unit")
    told = ask(helper(tmp_path, str(script)), "write", {"unit": UNIT, "to_version": 1})
    assert told.startswith("VERSION_OF_ANOTHER_SOURCE")
    assert script.read_text() == SCRIPT


def test_a_version_that_an_upgraded_validator_refuses_is_not_gone_back_to(tmp_path: Path, script: Path) -> None:
    script.write_text(SCRIPT.replace("--rpc-threads 4", "--rpc-threads 4 --cuda"))
    server = helper(tmp_path, str(script))
    assert write(server, ("cuda", [], True))["version"] == 2
    back = {"unit": UNIT, "to_version": 1, "node_version": "4.2.1"}
    assert ask(server, "write", back).startswith("FLAG_REMOVED")
    assert ask(server, "write", back | {"node_version": "3.1.0"})["version"] == 3
