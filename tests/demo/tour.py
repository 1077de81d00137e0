"""The tour: each step does one thing that Solward is for, and fails unless it did what it says."""

import asyncio
import datetime as dt
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import yaml

from controlplane.store.bundles import uid_of
from ctl.client import Client
from ctl.contexts import load
from tests.demo import searcher
from tests.demo.fleet import GENESIS, HOSTS, LEADER_EVERY, Demo, reached
from tests.support import pipeline
from tests.support.cluster import METHODS, About, Cluster
from tests.support.ports import free_ports

SEEN_SECONDS = 20.0
FINAL_SECONDS = 30.0
FLOW_SECONDS = 60.0


class TourFailed(Exception):
    """A step did not do what it says."""


Step = Callable[[Demo], Awaitable[str]]


async def run(demo: Demo, steps: list[tuple[str, Step]]) -> None:
    """Take the steps one after the other, and say how each went."""
    for title, step in steps:
        started = time.perf_counter()
        outcome = await step(demo)
        print(f"  \033[32m✓\033[0m {title}: {outcome}  \033[2m{time.perf_counter() - started:.1f} s\033[0m", flush=True)


async def sign_in(demo: Demo) -> str:
    """Sign the administrator in with password and code."""
    fleet = demo.fleet
    await fleet.sign_in()
    caller = await fleet.ctl_json("status")
    expect(caller["role"] == "admin", "the administrator has the admin role", caller)
    return f"{caller['username']}, {len(caller['permissions'])} permissions"


async def enroll_hosts(demo: Demo) -> str:
    """Enroll three hosts with single-use tokens; one reaches the block engine, one feeds a pipeline."""
    fleet = demo.fleet
    for name, faults in HOSTS.items():
        (ws_port,) = free_ports(1)
        rpc = {"websocket": f"ws://127.0.0.1:{ws_port}", "references": [fleet.settings["solana_rpc_url"]]}
        about = About(guarded=True, group="main", rpc=rpc)
        if name == searcher.HOST:
            about = about._replace(jito=reached(demo.engine))
        if name == pipeline.HOST:
            consumer = demo.stores.consumer(fleet.folder)
            about = about._replace(geyser=demo.stores.looked_at(), services={pipeline.UNIT: consumer})
        await fleet.add_host(name, about, genesis=GENESIS, leader_every=LEADER_EVERY, ws_port=ws_port, **faults)
    hosts = await fleet.ctl_json("hosts", "list")
    expect([host["connected"] for host in hosts] == [True] * len(HOSTS), "every agent is connected", hosts)
    return f"{', '.join(HOSTS)} connected over mTLS"


async def see_latency(demo: Demo) -> str:
    """See live latency of every method on every host."""
    fleet = demo.fleet
    wanted = {(f"hosts/{host}", method) for host in HOSTS for method in METHODS}
    deadline = time.monotonic() + SEEN_SECONDS
    while True:
        rows = (await fleet.ctl_json("rpc", "latency"))["methods"]
        seen = {(row["host"], row["method"]): row for row in rows if row["p50Ms"] > 0 and int(row["requests"]) >= 3}
        if wanted <= set(seen):
            break
        expect(time.monotonic() < deadline, "every method of every host is measured", sorted(wanted - set(seen)))
        await asyncio.sleep(0.5)
    slow = [seen[f"hosts/{host}", "getProgramAccounts"]["p50Ms"] for host in HOSTS]
    floor = [HOSTS[host]["latency_ms"]["getProgramAccounts"] for host in HOSTS]
    right = all(least <= measured < least + 30 for measured, least in zip(slow, floor, strict=True))
    expect(right, "latency is what the validators were told to take", slow)
    failing = seen["hosts/sol-3", "getBlock"]["errors"]
    expect("jsonrpc_-32004" in failing, "errors are counted by class", failing)
    return "getProgramAccounts p50 " + ", ".join(f"{host} {ms:.0f} ms" for host, ms in zip(HOSTS, slow, strict=True))


