"""Hosts, their join tokens and their certificates: what is unique, what is atomic, and in which order."""

import asyncio
import json

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.hosts import (
    ACTIVE,
    CURRENT,
    ENDED,
    NEXT,
    PENDING,
    QUARANTINED,
    REVOKED,
    CertificateRow,
    HostRepository,
    HostRow,
    JoinRow,
)

TRIES = 9


@pytest.fixture
def everywhere(engines: list[AsyncEngine]) -> list[HostRepository]:
    """The hosts as several control planes see them, one for each of `TRIES` calls side by side."""
    return [HostRepository(engines[number % len(engines)]) for number in range(TRIES)]


@pytest.fixture
def hosts(everywhere: list[HostRepository]) -> HostRepository:
    return everywhere[0]


def certificate(serial: str, uid: str = "h1", state: str = CURRENT) -> CertificateRow:
    return CertificateRow(serial, "agent", uid, b"key", 0, 10_000, state)


async def token_of(hosts: HostRepository, token_hash: str = "t", uid: str = "h1") -> JoinRow:
    await hosts.add_join_token(token_hash, uid, 1000)
    token = await hosts.join_token(token_hash)
    assert token is not None
    return token


async def host(hosts: HostRepository, uid: str = "h1") -> HostRow:
    row = await hosts.by_uid(uid)
    assert row is not None
    return row


async def states(hosts: HostRepository, *serials: str) -> list[str | None]:
    rows = [await hosts.certificate(serial) for serial in serials]
    return [row.state if row else None for row in rows]


async def test_name_has_one_live_host_and_old_ones_are_kept(hosts: HostRepository) -> None:
    await hosts.replace("h1", "sol-1", 1)
    await hosts.add_certificate(certificate("c1"), 1)
    await hosts.replace("h2", "sol-1", 2)
    live = await hosts.by_name("sol-1")
    assert live is not None
    assert (live.uid, live.state, live.created_ms, live.label_map) == ("h2", PENDING, 2, {})
    assert (await host(hosts)).name == "sol-1"
    assert await states(hosts, "c1", "unknown") == [ENDED, None]
    assert await hosts.states() == {"h2": PENDING}
    assert (await hosts.by_name("sol-2"), await hosts.by_uid("h3")) == (None, None)


async def test_name_that_is_begun_anew_side_by_side_has_one_live_host(everywhere: list[HostRepository]) -> None:
    for before in (0, 1):
        uids = [f"h{before}{number}" for number in range(TRIES)]
        await asyncio.gather(*(one.replace(uid, "sol-1", 1) for one, uid in zip(everywhere, uids, strict=True)))
        live = await everywhere[0].by_name("sol-1")
        assert live is not None
        assert live.uid in uids
        assert await everywhere[0].states() == {live.uid: PENDING}


async def test_uid_that_is_taken_changes_nothing(hosts: HostRepository) -> None:
    await hosts.replace("h1", "sol-1", 1)
    with pytest.raises(IntegrityError):
        await hosts.replace("h1", "sol-1", 2)
    assert await hosts.states() == {"h1": PENDING}


async def test_pages_are_in_name_order_and_leave_retired_hosts_out(hosts: HostRepository) -> None:
    names = ["b-2", "b", "a9", "b2", "a", "a-1", "b", "a10", "a-"]
    for number, name in enumerate(names):
        await hosts.replace(f"h{number}", name, 1)
        await hosts.set_state(f"h{number}", ACTIVE)
    listed: list[HostRow] = []
    while page := await hosts.page(listed[-1].name if listed else "", 3):
        listed += page
    # By their bytes: a hyphen comes before every digit and letter.
    assert [row.name for row in listed] == ["a", "a-", "a-1", "a10", "a9", "b", "b-2", "b2"]
    assert listed[5].uid == "h6"
    assert await hosts.active() == listed


