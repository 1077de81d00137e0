"""Log stores: what is asked for is found, in its order, page by page, and nothing else."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solward.hosts.v1 import link_pb2

from controlplane.telemetry.logs import model
from controlplane.telemetry.logs.model import NS_OF_MS, LogQuery
from tests.contract.logs.conftest import Backend
from tests.support.logs import everything

INFO, WARNING, ERROR, CRITICAL = 1, 2, 3, 4
ODD = ['"', "\\", "`", '"} | x="', "\n", "\0", "☀ 𝄞", "\\n", "%s", "{}", "a|b", ".*", "'", "\u2028", "\ufeff", "\x7f"]


async def test_entry_comes_back_as_it_was(backend: Backend) -> None:
    said = backend.world.event(
        "a slot was skipped", severity=ERROR, area="leader", meaning="what it means", advice="what to do", times=7,
        attributes={"slot": "42", "path": "/a b", "odd name.x": "y"},
    )  # fmt: skip
    await backend.say("sol-1", said)
    (entry,) = await backend.ask()
    assert entry.host == "sol-1"
    assert entry.unix_ns // NS_OF_MS == said.unix_ms
    said.attributes["odd_name_x"] = said.attributes.pop("odd name.x")
    assert entry.event == said


async def test_order_and_range(backend: Backend) -> None:
    event = backend.world.event
    await backend.say("sol-1", event("third", 1_000), event("first", 3_000), event("second", 2_000))
    await backend.say("sol-2", event("fourth", 0))
    assert await backend.messages() == ["fourth", "third", "second", "first"]
    assert await backend.messages(newest_first=False) == ["first", "second", "third", "fourth"]
    at = (backend.world.now - 2_000) * NS_OF_MS
    # From when on, until just before when.
    assert await backend.messages(start_ns=at) == ["fourth", "third", "second"]
    assert await backend.messages(end_ns=at) == ["first"]
    assert await backend.messages(start_ns=at, end_ns=at) == []


async def test_one_millisecond_keeps_its_order_and_loses_nothing(backend: Backend) -> None:
    words = [f"line {number % 3}" for number in range(10)]
    await backend.say("sol-1", *map(backend.world.event, words))
    for limit in (1, 3, 10, 100):
        assert await backend.messages(limit, newest_first=False) == words
        assert await backend.messages(limit) == words[::-1]


async def test_hosts(backend: Backend) -> None:
    for name in ("sol-1", "sol-2", "s-l-1"):
        await backend.say(name, backend.world.event(f"of {name}"))
    assert await backend.messages(hosts=frozenset({"sol-1"})) == ["of sol-1"]
    assert sorted(await backend.messages(hosts=frozenset({"sol-1", "sol-2"}))) == ["of sol-1", "of sol-2"]
    assert await backend.messages(hosts=frozenset({"sol-9", "sol"})) == []
    # More than are named in a question.
    many = frozenset({"sol-2", *(f"h{number}" for number in range(500))})
    assert await backend.messages(hosts=many) == ["of sol-2"]


@pytest.mark.parametrize(("least", "found"), [(0, 5), (INFO, 4), (WARNING, 3), (ERROR, 2), (CRITICAL, 1)])
async def test_severity(backend: Backend, least: int, found: int) -> None:
    for severity in range(5):
        await backend.say("sol-1", backend.world.event(str(severity), severity=severity))
    assert await backend.messages(min_severity=least, newest_first=False) == [str(one) for one in range(5 - found, 5)]


async def test_kind(backend: Backend) -> None:
    kinds = ("validator.panic", "validator.panic.late", "validatorx.panic", "agent.log", "new.thing")
    for kind in kinds:
        await backend.say("sol-1", backend.world.event(kind, kind=kind))
    assert await backend.messages(kind="validator", newest_first=False) == ["validator.panic", "validator.panic.late"]
    assert await backend.messages(kind="validator.panic.late") == ["validator.panic.late"]
    assert await backend.messages(kind="agent.log") == ["agent.log"]
    assert await backend.messages(kind="new") == ["new.thing"]
    assert await backend.messages(kind="validator.pan") == []


@pytest.mark.parametrize("odd", ODD)
async def test_text_and_fields_mean_themselves_alone(backend: Backend, odd: str) -> None:
    await backend.say(
        "sol-1", backend.world.event(f"a {odd} b", attributes={"is": f"{odd}!"}), backend.world.event("x")
    )
    assert await backend.messages(text=f" {odd} ") == [f"a {odd} b"]
    assert await backend.messages(fields=(("is", f"{odd}!"),)) == [f"a {odd} b"]
    assert await backend.messages(fields=(("is", odd),)) == []
    assert await backend.messages(fields=(("is", f"{odd}!"), ("was", "x"))) == []
    assert await backend.messages(text="A ") == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=40), st.text(max_size=10))
async def test_any_text_means_itself_alone(backend: Backend, text: str, other: str) -> None:
    await backend.say("sol-1", backend.world.event(f"<{text}>{other}", attributes={"a": text}))
    for wanted in (backend.world.asked(text=f"<{text}>"), backend.world.asked(fields=(("a", text),))):
        found = await everything(backend.store, wanted)
        assert found
        assert all(wanted.wants(entry) for entry in found)


async def test_what_is_rare_is_found_over_many_pages(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "PART", 20)
    monkeypatch.setattr(model, "MOST_LOOKED", 40)
    random.seed(7)
    words = [f"{number} {random.choice(('rare', *['common'] * 30))}" for number in range(400)]
    await backend.say("sol-1", *map(backend.world.event, words))
    rare = [word for word in words if "rare" in word]
    assert await backend.messages(2, text="rare", newest_first=False) == rare
    assert await backend.messages(2, hosts=frozenset({f"h{number}" for number in range(200)})) == []


async def test_page_says_where_the_next_begins(backend: Backend) -> None:
    await backend.say("sol-1", *(backend.world.event(str(number), number) for number in range(3)))
    query: LogQuery = backend.world.asked()
    page = await backend.store.query(query, 2)
    assert [entry.event.message for entry in page.entries] == ["0", "1"]
    assert page.reached_ns == page.entries[-1].unix_ns
    rest = await backend.store.query(query.beyond(page.reached_ns), 2)
    assert ([entry.event.message for entry in rest.entries], rest.reached_ns) == (["2"], None)
    assert (await backend.store.query(query, 3)).reached_ns is None


async def test_an_event_that_says_nothing_is_there(backend: Backend) -> None:
    await backend.say("sol-1", link_pb2.Event(kind="validator.x", unix_ms=backend.world.now))
    (entry,) = await backend.ask()
    assert (entry.event.kind, entry.event.severity) == ("validator.x", link_pb2.SEVERITY_UNSPECIFIED)
