"""Gates: what must hold of a node, its host and the cluster before it may go down (facts: agave 3.2, 3.5).

Pure: figures in, verdicts out. Each gate says what it found; what cannot be known is inconclusive, never a pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from controlplane.settings import GateLimits

PASS, FAIL, INCONCLUSIVE = pb.VERDICT_PASS, pb.VERDICT_FAIL, pb.VERDICT_INCONCLUSIVE
# Before any slot was timed: a guess that a real slot time replaces (agave 0.10).
USUAL_SLOT_MS = 400.0


class Gate(NamedTuple):
    """One gate's conclusion: its name, the question it answers, the verdict, and what was found."""

    id: str
    title: str
    verdict: pb.Verdict
    message: str
    figures: dict[str, str]


class Peer(NamedTuple):
    """Another host of the same group: whether it is up, the operation at work on it (empty: none), and its node."""

    host: str
    up: bool
    operation: str = ""
    node: link_pb2.NodeReport | None = None


@dataclass(frozen=True)
class Outside:
    """The cluster as an RPC other than the node's own sees it; `trouble` says why it could not be seen."""

    slot: int = 0
    slot_ms: float = 0.0
    delinquent_percent: float = 0.0
    trouble: str = ""


@dataclass(frozen=True)
class Scene:
    """Everything that gates look at."""

    node: link_pb2.NodeReport
    outside: Outside
    peers: Sequence[Peer]
    limits: GateLimits

    @property
    def slot_ms(self) -> float:
        """How long a slot takes, as measured: outside, else by the node."""
        return self.outside.slot_ms or self.node.slot_ms or USUAL_SLOT_MS

    @property
    def idle_slots(self) -> int:
        """How many slots must lie between now and the node's next duty."""
        return int(self.limits.idle_minutes * 60_000 / self.slot_ms)

    def trouble(self, source: str) -> str:
        """Why the node's agent could not read something; empty if it could."""
        return next((f"{t.source}: {t.message}" for t in self.node.troubles if t.source == source), "")


Judged = tuple[pb.Verdict, str, dict[str, str]]


def health(scene: Scene) -> Judged:
    """Whether the node is healthy by its own word and by comparison with the cluster."""
    node, outside = scene.node, scene.outside
    if trouble := scene.trouble("rpc getHealth") or scene.trouble("rpc getEpochInfo"):
        return INCONCLUSIVE, trouble, {}
    if node.health != "ok":
        return FAIL, f"the node says: {node.health}", {}
    if outside.trouble:
        return INCONCLUSIVE, f"only by the node's own word: {outside.trouble}", {}
    behind = outside.slot - node.slot
    figures = {"behind_slots": str(behind), "slot": str(node.slot), "outside_slot": str(outside.slot)}
    if behind > scene.limits.behind_slots:
        return FAIL, f"{behind} slots behind the cluster; at most {scene.limits.behind_slots}", figures
    return PASS, f"healthy, {max(behind, 0)} slots behind the cluster", figures


def leader(scene: Scene) -> Judged:
    """Whether the node's next leader slot is far enough away, by the slot time that is really kept."""
    node = scene.node
    if trouble := scene.trouble("rpc getLeaderSchedule") or scene.trouble("rpc getIdentity"):
        return INCONCLUSIVE, trouble, {}
    if not node.slots_in_epoch:
        return INCONCLUSIVE, "the epoch is not known", {}
    if not node.next_leader_slot:
        return PASS, "leads no more slots in this epoch", {}
    away = node.next_leader_slot - node.slot
    minutes = away * scene.slot_ms / 60_000
    figures = {"next_leader_slot": str(node.next_leader_slot), "slots": str(away), "minutes": f"{minutes:.1f}"}
    if away < scene.idle_slots:
        return FAIL, f"leads in {minutes:.1f} minutes; at least {scene.limits.idle_minutes:g}", figures
    return PASS, f"leads in {minutes:.1f} minutes", figures