async def test_what_an_agent_says_is_kept(hosts: HostRepository) -> None:
    for number in (1, 2, 3):
        await hosts.replace(f"h{number}", f"sol-{number}", 1)
    labels = json.dumps({"región": "münchen ☀ 𝄞 東京"}, ensure_ascii=False)
    said = {"agent_version": "1.0 ☀", "clock_skew_s": -1234.56789012345, "labels": labels, "host_group": "mainnet"}
    latest = 2**53 + 1
    await hosts.seen("h1", latest, **said, exchange_current="a", exchange_next="b")
    row = await host(hosts)
    assert row._asdict() | said | {"last_seen_ms": latest} == row._asdict()
    assert row.label_map == json.loads(labels)
    await hosts.seen_all(["h1", "h3", "unknown"], 7)
    await hosts.seen_all([], 8)
    assert [(await host(hosts, uid)).last_seen_ms for uid in ("h1", "h2", "h3")] == [7, 0, 7]


async def test_group_lists_its_active_hosts(hosts: HostRepository) -> None:
    for uid, name, group in (("h1", "b", "one"), ("h2", "a", "one"), ("h3", "c", "two"), ("h4", "d", "one")):
        await hosts.replace(uid, name, 1)
        await hosts.seen(uid, 1, host_group=group)
        await hosts.set_state(uid, PENDING if name == "d" else ACTIVE)
    assert [row.name for row in await hosts.in_group("one")] == ["a", "b"]
    assert [row.name for row in await hosts.active()] == ["a", "b", "c"]


async def test_join_token_is_taken_once_however_many_try(everywhere: list[HostRepository]) -> None:
    hosts = everywhere[0]
    await hosts.replace("h1", "sol-1", 1)
    token = await token_of(hosts)
    assert token == JoinRow("t", "h1", 1000, None, "", "")
    pem = "-----BEGIN CERTIFICATE-----\n" + "ü" * 20_000
    tries = [one.join(token, f"k{n}", pem, certificate(f"c{n}"), 10) for n, one in enumerate(everywhere)]
    assert (await asyncio.gather(*tries)).count(True) == 1
    used = await hosts.join_token("t")
    assert used is not None
    assert (used.used_ms, used.certificate_pem, (await host(hosts)).state) == (10, pem, ACTIVE)
    issued = await states(hosts, *(f"c{n}" for n in range(TRIES)))
    assert [n for n, state in enumerate(issued) if state] == [int(used.used_key_hash[1:])]


async def test_token_that_is_over_superseded_or_unknown_is_not_taken(hosts: HostRepository) -> None:
    await hosts.replace("h1", "sol-1", 1)
    old = await token_of(hosts, "old")
    new = await token_of(hosts, "new")
    assert not await hosts.join(old, "k", "pem", certificate("c1"), 10)
    assert not await hosts.join(new, "k", "pem", certificate("c2"), 1000)
    assert not await hosts.join(new._replace(hash="other"), "k", "pem", certificate("c3"), 10)
    assert await hosts.join(new, "k", "pem", certificate("c4"), 999)
    assert await hosts.join_token("other") is None


async def test_tokens_made_side_by_side_leave_one_that_holds(everywhere: list[HostRepository]) -> None:
    await everywhere[0].replace("h1", "sol-1", 1)
    tokens = [f"t{number}" for number in range(TRIES)]
    await asyncio.gather(*(one.add_join_token(t, "h1", 1000) for one, t in zip(everywhere, tokens, strict=True)))
    rows = [await everywhere[0].join_token(token) for token in tokens]
    assert sorted(row.expires_ms for row in rows if row) == [0] * (TRIES - 1) + [1000]


@pytest.mark.parametrize("state", [REVOKED, QUARANTINED, "replaced"])
async def test_host_that_is_cut_off_while_it_joins_has_no_certificate(
    everywhere: list[HostRepository], state: str
) -> None:
    hosts, other = everywhere[:2]
    for number in range(8):
        uid, name, serial = f"h{number}", f"sol-{number}", f"c{number}"
        await hosts.replace(uid, name, 1)
        token = await token_of(hosts, f"t{number}", uid)
        cut = other.replace(f"n{number}", name, 2) if state == "replaced" else other.set_state(uid, state)
        joined, _ = await asyncio.gather(hosts.join(token, "k", "pem", certificate(serial, uid), 10), cut)
        assert await states(hosts, serial) == [ENDED if joined else None]
        # One that came too late has used nothing up.
        after = await hosts.join_token(token.hash)
        assert after is not None
        assert after.used_ms == (10 if joined else None)
        assert not await hosts.join(token, "k", "pem", certificate(f"late-{serial}", uid), 10)


