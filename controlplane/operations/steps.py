"""Steps: how an operation's steps begin, are carried out by an agent, and end; on the board and on record."""

import structlog
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from common import traceparent
from common.names import operation_name
from controlplane.audit.log import AuditLog
from controlplane.links.dispatch import Dispatch, NoReceipt, NotDelivered, Order
from controlplane.operations.board import Board
from controlplane.operations.outcome import outcome_entry
from controlplane.operations.receipts import receipt_entry
from controlplane.operations.teller import Teller
from controlplane.operations.tracing import operation_span, step_span

log = structlog.get_logger(__name__)


class Steps:
    """Writes what becomes of the steps of operations."""

    def __init__(self, board: Board, dispatch: Dispatch, audit: AuditLog) -> None:
        self.board = board
        self.dispatch = dispatch
        self._audit = audit

    async def get(self, uid: str, step_id: str) -> pb.Step:
        """Find a step as it stands."""
        operation = await self.board.get(uid)
        return next(step for step in operation.steps if step.id == step_id)

    async def passed(self, uid: str, step_id: str) -> bool:
        """Whether a step has passed already, in an earlier attempt or before a crash."""
        return (await self.get(uid, step_id)).verdict == pb.VERDICT_PASS

    async def work_on(self, uid: str) -> None:
        """Have what the current task does from now on belong to an operation's span."""
        traceparent.current.set(operation_span(await self.board.get(uid)))

    async def begin(self, uid: str, step_id: str) -> None:
        """Record that a step has begun."""
        await self.board.begin_step(uid, step_id)

    async def say(self, uid: str, step_id: str, message: str) -> None:
        """Show what a step is at."""

        def edit(step: pb.Step) -> None:
            if step.verdict == pb.VERDICT_UNSPECIFIED:
                step.message = message

        await self.board.change_step(uid, step_id, edit)

    async def end(self, uid: str, step: str, verdict: pb.Verdict, message: str, /, **figures: str) -> int:
        """Record what a step concluded, and give its verdict."""
        await self.board.end_step(uid, step, verdict, message, figures)
        return int(verdict)

    def teller(self, uid: str, step_id: str) -> Teller:
        """Make what passes an agent's progress on to the board."""
        return Teller(lambda message: self.say(uid, step_id, message))

    async def ordered(self, uid: str, step: str, order: Order) -> int:
        """Have the agent carry out a step's order, and conclude from its receipt."""
        operation, found = await self.board.get(uid), await self.get(uid, step)
        order = order._replace(traceparent=str(step_span(operation, found) or ""))
        attempt = found.figures.get("attempt")
        if attempt:
            # The agent did this step before, and remembers how that ended.
            order = order._replace(step=f"{order.step}.{attempt}")
        teller = self.teller(uid, step)
        try:
            signed, receipt = await self.dispatch.carry_out(order, teller.tell)
        except NotDelivered:
            why = "HOST_OFFLINE: the command was not delivered; nothing was done"
            return await self.end(uid, step, pb.VERDICT_FAIL, why)
        except NoReceipt:
            why = "RECEIPT_MISSING: the command was sent, but what was done is not known"
            return await self.end(uid, step, pb.VERDICT_INCONCLUSIVE, why)
        finally:
            await teller.close()
        return await self._keep(uid, step, signed, receipt)

    async def _keep(self, uid: str, step_id: str, signed: link_pb2.SignedReceipt, receipt: link_pb2.Receipt) -> int:
        # On record first: a receipt that the operation shows is one that the audit log holds.
        await self.record_receipt(uid, signed, receipt)

        def show(step: pb.Step) -> None:
            step.signed_receipt.CopyFrom(signed)
            step.receipt.CopyFrom(receipt)

        await self.board.change_step(uid, step_id, show)
        took_ms = receipt.end_unix_ms - receipt.start_unix_ms
        figures = dict(receipt.figures) | {"took_ms": str(took_ms)}
        if receipt.result == link_pb2.RECEIPT_RESULT_DONE:
            figures["job_ms"] = f"{receipt.job_ms:.1f}"
            said = f"{receipt.message}; " if receipt.message else ""
            return await self.end(uid, step_id, pb.VERDICT_PASS, f"{said}done in {took_ms} ms", **figures)
        if receipt.result not in (link_pb2.RECEIPT_RESULT_REFUSED, link_pb2.RECEIPT_RESULT_FAILED):
            why = "RECEIPT_UNKNOWN: the receipt's result is none that this version knows"
            return await self.end(uid, step_id, pb.VERDICT_INCONCLUSIVE, why)
        return await self.end(uid, step_id, pb.VERDICT_FAIL, f"{receipt.reason}: {receipt.message}", **figures)

    async def record_receipt(self, uid: str, signed: link_pb2.SignedReceipt, receipt: link_pb2.Receipt) -> None:
        """Put a receipt on record."""
        await self._audit.append(receipt_entry(await self.board.get(uid), signed, receipt))

    async def record_outcome(self, uid: str) -> None:
        """Put an operation's outcome on record."""
        operation = await self.board.get(uid)
        entry = outcome_entry(operation)
        await self._audit.append(entry)
        log.info("operation ended", operation=operation.name, kind=operation.kind, host=operation.host,
                 state=entry["code"])  # fmt: skip

    async def aborted(self, uid: str) -> bool:
        """Whether a person has ended an operation."""
        return (await self.board.get(uid)).wish == pb.WISH_ABORT

    async def held(self, uid: str) -> bool:
        """Wait while a person has paused an operation; tells whether one had.

        Nothing has begun on the host then, and it is free for other operations until this one is resumed.
        """
        if (await self.board.get(uid)).wish != pb.WISH_PAUSE:
            return False

        def rest(operation: pb.Operation) -> None:
            if operation.wish == pb.WISH_PAUSE:
                operation.state = pb.OPERATION_STATE_PAUSED

        await self.board.change(uid, rest)
        log.info("operation paused", operation=operation_name(uid))
        while (await self.board.get(uid)).wish == pb.WISH_PAUSE:
            await self.board.wait(self.board.changes)
        return True