async def refuse_restart(demo: Demo) -> str:
    """Ask for a restart without a second factor."""
    fleet = demo.fleet
    before = await _invocation(fleet, "sol-1")
    refused = await fleet.ctl("validator", "restart", "sol-1", "--yes", check=False)
    expect(refused.code == 2 and "authenticator" in refused.err, "ctl asks for a code", refused)
    wrong = await fleet.ctl("validator", "restart", "sol-1", "--yes", answers=("000000",), check=False)
    expect(wrong.code == 4 and "CODE_REFUSED" in wrong.err, "a wrong code is refused", wrong)
    expect(await _invocation(fleet, "sol-1") == before, "the validator was not touched", before)
    return "no code and a wrong code refused, validator untouched"


async def restart(demo: Demo) -> str:
    """Restart one validator with a second factor."""
    fleet = demo.fleet
    before = await _invocation(fleet, "sol-1")
    done = await fleet.ctl_json(
        "validator", "restart", "sol-1", "--yes", "--reason", "demo", answers=(await fleet.authenticator.code(),)
    )
    expect(done["state"] == "OPERATION_STATE_SUCCEEDED", "the operation succeeded", done)
    receipt = next(step for step in done["steps"] if step["id"] == "act")["receipt"]
    after = await _invocation(fleet, "sol-1")
    expect(before != after == receipt["after"]["invocationId"], "receipt and unit agree", receipt)
    gates = [step["verdict"] for step in done["steps"] if step["id"].startswith("gate-")]
    expect(len(gates) > 5 and set(gates) == {"VERDICT_PASS"}, "every gate passed", done["steps"])
    return f"{len(gates)} gates, pid {receipt['before']['mainPid']} → {receipt['after']['mainPid']}, signed receipt"


async def follow_bundle(demo: Demo) -> str:
    """Send a bundle with the tip that is worth the most, and follow it until the chain has it for good."""
    fleet = demo.fleet
    await searcher.set_budget(fleet)
    os.environ["XDG_CONFIG_HOME"] = str(fleet.folder / "config")
    async with Client(load(None)) as client:
        sent = await searcher.send_one(client, demo.engine, rivals=False)
    expect(sent is not None, "a tip is worth sending", sent)
    uid = uid_of(sent)
    deadline = time.monotonic() + FINAL_SECONDS
    while (shown := await fleet.ctl_json("jito", "show", uid))["state"] != "BUNDLE_STATE_FINALIZED":
        expect(time.monotonic() < deadline, "it lands and is final", shown)
        await asyncio.sleep(0.5)
    kinds = [event["kind"] for event in shown["events"]]
    expect({"sent", "accepted", "processed"} <= set(kinds), "each step is told", kinds)
    (row,) = await fleet.ctl_json("jito", "spend")
    expect(row["tippedLamports"] == shown["tipLamports"], "spend tells what it cost", row)
    tip, chance = int(shown["tipLamports"]), shown["expectedLanding"]
    return f"tip {tip:,} lamports, chance {chance:.2f}, final in slot {shown['slot']}"


async def raise_alert(demo: Demo) -> str:
    """Have a validator write of trouble, and see the alert that it raises by itself."""
    fleet = demo.fleet
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    line = f"[{stamp}.000000000Z ERROR solana_core::voting_service] Unable to save tower to storage: no space left\n"
    written = time.time()
    with (fleet.hosts["sol-3"].folder / "validator.log").open("a") as log:
        log.write(line)
    while not (found := await fleet.ctl_json("alerts", "--host", "sol-3")):
        expect(time.time() - written < SEEN_SECONDS, "an alert is raised", "none")
    (alert,) = found
    expect(alert["detail"] == "validator.tower_not_saved", "it says what happened", alert)
    fired = dt.datetime.fromisoformat(alert["fireTime"]).timestamp()
    return f"{alert['summary']}; {(fired - written) * 1000:.0f} ms after the line was written"


