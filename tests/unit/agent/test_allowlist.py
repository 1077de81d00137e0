"""The allowlist: trusted only if root alone could have written it."""

import os
import pwd
from pathlib import Path

import pytest

from agent.allowlist import AllowlistError, Bundles, canary_regions, load

ME = pwd.getpwuid(os.geteuid()).pw_name
GOOD = "units:\n  sol.service: [validator.restart, validator.stop]\n  other.service: []\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "allowlist.yaml"
    path.write_text(GOOD)
    path.chmod(0o644)
    tmp_path.chmod(0o755)
    return path


def trouble(path: Path, owner: str = ME) -> str:
    with pytest.raises(AllowlistError) as caught:
        load(path, owner)
    return str(caught.value)


def test_bundles_are_allowed_by_name_and_with_a_cap(file: Path) -> None:
    assert load(file, ME).bundles is None
    file.write_text(GOOD + "bundles: {max_tip_lamports: 5, regions: [ny]}\n")
    bundles = load(file, ME).bundles
    assert bundles
    assert (bundles.max_tip_lamports, bundles.regions) == (5, ("ny",))
    for wrong in ("bundles: {}", "bundles: {max_tip_lamports: -1}", "bundles: {max_tip_lamports: 1, regions: [N Y]}"):
        file.write_text(f"{GOOD}{wrong}\n")
        assert "bundles" in trouble(file)


def test_plugins_are_listed_by_their_names_and_the_paths_of_their_configurations(file: Path) -> None:
    assert load(file, ME).plugins == {}
    file.write_text(GOOD + "plugins: {GeyserGrpc: /etc/solana/ys.json}\n")
    assert load(file, ME).plugins == {"GeyserGrpc": "/etc/solana/ys.json"}
    for wrong in ("{GeyserGrpc: ys.json}", "[/etc/solana/ys.json]", '{"": /etc/solana/ys.json}'):
        file.write_text(f"{GOOD}plugins: {wrong}\n")
        assert "plugins" in trouble(file)


def test_it_allows_what_it_names_and_nothing_else(file: Path) -> None:
    allowed = load(file, ME)
    assert allowed.allows("validator.restart", "sol.service")
    assert not allowed.allows("validator.start", "sol.service")
    assert not allowed.allows("validator.restart", "other.service")
    assert not allowed.allows("validator.restart", "ssh.service")


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o622])
def test_a_file_that_others_may_write_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert "chmod go-w" in trouble(file)


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_folder_that_others_may_write_is_refused(file: Path, mode: int) -> None:
    file.parent.chmod(mode)
    assert f"chmod go-w {file.parent}" in trouble(file)


def test_a_symlink_is_refused(file: Path) -> None:
    link = file.with_name("link.yaml")
    link.symlink_to(file)
    assert "cannot be opened" in trouble(link)


def test_a_missing_file_a_folder_and_an_unknown_owner_are_refused(file: Path) -> None:
    assert "cannot be opened" in trouble(file.with_name("none"))
    assert "not a user" in trouble(file, "nobody-of-that-name")
    with pytest.raises((AllowlistError, OSError)):
        load(file.parent, ME)


def test_a_file_of_another_user_is_refused(file: Path) -> None:
    # Whoever runs this, the file is theirs and not this one's; where they are root, the file is given away.
    if os.geteuid() == 0:
        os.chown(file, 65534, 65534)
        assert "must belong to root" in trouble(file, "root")
        os.chown(file, 0, 0)
        os.chown(file.parent, 65534, 65534)
        assert f"{file.parent} must belong to root" in trouble(file, "root")
    else:
        assert "must belong to root" in trouble(file, "root")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "units: [sol.service]",
        "units: {sol.service: validator.restart}",
        "units: {sol.service: [validator.reboot]}",
        "units: {sol.service: [validator.restart, '*']}",
        "units: {sol: [validator.restart]}",
        "units: {'*.service': [validator.restart]}",
        "units: {'../sol.service': [validator.restart]}",
        "units: {sol.timer: [validator.restart]}",
        "units: {}\nusers: {}",
        "units: {sol.service: [validator.restart",
        "units: !!python/object/apply:os.system ['true']",
        "units: {}\nconfig: {sol.service: {source: unit}}",
        "units: {}\nconfig: {sol.service: {source: /bin/sh, program: x}}",
        "units: {}\nconfig: {sol.service: {source: unit, program: x, flags: ['a b']}}",
        "units: {}\njobs: {x: {argv: []}}",
        "units: {}\njobs: {'../x': {argv: [/bin/true]}}",
        "units: {}\njobs: {x: {argv: /bin/true}}",
        "\x00",
        "\ufffe",
    ],
)
def test_what_is_not_understood_whole_is_refused(file: Path, content: str) -> None:
    file.write_text(content)
    assert str(file) in trouble(file)


def test_bytes_that_are_not_text_are_refused(file: Path) -> None:
    file.write_bytes(b"units: {\xff\xfe: []}")
    assert str(file) in trouble(file)


def test_canaries_go_only_where_root_lets_bundles_go() -> None:
    wanted = ("ny", "slc")
    assert canary_regions(Bundles(1_000), wanted, 1_000) == wanted
    assert canary_regions(Bundles(1_000, ("slc", "tokyo")), wanted, 1_000) == ("slc",)
    for allowed in (None, Bundles(999), Bundles(1_000, ("tokyo",))):
        with pytest.raises(AllowlistError, match="allowlist"):
            canary_regions(allowed, wanted, 1_000)
