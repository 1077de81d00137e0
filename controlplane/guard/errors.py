"""Outermost link: whatever went wrong leaves as one google.rpc.Status, and nothing internal leaks."""

import asyncio

import grpc
import structlog

from common.errors import STATUS_KEY, SolwardError
from controlplane.guard.chain import Link
from controlplane.guard.context import Call
from controlplane.store.database import is_away
from controlplane.store.redis import RedisDown

log = structlog.get_logger(__name__)


class Errors(Link):
    """Turns exceptions into statuses (AIP-193); an unexpected one is logged here and nowhere else."""

    async def leave(self, call: Call, error: BaseException | None) -> None:
        """End the call with the error's status."""
        if error is None or isinstance(error, asyncio.CancelledError | GeneratorExit | grpc.aio.AbortError):
            return
        if isinstance(error, RedisDown):
            error = SolwardError(grpc.StatusCode.UNAVAILABLE, "REDIS_DOWN", f"{error}: try again in a moment")
        if is_away(error):
            log.warning("the database did not answer a call", method=call.rule.name, call=call.id, why=str(error))
            error = SolwardError(
                grpc.StatusCode.UNAVAILABLE, "DATABASE_DOWN", "the database does not answer: try again in a moment"
            )
        if not isinstance(error, SolwardError):
            log.error("call failed unexpectedly", method=call.rule.name, call=call.id, exc_info=error)
            error = SolwardError(
                grpc.StatusCode.INTERNAL,
                "INTERNAL",
                f"the server failed on this call; its log says why under call {call.id}",
                {"call": call.id},
            )
        packed = error.status().SerializeToString()
        await call.context.abort(error.code, error.message, (*call.trailing.items(), (STATUS_KEY, packed)))
