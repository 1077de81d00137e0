"""A validator that speaks the real wire: JSON-RPC over HTTP, the admin socket, and Agave's log lines.

Run it with `python -m tests.peers.validator --ledger DIR --rpc-port 0`; it prints one line
`ready rpc=http://127.0.0.1:PORT [control=http://127.0.0.1:PORT]` once it listens. With a slow start the
admin socket answers at once and the JSON-RPC port stays closed until the services start.
"""

import argparse
import asyncio
import fcntl
import json
import socket
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.peers.validator_admin import Admin
from tests.peers.validator_faults import Faults, control_app
from tests.peers.validator_log import Log
from tests.peers.validator_plugins import Plugins
from tests.peers.validator_pubsub import pubsub_app
from tests.peers.validator_rpc import Rpc, rpc_app
from tests.peers.validator_state import Node, key_of, make_keypair, read_keypair

_CORE = "solana_core::validator"


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line; every fault is also a flag that takes JSON or a bare word."""
    parser = argparse.ArgumentParser(prog="tests.peers.validator")
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--rpc-port", type=int, required=True, help="0 picks a free port")
    parser.add_argument("--ws-port", type=int, help="port for subscriptions; 0 picks a free one")
    parser.add_argument("--control-port", type=int, help="loopback port for /faults; 0 picks a free one")
    parser.add_argument("--log", default="-", help="file, or - for stderr")
    parser.add_argument("--identity", help="base58, or the path of a keypair file")
    parser.add_argument("--vote-account", help="base58")
    parser.add_argument("--node-pubkey", help="the node the vote account names; default: the identity")
    parser.add_argument("--no-voting", action="store_true")
    parser.add_argument("--slot-ms", type=float, default=400.0)
    parser.add_argument("--first-slot", type=int, default=300_000_000)
    parser.add_argument("--genesis", type=float, default=0.0, help="seconds since the epoch at the first slot")
    parser.add_argument("--slots-in-epoch", type=int, default=432_000)
    parser.add_argument("--leader-every", type=int, default=4_000, help="slots between own runs of four; 0: never")
    parser.add_argument("--slow-start-s", type=float, default=0.0)
    parser.add_argument("--geyser-plugin-config", action="append", default=[], help="may be given often")
    parser.add_argument("--geyser-plugin-always-enabled", action="store_true")
    for fault in fields(Faults):
        parser.add_argument("--" + fault.name.replace("_", "-"), type=_json_or_text, help="fault")
    return parser.parse_args(argv)


def build(args: argparse.Namespace) -> tuple[Node, Faults]:
    """Make the node and its faults from the command line."""
    identity = args.identity or make_keypair(f"identity {args.ledger.resolve()}")
    if Path(identity).is_file():
        identity = read_keypair(identity)
    node = Node(
        ledger=args.ledger,
        identity=identity,
        vote_account=args.vote_account or key_of(f"vote of {args.node_pubkey or identity}"),
        node_pubkey=args.node_pubkey or "",
        voters=[] if args.no_voting else [identity],
        slot_ms=args.slot_ms,
        first_slot=args.first_slot,
        genesis=args.genesis,
        slots_in_epoch=args.slots_in_epoch,
        leader_every=args.leader_every,
        slow_start_s=args.slow_start_s,
    )
    faults = Faults()
    given = {one.name: getattr(args, one.name) for one in fields(Faults)}
    faults.update({name: value for name, value in given.items() if value is not None})
    return node, faults


@contextmanager
def ledger_locked(ledger: Path) -> Iterator[None]:
    """Hold the lock that the node holds for its whole life; exits 1 when another process has it."""
    ledger.mkdir(parents=True, exist_ok=True)
    with open(ledger / "ledger.lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("Error: Unable to lock ledger directory. Check if another validator is running")
        yield


async def slots(node: Node, rpc: Rpc, log: Log) -> None:
    """Vote and log once a slot, and the host's counters once every two seconds, until cancelled."""
    seen = rpc.own_slot()
    ticks = 0
    while True:
        await asyncio.sleep(node.slot_ms / 1000)
        if not node.running():
            continue
        slot = rpc.own_slot()
        # After a stall (or at very short slots) only the newest is logged.
        if slot > seen:
            if node.voting() and slot - 1 > node.last_vote:
                node.vote(slot - 1)
            log.slot(slot)
        seen = slot
        ticks += 1
        if ticks % max(1, round(2000 / node.slot_ms)) == 0:
            log.host()


