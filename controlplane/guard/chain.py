"""The guard chain: every call passes these links, outermost first, whatever its kind."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from google.protobuf.message import Message
from grpc.aio import AbortError
from grpc_interceptor.server import AsyncServerInterceptor

from controlplane.guard.context import Call, enter_call, text_metadata
from controlplane.guard.peers import peer_address
from controlplane.guard.standing import while_standing
from controlplane.guard.table import PolicyTable


class Link:
    """One concern of the chain. `enter` may refuse by raising; `leave` runs for each link that was entered."""

    async def enter(self, call: Call) -> None:
        """Look at the call before the handler; raise SolwardError to refuse it."""

    async def recheck(self, call: Call) -> None:
        """Look again at a stream that goes on; raise SolwardError to end it."""

    async def leave(self, call: Call, error: BaseException | None) -> None:
        """Look at the outcome; raising replaces the error that goes out."""

    def check_message(self, call: Call, message: Message) -> None:
        """Look at one message of a client's stream; raise SolwardError to end the call."""


async def _written(answers: Awaitable[None]) -> AsyncIterator[Any]:
    """Stand in for a handler that writes its answers itself, so that its caller's standing is looked at, too."""
    await answers
    return
    yield


class GuardChain(AsyncServerInterceptor):
    """Runs the links around every handler, for all four kinds of call."""

    def __init__(self, table: PolicyTable, links: Sequence[Link]) -> None:
        self._table = table
        self._links = tuple(links)

    async def intercept(
        self,
        method: Callable[..., Any],
        request_or_iterator: Any,
        context: Any,
        method_name: str,
    ) -> Any:
        """Serve one call; grpc-interceptor calls this for each."""
        rule = self._table[method_name.removeprefix("/")]
        peer = peer_address(context.peer())
        call = Call(
            rule=rule,
            context=context,
            request=None if rule.client_streaming else request_or_iterator,
            peer=peer,
            metadata=text_metadata(context.invocation_metadata()),
            raw_peer=peer,
        )
        enter_call(call)
        source = self._checked(call, request_or_iterator) if rule.client_streaming else request_or_iterator
        if rule.server_streaming:
            return self._stream(call, method, source)
        return await self._unary(call, method, source)

    async def _unary(self, call: Call, method: Callable[..., Awaitable[Any]], source: Any) -> Any:
        entered: list[Link] = []
        try:
            await self._enter(call, entered)
            response = await method(source, call.context)
        except BaseException as error:
            await self._leave(call, entered, error)
            raise
        await self._leave(call, entered, None)
        return response

    async def _stream(self, call: Call, method: Callable[..., Any], source: Any) -> AsyncIterator[Any]:
        entered: list[Link] = []
        enter_call(call)
        try:
            await self._enter(call, entered)
            answers = method(source, call.context)
            if not hasattr(answers, "__aiter__"):
                # A handler that writes its answers itself (the health service's Watch).
                answers = _written(answers)
            async with aclosing(while_standing(answers, lambda: self._recheck(call))) as responses:
                async for response in responses:
                    yield response
        except BaseException as error:
            await self._leave(call, entered, error)
            raise
        await self._leave(call, entered, None)

    async def _enter(self, call: Call, entered: list[Link]) -> None:
        for link in self._links:
            entered.append(link)
            await link.enter(call)

    async def _recheck(self, call: Call) -> None:
        for link in self._links:
            await link.recheck(call)

    async def _leave(self, call: Call, entered: list[Link], error: BaseException | None) -> None:
        # An inner link's own failure (an outcome that cannot be recorded) becomes the error of the outer ones.
        first = error
        for link in reversed(entered):
            try:
                await link.leave(call, error)
            except AbortError:
                raise
            except Exception as replacement:  # noqa: BLE001 - whatever it is, the outer links must see it
                error = replacement
        if error is not None and error is not first:
            raise error

    async def _checked(self, call: Call, messages: AsyncIterator[Message]) -> AsyncIterator[Message]:
        async for message in messages:
            for link in self._links:
                link.check_message(call, message)
            yield message
