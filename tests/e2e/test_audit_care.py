"""The audit log's care from the command line: a real host remembers, the log is pruned, exported and reported on."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.cluster import Cluster, cluster

WAIT_S = 60


async def witnessed(fleet: Cluster, verdict: str) -> dict[str, object]:
    """Wait until the host's agent holds a checkpoint that compares in some way."""
    async with asyncio.timeout(WAIT_S):
        while True:
            (seen,) = await fleet.ctl_json("audit", "witness")
            if seen["verdict"] == verdict:
                return dict(seen)


async def test_log_is_witnessed_pruned_exported_and_reported_on(tmp_path: Path) -> None:
    async with cluster(tmp_path, require_second_factor=False, checkpoint_seconds=0.2) as fleet:
        await fleet.sign_in()
        await fleet.add_host("sol-1")
        await witnessed(fleet, "VERDICT_AGREES")
        export = tmp_path / "audit.jsonl"
        day = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        await asyncio.sleep(1.1)
        await fleet.ctl("audit", "list")
        assert (
            "are gone"
            in (await fleet.ctl("--break-glass", "alone tonight", "audit", "prune", "--before", day, "--yes")).out
        )
        await fleet.ctl("audit", "export", "--out", str(export))
        verified = await fleet.ctl("audit", "verify", str(export), "--witness")
        assert "pruned: entries 1 to" in verified.out
        assert "witness hosts/sol-1" in verified.out
        early = (datetime.now(UTC) - timedelta(days=9)).strftime("%Y-%m-%d")

        for form, begins in (("cef", "CEF:0|Solward|"), ("ocsf", '{"class_uid":')):
            lines = (await fleet.ctl("audit", "export", "--format", form, "--out", "-")).out.splitlines()
            assert lines
            assert all(line.startswith(begins) for line in lines)
        newest = json.loads(lines[-1])["metadata"]["sequence"]
        part = (await fleet.ctl("audit", "export", "--format", "ocsf", "--from", str(newest), "--out", "-")).out
        assert json.loads(part.splitlines()[0])["metadata"]["sequence"] == newest
        for form, begins in (("pdf", b"%PDF-"), ("json", b"{")):
            out = tmp_path / f"report.{form}"
            await fleet.ctl("audit", "report", "--from", early, "--format", form, "-o", str(out))
            assert out.read_bytes().startswith(begins)
        assert json.loads((tmp_path / "report.json").read_bytes())["sections"]["prunes"]["rows"]
