"""One connection to a D-Bus daemon: calls with a deadline, and typed errors instead of the library's many."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import BusType, MessageType
from dbus_next.errors import DBusError
from dbus_next.message import Message

_DAEMON = "org.freedesktop.DBus"
_T = TypeVar("_T")


class BusUnavailable(Exception):
    """The bus, or the service on it, cannot be reached or did not answer in time."""


class BusRefusal(Exception):
    """A service answered a call with an error; `name` is the D-Bus name of that error."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class _MessageBus(MessageBus):
    """The library's bus, without its leaks."""

    def _setup_socket(self) -> None:
        # The library forgets its socket when nobody listens, and we try again for as long as the bus is away.
        try:
            super()._setup_socket()  # type: ignore[no-untyped-call]
        except OSError:
            self._stream.close()
            self._sock.close()
            raise

    def release(self) -> None:
        """Disconnect, and let go of the descriptor that the library leaves to the garbage collector."""
        if self.connected:
            self.disconnect()  # type: ignore[no-untyped-call]
        self._finalize()  # type: ignore[no-untyped-call]
        self._stream.close()
        self._sock.close()


class Bus:
    """An open connection; it is made by `open_bus`, and `close` ends it."""

    def __init__(self, bus: _MessageBus, timeout_s: float) -> None:
        self._bus = bus
        self._timeout_s = timeout_s
        self._gone: asyncio.Task[None] = asyncio.create_task(self._watch())

    @property
    def connected(self) -> bool:
        """Whether calls can be made."""
        return bool(self._bus.connected) and not self._gone.done()

    async def _watch(self) -> None:
        try:
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        except (OSError, EOFError, DBusError):
            return

    async def call(self, to: str, path: str, interface: str, member: str, signature: str = "", *args: Any) -> Message:
        """Call a method and return its reply.

        Raises:
            BusRefusal: the service answered with an error.
            BusUnavailable: no reply within the deadline, or the connection dropped.
        """
        message = Message(to, path, interface, member, signature=signature, body=list(args))
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._bus.call(message)
        except TimeoutError as error:
            raise BusUnavailable(f"{to} did not answer {member} in {self._timeout_s:g} s") from error
        except (OSError, EOFError, DBusError) as error:
            raise BusUnavailable(f"the bus dropped during {member}: {error}") from error
        if reply is None:
            raise BusUnavailable(f"the bus closed during {member}")
        if reply.message_type is MessageType.ERROR:
            name = str(reply.error_name)
            raise BusRefusal(name, str(reply.body[0]) if reply.body else name)
        return reply

    async def on_signal(self, rule: str, handler: Callable[[Message], None]) -> None:
        """Have the bus send the signals that match a rule, and hand every signal to the handler."""

        def listen(message: Message) -> bool:
            if message.message_type is MessageType.SIGNAL:
                handler(message)
            return False

        self._bus.add_message_handler(listen)
        await self.call(_DAEMON, "/org/freedesktop/DBus", _DAEMON, "AddMatch", "s", rule)

    async def while_connected(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await something that only this connection can bring about.

        Raises:
            BusUnavailable: the connection dropped first.
        """
        task = asyncio.create_task(work)
        try:
            await asyncio.wait((task, self._gone), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        raise BusUnavailable("the bus dropped while waiting for it")

    async def close(self) -> None:
        """Leave the bus."""
        self._gone.cancel()
        await asyncio.gather(self._gone, return_exceptions=True)
        self._bus.release()


async def open_bus(address: str | None, timeout_s: float) -> Bus:
    """Connect to a D-Bus address, or to the system bus.

    Args:
        address: such as `unix:path=/run/bus`; None means the system bus.
        timeout_s: seconds for connecting, and for each call made later.

    Raises:
        BusUnavailable: nobody serves that address.
    """
    bus: _MessageBus | None = None
    try:
        async with asyncio.timeout(timeout_s):
            bus = _MessageBus(address, BusType.SYSTEM)  # type: ignore[arg-type]
            await bus.connect()
    except Exception as error:  # the library raises plain Exception too
        if bus is not None:
            bus.release()
        raise BusUnavailable(f"cannot connect to the bus: {error}") from error
    return Bus(bus, timeout_s)
