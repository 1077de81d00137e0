"""The identity on disk: the old one or the new, whole, whenever the process dies."""

import datetime as dt
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.identity import FILE, IdentityError, IdentityStore, prepare_state
from tests.support.programs import ROOT
from tests.unit.agent.fakes import make_identity

KEY = Ed25519PrivateKey.generate()
# Dies, as by a power cut, at the N-th call that touches the disk while a file is replaced.
SCRIPT = """
import os, sys, tempfile
from pathlib import Path
from common import files

path, content, moment = Path(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
calls = 0

def dying(real):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == moment:
            os._exit(9)
        return real(*arguments, **options)
    return call

tempfile.mkstemp = dying(tempfile.mkstemp)
os.fdopen = dying(os.fdopen)
os.fsync = dying(os.fsync)
Path.replace = dying(Path.replace)
os.open = dying(os.open)
files.write_private(path, content)
"""


def test_it_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    identity = replace(make_identity(KEY), exchange_token="token")
    store = IdentityStore(tmp_path)
    store.save(identity)
    loaded = store.load()
    assert (loaded.host, loaded.uid, loaded.exchange_token) == (identity.host, identity.uid, "token")
    assert (loaded.key_pem, loaded.certificate_pem, loaded.roots_pem) == (
        identity.key_pem,
        identity.certificate_pem,
        identity.roots_pem,
    )
    assert loaded.permit_keys == identity.permit_keys
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600

    updated = store.save_exchange(loaded, "next")
    assert (updated.exchange_token, updated.permit_keys) == ("next", identity.permit_keys)
    assert store.load().exchange_token == "next"


def test_death_at_any_step_of_a_write_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / FILE
    found = []
    for moment in range(1, 12):
        path.write_text("old")
        argv = [sys.executable, "-c", SCRIPT, str(path), "new", str(moment)]
        code = subprocess.run(argv, cwd=ROOT, check=False).returncode
        assert code in (0, 9)
        found.append(path.read_text())
        if code == 0:
            break
    else:
        pytest.fail("it never came to its end")
    assert len(found) > 5
    assert found == sorted(found, reverse=True)
    assert (found[0], found[-1]) == ("old", "new")


def test_a_write_that_fails_leaves_the_old_one_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, first = IdentityStore(tmp_path), make_identity(KEY)
    store.save(first)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.save(make_identity(KEY))
    assert store.load().serial == first.serial
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_the_key_to_enroll_with_is_the_same_until_it_was_used(tmp_path: Path) -> None:
    store = IdentityStore(tmp_path)
    key = store.enrollment_key()
    pending = tmp_path / "enroll.key"
    assert pending.stat().st_mode & 0o777 == 0o600
    assert IdentityStore(tmp_path).enrollment_key().private_numbers() == key.private_numbers()
    pending.write_text("half a k")
    assert store.enrollment_key().private_numbers() != key.private_numbers()
    store.enrolled(make_identity(KEY))
    assert not pending.exists()


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"host": "hosts/sol-1"}', "\xff"])
def test_what_cannot_be_used_says_what_to_do(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / FILE).write_text(content, "latin-1")
    with pytest.raises(IdentityError, match="enroll"):
        IdentityStore(tmp_path).load()


@pytest.mark.parametrize("name", ["key_pem", "certificate_pem", "ca_pem", "permit_keys", "exchange_token"])
def test_any_field_that_is_missing_or_of_another_kind_says_what_to_do(tmp_path: Path, name: str) -> None:
    store = IdentityStore(tmp_path)
    store.save(make_identity(KEY))
    content = json.loads((tmp_path / FILE).read_bytes())
    for broken in ({key: value for key, value in content.items() if key != name}, content | {name: 7}):
        (tmp_path / FILE).write_text(json.dumps(broken))
        if name == "exchange_token" and name in broken:
            continue
        with pytest.raises(IdentityError, match="enroll again"):
            store.load()


def test_renewal_is_due_at_half_of_life_give_or_take_a_tenth() -> None:
    identity = make_identity(KEY, life=dt.timedelta(hours=24))
    begin = identity.certificate.not_valid_before_utc
    assert identity.renew_at(0) == begin + dt.timedelta(hours=12)
    assert identity.renew_at(-1) == begin + dt.timedelta(hours=9.6)
    assert identity.renew_at(1) == begin + dt.timedelta(hours=14.4)
    times = [identity.renew_at() for _ in range(100)]
    assert identity.renew_at(-1) <= min(times) < max(times) <= identity.renew_at(1)
    assert len(set(times)) > 90


@pytest.mark.parametrize(
    ("begin", "life", "words"),
    [(dt.timedelta(hours=1), dt.timedelta(hours=2), "set the clock"), (dt.timedelta(-2), dt.timedelta(1), "ended at")],
)
def test_a_certificate_that_does_not_hold_now_is_trouble(begin: dt.timedelta, life: dt.timedelta, words: str) -> None:
    assert words in (make_identity(KEY, begin=begin, life=life).trouble() or "")
    assert make_identity(KEY).trouble() is None
    assert "authority" in (replace(make_identity(KEY), roots=make_identity(KEY).roots).trouble() or "")


def test_the_state_folder_is_its_owners_alone(tmp_path: Path) -> None:
    prepare_state(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "a" / "b").chmod(0o755)
    prepare_state(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
