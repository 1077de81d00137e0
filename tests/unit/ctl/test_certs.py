"""ctl certs, and a context that a client certificate opens, against a control plane in this process."""

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from google.protobuf.timestamp_pb2 import Timestamp

from common.pki import load_key, urgency
from ctl import contexts
from ctl.__main__ import cli
from ctl.contexts import Context
from ctl.views.expiry import expiry_troubles, time_left
from tests.support.authorities import rotating
from tests.support.plane import Person, Plane, control_plane

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
async def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plane]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    async with control_plane(tmp_path / "plane", require_second_factor=False) as running:
        yield running


async def ctl(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, cli, list(arguments))


async def signed_in(plane: Plane) -> Person:
    admin = await plane.sign_in()
    session = Context("default", f"localhost:{plane.app.servers.tls_port}", plane.installation.pki.roots_pem.decode())
    session.username, session.access_token = admin.name, admin.token
    session.access_expires_ms, session.refresh_token = 2**62, admin.refresh
    contexts.save(session)
    contexts.use("default")
    return admin


async def test_a_certificate_is_issued_used_and_revoked(plane: Plane, tmp_path: Path) -> None:
    await signed_in(plane)
    done = await ctl("certs", "issue", "--service", "reporter", "--role", "viewer", "--days", "10", "--output", "json")
    assert done.exit_code == 0, done.output
    key, certificate, roots = (tmp_path / f"reporter.{ending}" for ending in ("key", "pem", "ca.pem"))
    assert {path.stat().st_mode & 0o777 for path in (key, certificate, roots)} == {0o600}
    load_key(key.read_bytes())
    again = await ctl("certs", "issue", "--service", "reporter")
    assert again.exit_code == 2
    assert "exists, nothing was done" in again.output

    door = f"localhost:{plane.app.servers.mtls_port}"
    files = ("--ca-file", str(roots), "--certificate", str(certificate), "--key", str(key))
    added = await ctl("context", "add", "robot", "--server", door, *files)
    assert added.exit_code == 0, added.output
    shown = await ctl("status", "--output", "json")
    assert shown.exit_code == 0, shown.output
    assert (json.loads(shown.output)["username"], json.loads(shown.output)["troubles"]) == ("services/reporter", [])
    assert "robot" in (await ctl("context", "list")).output

    serial = json.loads((await ctl("certs", "list", "--output", "json")).output)[0]["name"].partition("/")[2]
    revoked = await ctl("--context", "default", "certs", "revoke", serial[:12], "--service", "reporter")
    assert revoked.exit_code == 0, revoked.output
    refused = await ctl("status")
    assert refused.exit_code == 3
    assert "CERTIFICATE_REVOKED" in refused.output
    assert "ctl certs issue" in refused.output


async def test_a_context_takes_only_a_pair_that_belongs_together(plane: Plane, tmp_path: Path) -> None:
    await signed_in(plane)
    for name in ("one", "two"):
        assert (await ctl("certs", "issue", "--out", name)).exit_code == 0
    files = ("--ca-file", "one.ca.pem", "--certificate", "one.pem")
    for key, says in (("two.key", "not the key of"), ("one.pem", "not what it should be")):
        refused = await ctl("context", "add", "mine", "--server", "localhost", *files, "--key", key)
        assert refused.exit_code == 2
        assert says in refused.output
    (tmp_path / "one.key").chmod(0o644)
    refused = await ctl("context", "add", "mine", "--server", "localhost", *files, "--key", "one.key")
    assert (refused.exit_code, "can be read by others" in refused.output) == (2, True)


async def test_a_session_brings_the_roots_of_today(plane: Plane) -> None:
    await signed_in(plane)
    await rotating(plane, lambda rotation: rotation.rotate())
    stored = contexts.load("default")
    stored.access_expires_ms = 0
    contexts.save(stored)
    listed = await ctl("certs", "authorities", "--output", "json")
    assert listed.exit_code == 0, listed.output
    assert contexts.load("default").ca_pem == plane.installation.pki.roots_pem.decode()
    found = json.loads(listed.output)
    assert [one.get("phase") for one in found] == ["active", "next", ""]


def stamp(moment: dt.datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


@pytest.mark.parametrize(
    ("life_h", "left_h", "colour"),
    [(24, 12, ""), (24, 7, "yellow"), (24, 2, "red"), (2400, 900, ""), (2400, 700, "yellow"), (2400, 71, "red")],
)
def test_how_pressing_an_end_is_depends_on_the_life(life_h: int, left_h: int, colour: str) -> None:
    begin, end = NOW - dt.timedelta(hours=life_h - left_h), NOW + dt.timedelta(hours=left_h)
    assert urgency(begin, end, NOW) == colour
    shown = time_left(stamp(begin), stamp(end), NOW)
    assert shown.startswith(f"[{colour}]") if colour else "[" not in shown
    assert bool(expiry_troubles("sol-1", stamp(begin), stamp(end), NOW)) == bool(colour)


def test_what_is_over_says_so() -> None:
    assert time_left(stamp(NOW - dt.timedelta(days=1)), stamp(NOW), NOW) == "[red]over[/]"
    assert expiry_troubles("sol-1", stamp(NOW), stamp(NOW), NOW) == ["sol-1: its certificate is over"]
    assert expiry_troubles("sol-1", Timestamp(), Timestamp(), NOW) == []
