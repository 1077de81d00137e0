"""Connect's unary calls: every RPC at its own name, in JSON and as on the wire, with Connect's own errors."""

import asyncio
import base64
import io
import json
from typing import Any

import pytest

from tests.conformance.toy import message
from tests.support.stand import Stand

TOY = "/solward.toy.v1.Toy"
EVERYTHING = message("Everything")
JSON = {"Content-Type": "application/json", "Connect-Protocol-Version": "1"}
PROTO = {"Content-Type": "application/proto", "Connect-Protocol-Version": "1"}


async def failed(stand: Stand, method: str, path: str, status: int, code: str, **options: Any) -> dict[str, Any]:
    response = await stand.send(method, path, **options)
    body: dict[str, Any] = await response.json()
    assert (response.status, body["code"]) == (status, code), body
    assert body.keys() <= {"code", "message", "details"}
    return body


async def test_every_unary_rpc_has_an_address_bound_or_not(stand: Stand) -> None:
    for rpc in ("Echo", "Unbound", "Patch"):
        data = b"{}" if rpc != "Echo" else b'{"text":"x","int64":"7"}'
        response = await stand.send("POST", f"{TOY}/{rpc}", data=data, headers=JSON)
        assert (response.status, response.content_type) == (200, "application/json"), rpc
        if rpc == "Echo":
            assert await response.json() == {"text": "x", "int64": "7"}


async def test_messages_go_as_on_the_wire_too(stand: Stand) -> None:
    sent = EVERYTHING(text="ü", int64=-5, data=b"\x00\xff")
    response = await stand.send("POST", f"{TOY}/Echo", data=sent.SerializeToString(), headers=PROTO)
    assert (response.status, response.content_type) == (200, "application/proto")
    assert EVERYTHING.FromString(await response.read()) == sent
    await failed(stand, "POST", f"{TOY}/Echo", 400, "invalid_argument", data=b"\xff\xff", headers=PROTO)


async def test_json_is_read_as_strictly_as_that_of_rest(stand: Stand) -> None:
    for data in (b"[]", b'{"no":1}', b'{"text":"a","text":"b"}', b'{"int32":"x"}', b"{}x"):
        await failed(stand, "POST", f"{TOY}/Echo", 400, "invalid_argument", data=data, headers=JSON)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "text/plain"}, 415, "invalid_argument"),
        ({"Content-Type": "application/connect+json"}, 415, "invalid_argument"),
        ({"Content-Type": "application/json; charset=latin-1"}, 415, "invalid_argument"),
        (JSON | {"Content-Encoding": "gzip"}, 501, "unimplemented"),
        (JSON | {"Connect-Protocol-Version": "2"}, 400, "invalid_argument"),
        (JSON | {"Connect-Timeout-Ms": "soon"}, 400, "invalid_argument"),
        (JSON | {"Connect-Timeout-Ms": "12345678901"}, 400, "invalid_argument"),
    ],
)
async def test_what_a_call_may_not_say(stand: Stand, headers: dict[str, str], status: int, code: str) -> None:
    await failed(stand, "POST", f"{TOY}/Echo", status, code, data=b"{}", headers=headers)


async def test_a_time_limit_goes_along(stand: Stand) -> None:
    headers = JSON | {"Connect-Timeout-Ms": "150"}
    await failed(stand, "POST", f"{TOY}/Slow", 504, "deadline_exceeded", data=b"{}", headers=headers)
    assert stand.toy.deadline_s
    assert stand.toy.deadline_s <= 0.15


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        (1, 499, "canceled"), (2, 500, "unknown"), (3, 400, "invalid_argument"), (4, 504, "deadline_exceeded"),
        (5, 404, "not_found"), (6, 409, "already_exists"), (7, 403, "permission_denied"),
        (8, 429, "resource_exhausted"), (9, 400, "failed_precondition"), (10, 409, "aborted"),
        (11, 400, "out_of_range"), (12, 501, "unimplemented"), (13, 500, "internal"), (14, 503, "unavailable"),
        (15, 500, "data_loss"), (16, 401, "unauthenticated"),
    ],
)  # fmt: skip
async def test_every_code_in_connects_words(stand: Stand, number: int, status: int, code: str) -> None:
    data = json.dumps({"code": number, "details": True}).encode()
    body = await failed(stand, "POST", f"{TOY}/Fail", status, code, data=data, headers=JSON)
    assert body["message"] == f"failed with {number}"
    info = body["details"][0]
    assert info["type"] == "google.rpc.ErrorInfo"
    assert info["debug"]["reason"] == "TOY"
    assert "=" not in info["value"]
    assert base64.b64decode(info["value"] + "==")