async def name_slow_hop(demo: Demo) -> str:
    """Let the consumer of a pipeline hang, and be told that it is the consumer."""
    fleet, hang = demo.fleet, demo.fleet.folder / "hang"
    await _until_flow(fleet, "FLOW_OK")
    hang.touch()
    found = await _until_flow(fleet, "FLOW_STALLED")
    expect(found["slowHop"] == "indexer", "the hop at fault is the consumer", found)
    hang.unlink()
    await _until_flow(fleet, "FLOW_OK")
    return str(found["message"])


async def _until_flow(fleet: Cluster, flow: str) -> dict[str, Any]:
    deadline = time.monotonic() + FLOW_SECONDS
    while (found := await fleet.ctl_json("geyser", "explain", "slots"))["flow"] != flow:
        expect(time.monotonic() < deadline, f"the pipeline is {flow}", found)
        await asyncio.sleep(0.5)
    answer: dict[str, Any] = found
    return answer


async def read_everywhere(demo: Demo) -> str:
    """Read the same over REST and on the Prometheus page."""
    fleet = demo.fleet
    context = yaml.safe_load((fleet.folder / "config" / "solward" / "contexts" / "default.yaml").read_text())
    tls = ssl.create_default_context(cafile=str(fleet.ca_file))
    headers = {"Authorization": f"Bearer {context['access_token']}"}
    rest = f"https://127.0.0.1:{fleet.rest_port}"
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(f"{rest}/api/validator/status?host=hosts/sol-1", ssl=tls) as answer:
            status = await answer.json()
            expect(answer.status == 200 and status["unit"]["activeState"] == "active", "REST shows the unit", status)
        async with session.get(f"http://127.0.0.1:{fleet.metrics_port}/metrics") as answer:
            page = await answer.text()
    for line in (
        'solana_rpc_latency_seconds_count{host="sol-1",method="getBlock"}',
        'solana_validator_status{host="sol-1",state="active",unit="sol.service"} 1.0',
    ):
        expect(line in page, f"the Prometheus page has {line}", "not found")
    return "GET /api/validator/status and /metrics agree"


async def verify_audit(demo: Demo) -> str:
    """Export the audit log and verify it offline."""
    fleet = demo.fleet
    export = fleet.folder / "audit.jsonl"
    await fleet.ctl("audit", "export", "--out", str(export))
    report = await fleet.ctl_json("audit", "verify", str(export))
    expect(report["intact"] and report["entries"] == report["proved"] > 10, "the whole log is proved", report)
    text = export.read_text()
    for said in ("CODE_REFUSED", "validator.restart", "signed_receipt"):
        expect(said in text, f"the log holds {said}", "not found")
    return f"{report['entries']} entries intact"


async def detect_tampering(demo: Demo) -> str:
    """Change one word in a copy of the log."""
    fleet = demo.fleet
    copy = fleet.folder / "tampered.jsonl"
    text = (fleet.folder / "audit.jsonl").read_text()
    copy.write_text(text.replace("CODE_REFUSED", "CODE_ACCEPTED", 1))
    caught = await fleet.ctl("audit", "verify", str(copy), check=False)
    expect(caught.code == 8 and "edited" in caught.err, "the change is found", caught)
    return caught.err.strip().partition("not intact: ")[2][:60]


async def _invocation(fleet: Cluster, host: str) -> str:
    return str((await fleet.ctl_json("validator", "status", host))["unit"]["invocationId"])


def expect(true: object, claim: str, found: Any) -> None:
    """Fail the tour unless a claim holds."""
    if not true:
        raise TourFailed(f"not so: {claim}; found {found!r}")


SET_UP: list[tuple[str, Step]] = [("sign in with two factors", sign_in), ("enroll three hosts", enroll_hosts)]
TOUR: list[tuple[str, Step]] = [
    ("see live latency", see_latency),
    ("refuse a restart without a second factor", refuse_restart),
    ("restart a validator with one", restart),
    ("raise an alert from a validator's log", raise_alert),
    ("send a bundle and follow it", follow_bundle),
    ("name the hop that holds a pipeline up", name_slow_hop),
    ("read it over REST and Prometheus", read_everywhere),
    ("verify the audit trail offline", verify_audit),
    ("detect a tampered copy", detect_tampering),
]
