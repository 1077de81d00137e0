"""The journal, through a stand-in for journalctl that writes what journalctl writes."""

import json
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from agent.host import journald
from agent.host.journald import Chunk, JournalError, command, decode

NOW_MS = 1_786_710_896_000
CURSOR = f"s=ab;i=1;b=cd;m=1;t={NOW_MS * 1000 - 5_000_000:x};x=ef"


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "machine-id").write_text("ab\n")
    monkeypatch.setattr(journald, "MACHINE_ID", tmp_path / "machine-id")


def entry(message: object, **fields: str) -> bytes:
    record = {"__CURSOR": CURSOR, "__REALTIME_TIMESTAMP": str(NOW_MS * 1000), "MESSAGE": message} | fields
    return json.dumps(record).encode()


def stand_in(folder: Path, code: str) -> str:
    path = folder / "journalctl"
    path.write_text(f"#!{sys.executable}\nimport sys, time\n{code}\n")
    path.chmod(0o700)
    return str(path)


def test_what_journalctl_is_asked() -> None:
    first = command(["sol.service"], "", NOW_MS)
    assert first[0] == "/usr/bin/journalctl"
    assert "--lines=0" in first
    assert first[-9:] == [
        "_MACHINE_ID=ab", "_SYSTEMD_UNIT=sol.service", "+", "_MACHINE_ID=ab", "UNIT=sol.service", "_PID=1", "+",
        "_MACHINE_ID=ab", "_TRANSPORT=kernel",
    ]  # fmt: skip
    again = command(["sol.service"], CURSOR, NOW_MS)
    assert f"--after-cursor={CURSOR}" in again
    assert "--no-tail" in again
    old = command(["sol.service"], CURSOR, NOW_MS + 7_200_000)
    assert f"--since=@{NOW_MS // 1000 + 7200 - journald.CATCH_UP_S}" in old


@pytest.mark.parametrize("cursor", ["garbage", "t=", "t=zz", "s=1;t=-;x"])
def test_a_cursor_of_another_form_counts_as_old(cursor: str) -> None:
    assert any(argument.startswith("--since=@") for argument in command(["a.service"], cursor, NOW_MS))


def test_entries_are_told_apart() -> None:
    chunk = decode([
        entry("hello", _PID="77", _TRANSPORT="stdout"), entry("Main process exited", _PID="1", _TRANSPORT="journal"),
        entry("Out of memory", _TRANSPORT="kernel"), entry(None), entry([104, 105, 255]), entry(["old", "new"]),
        b"not json", b'{"__CURSOR": 7}', b"",
    ])  # fmt: skip
    assert [(each.origin, each.message) for each in chunk.entries] == [
        ("unit", "hello"), ("manager", "Main process exited"), ("kernel", "Out of memory"), ("unit", None),
        ("unit", "hi�"), ("unit", "new"),
    ]  # fmt: skip
    assert chunk.entries[0].unix_ms == NOW_MS
    assert chunk.position == CURSOR


async def test_it_follows_and_says_how_it_ended(tmp_path: Path) -> None:
    lines = [entry(f"line {number}").decode() for number in range(3)]
    said = "\n".join(lines)
    code = f"print({said!r}, flush=True); print('broken', file=sys.stderr); sys.exit(3)"
    program = stand_in(tmp_path, code)
    seen: list[str | None] = []
    with pytest.raises(JournalError, match="ended with 3: broken") as caught:
        async for chunk in journald.follow(["sol.service"], "", program):
            seen += [each.message for each in chunk.entries]
    assert seen == ["line 0", "line 1", "line 2"]
    assert caught.value.reason == "JOURNAL_ENDED"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("No journal files were opened due to insufficient permissions.", "JOURNAL_FORBIDDEN"),
        ("Failed to seek to cursor: Invalid argument", "JOURNAL_CURSOR_REFUSED"),
        ("", "JOURNAL_ENDED"),
    ],
)
async def test_why_it_could_not_be_read(tmp_path: Path, said: str, reason: str) -> None:
    program = stand_in(tmp_path, f"print({said!r}, file=sys.stderr); sys.exit(1)")
    with pytest.raises(JournalError) as caught:
        await anext(aiter(journald.follow(["sol.service"], CURSOR, program)))
    assert caught.value.reason == reason


async def test_a_missing_journalctl_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be run: No such file") as caught:
        await anext(aiter(journald.follow(["sol.service"], "", str(tmp_path / "none"))))
    assert caught.value.reason == "JOURNALCTL_UNUSABLE"


async def test_the_process_ends_with_its_reader(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = f"import os; open({str(pid_file)!r}, 'w').write(str(os.getpid()))\n"
    program = stand_in(tmp_path, code + f"print({entry('x').decode()!r}, flush=True); time.sleep(600)")
    async with aclosing(journald.follow(["sol.service"], "", program)) as chunks:
        assert isinstance(await anext(chunks), Chunk)
    assert not Path(f"/proc/{pid_file.read_text()}").exists()


async def test_an_entry_without_end_is_not_kept_in_memory(tmp_path: Path) -> None:
    code = "for _ in range(40): sys.stdout.write('x' * 100_000)\n"
    program = stand_in(tmp_path, code + f"print(); print({entry('after').decode()!r}, flush=True)")
    seen: list[str | None] = []
    with pytest.raises(JournalError):
        async for chunk in journald.follow(["sol.service"], "", program):
            seen += [each.message for each in chunk.entries]
    assert seen == ["after"]
