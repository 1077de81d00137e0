"""The audit log against whoever can write its store: what an operator holds is not talked away."""

import sqlite3
from pathlib import Path

from tests.support.cluster import cluster


async def test_a_log_cut_and_grown_again_is_found_out_by_export_and_verify(tmp_path: Path) -> None:
    async with cluster(tmp_path) as fleet:
        await fleet.sign_in()
        for _ in range(4):
            await fleet.ctl("audit", "list")
        honest = tmp_path / "honest.jsonl"
        await fleet.ctl("audit", "export", "--out", str(honest))
        await fleet.ctl("audit", "verify", str(honest))

        await fleet.stop_server()
        with sqlite3.connect(tmp_path / "cp" / "solward.db") as store:
            store.execute("DELETE FROM audit_entries WHERE sequence > 3")
            store.execute("DELETE FROM audit_checkpoints WHERE size > 3")
        await fleet.start_server()
        for _ in range(12):
            await fleet.ctl("audit", "list")

        cut = tmp_path / "cut.jsonl"
        exported = await fleet.ctl("audit", "export", "--out", str(cut), check=False)
        assert exported.code == 8
        assert "did not grow" in exported.err
        for _ in range(2):
            verified = await fleet.ctl("audit", "verify", str(cut), check=False)
            assert verified.code == 8
            assert "forked" in verified.err
