"""Rules: the built-in ones, one's own, and those that cannot be."""

import pytest
from pydantic import ValidationError
from solward.hosts.v1 import link_pb2

from controlplane.alerts.rules import BUILT_IN, SEVERITIES, AlertSettings, EventTrigger, Rule, SeriesTrigger


def test_built_in_rules_are_whole() -> None:
    assert len({rule.name for rule in BUILT_IN}) == len(BUILT_IN)
    names = {rule.name for rule in BUILT_IN}
    for rule in BUILT_IN:
        assert set(rule.hold) <= names
        assert rule.trigger.words()
        # Whoever watches is judged also while an operation is at work; it is not the operation that blinds it.
        assert rule.during_operations or rule.subject == "validator"
    assert {rule.subject for rule in BUILT_IN} == {"validator", "monitor", "pipeline", "bundles"}


def test_ones_own_rule_takes_the_place_of_a_built_in_one() -> None:
    own = {"name": "validator_down", "severity": "warning", "summary": "mine", "link": {"state": "offline"}}
    settings = AlertSettings.model_validate({"rules": [own], "disabled": ["udp_drops"]})
    found = {rule.name: rule.summary for rule in settings.in_force()}
    assert found["validator_down"] == "mine"
    assert "udp_drops" not in found
    assert len(found) == len(BUILT_IN) - 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"link": None}, "exactly one of"),
        ({"events": {}}, "exactly one of"),
        ({"name": "Bad Name"}, "name"),
        ({"severity": "grave"}, "severity"),
        ({"for_seconds": -1}, "for_seconds"),
        ({"link": {"state": "gone"}}, "state"),
        ({"link": None, "series": {"series": "x"}}, "above or below"),
        ({"link": None, "series": {"series": "x", "above": 1, "below": 0}}, "above or below"),
        ({"link": None, "series": {"series": "x", "above": 1, "statistic": "ratio"}}, "over goes with"),
        ({"link": None, "series": {"series": "x", "above": 1, "window_seconds": 0}}, "window_seconds"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_rule_that_cannot_be_is_explained(change: dict[str, object], words: str) -> None:
    rule = {"name": "x", "severity": "error", "summary": "x", "link": {"state": "offline"}} | change
    with pytest.raises(ValidationError) as caught:
        AlertSettings.model_validate({"rules": [rule]})
    assert words in str(caught.value)


def test_what_is_switched_off_must_exist() -> None:
    with pytest.raises(ValidationError, match="no built-in rule: nothing_such"):
        AlertSettings(disabled=["nothing_such"])


def test_findings_match_by_kind_and_severity() -> None:
    event = link_pb2.Event(kind="validator.panic", severity=link_pb2.SEVERITY_CRITICAL)
    assert EventTrigger().matches(event)
    assert EventTrigger(severities=("critical",)).matches(event)
    assert not EventTrigger(severities=("error",)).matches(event)
    assert not EventTrigger(kinds=("validator.other",), severities=("critical",)).matches(event)
    assert set(SEVERITIES.values()) == set(link_pb2.Severity.values()) - {link_pb2.SEVERITY_UNSPECIFIED}


def test_conditions_read_well() -> None:
    series = SeriesTrigger(series="a", labels={"unit": "sol.service"}, statistic="ratio", over="b", above=0.9)
    assert series.words() == "ratio(a{unit=sol.service} / b) > 0.9"
    assert SeriesTrigger(series="a", statistic="stalled", window_seconds=30).words() == "stalled(a) for 30 s"
    rule = Rule(name="x", severity="info", summary="x", events=EventTrigger(severities=("warning",), times=5))
    assert rule.trigger.words() == "a finding that is warning, 5 times in 60 s"
