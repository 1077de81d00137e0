"""A toy gRPC server with a binding of every kind, for the gateway to stand before."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc_tools
from google.api import annotations_pb2, httpbody_pb2
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import ServiceDescriptor
from google.rpc import error_details_pb2, status_pb2
from grpc_tools import protoc

_IMPORTED = (
    annotations_pb2,
    any_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
PACKAGE = "solward.toy.v1"


def _load() -> ServiceDescriptor:
    here = Path(__file__).parent
    roots = [here, Path(grpc_tools.__file__).parent / "_proto", Path(annotations_pb2.__file__).parents[2]]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "toy.binpb"
        arguments = [f"-I{root}" for root in roots] + [f"--descriptor_set_out={out}", "toy.proto"]
        compiler: Any = protoc
        if compiler.main(["protoc", *arguments]) != 0:
            raise AssertionError("toy.proto does not compile")
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(files.file[0].SerializeToString())
    return pool.FindServiceByName(f"{PACKAGE}.Toy")


SERVICE = _load()


def message(name: str) -> Any:
    """Give the class of one of the toy's messages."""
    found = descriptor_pool.Default().FindMessageTypeByName(f"{PACKAGE}.{name}")
    return message_factory.GetMessageClass(found)


class Toy(grpc.GenericRpcHandler):
    """Serves the toy service; remembers what a test may want to know."""

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}
        self.deadline_s: float | None = None
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self._handlers = {f"/{SERVICE.full_name}/{method.name}": self._handler(method) for method in SERVICE.methods}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Find the handler of a call, as gRPC asks."""
        self.metadata = {str(key): str(value) for key, value in handler_call_details.invocation_metadata}
        return self._handlers.get(handler_call_details.method)

    def _handler(self, method: Any) -> Any:
        request = message_factory.GetMessageClass(method.input_type)
        make: Callable[..., Any] = (
            grpc.unary_stream_rpc_method_handler if method.server_streaming
            else grpc.stream_unary_rpc_method_handler if method.client_streaming
            else grpc.unary_unary_rpc_method_handler
        )  # fmt: skip
        behaviour = getattr(self, f"_{method.name.lower()}", None) or self._named(method.name)
        return make(behaviour, request.FromString, lambda reply: reply.SerializeToString())

    def _named(self, name: str) -> Any:
        async def behaviour(_request: Any, _context: Any) -> Any:
            return message("Named")(rpc=name)

        return behaviour

    async def _echo(self, request: Any, _context: Any) -> Any:
        return request

    _patch = _scalar = _nothing = _echo

    async def _raw(self, request: Any, _context: Any) -> Any:
        return httpbody_pb2.HttpBody(content_type=request.text, data=request.data)

    async def _fail(self, request: Any, context: Any) -> Any:
        status = status_pb2.Status(code=request.code, message=f"failed with {request.code}")
        if request.details:
            info = error_details_pb2.ErrorInfo(reason="TOY", domain="solward", metadata={"a": "b"})
            status.details.add().Pack(info)
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromMilliseconds(1500)
            status.details.add().Pack(retry)
        if request.unknown_detail:
            status.details.add(type_url="type.googleapis.com/no.such.Type", value=b"\x01")
            status.details.add(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")
        if status.details:
            context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
        code = next(one for one in grpc.StatusCode if one.value[0] == request.code)
        if code is not grpc.StatusCode.OK:
            await context.abort(code, status.message)
        return message("Named")(rpc="Fail")

    async def _slow(self, _request: Any, context: Any) -> Any:
        self.deadline_s = context.time_remaining()
        self.started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def _collect(self, requests: Any, context: Any) -> Any:
        texts: list[str] = []
        self.started.set()
        try:
            async for one in requests:
                if one.text == "fail":
                    await context.abort(grpc.StatusCode.ABORTED, "one was wrong")
                if one.text == "enough":
                    break
                texts.append(one.text)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return message("Pairs")(pairs={str(place): text for place, text in enumerate(texts)})

    async def _metadata(self, _request: Any, context: Any) -> Any:
        return message("Pairs")(pairs={key: str(value) for key, value in context.invocation_metadata()})

    async def _stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.deadline_s = context.time_remaining()
        self.started.set()
        try:
            await asyncio.sleep(request.wait_ms / 1000)
            for number in range(request.count):
                yield message("Everything")(int32=number, text="x" * request.size)
                await asyncio.sleep(request.pause_ms / 1000)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise
        if request.fail_code:
            await self._fail(message("FailRequest")(code=request.fail_code, details=True), context)
