"""From a fault on a host to PagerDuty and Slack, through a real Alertmanager with the configuration that is shipped."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.test_rolling import faults
from tests.support.cluster import cluster
from tests.support.monitoring import Notified, alertmanager, notified
from tests.support.ports import free_ports
from tools import gen_monitoring

SOON_S = 20.0


def configured(folder: Path, told: Notified) -> Path:
    """Write the shipped configuration with the keys, the APIs' addresses and less patience."""
    config = gen_monitoring.alertmanager()
    config["global"]["pagerduty_url"] = f"{told.url}/pagerduty"
    config["route"] |= {"group_wait": "100ms", "group_interval": "500ms"}
    (folder / "pagerduty.key").write_text("k" * 32)
    (folder / "slack.url").write_text(f"{told.url}/slack")
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config).replace("/etc/alertmanager", str(folder)))
    return path


async def until(holds: Callable[[], Any], what: str) -> None:
    try:
        async with asyncio.timeout(SOON_S):
            while not holds():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(what) from None


async def test_a_fault_wakes_somebody_and_its_end_is_told_too(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    rule = {"name": "rpc_down", "severity": "critical", "summary": "nearly every call fails", "for_seconds": 1,
            "resolve_seconds": 1, "series": {"series": "solana_rpc_errors", "over": "solana_rpc_requests",
            "statistic": "ratio", "above": 0.9, "window_seconds": 2}}  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    async with notified() as told, cluster(tmp_path, alertmanager_url=url, alerts={"rules": [rule]}) as made:
        config = configured(tmp_path, told)
        await made.sign_in()
        host = await made.add_host("sol-1")

        def actions() -> list[str]:
            mine = [one for one in told.pagerduty if one["payload"]["class"] == "RpcDown"]
            return [one["event_action"] for one in mine]

        # Alertmanager is away when it happens, and for longer than a breaker waits first.
        await faults(host, http_status={"*": 503})
        async with asyncio.timeout(SOON_S):
            while not await made.ctl_json("alerts"):
                await asyncio.sleep(0.2)
        await asyncio.sleep(3)
        assert not told.pagerduty
        async with alertmanager(tmp_path, config, port):
            await until(lambda: actions() == ["trigger"], f"PagerDuty was told: {told.pagerduty} {made.log[-2000:]}")
            payload = told.pagerduty[0]["payload"]
            assert (payload["severity"], payload["component"]) == ("critical", "sol-1")
            assert "nearly every call fails" in payload["summary"]
            await until(lambda: any("RpcDown" in str(one) for one in told.slack), "Slack was told")
            await faults(host, http_status=None)
            await until(lambda: actions() == ["trigger", "resolve"], f"PagerDuty was told of the end: {actions()}")
            await until(lambda: any("resolved" in str(one) for one in told.slack), "Slack was told of the end")
        assert "k" * 32 not in made.log
