"""Installing: what cannot be had leaves nothing behind, and what is there already stays as it is."""

from pathlib import Path

import pytest

from controlplane import setup
from controlplane.identity.installation import exists
from controlplane.settings import Settings

PASSWORD = "a password for tests"


# aiosqlite does not wait for the thread of a connection that failed: it may outlive the loop, and say so.
@pytest.mark.filterwarnings(
    r"ignore:Exception in thread .*_connection_worker_thread:pytest.PytestUnhandledThreadExceptionWarning"
)
@pytest.mark.parametrize(
    "url",
    ["sqlite+aiosqlite:////nonexistent/dir/x.db", "sqlite+nosuchdriver:///x.db", "nonsense"],
    ids=["folder", "driver", "no url"],
)
def test_database_that_cannot_be_opened_leaves_nothing_and_a_second_init_works(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "cp"
    with pytest.raises(setup.SetupError, match="database_url cannot be used, and nothing was made"):
        setup.run(Settings(data_dir=folder, database_url=url), "alice", PASSWORD)
    assert list(folder.rglob("*")) == []
    good = Settings(data_dir=folder)
    assert not exists(good)
    assert "alice" in setup.run(good, "alice", PASSWORD)
    assert exists(good)


def test_second_init_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "cp")
    setup.run(settings, "alice", PASSWORD)
    keys = {path: path.read_bytes() for path in (settings.data_dir / "keys").iterdir()}
    with pytest.raises(setup.SetupError, match="already holds an installation"):
        setup.run(settings, "bob", PASSWORD)
    assert {path: path.read_bytes() for path in (settings.data_dir / "keys").iterdir()} == keys


def test_database_of_another_installation_is_not_taken_over(tmp_path: Path) -> None:
    first = Settings(data_dir=tmp_path / "one")
    setup.run(first, "alice", PASSWORD)
    second = Settings(data_dir=tmp_path / "two", database_url=first.database())
    with pytest.raises(setup.SetupError, match="already has users"):
        setup.run(second, "bob", PASSWORD)
    assert not exists(second)
    assert list(second.data_dir.rglob("*")) == []
