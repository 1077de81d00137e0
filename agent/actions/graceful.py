"""A validator's own way out: its tower copied aside, then admin `exit`, then its process gone (facts: agave 3)."""

import asyncio
import time
from pathlib import Path

from solward.hosts.v1 import link_pb2

from agent.actions.base import ActFailed, Tell
from agent.host.admin_rpc import AdminError, AdminRpc
from agent.host.node import Node
from agent.host.systemd import Systemd
from agent.host.tower import copy_aside, find_tower
from agent.permits import Refusal

_POLL_S = 0.05
# How long a process may have no admin socket.
_SOCKET_S = 10.0


async def save_tower(node: Node, identity: str, towers: Path, *, force: bool) -> dict[str, str]:
    """Copy the tower of a node aside before it goes down.

    Returns: the figures `tower_copy` and `tower_age_ms`; nothing for a node that has no tower.
    Raises: Refusal TOWER_NOT_SAVED or TOWER_FOREIGN, unless forced.
    """
    try:
        tower = await asyncio.to_thread(find_tower, node.settings.tower_dir, identity)
        if tower is None:
            return {}
        if not tower.signed and not force:
            raise Refusal("TOWER_FOREIGN", f"{tower.path} is not signed by {identity}: no start would take it")
        copy = await asyncio.to_thread(copy_aside, tower.path, towers)
    except OSError as error:
        if force:
            return {"tower_copy": f"failed: {error}"}
        raise Refusal("TOWER_NOT_SAVED", f"the tower cannot be copied aside: {error}") from None
    return {"tower_copy": str(copy), "tower_age_ms": str(tower.age_ms)}


async def exit_gracefully(
    systemd: Systemd, admin: AdminRpc, action: link_pb2.UnitAction, tell: Tell, seen: str | None = None
) -> bool:
    """Ask the validator to exit and wait until its process is gone.

    Args:
        seen: the invocation that was looked at when it was decided to act; None: not known.

    Returns: False when it did not and the action is forced; systemd's own means are then the caller's next step.
    Raises: ActFailed EXIT_TIMEOUT or the admin socket's reason; SystemdError.
    """
    before = await systemd.state(action.unit)
    if not before.main_pid:
        return True
    if action.verb == link_pb2.UNIT_VERB_RESTART and seen is not None and before.invocation_id != seen:
        # By the job of an earlier life of this agent, or by Restart=: its exit would be a second restart.
        tell("it was started anew meanwhile")
        return True
    deadline = time.monotonic() + action.timeout_ms / 1000
    try:
        await _ask_to_exit(systemd, admin, action, before.main_pid)
        tell("the validator was asked to exit; waiting for its process to end")
        while (await systemd.state(action.unit)).main_pid == before.main_pid:
            if time.monotonic() >= deadline:
                raise ActFailed(
                    "EXIT_TIMEOUT", f"process {before.main_pid} still runs {action.timeout_ms} ms after exit"
                )
            await asyncio.sleep(_POLL_S)
    except AdminError as error:
        if not action.force:
            raise ActFailed(error.reason, error.message) from None
        tell(f"{error.message}; forced: systemd ends it")
        return False
    except ActFailed as error:
        if not action.force:
            raise
        tell(f"{error.message}; forced: systemd ends it")
        return False
    return True


async def _ask_to_exit(systemd: Systemd, admin: AdminRpc, action: link_pb2.UnitAction, pid: int) -> None:
    """Ask a process to exit.

    One that has no admin socket has just started, as Restart= does while no agent lives, or is on its way out, as an
    earlier life of this agent asked it to be: it is waited for until it listens, or is gone.
    """
    deadline = time.monotonic() + min(_SOCKET_S, action.timeout_ms / 1000)
    while True:
        try:
            await admin.call("exit")
        except AdminError as error:
            if action.force or error.reason != "ADMIN_UNREACHABLE" or time.monotonic() >= deadline:
                raise
            await asyncio.sleep(_POLL_S)
            if (await systemd.state(action.unit)).main_pid != pid:
                return
        else:
            return
