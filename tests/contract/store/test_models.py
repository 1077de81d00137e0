"""Models: what one control plane has saved the next takes up, and one that was replaced writes over nothing."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.models import ModelRepository, SavedModel


@pytest.fixture
def everywhere(engines: list[AsyncEngine]) -> list[ModelRepository]:
    """The models as several control planes see them."""
    return [ModelRepository(engine) for engine in engines]


async def test_what_is_saved_is_taken_up_elsewhere(everywhere: list[ModelRepository]) -> None:
    first, second = everywhere[:2]
    assert await first.get("landing") is None
    assert await first.put("landing", b"one", 0)
    assert await second.get("landing") == SavedModel(1, b"one")
    assert await second.put("landing", b"\x00two", 1)
    assert await second.put("other", b"mine", 0)
    assert await first.get("landing") == SavedModel(2, b"\x00two")


async def test_who_does_not_know_the_newest_version_writes_over_nothing(everywhere: list[ModelRepository]) -> None:
    first, second = everywhere[:2]
    assert not await first.put("landing", b"of nothing", 4)
    assert await first.get("landing") is None
    assert await first.put("landing", b"one", 0)
    assert not await second.put("landing", b"anew", 0)
    assert await second.put("landing", b"two", 1)
    assert not await first.put("landing", b"stale", 1)
    assert await first.get("landing") == SavedModel(2, b"two")
