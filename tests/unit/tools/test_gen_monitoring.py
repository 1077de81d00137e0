"""What Prometheus and Alertmanager are set up with, by the word of their own tools."""

import subprocess
from pathlib import Path

import pytest

from tests.support.programs import ROOT
from tools.gen_monitoring import write

CONFIG = ROOT / "packaging" / "monitoring" / "alertmanager.yml"
RULES = ROOT / "packaging" / "monitoring" / "rules.yml"


def said(*argv: str | Path) -> str:
    ran = subprocess.run([str(part) for part in argv], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_what_is_shipped_is_what_is_generated(tmp_path: Path) -> None:
    write(tmp_path)
    for path in (CONFIG, RULES):
        assert path.read_text() == (tmp_path / path.name).read_text(), "run make gen"


def test_rules_are_good_and_fire_when_they_should(tmp_path: Path) -> None:
    assert "SUCCESS" in said("promtool", "check", "rules", RULES)
    cases = tmp_path / "rules_test.yml"
    cases.write_text((Path(__file__).parent / "rules_test.yml").read_text().replace("RULES", str(RULES)))
    assert "SUCCESS" in said("promtool", "test", "rules", cases)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("alertname=ValidatorDown severity=critical subject=validator", "pagerduty,slack"),
        ("alertname=RpcDown severity=error subject=validator", "slack"),
        ("alertname=UdpDrops severity=warning subject=validator", "slack"),
        ("alertname=Noted severity=info subject=validator", "nobody"),
        ("alertname=SolwardWatchdog severity=info subject=monitor", "watchdog"),
    ],
)
def test_who_is_told_is_told_by_how_grave_it_is(labels: str, receivers: str) -> None:
    assert "SUCCESS" in said("amtool", "check-config", CONFIG)
    assert said("amtool", "config", "routes", "test", f"--config.file={CONFIG}", *labels.split()).strip() == receivers
