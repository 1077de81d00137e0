"""`solward-agent check` finds each thing that a start needs, and says what to do about it."""

import getpass
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent import check
from agent.geyser.plugin_settings import PluginSettings, StreamSettings
from agent.geyser.settings import GeyserSettings
from agent.identity import IdentityStore
from agent.settings import Settings
from tests.peers.fixtures import systemd_peer
from tests.peers.yellowstone import yellowstone
from tests.support.plane import Plane
from tests.support.ports import free_ports
from tests.unit.agent.fakes import make_identity
from tests.unit.agent.link.harness import identity_of

UNIT = "sol.service"


def settings_for(folder: Path, port: int, bus: str) -> Settings:
    path = folder / "allowlist.yaml"
    path.write_text(f"units: {{{UNIT}: [validator.restart]}}")
    path.chmod(0o644)
    return Settings(
        server="localhost",
        tls_port=port,
        state_dir=folder,
        allowlist=path,
        allowlist_owner=getpass.getuser(),
        bus_address=bus,
    )


# What the control plane of the same process says of itself stands between.
MARKS = ("ok    ", "FAIL  ")


async def run(settings: Settings, capsys: pytest.CaptureFixture[str]) -> tuple[bool, dict[str, str]]:
    capsys.readouterr()
    passed = await check.run(settings)
    lines = [tuple(line[6:].split(": ", 1)) for line in capsys.readouterr().out.splitlines() if line[:6] in MARKS]
    return passed, dict(lines)


async def test_it_passes_where_all_is_well_and_names_what_is_not(
    plane: Plane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "agent"
    folder.mkdir()
    async with systemd_peer({UNIT: ["sleep", "600"]}, start=True) as peer:
        settings = settings_for(folder, plane.app.servers.tls_port, peer.address)
        passed, said = await run(settings, capsys)
        assert not passed
        assert "solward-agent enroll" in said["identity"]
        assert said["control plane"] == "needs the identity"

        admin = await plane.sign_in()
        IdentityStore(folder).save(identity_of(await plane.add_machine(admin, "sol-1"), plane))
        passed, said = await run(settings, capsys)
        assert passed, said
        assert said["identity"].startswith("hosts/sol-1, certificate until")
        assert said["allowlist"] == f"{UNIT} (validator.restart)"
        assert said["units"] == f"{UNIT} is active/running"
        assert "certificate of our authority" in said["control plane"]

        settings.allowlist.chmod(0o666)
        passed, said = await run(settings, capsys)
        assert not passed
        assert "chmod go-w" in said["allowlist"]
        settings.allowlist.chmod(0o644)
        settings.allowlist.write_text("units: {none.service: []}")
        _, said = await run(settings, capsys)
        assert "UNIT_NOT_FOUND" in said["units"]

    settings = settings_for(folder, free_ports(1)[0], "unix:path=/nowhere")
    passed, said = await run(settings, capsys)
    assert not passed
    assert "BUS_UNAVAILABLE" in said["units"]
    assert "cannot be reached" in said["control plane"]


async def test_another_control_plane_is_told_from_ours(
    plane: Plane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "agent"
    folder.mkdir()
    IdentityStore(folder).save(make_identity(Ed25519PrivateKey.generate()))
    passed, said = await run(settings_for(folder, plane.app.servers.tls_port, "unix:path=/nowhere"), capsys)
    assert not passed
    assert "is not our control plane" in said["control plane"]


async def test_it_looks_at_plugins_and_streams(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lib.so").write_bytes(b"x")
    config, token = tmp_path / "ys.json", tmp_path / "token"
    config.write_text("{libpath: 'lib.so'}")
    token.write_text("canary")
    token.chmod(0o644)
    async with yellowstone() as peer:
        streams = {"far": StreamSettings(url=peer.url, token_file=token)}
        geyser = GeyserSettings(plugins={"ys": PluginSettings(config=config)}, streams=streams)
        settings = msgspec.structs.replace(settings_for(tmp_path, 1, "unix:path=/nowhere"), geyser=geyser)
        assert "chmod 600" in (await run(settings, capsys))[1]["plugins and streams"]
        token.chmod(0o600)
        assert (await run(settings, capsys))[1]["plugins and streams"] == "ys, far"
        config.write_text("{libpath: 'gone.so'}")
        assert "gone.so' is no file" in (await run(settings, capsys))[1]["plugins and streams"]
        config.write_text("{libpath: 'lib.so'}")
    assert "cannot be reached: far" in (await run(settings, capsys))[1]["plugins and streams"]
