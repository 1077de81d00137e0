"""Questions: answered, declined, interrupted."""

import asyncio
import io
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from ctl import exits, prompts
from tests.support.programs import ROOT


@pytest.mark.parametrize("question", ["confirm('Restart now?')", "ask('Code')", "ask('Password', hide=True)"])
def test_ctrl_c_ends_a_question_at_once(question: str) -> None:
    master, slave = pty.openpty()
    program = [
        sys.executable, "-c",
        "import asyncio\nfrom ctl.exits import Failure\nfrom ctl.prompts import ask, confirm\n"
        f"async def main(): {question}\n"
        "try: asyncio.run(main())\n"
        "except Failure as failure: print(failure.message, flush=True); raise SystemExit(failure.exit_code)",
    ]  # fmt: skip
    process = subprocess.Popen(program, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, cwd=ROOT)
    try:
        shown = b""
        while not any(word in shown for word in (b"now?", b"Code", b"Password")):
            shown += os.read(master, 1024)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == exits.INTERRUPTED
        assert b"nothing was done" in os.read(master, 1024)
    finally:
        process.kill()
        os.close(master)
        os.close(slave)


def test_handler_of_ctrl_c_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        before = signal.getsignal(signal.SIGINT)
        assert prompts.ask("Code") == "123456"
        assert signal.getsignal(signal.SIGINT) is before

    monkeypatch.setattr("sys.stdin", io.StringIO("123456\n"))
    asyncio.run(main())


def test_question_without_anybody_to_answer_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(exits.Failure, match="nothing was done") as caught:
        prompts.confirm("Restart now?")
    assert caught.value.exit_code == exits.USAGE


def test_declined_question_says_that_nothing_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    with pytest.raises(exits.Failure, match="nothing was done"):
        prompts.confirm("Restart now?")