async def housekeeping(node: Node, log: Log) -> None:
    """Follow start-up in the log and reopen it on demand, until cancelled."""
    said, announced = "", False
    while True:
        progress = json.dumps(node.start_progress())
        if progress != said and not node.running():
            log.line("INFO", _CORE, f"start progress: {progress}")
        said = progress
        if node.running() and not announced:
            announced = True
            log.line("INFO", "agave_validator", "Validator initialized")
            log.point("validator-new", id=node.identity, version=node.version, cluster_type=4, elapsed_ms=1,
                      waited_for_supermajority=False, shred_version=50093)  # fmt: skip
        log.poll_reopen()
        await asyncio.sleep(0.1 if not announced else 1.0)


async def _site(stack: AsyncExitStack, app: web.Application, sock: socket.socket) -> None:
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, sock).start()


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


async def serve(args: argparse.Namespace) -> None:
    """Run the peer until a client asks it to exit."""
    node, faults = build(args)
    log = Log(node, args.log)
    rpc = Rpc(node, faults)
    plugins = Plugins(faults, args.geyser_plugin_config, always=args.geyser_plugin_always_enabled)
    admin = Admin(node, faults, log, plugins)

    def crash() -> None:
        log.panic("solReplayStage", "Fatal error: injected")

    async with AsyncExitStack() as stack:
        # Bound but not listening refuses connections, as a node does whose services have not started.
        sock = stack.enter_context(_bound(args.rpc_port))
        node.rpc_port = sock.getsockname()[1]
        log.line("INFO", "agave_validator", f"Starting validator with: {sys.argv!r}")
        server = await admin.serve()
        stack.push_async_callback(admin.close, server)
        ready = f"ready rpc=http://127.0.0.1:{node.rpc_port}"
        if args.ws_port is not None:
            pubsub = stack.enter_context(_bound(args.ws_port))
            await _site(stack, pubsub_app(node, rpc, faults), pubsub)
            ready += f" ws=ws://127.0.0.1:{pubsub.getsockname()[1]}"
        if args.control_port is not None:
            control = stack.enter_context(_bound(args.control_port))
            await _site(stack, control_app(faults, crash, admin.seen), control)
            ready += f" control=http://127.0.0.1:{control.getsockname()[1]}"
        group = await stack.enter_async_context(asyncio.TaskGroup())
        tasks = [group.create_task(slots(node, rpc, log)), group.create_task(housekeeping(node, log))]
        if node.serves_rpc():
            await _site(stack, rpc_app(rpc, faults), sock)
        else:
            tasks.append(group.create_task(_open_later(stack, node, rpc_app(rpc, faults), sock)))
        print(ready, flush=True)
        await admin.stop.wait()
        log.line("INFO", "agave_validator", "Validator exiting...")
        for task in tasks:
            task.cancel()


async def _open_later(stack: AsyncExitStack, node: Node, app: web.Application, sock: socket.socket) -> None:
    while not node.serves_rpc():
        await asyncio.sleep(0.01)
    await _site(stack, app, sock)


def main(argv: list[str] | None = None) -> None:
    """Run the program; SIGTERM has no handler, so it is instant death, as with the real node."""
    args = parse(sys.argv[1:] if argv is None else argv)
    with ledger_locked(args.ledger):
        asyncio.run(serve(args))


if __name__ == "__main__":
    main()
