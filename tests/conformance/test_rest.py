"""The gateway's conformance, first part: path templates, routing, path values, query and body."""

import gzip
import io
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool

from controlplane.gateway.routes import RouteError, Routes
from tests.support.stand import Stand


def service_with(*bindings: tuple[str, str], repeated: bool = False) -> Any:
    """Make a service with one RPC for each binding; its request has the fields a, b, m.c and the map p."""
    service_with.count += 1  # type: ignore[attr-defined]
    package = f"solward.toy.made{service_with.count}"  # type: ignore[attr-defined]
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    request = file.message_type.add(name="Request")
    kind = descriptor_pb2.FieldDescriptorProto
    label = kind.LABEL_REPEATED if repeated else kind.LABEL_OPTIONAL
    for number, name in enumerate(("a", "b"), 1):
        request.field.add(name=name, number=number, type=kind.TYPE_STRING, label=label)
    request.field.add(
        name="m", number=3, type=kind.TYPE_MESSAGE, label=kind.LABEL_OPTIONAL, type_name=f".{package}.Request"
    )
    service = file.service.add(name="Service")
    for number, (method, path) in enumerate(bindings):
        rpc = service.method.add(
            name=f"Rpc{number}", input_type=f".{package}.Request", output_type=f".{package}.Request"
        )
        setattr(rpc.options.Extensions[annotations_pb2.http], method, path)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName(f"{package}.Service")


service_with.count = 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("case", "path"),
    [
        (1, "v1/{a}"),
        (2, "/foo/bar/"),
        (3, "/foo/**/bar"),
        (4, "/{a}/{a}"),
        (5, "/{1}"),
        (5, "/{f.1}"),
        (5, "/{f-}"),
        (6, "/a%2z"),
        (6, "/a%"),
        (9, "/{m}"),
        (9, "/{unknown}"),
        (9, "/{a.b}"),
    ],
)
def test_cases_01_to_09_malformed_bindings_stop_the_start(case: int, path: str) -> None:
    with pytest.raises(RouteError, match="Rpc0"):
        Routes([service_with(("get", path))])
    assert case


def test_case_09_repeated_field_in_a_path_stops_the_start() -> None:
    with pytest.raises(RouteError, match="no singular field"):
        Routes([service_with(("get", "/{a}"), repeated=True)])


@pytest.mark.parametrize(("one", "two"), [("/v1/{a}", "/v1/{b}"), ("/v1/{a=x/*}", "/v1/x/{b}"), ("/v1:go", "/v1:go")])
def test_case_10_two_rpcs_at_one_path_stop_the_start(one: str, two: str) -> None:
    with pytest.raises(RouteError, match=r"Rpc1.*is also.*Rpc0"):
        Routes([service_with(("get", one), ("get", two))])
    assert len(Routes([service_with(("get", one), ("post", two))]).all) == 2


@pytest.mark.parametrize(
    ("case", "path", "text"),
    [
        (7, "/verbs/x:bla:baa", "Rpc0"),
        (8, "/v1/seg/wi:th", "Rpc1"),
        (15, "/o", "Rpc2"),
        (15, "/o/a/b", "Rpc2"),
    ],
)
def test_cases_07_08_15_verbs_literal_colons_and_empty_tails(case: int, path: str, text: str) -> None:
    bindings = [("get", "/verbs/{a}:bla:baa"), ("get", "/v1/{a=seg/wi:th}"), ("get", "/o/**")]
    match = Routes([service_with(*bindings)]).find("GET", path)
    assert not isinstance(match, list)
    assert match.route.rpc.endswith(text)
    assert case


@pytest.mark.parametrize("flip", [False, True])
def test_case_11_literal_wins_in_any_order(flip: bool) -> None:
    bindings = [("get", "/*"), ("get", "/foo")]
    match = Routes([service_with(*(bindings[::-1] if flip else bindings))]).find("GET", "/foo")
    assert not isinstance(match, list)
    assert match.route.template.text == "/foo"


async def test_case_11_literal_wins(stand: Stand) -> None:
    assert await stand.get("/v1/lit/foo") == {"rpc": "Verb"}
    assert await stand.get("/v1/lit/bar") == {"rpc": "Star"}


async def test_cases_12_13_verb_wins_and_an_unknown_verb_is_text(stand: Stand) -> None:
    assert await stand.get("/v1/verb/bar:run") == {"rpc": "Verb"}
    assert await stand.get("/v1/verb/bar:123") == {"text": "bar:123"}
    assert await stand.get("/v1/verb/bar%3Arun") == {"text": "bar:run"}


async def test_case_14_a_verb_alone(stand: Stand) -> None:
    assert await stand.get("/v1:LOCK") == {"rpc": "Verb"}
    await stand.refused("GET", "/v1", 404)


