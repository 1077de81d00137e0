"""Settings of the collector."""

from typing import Any

import pytest
from pydantic import ValidationError

from controlplane.telemetry.otlp.settings import OtlpSettings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"endpoint": "collector:4317"}, "must be http"),
        ({"endpoint": "http://collector"}, "must be http"),
        ({"endpoint": "http://u:p@collector:4317"}, "headers"),
        ({"endpoint": "http://collector:4317/v1/traces"}, "end after the port"),
        ({"headers": {"x": "y"}}, "endpoint is missing"),
        ({"endpoint": "http://c:4317", "headers": {"grpc-x": "y"}}, "gRPC's own"),
        ({"endpoint": "http://c:4317", "headers": {"x": "a\nb"}}, "printable"),
        ({"endpoint": "http://c:4317", "ca_file": "/nowhere.pem"}, "https"),
        ({"endpoint": "https://c:4317", "ca_file": "/nowhere.pem"}, "not a file"),
        ({"endpoint": "http://c:4317", "signals": ["profiles"]}, "traces"),
        ({"endpoint": "http://c:4317", "sample_ratio": 2}, "less than or equal"),
    ],
)
def test_what_cannot_be_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        OtlpSettings(**given)


def test_signals_are_sent_where_there_is_a_collector() -> None:
    assert not OtlpSettings().sends("traces")
    some = OtlpSettings(endpoint="http://c:4317", signals=["metrics", "logs"], metrics_seconds=0)
    assert [some.sends(one) for one in ("traces", "metrics", "logs")] == [False, False, True]


def test_the_environment_of_other_programs_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://elsewhere:4317")
    assert OtlpSettings().endpoint == ""