async def test_certificate_that_cannot_be_stored_leaves_its_token(hosts: HostRepository) -> None:
    await hosts.replace("h1", "sol-1", 1)
    await hosts.add_certificate(certificate("taken"), 1)
    token = await token_of(hosts)
    with pytest.raises(IntegrityError):
        await hosts.join(token, "k", "pem", certificate("taken"), 10)
    assert await hosts.join_token("t") == token
    assert (await host(hosts)).state == PENDING


async def test_next_certificate_becomes_current_on_its_first_use(hosts: HostRepository) -> None:
    await hosts.replace("h1", "sol-1", 1)
    await hosts.add_certificate(certificate("old"), 1)
    await hosts.add_certificate(certificate("lost", state=NEXT), 2)
    await hosts.add_certificate(certificate("new", state=NEXT), 3)
    await hosts.add_certificate(certificate("other", "h2"), 3)
    current = await hosts.current_certificate("h1")
    assert current == certificate("old")
    await hosts.promote(certificate("new", state=NEXT))
    assert await states(hosts, "old", "lost", "new", "other") == [ENDED, ENDED, CURRENT, CURRENT]
    assert await hosts.current_certificate("h1") == certificate("new")
    await hosts.promote(certificate("lost", state=NEXT))
    assert await states(hosts, "lost", "new") == [ENDED, CURRENT]


async def test_first_calls_with_a_certificate_may_come_side_by_side(everywhere: list[HostRepository]) -> None:
    await everywhere[0].add_certificate(certificate("old"), 1)
    await everywhere[0].add_certificate(certificate("new", state=NEXT), 2)
    await asyncio.gather(*(one.promote(certificate("new", state=NEXT)) for one in everywhere))
    assert await states(everywhere[0], "old", "new") == [ENDED, CURRENT]


async def test_renewals_side_by_side_leave_one_next_certificate(everywhere: list[HostRepository]) -> None:
    serials = [f"c{number}" for number in range(TRIES)]
    given = zip(everywhere, serials, strict=True)
    await asyncio.gather(*(one.add_certificate(certificate(serial, state=NEXT), 1) for one, serial in given))
    assert sorted(map(str, await states(everywhere[0], *serials))) == [ENDED] * (TRIES - 1) + [NEXT]


async def test_host_that_is_cut_off_loses_every_certificate(hosts: HostRepository) -> None:
    for uid, state in (("h1", REVOKED), ("h2", QUARANTINED), ("h3", ACTIVE)):
        await hosts.replace(uid, uid, 1)
        await hosts.add_certificate(certificate(f"{uid}-a", uid), 1)
        await hosts.add_certificate(certificate(f"{uid}-b", uid, NEXT), 1)
        await hosts.set_state(uid, state)
    assert await hosts.current_certificate("h1") is None
    assert await states(hosts, "h1-a", "h1-b", "h2-a", "h2-b", "h3-a", "h3-b") == [ENDED] * 4 + [CURRENT, NEXT]
    assert await hosts.states() == {"h1": REVOKED, "h2": QUARANTINED, "h3": ACTIVE}


async def test_renewal_and_revocation_side_by_side_both_end(everywhere: list[HostRepository]) -> None:
    # Each changes several rows of a host: in a different order, they would wait for each other.
    hosts, renewing, using, cutting = everywhere[:4]
    await hosts.replace("h1", "sol-1", 1)
    for number in range(10):
        await hosts.add_certificate(certificate(f"a{number}"), 1)
        following = certificate(f"b{number}", state=NEXT)
        await hosts.add_certificate(following, 1)
        await asyncio.gather(
            renewing.add_certificate(certificate(f"c{number}", state=NEXT), 1),
            using.promote(following),
            cutting.set_state("h1", REVOKED),
        )
        assert await hosts.states() == {"h1": REVOKED}
