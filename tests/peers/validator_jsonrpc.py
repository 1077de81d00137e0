"""JSON-RPC 2.0 as the Rust crate jsonrpc-core speaks it: order of members, error texts, batches, framing."""

import json
from collections.abc import Callable
from typing import Any

_TEXTS = {
    -32700: "Parse error",
    -32600: "Invalid request",
    -32601: "Method not found",
    -32602: "Invalid params",
    -32603: "Internal error",
}
_SPACE = b"\r\n \t"


class RpcError(Exception):
    """An error answer: its code, message and optional data."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data

    @classmethod
    def of(cls, code: int) -> "RpcError":
        """Make the plain error of a code."""
        return cls(code, _TEXTS.get(code, "Server error"))

    def as_json(self) -> dict[str, Any]:
        """The error object; `data` is left out when there is none."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            body["data"] = self.data
        return body


def dumps(value: Any) -> str:
    """Encode without spaces, as serde_json does."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def answer(body: bytes, call: Callable[[str, Any], Any]) -> str:
    """Answer one request or batch; the empty text answers notifications."""
    try:
        request = json.loads(body)
    except ValueError:
        return dumps(_failure(RpcError.of(-32700), None))
    if not isinstance(request, list):
        single = answer_one(request, call)
        return "" if single is None else dumps(single)
    answers = [one for one in (answer_one(each, call) for each in request) if one is not None]
    if not request:
        return dumps(_failure(RpcError.of(-32600), None))
    return dumps(answers) if answers else ""


def method_names(body: bytes) -> list[str]:
    """Name the methods a request or batch calls; none when it does not parse."""
    try:
        calls = json.loads(body)
    except ValueError:
        return []
    if not isinstance(calls, list):
        calls = [calls]
    return [str(call.get("method", "")) for call in calls if isinstance(call, dict)]


def answer_one(request: Any, call: Callable[[str, Any], Any]) -> dict[str, Any] | None:
    """Answer one decoded request, or None for a notification."""
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        return _failure(RpcError.of(-32600), request.get("id") if isinstance(request, dict) else None)
    ident = request.get("id")
    if isinstance(ident, bool) or not isinstance(ident, int | str | None):
        return _failure(RpcError.of(-32600), None)
    if request.get("jsonrpc") != "2.0":
        return _failure(RpcError(-32600, "Unsupported JSON-RPC protocol version"), ident)
    if "id" not in request:
        return None
    try:
        return {"jsonrpc": "2.0", "result": call(request["method"], request.get("params")), "id": ident}
    except RpcError as error:
        return _failure(error, ident)


def _failure(error: RpcError, ident: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": error.as_json(), "id": ident}


def take_message(buffer: bytearray) -> bytes | None:
    """Cut the first message off a stream: it ends where its brackets balance outside strings.

    The rule is that of jsonrpc-server-utils/src/stream_codec.rs. None: more bytes are needed.
    """
    depth = start = spaces = 0
    in_text = escaped = False
    for index, byte in enumerate(buffer):
        if byte in b"{[" and not in_text:
            start = index if depth == 0 else start
            depth += 1
        elif byte in b"}]" and not in_text:
            depth -= 1
        elif byte == 0x22 and not escaped:
            in_text = not in_text
        elif byte in _SPACE:
            spaces += 1
        escaped = byte == 0x5C and not escaped and in_text
        if depth == 0 and index != start and index - start + 1 > spaces:
            message = bytes(buffer[: index + 1])
            del buffer[: index + 1]
            return message
    return None


def expect(params: Any, *kinds: type) -> list[Any]:
    """Check positional parameters as serde checks a tuple.

    Raises:
        RpcError: -32602 with the exact text of the real server for a wrong number or type.
    """
    if not kinds:
        if params in (None, []):
            return []
        shown = "Array(" if isinstance(params, list) else "Map("
        raise RpcError(-32602, "Invalid parameters: No parameters were expected", f"{shown}{dumps(params)})")
    size = f"a tuple of size {len(kinds)}"
    if not isinstance(params, list):
        kind = "null" if params is None else "map"
        raise RpcError(-32602, f"Invalid params: invalid type: {kind}, expected {size}.")
    for index, wanted_kind in enumerate(kinds):
        if index >= len(params):
            raise RpcError(-32602, f"Invalid params: invalid length {len(params)}, expected {size}.")
        if type(params[index]) is not wanted_kind:
            wanted = {str: "a string", bool: "a boolean", int: "u64"}[wanted_kind]
            raise RpcError(-32602, f"Invalid params: invalid type: {_serde_name(params[index])}, expected {wanted}.")
    if len(params) > len(kinds):
        text = f"invalid length {len(params)}, expected fewer elements in array"
        raise RpcError(-32602, f"Invalid params: {text}.")
    return params


def _serde_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"boolean `{str(value).lower()}`"
    if isinstance(value, int):
        return f"integer `{value}`"
    if isinstance(value, float):
        return f"floating point `{value}`"
    if isinstance(value, str):
        return f'string "{value}"'
    return "sequence" if isinstance(value, list) else "map"
