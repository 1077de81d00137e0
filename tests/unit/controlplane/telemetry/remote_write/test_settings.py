"""Settings of remote write: what is wrong is named, and no secret is."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from controlplane.settings import SettingsError, load
from controlplane.telemetry.remote_write.settings import RemoteWriteSettings

URL = "http://prometheus:9090/api/v1/write"


@pytest.mark.parametrize(
    ("receiver", "words"),
    [
        ({"url": "prometheus:9090"}, "must be an http or https URL"),
        ({"url": "http://me:hidden-0@a/w"}, "must hold no credentials"),
        ({"name": "A b"}, "should match pattern"),
        ({"user": "me"}, "user and password go together"),
        ({"user": "me", "password": "hidden-1", "token": "hidden-2"}, "token goes in place"),
        ({"token": "hidden-3\n"}, "token must be printable ASCII"),
        ({"headers": {"a b": "hidden-4"}}, "is no header that may be set here"),
        ({"headers": {"Content-Encoding": "x"}}, "is no header that may be set here"),
        ({"headers": {"Authorization": "hidden-5"}}, "is no header that may be set here"),
        ({"headers": {"X-A": "hidden-6\r\nX-B: c"}}, "must be printable ASCII"),
        ({"protocol": "v3"}, "'auto', 'v1' or 'v2'"),
        ({"urls": "x"}, "Extra inputs"),
    ],
)
def test_a_wrong_receiver_is_refused(receiver: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as raised:
        load(remote_write={"receivers": [{"name": "a", "url": URL} | receiver]})
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    ("whole", "words"),
    [
        ({"receivers": [{"name": "a", "url": URL}] * 2}, "same name"),
        ({"external_labels": {"a-b": "c"}}, "is no label"),
        ({"external_labels": {"__name__": "c"}}, "is no label"),
        ({"interval_seconds": 0}, "greater than or equal"),
    ],
)
def test_wrong_settings_are_refused(whole: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RemoteWriteSettings.model_validate(whole)


def test_secrets_may_stand_elsewhere_and_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    path.write_text("from-a-file\n")
    path.chmod(0o600)
    monkeypatch.setenv("TENANT", "from-a-variable")
    receiver = {"name": "a", "url": URL, "token": f"file:{path}", "headers": {"X-Scope-OrgID": "env:TENANT"}}
    made = RemoteWriteSettings.model_validate({"receivers": [receiver]})
    (one,) = made.receivers
    assert one.token.get_secret_value() == "from-a-file"
    assert one.headers["X-Scope-OrgID"].get_secret_value() == "from-a-variable"
    assert "from-a" not in repr(made)
