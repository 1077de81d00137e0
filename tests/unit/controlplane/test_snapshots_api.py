"""What is asked of snapshots: fields that say nothing together are refused before a host is looked at."""

from typing import Any

import pytest
from solward.controls.v1 import controls_pb2 as pb

from common.errors import SolwardError
from controlplane.api.snapshots import Snapshots


async def test_a_deep_check_has_no_limit_of_its_speed() -> None:
    nobody: Any = None
    with pytest.raises(SolwardError) as refused:
        await Snapshots(nobody, nobody, nobody, nobody).verify(pb.VerifySnapshotRequest(deep=True, bytes_per_second=1))
    assert refused.value.reason == "INVALID_FIELD"
