"""The validator as this host sees it: its RPC, its admin socket, its tower and its disks, in one report."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from solward.hosts.v1 import link_pb2

from agent.host.admin_rpc import AdminError, AdminRpc
from agent.host.node_rpc import NodeRpc, RpcError
from agent.host.tower import find_tower
from agent.settings import ValidatorSettings
from common.clock import now_ms
from common.semver import Version, parse_version

# From this version on `exit` leaves a bank snapshot behind, from which the next start begins (agave 1.4).
FASTBOOT_FROM = Version(4, 0, 0)
TICKET_FROM = Version(4, 2, 0)
PERFORMANCE_SAMPLES = 5

Report = link_pb2.NodeReport
Look = Callable[[Report], Awaitable[None]]


class Node:
    """Looks at the validator beside the agent; what cannot be read is a trouble in the report, never an error."""

    def __init__(self, settings: ValidatorSettings, rpc: NodeRpc, admin: AdminRpc) -> None:
        self.settings = settings
        self.rpc = rpc
        self.admin = admin

    async def inspect(self) -> Report:
        """Look at everything."""
        report = Report(unix_ms=now_ms(), vote_account=self.settings.vote_account)
        # Version and identity first: what the others ask depends on them.
        await _all(report, ("rpc getVersion", self._version), ("rpc getIdentity", self._identity))
        await _all(
            report,
            ("rpc getHealth", self._health),
            ("rpc getEpochInfo", self._epoch),
            ("rpc getRecentPerformanceSamples", self._slot_time),
            ("rpc getVoteAccounts", self._stake),
            ("rpc getHighestSnapshotSlot", self._snapshots),
            ("admin startProgress", self._progress),
            ("admin pid", self._pid),
            ("admin isGeneratingSnapshots", self._generating),
            ("admin validatorAdmissionTicketStatus", self._ticket),
            ("tower", self._tower),
            ("disk", self._disks),
        )
        await _all(report, ("rpc getLeaderSchedule", self._leader))
        return report

    async def progress(self) -> str:
        """Give how far a start has come; empty where the admin socket does not say."""
        try:
            return _progress_words(await self.admin.call("startProgress"))
        except AdminError:
            return ""

    async def slot(self) -> int:
        """Give the newest slot that the node has processed; raises RpcError."""
        return int(await self.rpc.call("getSlot", {"commitment": "processed"}))

    async def identity(self) -> str:
        """Give the key that the node runs as; raises RpcError."""
        return str((await self.rpc.call("getIdentity"))["identity"])

    async def _version(self, report: Report) -> None:
        report.version = str((await self.rpc.call("getVersion"))["solana-core"])

    async def _identity(self, report: Report) -> None:
        report.identity = await self.identity()

    async def _health(self, report: Report) -> None:
        try:
            report.health = str(await self.rpc.call("getHealth"))
        except RpcError as error:
            if error.reason != "RPC_REFUSED":
                raise
            report.health = error.message

    async def _epoch(self, report: Report) -> None:
        info = await self.rpc.call("getEpochInfo", {"commitment": "processed"})
        report.slot, report.epoch = info["absoluteSlot"], info["epoch"]
        report.slot_index, report.slots_in_epoch = info["slotIndex"], info["slotsInEpoch"]

    async def _slot_time(self, report: Report) -> None:
        samples = await self.rpc.call("getRecentPerformanceSamples", PERFORMANCE_SAMPLES)
        slots = sum(sample["numSlots"] for sample in samples)
        if slots:
            report.slot_ms = sum(sample["samplePeriodSecs"] for sample in samples) * 1000 / slots

    async def _stake(self, report: Report) -> None:
        accounts = await self.rpc.call("getVoteAccounts")
        late = sum(account["activatedStake"] for account in accounts["delinquent"])
        whole = late + sum(account["activatedStake"] for account in accounts["current"])
        report.delinquent_percent = 100 * late / whole if whole else 0.0
        for account in accounts["current"] + accounts["delinquent"]:
            if account["votePubkey"] == report.vote_account:
                report.last_vote, report.vote_account_node = account["lastVote"], account["nodePubkey"]

    async def _snapshots(self, report: Report) -> None:
        found = await self.rpc.call("getHighestSnapshotSlot")
        report.full_snapshot_slot = found["full"]
        report.incremental_snapshot_slot = found.get("incremental") or 0

    async def _leader(self, report: Report) -> None:
        if not report.identity or not report.slots_in_epoch:
            return
        first = report.slot - report.slot_index
        asked = {"identity": report.identity, "commitment": "processed"}
        schedule = await self.rpc.call("getLeaderSchedule", first, asked) or {}
        ahead = [index for index in schedule.get(report.identity, ()) if index > report.slot_index]
        report.next_leader_slot = first + min(ahead) if ahead else 0

    async def _progress(self, report: Report) -> None:
        report.start_progress = _progress_words(await self.admin.call("startProgress"))

    async def _pid(self, report: Report) -> None:
        report.pid = int(await self.admin.call("pid"))

    async def _generating(self, report: Report) -> None:
        version = parse_version(report.version)
        if version and version < FASTBOOT_FROM:
            report.makes_snapshots = True
            return
        # Answers false with --no-snapshots; whether one is being made just now is not what it says (agave 1.4).
        report.makes_snapshots = bool(await self.admin.call("isGeneratingSnapshots"))
        report.fastboot = version is not None and report.makes_snapshots

    async def _ticket(self, report: Report) -> None:
        version = parse_version(report.version)
        if version and version >= TICKET_FROM:
            status = await self.admin.call("validatorAdmissionTicketStatus")
            report.voting_enabled = bool(status["voting_enabled"])

    async def _tower(self, report: Report) -> None:
        if not report.identity:
            return
        found = await asyncio.to_thread(find_tower, self.settings.tower_dir, report.identity)
        if found:
            report.tower.CopyFrom(link_pb2.Tower(path=str(found.path), age_ms=found.age_ms, signed=found.signed))

    async def _disks(self, report: Report) -> None:
        for folder in self.settings.written:
            report.disks.append(await asyncio.to_thread(_disk, folder))


async def _all(report: Report, *looks: tuple[str, Look]) -> None:
    await asyncio.gather(*(_noted(report, source, look) for source, look in looks))


async def _noted(report: Report, source: str, look: Look) -> None:
    """Look, and note what went wrong instead of failing."""
    try:
        await look(report)
    except (AdminError, RpcError) as error:
        report.troubles.add(source=source, reason=error.reason, message=error.message[:500])
    except OSError as error:
        report.troubles.add(source=source, reason="FILE_UNREADABLE", message=str(error)[:500])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        # The node's answer has another shape than every version that is known.
        report.troubles.add(source=source, reason="ANSWER_UNKNOWN", message=f"{type(error).__name__}: {error}"[:500])


def _progress_words(progress: Any) -> str:
    """Say a start's progress in words: a string, or an object with one member (agave 3.4)."""
    if isinstance(progress, dict) and len(progress) == 1:
        name, body = next(iter(progress.items()))
        if not isinstance(body, dict):
            return str(name)
        if "max_slot" in body:
            return f"{name} {body.get('slot')}/{body['max_slot']}"
        if "gossip_stake_percent" in body:
            return f"{name} {body['gossip_stake_percent']}%"
        return f"{name} {body.get('slot', '')}".strip()
    return str(progress)


def _disk(folder: Path) -> link_pb2.Disk:
    usage = shutil.disk_usage(folder)
    return link_pb2.Disk(path=str(folder), free_bytes=usage.free, total_bytes=usage.total)
