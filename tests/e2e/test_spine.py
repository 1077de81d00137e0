"""The main job with real processes: enroll, live latency, a guarded restart, the audit trail."""

import asyncio
import json
from pathlib import Path

import yaml

from tests.support.cluster import cluster


async def test_a_restart_goes_from_ctl_to_the_unit_and_back(tmp_path: Path) -> None:
    async with cluster(tmp_path) as fleet:
        await fleet.sign_in()
        await fleet.add_host("sol-1")
        before = await fleet.ctl_json("validator", "status", "sol-1")

        refused = await fleet.ctl("validator", "restart", "sol-1", "--yes", answers=("000000",), check=False)
        assert refused.code == 4
        assert "CODE_REFUSED" in refused.err

        code = await fleet.authenticator.code()
        done = json.loads(
            (await fleet.ctl("validator", "restart", "sol-1", "--yes", "-o", "json", answers=(code,))).out
        )
        assert done["state"] == "OPERATION_STATE_SUCCEEDED"
        after = await fleet.ctl_json("validator", "status", "sol-1")
        assert after["unit"]["invocationId"] != before["unit"]["invocationId"]
        receipt = next(step for step in done["steps"] if step["id"] == "act")["receipt"]
        assert receipt["after"]["invocationId"] == after["unit"]["invocationId"]

        await asyncio.sleep(3)
        metrics = await fleet.ctl_json("rpc", "latency", "--host", "sol-1")
        assert {row["method"] for row in metrics["methods"]} >= {"getSlot", "getBlock", "getProgramAccounts"}
        assert all(0 < row["p50Ms"] < 1000 for row in metrics["methods"])

        export = tmp_path / "audit.jsonl"
        await fleet.ctl("audit", "export", "--out", str(export))
        assert "intact" in (await fleet.ctl("audit", "verify", str(export))).out
        tampered = tmp_path / "tampered.jsonl"
        tampered.write_text(export.read_text().replace("validator.restart", "validator.status", 1))
        caught = await fleet.ctl("audit", "verify", str(tampered), check=False)
        assert caught.code == 8
        assert "edited" in caught.err


async def test_many_ctl_at_once_renew_their_session_once(tmp_path: Path) -> None:
    async with cluster(tmp_path) as fleet:
        await fleet.sign_in()
        (path,) = (fleet.folder / "config" / "solward" / "contexts").glob("*.yaml")
        context = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump(context | {"access_expires_ms": 0}))
        ran = await asyncio.gather(*(fleet.ctl("hosts", "list", check=False) for _ in range(6)))
        assert [each.code for each in ran] == [0] * 6, ran
        assert yaml.safe_load(path.read_text())["refresh_token"] != context["refresh_token"]
