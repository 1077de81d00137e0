"""The client: calls with the session's token, renews it, asks for second factors, and explains failures."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from solward.auth.v1 import auth_pb2

from common import traceparent
from common.clock import now_ms
from common.diagnose import diagnose
from common.digest import call_digest
from common.errors import info_of, status_of
from ctl import contexts, exits
from ctl.contexts import Context
from ctl.output import safe
from ctl.patience import Patience
from ctl.prompts import ask

Reply = TypeVar("Reply", bound=Message)
Result = TypeVar("Result")

CALL_SECONDS = 20.0
# An access token that ends within this is renewed before it is used.
EARLY_MS = 15_000
PROOF_KEY = "solward-second-factor"
GLASS_KEY = "solward-break-glass"
AUTH = "solward.auth.v1.AuthService"
# What is called before one is signed in.
_OPEN = {
    f"{AUTH}/{name}"
    for name in (
        "Login", "RefreshSession", "AcceptInvitation", "ConfirmInvitation", "BeginOidcLogin", "FinishOidcLogin",
        "BeginDeviceLogin", "PollDeviceLogin",
    )
}  # fmt: skip

_EXIT_BY_CODE = {
    grpc.StatusCode.INVALID_ARGUMENT: exits.USAGE,
    grpc.StatusCode.UNAUTHENTICATED: exits.NOT_SIGNED_IN,
    grpc.StatusCode.PERMISSION_DENIED: exits.NOT_ALLOWED,
    grpc.StatusCode.NOT_FOUND: exits.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION: exits.NOT_POSSIBLE,
    grpc.StatusCode.ABORTED: exits.NOT_POSSIBLE,
    grpc.StatusCode.ALREADY_EXISTS: exits.NOT_POSSIBLE,
    grpc.StatusCode.UNAVAILABLE: exits.UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: exits.UNREACHABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: exits.TOO_MANY,
}

_OPTIONS = {
    "page_size": "--limit",
    "window_seconds": "--window",
    "timeout_seconds": "--timeout",
    "wait_seconds": "--wait",
    "first_slot": "--from",
    "last_slot": "--to",
    "start_time": "--since",
    "end_time": "--until",
}


class Client:
    """An open channel to one control plane."""

    def __init__(self, context: Context) -> None:
        self.context = context
        # One for all that this command asks: it exports nothing itself, and is the parent of what others do.
        self.trace = traceparent.begin()
        credentials = grpc.ssl_channel_credentials(context.ca_pem.encode(), *_pair(context))
        self._channel = grpc.aio.secure_channel(
            context.server, credentials, options=(("grpc.max_receive_message_length", 16 * 1024 * 1024),)
        )

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def call(self, method: str, request: Message, reply: type[Reply], timeout_s: float = CALL_SECONDS) -> Reply:
        """Call a unary method; asks for a second factor when the server does.

        Args:
            method: full name, "package.Service/Method".
            request: the request.
            reply: the type of the answer.
            timeout_s: how long the answer may take, in seconds.
        """
        try:
            return await self.attempt(method, request, reply, timeout_s=timeout_s)
        except grpc.aio.AioRpcError as error:
            info = info_of(status_of(error))
            if info.reason != "SECOND_FACTOR_REQUIRED":
                raise
            proof = await self._prove(method, request, info)
        return await self.attempt(method, request, reply, proof, timeout_s)

    async def attempt(
        self, method: str, request: Message, reply: type[Reply], proof: str = "", timeout_s: float = CALL_SECONDS
    ) -> Reply:
        """Call a unary method once."""
        invoke = self._channel.unary_unary(f"/{method}", _serialize, reply.FromString)
        said = ((PROOF_KEY, proof), (GLASS_KEY, _break_glass()), (traceparent.KEY, str(self.trace)))
        metadata = [*await self._authorization(method), *((key, value) for key, value in said if value)]
        answer: Reply = await invoke(request, metadata=metadata, timeout=timeout_s)
        return answer

    async def stream(self, method: str, request: Message, reply: type[Reply]) -> AsyncIterator[Reply]:
        """Call a method that answers with a stream."""
        invoke = self._channel.unary_stream(f"/{method}", _serialize, reply.FromString)
        metadata = [*await self._authorization(method), (traceparent.KEY, str(self.trace))]
        async for message in invoke(request, metadata=metadata):
            yield message

    async def watch(self, method: str, request: Message, reply: type[Reply]) -> AsyncIterator[Reply]:
        """As `stream`, of a method that shows how things stand.

        It is opened again when the access token ends, and when a control plane that went away is back.
        """
        patience = Patience()
        while True:
            try:
                async for message in self.stream(method, request, reply):
                    patience.answered()
                    yield message
                return
            except grpc.aio.AioRpcError as error:
                if info_of(status_of(error)).reason == "TOKEN_EXPIRED":
                    self.context.access_expires_ms = 0
                else:
                    await patience.wait(error)

    async def _authorization(self, method: str) -> list[tuple[str, str]]:
        if method in _OPEN:
            return []
        context = self.context
        if context.certificate:
            return []
        if not context.access_token:
            exits.fail("not signed in", exits.NOT_SIGNED_IN, _login(context))
        if _is_over(context):
            await self._renew()
        return [("authorization", f"Bearer {context.access_token}")]

    async def _renew(self) -> None:
        """Trade the refresh token, which is good once: where another ctl has done so meanwhile, take what it got."""
        context = self.context
        async with contexts.alone(context.name):
            stored = contexts.load(context.name)
            if stored.refresh_token != context.refresh_token:
                context.access_token, context.access_expires_ms = stored.access_token, stored.access_expires_ms
                context.refresh_token = stored.refresh_token
            if not _is_over(context):
                return
            request = auth_pb2.RefreshSessionRequest(refresh_token=context.refresh_token)
            self.keep(await self.attempt(f"{AUTH}/RefreshSession", request, auth_pb2.Session))

    def keep(self, session: auth_pb2.Session) -> None:
        """Store a session's tokens in the context."""
        self.context.username = session.username
        self.context.access_token = session.access_token
        self.context.access_expires_ms = session.access_expire_time.ToMilliseconds()
        self.context.refresh_token = session.refresh_token
        self.context.ca_pem = session.roots_pem or self.context.ca_pem
        contexts.save(self.context)

    async def _prove(self, method: str, request: Message, info: error_details_pb2.ErrorInfo) -> str:
        digest = ""
        if info.metadata["factor"] == "PER_CALL":
            digest = call_digest(method, request)
            # A code confirms what this program asked for, not what somebody else says it did.
            if digest != info.metadata["call_digest"]:
                exits.fail("the server asks to confirm another call than this one", exits.NOT_ALLOWED)
        resource = getattr(request, "host", "") or getattr(request, "name", "")
        what = f"{method.rpartition('/')[2]} {resource}".strip() if digest else "this session"
        code = ask(f"Code of your authenticator, to confirm {what}")
        verify = auth_pb2.VerifySecondFactorRequest(totp_code=code, call_digest=digest)
        verified = await self.attempt(f"{AUTH}/VerifySecondFactor", verify, auth_pb2.SecondFactorProof)
        return str(verified.proof)


