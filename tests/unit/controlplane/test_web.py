"""The gateway's keys are handed over whole, to one group alone."""

import stat
from pathlib import Path

import pytest

from controlplane.web import GatewayKeys

KEYS = GatewayKeys(b"ca", b"key", b"chain", "secret", "csrf")


def test_what_is_left_is_what_is_found(tmp_path: Path) -> None:
    for keys in (GatewayKeys(b"old", b"old", b"old", "old", "old"), KEYS):
        keys.hand_over(tmp_path)
    assert GatewayKeys.take_over(tmp_path) == KEYS
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o640}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.pem", "csrf", "secret", "server.key", "server.pem"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("as it was")
    (tmp_path / "server.new").symlink_to(target)
    KEYS.hand_over(tmp_path)
    assert target.read_text() == "as it was"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        GatewayKeys.take_over(tmp_path)
