"""Recoveries: what was said to one control plane holds for all, and tries outlive whoever made them."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.recoveries import KEPT_MS, RecoveryRepository, Switch, Try

ANA = Switch(True, "ana", 1)


@pytest.fixture
def everywhere(engines: list[AsyncEngine]) -> list[RecoveryRepository]:
    """The recoveries as several control planes see them."""
    return [RecoveryRepository(engine) for engine in engines]


async def test_a_switch_holds_everywhere_and_the_last_word_counts(everywhere: list[RecoveryRepository]) -> None:
    first, second = everywhere[:2]
    assert await first.switches() == {}
    await first.set("accounts", ANA)
    await second.set("slots", Switch(True, "ben", 2))
    await second.set("accounts", Switch(False, "ben", 3))
    assert await first.switches() == {"accounts": Switch(False, "ben", 3), "slots": Switch(True, "ben", 2)}


async def test_tries_are_told_by_pipeline_and_the_oldest_first(everywhere: list[RecoveryRepository]) -> None:
    first, second = everywhere[:2]
    await first.set("accounts", ANA)
    await first.set("slots", ANA)
    tries = [Try(str(number), "plugin", "reload_plugin", 1000 + number) for number in (3, 1, 2)]
    for one in tries:
        assert await first.add("accounts", ANA, one, "", KEPT_MS)
    assert await first.add("slots", ANA, Try("9", "plugin", "load_plugin", 1005), "", 0)
    assert await second.tries("accounts", 1002) == [tries[2], tries[0]]
    await second.drop("2")
    assert await first.tries("accounts", 1002) == [tries[0]]


async def test_what_is_older_than_a_day_is_let_go_of(everywhere: list[RecoveryRepository]) -> None:
    first = everywhere[0]
    for name in ("accounts", "slots"):
        await first.set(name, ANA)
    await first.add("accounts", ANA, Try("old", "plugin", "reload_plugin", 1), "", 0)
    await first.add("slots", ANA, Try("new", "plugin", "reload_plugin", KEPT_MS + 2), "", 0)
    assert await first.tries("accounts", 0) == []
    assert [one.uid for one in await first.tries("slots", 0)] == ["new"]


async def test_nothing_is_noted_of_what_is_off_or_of_who_knows_less(everywhere: list[RecoveryRepository]) -> None:
    first, second = everywhere[:2]
    one, two = (Try(uid, "plugin", "reload_plugin", 1000 + place) for place, uid in enumerate(("1", "2")))
    assert not await first.add("slots", ANA, one, "", 0)
    await first.set("slots", ANA)
    assert await first.add("slots", ANA, one, "", 0)
    assert await second.add("slots", ANA, two, "1", 0)
    # Who knows of none is not believed either, where there is one.
    assert not await second.add("slots", ANA, Try("5", "plugin", "load_plugin", 1004), "", 0)
    assert not await first.add("slots", ANA, Try("3", "plugin", "load_plugin", 1005), "1", 0)
    # What was decided in the name of one is not begun once another answers.
    await second.set("slots", Switch(True, "ben", 2))
    assert not await first.add("slots", ANA, Try("4", "plugin", "load_plugin", 1006), "2", 0)
    await second.set("slots", off := Switch(False, "ana", 1))
    assert not await first.add("slots", off, Try("4", "plugin", "load_plugin", 1006), "2", 0)
    assert not await first.add("slots", ANA, Try("4", "plugin", "load_plugin", 1006), "2", 0)
    assert [tried.uid for tried in await first.tries("slots", 0)] == ["1", "2"]