async def test_case_16_a_verb_behind_a_tail(stand: Stand) -> None:
    assert await stand.get("/v1/trailing/:slash") == {"rpc": "Verb"}
    assert await stand.get("/v1/trailing/a/b:slash") == {"rpc": "Verb"}
    await stand.refused("GET", "/v1/trailing:slash", 404)


async def test_case_17_an_empty_verb(stand: Stand) -> None:
    await stand.refused("GET", "/verb:", 404)
    await stand.refused("GET", "/v1/verb/x:", 404)


async def test_case_18_a_known_path_with_another_method(stand: Stand) -> None:
    response = await stand.send("DELETE", "/v1/echo")
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert (await response.json())["code"] == 12
    response = await stand.send("POST", "/health")
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


async def test_case_19_a_path_without_a_slash(stand: Stand) -> None:
    reply = await stand.raw(b"GET v1/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b" 400 " in reply.splitlines()[0]


async def test_case_20_an_unknown_path(stand: Stand) -> None:
    assert (await stand.refused("GET", "/nothing/here", 404))["code"] == 5
    assert (await stand.refused("GET", "/v1/echo/", 404))["code"] == 5


@pytest.mark.parametrize("path", ["/foo/%", "/foo/%zz", "/v1/echo/text/%2", "/v1/echo/text/%ff"])
async def test_case_21_broken_escapes(stand: Stand, path: str) -> None:
    reply = await stand.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert reply.startswith(b"HTTP/1.1 400")


async def test_cases_22_to_25_path_values(stand: Stand) -> None:
    assert await stand.get("/v1/echo/text/a%2Fb") == {"text": "a/b"}
    assert await stand.get("/v1/rest/a%2Fb") == {"name": "a%2Fb"}
    assert await stand.get("/v1/rest/%2f%23/%20%2523") == {"name": "%2f%23/ %23"}
    assert await stand.get("/v1/rest") == {}
    assert await stand.get("/v1/buckets/x") == {"name": "buckets/x"}


async def test_case_26_enums_in_paths(stand: Stand) -> None:
    assert await stand.get("/v1/echo/color/COLOR_RED") == {"color": "COLOR_RED"}
    assert await stand.get("/v1/echo/color/2") == {"color": "COLOR_BLUE"}
    for wrong in ("red", "7", "-1", "COLOR_GREEN"):
        await stand.refused("GET", f"/v1/echo/color/{wrong}", 400)


@pytest.mark.parametrize("value", ["not_int64", "", "1.5", "0x1", "9223372036854775808", "%EF%BC%91", "1_0", "+1"])
async def test_case_27_integers_in_paths(stand: Stand, value: str) -> None:
    await stand.refused("GET", f"/v1/echo/int64/{value}" if value else "/v1/echo?int64=", 400)


async def test_case_28_a_field_in_path_and_query(stand: Stand) -> None:
    await stand.refused("GET", "/v1/echo/text/a?text=b", 400)
    await stand.refused("GET", "/v1/echo/nested/a?nested.subValue=b", 400)
    await stand.refused("POST", "/v1/echo/a", 400, json={"text": "b"})
    await stand.refused("PUT", "/v1/echo/a?nested.count=1", 400, json={"count": 2})
    assert await stand.get("/v1/echo/nested/a?nested.count=1") == {"nested": {"subValue": "a", "count": 1}}


STRINGS = ["é€😀", "a b", '"', "%", "a/b", "?#&=+", "\\", "<>", "a:b", "~.-_", "%2F", "\u202e", "\x01"]


@pytest.mark.parametrize("text", STRINGS)
async def test_case_29_any_string_goes_round_every_way(stand: Stand, text: str) -> None:
    escaped = quote(text, safe="")
    assert await stand.get(f"/v1/echo/text/{escaped}") == {"text": text}
    assert await stand.get(f"/v1/echo?text={escaped}") == {"text": text}
    response = await stand.send("POST", "/v1/echo", json={"text": text})
    assert await response.json() == {"text": text}
    response = await stand.send("PUT", f"/v1/echo/{escaped}", json={"subValue": text})
    assert await response.json() == {"text": text, "nested": {"subValue": text}}


@pytest.mark.parametrize(
    ("field", "text", "shown"),
    [
        ("int64", "-9223372036854775808", "-9223372036854775808"),
        ("int64", "9223372036854775807", "9223372036854775807"),
        ("uint64", "18446744073709551615", "18446744073709551615"),
        ("int32", "-2147483648", -2147483648),
        ("uint32", "4294967295", 4294967295),
        ("double", "1.7976931348623157e308", 1.7976931348623157e308),
        ("double", "5e-324", 5e-324),
        ("double", "-Infinity", "-Infinity"),
        ("double", "NaN", "NaN"),
        ("float", "-1.5e38", -1.5e38),
        ("bool", "true", True),
    ],
)
async def test_case_29_extremes_go_round(stand: Stand, field: str, text: str, shown: Any) -> None:
    assert await stand.get(f"/v1/echo?{field}={text}") == {field: shown}
    response = await stand.send("POST", "/v1/echo", json={field: shown})
    assert await response.json() == {field: shown}


async def test_case_30_the_binding_is_chosen_by_the_path(stand: Stand) -> None:
    response = await stand.send("POST", "/v1/buckets/x:poke", json={"text": "t"})
    assert await response.json() == {"name": "buckets/x", "text": "t"}
    response = await stand.send("POST", "/v1/echo", json={"name": "n"})
    assert await response.json() == {"name": "n"}


async def test_case_31_repeated_parameters(stand: Stand) -> None:
    assert await stand.get("/v1/echo?numbers=1&numbers=2") == {"numbers": [1, 2]}
    assert await stand.get("/v1/echo?strings=a&strings=") == {"strings": ["a", ""]}
    await stand.refused("GET", "/v1/echo?text=1&text=2", 400)
    await stand.refused("GET", "/v1/echo?nested.subValue=1&nested.sub_value=2", 400)


async def test_case_32_both_spellings(stand: Stand) -> None:
    assert await stand.get("/v1/echo?nested.sub_value=x") == {"nested": {"subValue": "x"}}
    assert await stand.get("/v1/echo?nested.subValue=x") == {"nested": {"subValue": "x"}}
    assert await stand.get("/v1/echo?nested.deeper.count=3") == {"nested": {"deeper": {"count": 3}}}


@pytest.mark.parametrize(
    "query",
    [
        "many.subValue=1",
        "many=1",
        "map.a=1",
        "map=1",
        "nested=1",
        "any=1",
        "nested.free=1",
        "numbers.x=1",
        "text.x=1",
    ],
)
async def test_case_33_what_a_query_cannot_hold(stand: Stand, query: str) -> None:
    await stand.refused("GET", f"/v1/echo?{query}", 400)


async def test_case_34_two_members_of_a_oneof(stand: Stand) -> None:
    assert await stand.get("/v1/echo?leftSide=") == {"leftSide": ""}
    await stand.refused("GET", "/v1/echo?left_side=a&right_side=1", 400)
    await stand.refused("GET", "/v1/echo?rightSide=1&leftSide=a", 400)
    await stand.refused("POST", "/v1/echo", 400, json={"leftSide": "a", "rightSide": 1})


async def test_case_35_well_known_types(stand: Stand) -> None:
    query = "time=2026-01-02T03:04:05%2B01:00&duration=1.5s&mask=a,bC&wrapped=-5&maybe=0"
    assert await stand.get(f"/v1/echo?{query}") == {
        "time": "2026-01-02T02:04:05Z",
        "duration": "1.500s",
        "mask": "a,bC",
        "wrapped": "-5",
        "maybe": 0,
    }
    for wrong in ("time=null", "time=yesterday", "duration=1", "wrapped=null", "wrapped=x", "duration=1.5m"):
        await stand.refused("GET", f"/v1/echo?{wrong}", 400)


@pytest.mark.parametrize("text", ["-_8=", "-_8", "%2B/8=", "%2B/8"])
async def test_case_36_bytes_in_every_alphabet(stand: Stand, text: str) -> None:
    assert await stand.get(f"/v1/echo?data={text}") == {"data": "+/8="}


@pytest.mark.parametrize("text", ["a", "ab*c", "abc%20d", "ab=c", "ab===", "a===", "ab%0A"])
async def test_case_36_broken_base64(stand: Stand, text: str) -> None:
    await stand.refused("GET", f"/v1/echo?data={text}", 400)


async def test_case_37_booleans(stand: Stand) -> None:
    assert await stand.get("/v1/echo/bool/true") == {"bool": True}
    assert await stand.get("/v1/echo?bool=false") == {}
    for wrong in ("1", "t", "True", "yes", ""):
        await stand.refused("GET", f"/v1/echo?bool={wrong}", 400)


async def test_case_38_unknown_parameters(stand: Stand) -> None:
    for wrong in ("nope=1", "nested.nope=1", ".=1", "=1", "a%00=1", "text.=1", "Text=1"):
        await stand.refused("GET", f"/v1/echo?{wrong}", 400)
    assert await stand.get("/v1/echo?") == {}


async def test_case_39_query_beside_a_whole_body(stand: Stand) -> None:
    await stand.refused("POST", "/v1/echo?text=a", 400, json={})


async def test_case_40_an_empty_body(stand: Stand) -> None:
    response = await stand.send("POST", "/v1/echo")
    assert (response.status, await response.json()) == (200, {})


@pytest.mark.parametrize(
    "body",
    [
        b"{}x",
        b"{}{}",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"1",
        b'{"text":"a","text":"b"}',
        b'{"leftSide":"a","left_side":"b"}',
        b'{"nested":{"subValue":"a","sub_value":"b"}}',
        b'{"many":[{"subValue":"a","sub_value":"b"}]}',
        b'{"nope":1}',
        b'{"text":1}',
        b'{"int32":5.5}',
        b'{"int32":true}',
        b'{"double":NaN}',
        b'{"numbers":[null]}',
        b'{"numbers":1}',
        b'{"data":"ab*c"}',
        b'{"blobs":{"k":"a"}}',
        b'{"color":"NO_COLOR"}',
        b'{"time":"yesterday"}',
        b'{"any":{"@type":"type.googleapis.com/no.such.Type"}}',
        b'{"text":"\xff"}',
        b'{"text":"\\ud800"}',
        b"\xef\xbb\xbf{}",
        b'{"int64":' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"nested":' * 5000 + b"{}" + b"}" * 5000,
        b'{"nested":{"deeper":' + b'{"deeper":' * 70 + b"{}" + b"}" * 72,
    ],
)
async def test_cases_41_42_bodies_that_do_not_fit(stand: Stand, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    await stand.refused("POST", "/v1/echo", 400, data=body, headers=headers)


async def test_bodies_that_proto_json_allows(stand: Stand) -> None:
    body = {"int32": 5.0, "int64": 7, "text": None, "color": 1, "left_side": "x", "data": "-_8"}
    response = await stand.send("POST", "/v1/echo", json=body)
    assert await response.json() == {
        "int32": 5,
        "int64": "7",
        "color": "COLOR_RED",
        "leftSide": "x",
        "data": "+/8=",
    }


async def test_a_body_where_none_belongs(stand: Stand) -> None:
    await stand.refused("GET", "/v1/echo", 400, json={})
    assert (await stand.send("DELETE", "/v1/nothing")).status == 200
    await stand.refused("DELETE", "/v1/nothing", 400, json={})


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json; charset=latin-1",
    ],
)
async def test_case_43_other_content_types(stand: Stand, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    await stand.refused("POST", "/v1/echo", 415, data=b"{}", headers=headers)
    # A page of another site may send a form, even an empty one.
    empty = await stand.send("POST", "/v1/echo", data=b"", headers=headers)
    assert empty.status == (200 if content_type.startswith("application/json") else 415)
    headers = {"Content-Type": "Application/JSON; charset=UTF-8"}
    assert (await stand.send("POST", "/v1/echo", data=b"{}", headers=headers)).status == 200


async def test_case_44_a_body_over_the_limit(stand: Stand) -> None:
    headers = {"Content-Type": "application/json"}
    large = b'{"text":"' + b"x" * (1 << 20) + b'"}'
    await stand.refused("POST", "/v1/echo", 413, data=io.BytesIO(large), headers=headers)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    await stand.refused("POST", "/v1/echo", 413, data=chunks(), headers=headers)
    fits = b'{"text":"' + b"x" * ((1 << 20) - 11) + b'"}'
    assert (await stand.send("POST", "/v1/echo", data=io.BytesIO(fits), headers=headers)).status == 200


async def test_case_45_compressed_bodies(stand: Stand) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    await stand.refused("POST", "/v1/echo", 415, data=bomb, headers=headers)


async def test_case_46_patch_fills_the_mask(stand: Stand) -> None:
    body = {"subValue": "x", "deeper": {"count": 1, "tags": ["t"]}, "free": {"a": 1}}
    response = await stand.send("PATCH", "/v1/things", json=body)
    reply = await response.json()
    assert reply["updateMask"] == "subValue,deeper.count,deeper.tags,free"
    response = await stand.send("PATCH", "/v1/things?updateMask=count", json=body)
    assert (await response.json())["updateMask"] == "count"
    await stand.refused("PATCH", "/v1/things", 400, json={"subValue": {"a": 1}})


async def test_case_47_response_body(stand: Stand) -> None:
    assert await stand.get("/v1/scalar?text=x") == "x"
    assert await stand.get("/v1/scalar") == ""


async def test_case_48_raw_bodies(stand: Stand) -> None:
    response = await stand.send("GET", "/v1/raw?text=text/csv;charset%3Dutf-8&data=YSxi")
    assert (await response.read(), response.headers["Content-Type"]) == (b"a,b", "text/csv;charset=utf-8")
    response = await stand.send("GET", "/v1/raw?text=a%0D%0ASet-Cookie:x&data=YSxi")
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert "Set-Cookie" not in response.headers
