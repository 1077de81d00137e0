"""A validator asked to exit: one that has just started, and has no admin socket yet, is waited for."""

import pytest
from solward.hosts.v1 import link_pb2

from agent.actions import graceful
from agent.actions.base import ActFailed
from agent.host.admin_rpc import AdminError
from tests.unit.agent.fakes import UNIT, FakeSystemd, unit_state


class Admin:
    """An admin socket that refuses some calls before it takes one, with which the process ends."""

    def __init__(self, systemd: FakeSystemd, refusals: int, reason: str = "ADMIN_UNREACHABLE") -> None:
        self._systemd, self._left, self._reason = systemd, refusals, reason
        self.calls = 0

    async def call(self, _method: str) -> None:
        self.calls += 1
        if self._left:
            self._left -= 1
            raise AdminError(self._reason, "no such file")
        self._systemd.units[UNIT] = unit_state("inactive")


async def leave(systemd: FakeSystemd, admin: Admin, seen: str | None = None, **fields: object) -> bool:
    action = link_pb2.UnitAction(unit=UNIT, timeout_ms=5000, verb=link_pb2.UNIT_VERB_RESTART)
    action.MergeFrom(link_pb2.UnitAction(**fields))  # type: ignore[arg-type]
    return await graceful.exit_gracefully(systemd, admin, action, lambda _: None, seen)  # type: ignore[arg-type]


async def test_a_process_that_has_just_started_is_asked_once_it_listens() -> None:
    systemd = FakeSystemd()
    admin = Admin(systemd, refusals=3)
    assert await leave(systemd, admin)
    assert admin.calls == 4


@pytest.mark.parametrize(
    ("reason", "timeout_ms"), [("ADMIN_UNREACHABLE", 100), ("ADMIN_TIMEOUT", 5000), ("ADMIN_REFUSED", 5000)]
)
async def test_one_that_cannot_be_asked_is_left_running(reason: str, timeout_ms: int) -> None:
    systemd = FakeSystemd()
    admin = Admin(systemd, refusals=1000, reason=reason)
    with pytest.raises(ActFailed) as failed:
        await leave(systemd, admin, timeout_ms=timeout_ms)
    assert failed.value.reason == reason
    assert (admin.calls > 1) is (reason == "ADMIN_UNREACHABLE")


async def test_forced_it_is_not_waited_for() -> None:
    systemd = FakeSystemd()
    admin = Admin(systemd, refusals=1)
    assert not await leave(systemd, admin, force=True)
    assert admin.calls == 1


async def test_one_that_was_on_its_way_out_already_is_waited_for() -> None:
    systemd = FakeSystemd()
    admin = Admin(systemd, refusals=1000)

    async def gone(_method: str) -> None:
        admin.calls += 1
        systemd.units[UNIT] = unit_state("inactive")
        raise AdminError("ADMIN_UNREACHABLE", "no such file")

    admin.call = gone  # type: ignore[method-assign]
    assert await leave(systemd, admin)
    assert admin.calls == 1


@pytest.mark.parametrize(("verb", "calls"), [(link_pb2.UNIT_VERB_RESTART, 0), (link_pb2.UNIT_VERB_STOP, 1)])
@pytest.mark.parametrize("seen", ["", "cd" * 16])
async def test_a_run_that_began_since_the_look_is_the_restart_but_not_the_stop(
    verb: link_pb2.UnitVerb, calls: int, seen: str
) -> None:
    systemd = FakeSystemd()
    admin = Admin(systemd, refusals=0)
    assert await leave(systemd, admin, seen, verb=verb)
    assert admin.calls == calls


async def test_the_run_that_was_looked_at_is_asked() -> None:
    systemd = FakeSystemd()
    admin = Admin(systemd, refusals=0)
    assert await leave(systemd, admin, "ab" * 16)
    assert admin.calls == 1
