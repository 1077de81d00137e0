"""How a validator looks from its own host, in pairs of words."""

from solward.hosts.v1 import link_pb2

from ctl.output import cell


def node_pairs(node: link_pb2.NodeReport) -> list[tuple[str, str]]:
    """Show a node as names and values; what could not be read stands at the end."""
    pairs = [
        ("version", cell(node.version) or "-"),
        ("identity", cell(node.identity) or "-"),
        ("vote account", cell(node.vote_account) or "none"),
        ("start", cell(node.start_progress) or "-"),
        ("health", "[green]ok[/]" if node.health == "ok" else f"[red]{cell(node.health) or '-'}[/]"),
        ("slot", f"{node.slot} (epoch {node.epoch}, {node.slot_index} of {node.slots_in_epoch})"),
        ("next leader slot", _leader(node)),
        ("voting", _voting(node)),
        ("tower", _tower(node)),
        ("snapshots", f"full {node.full_snapshot_slot or '-'}, incremental {node.incremental_snapshot_slot or '-'}"),
        ("fastboot", "yes" if node.fastboot else "no"),
    ]
    pairs += [
        (cell(disk.path), f"{disk.free_bytes / 1e9:.0f} of {disk.total_bytes / 1e9:.0f} GB free") for disk in node.disks
    ]
    pairs += [(cell(one.source), f"[yellow]{cell(one.reason)}: {cell(one.message)}[/]") for one in node.troubles]
    return pairs


def _leader(node: link_pb2.NodeReport) -> str:
    if not node.next_leader_slot:
        return "none left in this epoch"
    away = node.next_leader_slot - node.slot
    minutes = away * node.slot_ms / 60_000
    return f"{node.next_leader_slot}, {away} slots away" + (f" ({minutes:.1f} minutes)" if minutes else "")


def _voting(node: link_pb2.NodeReport) -> str:
    said = "cannot say" if not node.HasField("voting_enabled") else "on" if node.voting_enabled else "off"
    return f"{said}, last vote {node.last_vote or '-'}"


def _tower(node: link_pb2.NodeReport) -> str:
    if not node.tower.path:
        return "none"
    signed = "signed by the identity" if node.tower.signed else "[red]not signed by the identity[/]"
    return f"written {node.tower.age_ms / 1000:.1f} s ago, {signed}"