def epoch(scene: Scene) -> Judged:
    """Whether the epoch goes on long enough: the next one's leader slots are not looked at."""
    node = scene.node
    if not node.slots_in_epoch:
        return INCONCLUSIVE, scene.trouble("rpc getEpochInfo") or "the epoch is not known", {}
    left = node.slots_in_epoch - node.slot_index
    minutes = left * scene.slot_ms / 60_000
    figures = {"epoch": str(node.epoch), "slots_left": str(left), "minutes": f"{minutes:.1f}"}
    if left <= scene.idle_slots:
        return FAIL, f"epoch {node.epoch} ends in {minutes:.1f} minutes", figures
    return PASS, f"epoch {node.epoch} goes on for {minutes:.0f} minutes", figures


def stake(scene: Scene) -> Judged:
    """Whether so much of the cluster's stake votes that one node more may be missed."""
    outside, limit = scene.outside, scene.limits.delinquent_percent
    if outside.trouble:
        return INCONCLUSIVE, outside.trouble, {}
    figures = {"delinquent_percent": f"{outside.delinquent_percent:.2f}"}
    if outside.delinquent_percent >= limit:
        return FAIL, f"{outside.delinquent_percent:.2f} % of stake is delinquent; below {limit:g} %", figures
    return PASS, f"{outside.delinquent_percent:.2f} % of stake is delinquent", figures


def snapshot(scene: Scene) -> Judged:
    """Whether the next start finds something fresh to begin from."""
    node = scene.node
    newest = max(node.full_snapshot_slot, node.incremental_snapshot_slot)
    if node.fastboot:
        return PASS, f"starts from its own state (fastboot); newest archive {newest or 'none'}", {}
    if not newest:
        return INCONCLUSIVE, scene.trouble("rpc getHighestSnapshotSlot") or "no snapshot archive is known", {}
    age = node.slot - newest
    figures = {"snapshot_slot": str(newest), "age_slots": str(age)}
    if age > scene.limits.snapshot_age_slots:
        return FAIL, f"the newest archive is {age} slots old; at most {scene.limits.snapshot_age_slots}", figures
    return PASS, f"the newest archive is {age} slots old", figures


def peers(scene: Scene) -> Judged:
    """Whether every host that stands in for this one is up, with nothing at work on it."""
    if not scene.peers:
        return PASS, "no other host is of its group", {}
    busy = [f"{peer.host} ({peer.operation})" for peer in scene.peers if peer.operation]
    down = [peer.host for peer in scene.peers if not peer.up and not peer.operation]
    if busy or down:
        words = [f"at work: {', '.join(busy)}"] * bool(busy) + [f"not up: {', '.join(down)}"] * bool(down)
        return FAIL, "; ".join(words), {}
    return PASS, f"up: {', '.join(peer.host for peer in scene.peers)}", {}


def disk(scene: Scene) -> Judged:
    """Whether there is room to write: a node that cannot save its tower stops at once (agave 2.2)."""
    if trouble := scene.trouble("disk"):
        return INCONCLUSIVE, trouble, {}
    least = scene.limits.free_gigabytes * 10**9
    figures = {one.path: f"{one.free_bytes / 10**9:.0f} GB free" for one in scene.node.disks}
    short = [one.path for one in scene.node.disks if one.free_bytes < least]
    if short:
        return FAIL, f"less than {scene.limits.free_gigabytes:g} GB free: {', '.join(short)}", figures
    return PASS, ", ".join(f"{path}: {free}" for path, free in figures.items()), figures