async def test_a_detail_that_nobody_knows_does_not_break_the_answer(stand: Stand) -> None:
    data = b'{"code":5,"unknownDetail":true}'
    body = await failed(stand, "POST", f"{TOY}/Fail", 404, "not_found", data=data, headers=JSON)
    assert body["details"] == [
        {"type": "no.such.Type", "value": "AQ"}, {"type": "google.rpc.ErrorInfo", "value": "/w"},
    ]  # fmt: skip


async def test_what_is_not_there_and_what_streams(stand: Stand) -> None:
    await failed(stand, "POST", f"{TOY}/Nobody", 404, "not_found", data=b"{}", headers=JSON)
    await failed(stand, "POST", "/no.such.Service/Echo", 404, "not_found", data=b"{}", headers=JSON)
    await failed(stand, "POST", f"{TOY}/Stream", 404, "unimplemented", data=b"{}", headers=JSON)
    response = await stand.send("PUT", f"{TOY}/Echo", data=b"{}", headers=JSON)
    assert (response.status, response.headers["Allow"]) == (405, "POST")
    # The toy says nothing of its methods' risk, so none of them may be asked for by GET.
    await failed(stand, "GET", f"{TOY}/Echo?connect=v1&encoding=json&message=%7B%7D", 405, "unimplemented")


async def test_a_body_over_the_limit(stand: Stand) -> None:
    data = io.BytesIO(b'{"text":"' + b"x" * (2 << 20) + b'"}')
    await failed(stand, "POST", f"{TOY}/Echo", 413, "resource_exhausted", data=data, headers=JSON)


async def test_headers_of_the_inside_stay_outside(stand: Stand) -> None:
    headers = JSON | {"solward-client-ip": "6.6.6.6", "x-agent-id": "root", "Trailer-x": "y"}
    response = await stand.send("POST", f"{TOY}/Metadata", data=b"{}", headers=headers)
    pairs = (await response.json())["pairs"]
    assert pairs["solward-client-ip"] == "127.0.0.1"
    assert "x-agent-id" not in pairs


async def test_a_client_streams_concatenated_json(stand: Stand) -> None:
    async def parts() -> Any:
        for part in (b'{"text":"a"}{"te', b'xt":"b"} \n', b'{"text":"}{"}'):
            yield part
            await asyncio.sleep(0.01)

    headers = {"Content-Type": "application/json"}
    response = await stand.send("POST", "/v1/collect", data=parts(), headers=headers)
    assert await response.json() == {"pairs": {"0": "a", "1": "b", "2": "}{"}}
    assert await (await stand.send("POST", "/v1/collect", headers=headers)).json() == {}


async def test_a_client_stream_that_is_wrong_ends_the_call(stand: Stand) -> None:
    headers = {"Content-Type": "application/json"}
    for data in (b'{"text":"a"}[]', b'{"text":"a"}{"no":1}', b'{"text":"a"}{"text"'):
        await stand.refused("POST", "/v1/collect", 400, data=data, headers=headers)
    await stand.refused("POST", "/v1/collect?text=x", 400, data=b"{}", headers=headers)
    body = await stand.refused("POST", "/v1/collect", 409, data=b'{"text":"fail"}{"text":"x"}', headers=headers)
    assert body["message"] == "one was wrong"
    data = io.BytesIO(b'{"text":"' + b"x" * (2 << 20) + b'"}')
    await stand.refused("POST", "/v1/collect", 413, data=data, headers=headers)


async def test_a_server_that_has_enough_answers_before_the_end(stand: Stand) -> None:
    data = b'{"text":"a"}{"text":"enough"}' + b'{"text":"more"}' * 1000
    response = await stand.send("POST", "/v1/collect", data=data, headers={"Content-Type": "application/json"})
    assert await response.json() == {"pairs": {"0": "a"}}