def _pair(context: Context) -> tuple[bytes, bytes] | tuple[()]:
    """Read the client certificate of a context, as gRPC takes it: the key first."""
    if not context.certificate:
        return ()
    try:
        return Path(context.key).read_bytes(), Path(context.certificate).read_bytes()
    except OSError as error:
        exits.fail(f"{error.filename}: {error.strerror}", exits.NOT_SIGNED_IN, "ctl certs issue")


def _break_glass() -> str:
    """Give why this command does without others' approval; ASCII, as metadata is."""
    command = click.get_current_context(silent=True)
    reason = str(command.meta.get("break_glass", "")) if command else ""
    return reason.encode("ascii", "replace").decode()


def _is_verbose() -> bool:
    command = click.get_current_context(silent=True)
    return bool(command and command.meta.get("verbose"))


def _is_over(context: Context) -> bool:
    return context.access_expires_ms - now_ms() < EARLY_MS


def run(name: str | None, work: Callable[[Client], Coroutine[Any, Any, Result]]) -> Result:
    """Run a command's coroutine with a client, and leave with a clear error when it fails.

    Args:
        name: the context, by default the current one.
        work: called with the open client.
    """
    context = contexts.load(name)
    return run_with(context, work)


def run_with(context: Context, work: Callable[[Client], Coroutine[Any, Any, Result]]) -> Result:
    """As `run`, on a context that is not stored yet."""

    async def main() -> Result:
        async with Client(context) as client:
            if _is_verbose():
                click.echo(f"trace: {client.trace.trace_id}", err=True)
            return await work(client)

    try:
        return asyncio.run(main())
    except grpc.aio.AioRpcError as error:
        raise _failure(error, context) from None
    except KeyboardInterrupt:
        raise SystemExit(exits.INTERRUPTED) from None


def _failure(error: grpc.aio.AioRpcError, context: Context) -> exits.Failure:
    status = status_of(error)
    info = info_of(status)
    code = _EXIT_BY_CODE.get(error.code(), exits.FAILED)
    if error.code() is grpc.StatusCode.UNAVAILABLE and not info.reason:
        # TLS refusals are mute: look for ourselves.
        pair = (context.certificate, context.key) if context.certificate else None
        return exits.Failure(diagnose(context.server, context.ca_pem, pair), code)
    reason = info.reason or error.code().name
    if reason == "CODE_REFUSED":
        code = exits.NOT_ALLOWED
    hint = _login(context) if code == exits.NOT_SIGNED_IN and reason != "LOGIN_REFUSED" else ""
    return exits.Failure(safe(f"{_in_options(status.message)} [{reason}]"), code, hint, _trace_id(error))


def _trace_id(error: grpc.aio.AioRpcError) -> str:
    """Give the id of the trace that a failed call is in, where the server recorded it."""
    for key, value in error.trailing_metadata() or ():
        if key == traceparent.RESPONSE_KEY and isinstance(value, str):
            trace = traceparent.parse(value)
            return trace.trace_id if trace and trace.sampled and not _is_verbose() else ""
    return ""


def _in_options(message: str) -> str:
    """Name fields of a request as the options that fill them."""
    return re.sub(r"\b(" + "|".join(_OPTIONS) + r")\b", lambda match: _OPTIONS[match.group()], message)


def _login(context: Context) -> str:
    if context.certificate:
        return f"have a new certificate issued (ctl certs issue), in place of {context.certificate}"
    return f"ctl --context {context.name} login"


def _serialize(message: Message) -> bytes:
    # The digest of a call is taken over the deterministic serialization.
    return message.SerializeToString(deterministic=True)
