"""The step journal: what was begun and what became of it, over restarts."""

from pathlib import Path

import pytest
from solward.hosts.v1 import link_pb2

from agent import journal as module
from agent.journal import Journal, JournalError

BEFORE = link_pb2.UnitState(unit="sol.service", invocation_id="ab" * 16)
RECEIPT = link_pb2.SignedReceipt(receipt=b"receipt", signature=b"signature", certificate_serial="1f")


def permit(step: str = "act", operation: str = "operations/one") -> link_pb2.Permit:
    return link_pb2.Permit(operation=operation, step=step, request_sha256=b"digest")


def test_steps_outlive_the_process(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.find("operations/one", "act") is None
    journal.begin(permit(), 1234, BEFORE)
    journal.close()

    journal = Journal(tmp_path)
    assert journal.find("operations/one", "act") == (b"digest", 1234, BEFORE, None)
    assert journal.find("operations/one", "other") is None
    assert journal.find("operations/two", "act") is None
    journal.end(permit(), RECEIPT)
    journal.close()

    journal = Journal(tmp_path)
    assert journal.find("operations/one", "act") == (b"digest", 1234, BEFORE, RECEIPT)
    journal.close()


def test_a_step_is_begun_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.begin(permit(), 1, BEFORE)
    with pytest.raises(Exception, match="UNIQUE"):
        journal.begin(permit(), 2, BEFORE)
    found = journal.find("operations/one", "act")
    assert found
    assert found.start_unix_ms == 1
    journal.close()


def test_only_the_newest_steps_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_STEPS", 3)
    journal = Journal(tmp_path)
    for number in range(8):
        journal.begin(permit(operation=f"operations/{number}"), number, BEFORE)
        if number != 1:
            journal.end(permit(operation=f"operations/{number}"), RECEIPT)
    kept = [number for number in range(8) if journal.find(f"operations/{number}", "act")]
    # What was begun and has no receipt may have been done: it is not begun again.
    assert (kept[0], kept[-1]) == (1, 7)
    assert not set(kept) & {0, 2, 3, 4}
    journal.close()


def test_a_full_disk_is_said_and_what_is_there_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.begin(permit(), 1, BEFORE)
    pages = journal._database.execute("PRAGMA page_count").fetchone()[0]
    journal._database.execute(f"PRAGMA max_page_count = {pages}")
    big = link_pb2.UnitState(unit="x" * 20_000)
    with pytest.raises(JournalError, match="full"):
        journal.begin(permit("next"), 2, big)
    assert journal.find("operations/one", "next") is None
    journal._database.execute("PRAGMA max_page_count = 10000")
    journal.begin(permit("next"), 3, big)
    assert journal.find("operations/one", "next") == (b"digest", 3, big, None)
    journal.close()


def test_a_step_is_on_the_disk_before_it_is_acted_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    full = 2
    assert journal._database.execute("PRAGMA synchronous").fetchone()[0] == full
    journal.close()