def tower(scene: Scene) -> Judged:
    """Whether the node's memory of its votes is there and its own, so that it can be copied and taken up again."""
    node = scene.node
    if trouble := scene.trouble("tower"):
        return INCONCLUSIVE, trouble, {}
    if not node.tower.path:
        votes = bool(node.vote_account) and node.vote_account_node in ("", node.identity)
        if votes:
            return FAIL, f"no tower of {node.identity} is there, and the node has a vote account", {}
        return PASS, "no tower: the node does not vote", {}
    if not node.tower.signed:
        return FAIL, f"{node.tower.path} is not signed by {node.identity}", {}
    return PASS, f"written {node.tower.age_ms} ms ago, signed by the identity", {"path": node.tower.path}


def exits(scene: Scene) -> Judged:
    """Whether the node can be asked to exit by itself."""
    if trouble := scene.trouble("admin startProgress"):
        return FAIL, f"it cannot be asked to exit: {trouble}", {}
    return PASS, f"answers on its admin socket: {scene.node.start_progress}", {}


def sole_voter(scene: Scene) -> Judged:
    """Whether no other host of the group votes with the same vote account: two voters of one account risk stake."""
    mine = scene.node.vote_account
    if not mine:
        return FAIL, "the host's agent.yaml names no vote_account", {}
    unknown = [peer.host for peer in scene.peers if peer.node is None]
    if unknown:
        return INCONCLUSIVE, f"not known of {', '.join(unknown)}", {}
    others = [peer.host for peer in scene.peers if peer.node and peer.node.vote_account == mine and votes(peer.node)]
    if others:
        return FAIL, f"votes with {mine} already: {', '.join(others)}", {}
    return PASS, f"nobody else of its group votes with {mine}", {}


def identity(scene: Scene) -> Judged:
    """Whether no other host of the group runs with the vote account that this one is about to start with."""
    if not scene.node.vote_account:
        return PASS, "agent.yaml names no vote_account: it votes for none", {}
    return sole_voter(scene)


# A node that votes writes its tower on every vote.
VOTED_LATELY_MS = 10_000


def votes(node: link_pb2.NodeReport) -> bool:
    """Whether a node votes, by its tower; what its log calls votes proves nothing (agave 0.5)."""
    return bool(node.tower.path) and node.tower.age_ms < VOTED_LATELY_MS


_TITLES: dict[str, tuple[str, Callable[[Scene], Judged]]] = {
    "health": ("Is the node healthy, by an outside view too?", health),
    "leader": ("Are its leader slots far enough away?", leader),
    "epoch": ("Does the epoch go on long enough?", epoch),
    "stake": ("Does enough other stake vote?", stake),
    "snapshot": ("Is there a fresh state to start from?", snapshot),
    "peers": ("Are the other hosts of its group up and left alone?", peers),
    "disk": ("Is there room on its disks?", disk),
    "tower": ("Is its tower there and its own?", tower),
    "exit": ("Can it exit by itself?", exits),
    "sole-voter": ("Does nobody else vote with its vote account?", sole_voter),
    "identity": ("Does no other host of its group vote in its place?", identity),
}

GATES: tuple[str, ...] = tuple(_TITLES)
# Gates that look at who votes, before a node begins to.
OF_VOTERS = ("sole-voter", "identity")


def title(gate: str) -> str:
    """The question that a gate answers."""
    return _TITLES[gate][0]


def judge(scene: Scene, names: Sequence[str] = GATES) -> list[Gate]:
    """Judge some gates, by default all."""
    return [Gate(name, _TITLES[name][0], *_TITLES[name][1](scene)) for name in names]


def together(gates: Sequence[Gate]) -> pb.Verdict:
    """The verdict of all: fail before inconclusive before pass."""
    verdicts = {gate.verdict for gate in gates}
    return FAIL if FAIL in verdicts else INCONCLUSIVE if INCONCLUSIVE in verdicts else PASS


def before_slot(scene: Scene) -> int:
    """The slot from which it is too late to begin: so close before the node's own duty; 0: any is in time."""
    ahead = scene.node.next_leader_slot
    return max(scene.node.slot + 1, ahead - scene.idle_slots + 1) if ahead else 0
