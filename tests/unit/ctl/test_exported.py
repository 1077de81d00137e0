"""Exports of the audit log: whose fault it is when one does not verify, and what writing one leaves behind."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common import auditlines, auditlog
from common.auditlog import GENESIS
from common.merkle import Tree, leaf_hash
from ctl import exits
from ctl.__main__ import cli
from ctl.files import check_writable, private_file

SIGNING = Ed25519PrivateKey.generate()
PUBLIC = SIGNING.public_key().public_bytes_raw().hex()
MAC_KEY = b"k" * 32


@pytest.fixture()
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    records: list[auditlog.Record] = []
    tree, chain = Tree(), GENESIS
    for sequence in (1, 2, 3):
        entry = auditlog.seal(
            {"reason": "x"}, sequence=sequence, time_ms=1, previous=chain, mac=auditlog.Mac(MAC_KEY)
        )  # fmt: skip
        records.append(entry)
        chain = entry.hash
        tree.append(leaf_hash(entry.body.encode()))
    records.append(auditlog.sign(SIGNING, origin="test", size=3, root=tree.root(), time_ms=1))
    path = tmp_path / "audit.jsonl"
    path.write_text("".join(auditlines.encode(record) + "\n" for record in records))
    return path


def verified(file: Path, *, key: str = PUBLIC, mac_key: bytes | None = None) -> Result:
    arguments = ["audit", "verify", str(file), "--key", key]
    if mac_key is not None:
        path = file.parent / "mac.key"
        path.write_bytes(mac_key)
        arguments += ["--mac-key-file", str(path)]
    return CliRunner().invoke(cli, arguments)


@pytest.mark.parametrize("mac_key", [None, MAC_KEY])
def test_honest_log_is_intact(log: Path, mac_key: bytes | None) -> None:
    assert "intact: 3 entries, 3 of them proved" in verified(log, mac_key=mac_key).output


@pytest.mark.parametrize("key", ["zz", "abcd", PUBLIC + "00"], ids=["no digits", "too short", "too long"])
def test_what_is_no_key_is_a_usage_error_that_says_what_a_key_is(log: Path, key: str) -> None:
    ran = verified(log, key=key)
    assert ran.exit_code == exits.USAGE
    assert "64 hexadecimal digits" in ran.stderr


@pytest.mark.parametrize("content", [b"hello\n", b"\xff\xfe\x00", b'{"a": 1}\n'])
def test_file_that_is_no_export_is_a_usage_error(log: Path, content: bytes) -> None:
    log.write_bytes(content)
    ran = verified(log)
    assert ran.exit_code == exits.USAGE
    assert "is not an audit export" in ran.stderr


@pytest.mark.parametrize("number", [0, 1])
def test_broken_line_of_an_export_is_not_intact(log: Path, number: int) -> None:
    lines = log.read_text().splitlines()
    lines[number] = "garbage"
    log.write_text("\n".join(lines))
    assert verified(log).exit_code == exits.NOT_INTACT


def test_mac_key_of_another_log_is_a_usage_error(log: Path) -> None:
    ran = verified(log, mac_key=b"another")
    assert ran.exit_code == exits.USAGE
    assert "this MAC key is not this log's" in ran.stderr


def test_mac_key_of_another_log_does_not_hide_what_is_wrong(log: Path) -> None:
    log.write_text(log.read_text().replace('\\"x\\"', '\\"y\\"', 1))
    ran = verified(log, mac_key=b"another")
    assert ran.exit_code == exits.NOT_INTACT


def test_code_that_was_changed_is_found_with_the_mac_key_alone(log: Path) -> None:
    lines = log.read_text().splitlines()
    first = auditlines.decode(lines[0])
    assert isinstance(first, auditlog.Entry)
    lines[0] = auditlines.encode(first._replace(mac=bytes(32)))
    log.write_text("\n".join(lines))
    assert verified(log, mac_key=MAC_KEY).exit_code == exits.NOT_INTACT


def test_written_file_is_its_owners_alone_and_replaces_nothing_unasked(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with private_file(path, force=False) as file:
        file.write("one")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(exits.Failure, match="exists"), private_file(path, force=False):
        pass
    with private_file(path, force=True) as file:
        file.write("two")
    assert path.read_text() == "two"


def test_file_that_failed_half_way_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), private_file(tmp_path / "out", force=False) as file:
        file.write("half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", [".", "no/such/folder"])
def test_file_that_cannot_be_written_is_a_usage_error(tmp_path: Path, place: str) -> None:
    for write in (lambda path: check_writable(path), lambda path: private_file(path, force=False).__enter__()):
        with pytest.raises(exits.Failure) as caught:
            write(tmp_path / place)
        assert caught.value.exit_code == exits.USAGE
