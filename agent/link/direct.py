"""One attempt: one stream to the control plane, from Hello until it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import grpc.aio
import structlog
from solward.hosts.v1 import enrollment_pb2, link_pb2
from solward.hosts.v1.link_pb2_grpc import LinkServiceStub

from agent import PROTOCOL, VERSION, spans
from agent.actions.executor import Executor
from agent.allowlist import Allowlist
from agent.identity import Identity
from agent.link.spool import Spool
from agent.probes.unit import UnitWatch
from agent.witness import Witness
from common.clock import now_ms

log = structlog.get_logger(__name__)
Result = TypeVar("Result")
StreamCall = grpc.aio.StreamStreamCall[link_pb2.ConnectRequest, link_pb2.ConnectResponse]

# Before another try, after a control plane was found that leads no more.
FENCED_SECONDS = 5.0
WELCOME_SECONDS = 15.0
# Batches read from the spool at a time, and messages that may wait for the wire.
READ_BATCHES = 50
QUEUE = 64
# A clock that differs by more than this is worth a word in the log.
SKEW_WARNING_MS = 2_000


class DirectLink:
    """Speaks one stream: telemetry up from the spool, commands down to the executor."""

    def __init__(
        self,
        spool: Spool,
        worker: ThreadPoolExecutor,
        executor: Executor,
        units: UnitWatch,
        allowlist: Allowlist,
        witness: Witness,
        about: link_pb2.Hello | None = None,
    ) -> None:
        self._spool = spool
        self._worker = worker
        self._executor = executor
        self._units = units
        self._allowlist = allowlist
        self._witness = witness
        # What the settings say of this host, for every Hello.
        self._about = about or link_pb2.Hello()
        self._spooled = asyncio.Event()
        self._outgoing: asyncio.Queue[link_pb2.ConnectRequest] = asyncio.Queue(QUEUE)
        self._commands: set[asyncio.Task[None]] = set()
        self._recent = spans.Recent()
        self._trusted: Callable[[enrollment_pb2.SignedTrust], int] | None = None

    async def finish(self, timeout_s: float) -> None:
        """Let commands that are under way end; what is not done by then is cancelled."""
        if self._commands:
            await asyncio.wait(self._commands, timeout=timeout_s)
        for task in self._commands:
            task.cancel()
        await asyncio.gather(*self._commands, return_exceptions=True)

    def spooled(self) -> None:
        """Say that the spool has something new."""
        self._spooled.set()

    async def run(
        self, channel: grpc.aio.Channel, identity: Identity, welcomed: Callable[[link_pb2.Welcome], None],
        trusted: Callable[[enrollment_pb2.SignedTrust], int] | None = None,
    ) -> None:  # fmt: skip
        """Run one stream until the server ends it in peace.

        Args:
            channel: a fresh channel.
            identity: who we are.
            welcomed: called with the server's Welcome.
            trusted: called with each trust bundle; gives the version that is kept then.

        Raises: grpc.aio.AioRpcError when it ends otherwise.
        """
        self._outgoing = asyncio.Queue(QUEUE)
        self._trusted = trusted
        call = LinkServiceStub(channel).Connect(self._messages(identity))
        try:
            async with asyncio.timeout(WELCOME_SECONDS):
                first = await call.read()
            if not isinstance(first, link_pb2.ConnectResponse):
                await _raise_status(call)
                return
            if not await self._executor.welcome(first.welcome.term):
                log.error("this control plane leads no more: another is looked for", term=first.welcome.term)
                await asyncio.sleep(FENCED_SECONDS)
                return
            _warn_of_skew(first.welcome.unix_ms)
            welcomed(first.welcome)
            await self._converse(call, first.welcome.acked_sequence)
        finally:
            call.cancel()

    async def _converse(self, call: StreamCall, acked: int) -> None:
        tasks = [
            asyncio.create_task(self._upload(acked), name="upload"),
            asyncio.create_task(self._report_units(), name="unit reports"),
        ]
        reader = asyncio.create_task(self._read(call), name="read")
        try:
            done, _ = await asyncio.wait([reader, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            # A command under way goes on: its receipt waits in the journal for the next stream.
            for task in (reader, *tasks):
                task.cancel()
            await asyncio.gather(reader, *tasks, return_exceptions=True)

    async def _messages(self, identity: Identity) -> AsyncIterator[link_pb2.ConnectRequest]:
        yield link_pb2.ConnectRequest(hello=await self._disk(self._hello, identity))
        while True:
            yield await self._outgoing.get()

    def _hello(self, identity: Identity) -> link_pb2.Hello:
        units = [
            link_pb2.AllowedUnit(unit=unit, actions=sorted(actions)) for unit, actions in self._allowlist.units.items()
        ]
        return link_pb2.Hello(
            agent_version=VERSION,
            protocol=PROTOCOL,
            spool_id=self._spool.id,
            first_sequence=self._spool.first_sequence,
            exchange_token=identity.exchange_token,
            unix_ms=now_ms(),
            dropped_samples=self._spool.dropped_samples,
            allowed_units=units,
            knows_validator=self._about.knows_validator,
            group=self._about.group,
            labels=self._about.labels,
            has_ledger_tool=self._about.has_ledger_tool,
            bundles=self._about.bundles,
            held_checkpoint=self._witness.message(),
            trust_version=identity.trust_version,
        )

    async def _upload(self, sent: int) -> None:
        await self._disk(self._spool.acknowledge, sent)
        defined: set[int] = set()
        while True:
            self._spooled.clear()
            for request in await self._disk(self._spool.after, sent, READ_BATCHES):
                batch = request.samples if request.HasField("samples") else request.events
                if request.HasField("samples"):
                    fresh = [number for number in request.samples.series if number not in defined]
                    request.samples.definitions.extend(map(self._spool.definition, fresh))
                    defined.update(fresh)
                await self._outgoing.put(request)
                sent = batch.sequence
                self._spooled.set()
            await self._spooled.wait()

    async def _report_units(self) -> None:
        async for report in self._units.reports():
            await self._outgoing.put(link_pb2.ConnectRequest(unit=report))

    async def _read(self, call: StreamCall) -> None:
        while True:
            message = await call.read()
            if not isinstance(message, link_pb2.ConnectResponse):
                await _raise_status(call)
                return
            if message.HasField("ack"):
                await self._disk(self._spool.acknowledge, message.ack.sequence)
            elif message.HasField("checkpoint"):
                report = await self._disk(self._witness.told, message.checkpoint)
                await self._outgoing.put(link_pb2.ConnectRequest(witness=report))
            elif message.HasField("trust") and self._trusted:
                kept = link_pb2.TrustKept(version=self._trusted(message.trust))
                await self._outgoing.put(link_pb2.ConnectRequest(trust_kept=kept))
            elif message.HasField("command"):
                task = asyncio.create_task(self._command(message.command), name="command")
                self._commands.add(task)
                task.add_done_callback(self._commands.discard)

    async def _command(self, command: link_pb2.Command) -> None:
        def tell(message: str) -> None:
            permit = link_pb2.Permit.FromString(command.permit.permit)
            progress = link_pb2.CommandProgress(operation=permit.operation, step=permit.step, message=message)
            self._offer(link_pb2.ConnectRequest(progress=progress))

        try:
            with spans.recording(command) as recorder:
                with spans.span("command"):
                    signed = await self._executor.carry_out(command, tell)
                if signed is None:
                    return
            # The server compares the receipt with a later look, so that look goes first.
            for report in await self._units.look():
                self._offer(link_pb2.ConnectRequest(unit=report))
            if recorder is not None:
                # Before the receipt: with that, the server waits for this command no more.
                permit = link_pb2.Permit.FromString(command.permit.permit)
                report_of = self._recent.keep(recorder.report(permit.operation, permit.step))
                self._offer(link_pb2.ConnectRequest(spans=report_of))
            self._offer(link_pb2.ConnectRequest(receipt=signed))
        except Exception:
            log.exception("a command failed unexpectedly; the control plane will ask again")

    def _offer(self, message: link_pb2.ConnectRequest) -> None:
        # A stream that is stuck or gone does not hold a command up: the server asks again on the next.
        if not self._outgoing.full():
            self._outgoing.put_nowait(message)

    async def _disk(self, call: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._worker, call, *arguments)


async def _raise_status(call: StreamCall) -> None:
    """Raise the status with which the server ended the stream; return if it ended in peace."""
    code = await call.code()
    if code is not grpc.StatusCode.OK:
        raise grpc.aio.AioRpcError(
            code, await call.initial_metadata(), await call.trailing_metadata(), await call.details()
        )


def _warn_of_skew(server_unix_ms: int) -> None:
    skew_ms = now_ms() - server_unix_ms
    if abs(skew_ms) > SKEW_WARNING_MS:
        log.warning("this host's clock differs from the control plane's", seconds=round(skew_ms / 1000, 1))
