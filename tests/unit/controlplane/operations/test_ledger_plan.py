"""Plans for a ledger: what would take a node down for nothing, or for good, is refused before anything is done."""

import pytest

from common.errors import SolwardError
from controlplane.operations.ledger_plan import Range, repair
from tests.unit.controlplane.operations.test_plan import HOST, connected

ALL = ("validator.ledger", "validator.stop", "validator.start")
DIGEST = "d" * 64


def parts(active: str, *actions: str, digest: str = "", knows: bool = True) -> list[object]:
    plan = repair(HOST, connected(*actions, active=active, knows=knows), Range(1, 5, digest=digest), 0)
    return [part[0] for part in plan.parts]


def test_a_running_node_is_taken_down_and_up_again_and_another_is_left_down() -> None:
    assert parts("active", *ALL) == ["stop", "repair", "start"]
    assert parts("inactive", "validator.ledger") == ["repair"]


@pytest.mark.parametrize("missing", ["validator.stop", "validator.start"])
def test_a_node_that_root_lets_nobody_start_again_is_not_stopped(missing: str) -> None:
    with pytest.raises(SolwardError) as refused:
        parts("active", *(action for action in ALL if action != missing))
    assert (refused.value.reason, missing in refused.value.message) == ("ACTION_NOT_ALLOWED", True)


def test_what_a_survey_planned_is_no_reason_to_stop_a_node_that_has_run_since() -> None:
    assert parts("inactive", *ALL, digest=DIGEST) == ["repair"]
    with pytest.raises(SolwardError) as refused:
        parts("active", *ALL, digest=DIGEST)
    assert refused.value.reason == "NODE_RUNS"


def test_a_node_that_its_agent_knows_too_little_of_to_mend_is_not_stopped() -> None:
    with pytest.raises(SolwardError) as refused:
        parts("active", *ALL, knows=False)
    assert refused.value.reason == "VALIDATOR_UNKNOWN"
