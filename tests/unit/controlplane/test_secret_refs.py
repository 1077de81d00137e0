"""Secrets that a setting names: read where they may be, and never shown where they may not."""

from pathlib import Path

import pytest

from controlplane.secret_refs import MOST_BYTES, resolve
from controlplane.settings import Settings

SECRET = "s" * 40


def kept(folder: Path, mode: int = 0o600, content: bytes = SECRET.encode() + b"\n") -> Path:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_secret_is_read_from_a_file_a_credential_or_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kept(tmp_path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("HELD", SECRET)
    for named in (f"file:{path}", "credential:secret", "env:HELD"):
        settings = Settings(csrf_secret=named)  # type: ignore[arg-type]
        assert settings.csrf_secret is not None
        assert settings.csrf_secret.get_secret_value() == SECRET
        assert SECRET not in repr(settings)
    found = Settings(oidc={"issuer": "https://idp.example", "client_id": "x", "default_role": "viewer",
                           "client_secret": "env:HELD"})  # type: ignore[arg-type]  # fmt: skip
    assert found.oidc.client_secret.get_secret_value() == SECRET


def test_what_is_no_reference_stays_as_it_is() -> None:
    for value in ("redis://:p@h/0", "postgresql://u:p@h/d", "x", "", 3, None):
        assert resolve(value) == value


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("env:NOT_SET_AT_ALL", "which is not set"),
        ("credential:x", "the unit has none"),
        ("file:/nonexistent/x", "cannot be read"),
        ("file:/etc/passwd", "everybody may read"),
    ],
)
def test_what_cannot_be_read_is_said_so(named: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        resolve(named)


def test_a_file_that_everybody_may_read_or_that_is_no_secret_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="must be 0600"):
        resolve(f"file:{kept(tmp_path, 0o644)}")
    for content, says in (
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\xff\xfe", "no text"),
        (b"x" * (MOST_BYTES + 1), "large"),
    ):
        with pytest.raises(ValueError, match=says) as caught:
            resolve(f"file:{kept(tmp_path, content=content)}")
        assert SECRET not in str(caught.value)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name in ("../etc/passwd", "", ".hidden", "a/b"):
        with pytest.raises(ValueError, match="must name a credential"):
            resolve(f"credential:{name}")
