"""The grammar of path templates and the decoding of paths."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway import templates
from controlplane.gateway.templates import ONE, REST, Literal, PathError, TemplateError, parse


@pytest.mark.parametrize(
    ("text", "segments", "variables", "verb"),
    [
        ("/v1", ["v1"], [], ""),
        ("/v1/hosts", ["v1", "hosts"], [], ""),
        ("/v1:LOCK", ["v1"], [], "LOCK"),
        ("/v1/*/x/**", ["v1", ONE, "x", REST], [], ""),
        ("/v1/{name}", ["v1", ONE], [("name", 1, 2, False)], ""),
        ("/v1/{a.b_2.c}", ["v1", ONE], [("a.b_2.c", 1, 2, False)], ""),
        ("/v1/{name=*}", ["v1", ONE], [("name", 1, 2, False)], ""),
        ("/v1/{name=hosts/*}:revoke", ["v1", "hosts", ONE], [("name", 1, 3, True)], "revoke"),
        ("/v1/{a=x/*}/y/{b=**}", ["v1", "x", ONE, "y", REST], [("a", 1, 3, True), ("b", 4, 5, True)], ""),
        ("/v1/{name}:bla:baa", ["v1", ONE], [("name", 1, 2, False)], "bla:baa"),
        ("/v1/{name=seg/wi:th}", ["v1", "seg", "wi:th"], [("name", 1, 3, True)], ""),
        ("/a:b/c", ["a:b", "c"], [], ""),
        ("/trailing/**:slash", ["trailing", REST], [], "slash"),
        ("/a%20b", ["a b"], [], ""),
    ],
)
def test_templates_parse(
    text: str, segments: list[str], variables: list[tuple[str, int, int, bool]], verb: str
) -> None:
    template = parse(text)
    wild = (ONE, REST)
    assert template.segments == tuple(one if one in wild else Literal(one) for one in segments)
    found = [(".".join(one.path), one.start, one.end, one.multi) for one in template.variables]
    assert (found, template.verb) == (variables, verb)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v1/{name}",
        "/",
        "/foo/bar/",
        "/foo//bar",
        "/foo/**/bar",
        "/{a=**}/b",
        "/{a}/{a}",
        "/{1}",
        "/{f.1}",
        "/{f-}",
        "/{}",
        "/{a=}",
        "/{a.}",
        "/{a",
        "/a}",
        "/{a}}",
        "/{a={b}}",
        "/{a}b",
        "/a{b}",
        "/{a}{b}",
        "/a%2z",
        "/a%",
        "/%ff",
        "/a b",
        "/a?b",
        "/ä",
        "/***",
        "/a*",
        "/verb:",
        "/verb:a/b{",
        "/x:a b",
    ],
)
def test_other_templates_are_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        parse(text)


def values(template: str, path: str) -> dict[str, str]:
    found = parse(template).values(templates.split_path(path))
    return {".".join(name): text for name, text in found}


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("/v1/{id}", "/v1/a%2Fb", {"id": "a/b"}),
        ("/v1/{id}", "/v1/%C3%A9%20%25%22", {"id": 'é %"'}),
        ("/v1/{name=**}", "/v1/a%2Fb", {"name": "a%2Fb"}),
        ("/v1/{name=**}", "/v1/%2f%23/%20%2523", {"name": "%2f%23/ %23"}),
        ("/v1/{name=**}", "/v1/%C3%A9/%5B", {"name": "é/%5B"}),
        ("/v1/{name=**}", "/v1", {"name": ""}),
        ("/v1/{name=**}", "/v1/a//b/", {"name": "a//b/"}),
        ("/v1/{n=buckets/*}", "/v1/buckets/x", {"n": "buckets/x"}),
        ("/v1/{n=buckets/*}/{o}", "/v1/buckets/x/y", {"n": "buckets/x", "o": "y"}),
        ("/v1/{n=b/**}", "/v1/b/x/y", {"n": "b/x/y"}),
    ],
)
def test_values_are_decoded(template: str, path: str, expected: dict[str, str]) -> None:
    assert values(template, path) == expected


@pytest.mark.parametrize("path", ["", "x", "*", "http://x/v1", "/foo/%", "/foo/%zz", "/%2"])
def test_broken_paths_are_refused(path: str) -> None:
    with pytest.raises(PathError):
        templates.split_path(path)


@pytest.mark.parametrize("raw", ["%ff", "%c3", "%ed%a0%80"])
def test_values_that_are_not_utf8_are_refused(raw: str) -> None:
    with pytest.raises(PathError, match="UTF-8"):
        templates.decode(raw)
    with pytest.raises(PathError, match="UTF-8"):
        templates.decode_multi(raw)


@given(st.text(min_size=1))
def test_any_text_survives_one_segment(text: str) -> None:
    assert values("/v1/{id}", "/v1/" + quote(text, safe="")) == {"id": text}


@given(st.lists(st.text('abcé €\x00"<>^`{|}\\~._-', min_size=1), min_size=1))
def test_text_without_reserved_characters_survives_several_segments(parts: list[str]) -> None:
    path = "/v1/" + "/".join(quote(part, safe="") for part in parts)
    assert values("/v1/{name=**}", path) == {"name": "/".join(parts)}


@given(st.text("/{}=*.:%a1 é", max_size=12))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        template = parse("/" + text)
    except TemplateError:
        return
    assert template.segments
    assert all(0 <= variable.start < variable.end <= len(template.segments) for variable in template.variables)
