"""Fixtures of every test."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.plane import Plane, control_plane
from tests.support.programs import forking

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("solward", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("solward")
LONGEST = ("fleet", "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take longest, so that no process is left with one of them at the end."""
    items.sort(key=lambda item: next((rank for rank, part in enumerate(LONGEST) if part in item.path.parts), 9))


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("SOLWARD_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _programs_are_forked() -> Iterator[None]:
    with forking():
        yield


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    """A fresh control plane in this process."""
    async with control_plane(tmp_path) as running:
        yield running
