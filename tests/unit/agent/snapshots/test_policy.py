"""Whatever is let go, the last good pair stays, and so does all that a plan must not touch."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.snapshots.catalogue import Archive, Catalogue
from agent.snapshots.files import Identity
from agent.snapshots.names import ArchiveName
from agent.snapshots.policy import Known, Plan, Policy, Why, plan
from tests.peers.snapshots import hash_of

NOW = 1_000_000.0


def archive(slot: int, base: int | None = None, *, age: float = 500, size: int = 10, folder: str = "/s") -> Archive:
    inode = hash((slot, base, folder)) & 0xFFFFFFFF
    identity = Identity(1, inode, size, int((NOW - age) * 1e9))
    return Archive(ArchiveName(slot, hash_of(f"{base} {slot}"), base=base), Path(folder), identity, 1, False, True)


def listing(*archives: Archive) -> Catalogue:
    bases = {each.name.slot for each in archives if each.name.base is None}
    return Catalogue(
        sorted(
            (each._replace(base_present=each.name.base is None or each.name.base in bases) for each in archives),
            key=lambda each: (-each.name.slot, str(each.folder)),
        )
    )


def gone(made: Plan) -> list[tuple[int, int | None, Why]]:
    return [(each.archive.name.slot, each.archive.name.base, each.why) for each in made.removals]


def text(each: Archive) -> str:
    return str(each.name)


USUAL = [
    archive(100), archive(150, 100), archive(200), archive(240, 200), archive(250, 200),
    archive(300), archive(310, 300), archive(320, 300), archive(330, 300),
]  # fmt: skip


def test_the_counts_are_kept() -> None:
    assert gone(plan(listing(*USUAL), Policy(2, 2), Known(), NOW)) == [
        (150, 100, Why.OLDER_BASE),
        (100, None, Why.SURPLUS_FULL),
        (240, 200, Why.OLDER_BASE),
        (310, 300, Why.SURPLUS_INCREMENTAL),
    ]


def test_nothing_goes_that_need_not() -> None:
    made = plan(listing(*USUAL), Policy(9, 9), Known(), NOW)
    assert gone(made) == [(240, 200, Why.OLDER_BASE)]
    assert [each.name.slot for each in made.keepers] == [330, 300]
    assert made.size == 10


def test_what_is_young_stays_and_what_it_stands_on() -> None:
    made = plan(listing(archive(100), archive(150, 100, age=5), *USUAL[2:]), Policy(1, 1, 60), Known(), NOW)
    assert {slot for slot, _, _ in gone(made)} == {200, 240, 250, 310, 320}


def test_what_is_pinned_stays() -> None:
    pinned = {each.identity[:2] for each in (USUAL[2], USUAL[6])}
    made = plan(listing(*USUAL), Policy(1, 1), Known(pinned=pinned), NOW)
    assert {slot for slot, _, _ in gone(made)} == {100, 150, 240, 250, 320}


def test_the_bad_go_first_and_the_newest_good_pair_stays() -> None:
    bad = {text(USUAL[8]), text(USUAL[7])}
    made = plan(listing(*USUAL), Policy(1, 1), Known(bad=bad), NOW)
    assert gone(made)[:2] == [(320, 300, Why.KNOWN_BAD), (330, 300, Why.KNOWN_BAD)]
    assert [each.name.slot for each in made.keepers] == [310, 300]


def test_a_bad_newest_full_one_stays_and_the_good_pair_before_it_too() -> None:
    made = plan(listing(*USUAL), Policy(1, 1), Known(bad={text(USUAL[5])}), NOW)
    assert [each.name.slot for each in made.keepers] == [250, 200]
    assert gone(made)[:3] == [(slot, 300, Why.KNOWN_BAD) for slot in (310, 320, 330)]
    assert {slot for slot, _, _ in gone(made)[3:]} == {100, 150, 240}


def test_the_newest_verified_pair_stays_beside_a_newer_one_that_was_not() -> None:
    made = plan(listing(*USUAL), Policy(1, 1), Known(verified={text(USUAL[2]), text(USUAL[3])}), NOW)
    assert [each.name.slot for each in made.keepers] == [240, 200, 330, 300]
    assert {slot for slot, _, _ in gone(made)} == {100, 150, 250, 310, 320}


def test_where_all_are_bad_nothing_goes() -> None:
    assert plan(listing(*USUAL), Policy(1, 1, 0, 0), Known(bad=set(map(text, USUAL))), NOW) == Plan((), (), 90)
    assert plan(listing(), Policy(), Known(), NOW) == Plan((), ())


def test_an_incremental_one_without_its_base_goes() -> None:
    made = plan(listing(archive(100), archive(250, 200)), Policy(), Known(), NOW)
    assert gone(made) == [(250, 200, Why.BASE_MISSING)]


def test_the_cap_takes_the_oldest_until_it_holds() -> None:
    made = plan(listing(*USUAL), Policy(9, 9, 0, 55), Known(), NOW)
    assert gone(made) == [
        (150, 100, Why.OVER_CAP), (100, None, Why.OVER_CAP), (240, 200, Why.OLDER_BASE), (250, 200, Why.OVER_CAP),
    ]  # fmt: skip
    assert made.over_cap_bytes == 0
    made = plan(listing(*USUAL), Policy(9, 9, 0, 5), Known(), NOW)
    assert len(made.removals) == 7
    assert made.over_cap_bytes == 15


def test_copies_of_one_slot_do_not_count_twice() -> None:
    made = plan(listing(*USUAL, archive(300, folder="/s/remote")), Policy(2, 9), Known(), NOW)
    assert {slot for slot, _, _ in gone(made)} == {100, 150, 240}


def test_a_policy_keeps_something() -> None:
    for wrong in ((0, 1), (1, 0), (1, 1, -1), (1, 1, 0, -1)):
        with pytest.raises(ValueError, match=r"least|age"):
            Policy(*wrong)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Archive], Policy, Known]:
    fulls = draw(st.lists(st.integers(1, 9), max_size=5, unique=True))
    slots = st.tuples(st.integers(1, 9), st.integers(1, 9))
    incrementals = draw(st.lists(slots, max_size=10, unique=True))
    ages, folders = st.integers(-5, 100), st.sampled_from(["/s", "/s/remote"])
    sizes = st.integers(1, 50)
    archives = [archive(slot * 100, age=draw(ages), size=draw(sizes), folder=draw(folders)) for slot in fulls]
    archives += [
        archive(base * 100 + step, base * 100, age=draw(ages), size=draw(sizes), folder=draw(folders))
        for base, step in incrementals
    ]
    some = st.sets(st.sampled_from(archives)) if archives else st.just(set())
    known = Known(
        frozenset(map(text, draw(some))),
        frozenset(map(text, draw(some))),
        frozenset(each.identity[:2] for each in draw(some)),
    )
    cap = draw(st.none() | st.integers(0, 300))
    policy = Policy(draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(0, 60)), cap)
    return archives, policy, known


@given(cases(), st.randoms())
def test_what_no_plan_may_touch(case: tuple[list[Archive], Policy, Known], order: random.Random) -> None:
    archives, policy, known = case
    catalogue = listing(*archives)
    made = plan(catalogue, policy, known, NOW)
    removed = {each.archive for each in made.removals}
    left = [each for each in catalogue.archives if each not in removed]
    assert removed <= set(catalogue.archives)
    assert len(removed) == len(made.removals)

    def good(found: list[Archive]) -> Catalogue:
        return Catalogue([each for each in found if text(each) not in known.bad])

    def newest_verified(found: list[Archive]) -> list[Archive]:
        return Catalogue([each for each in good(found).archives if text(each) in known.verified]).full()[:1]

    assert next(good(left).pairs(), None) == next(good(catalogue.archives).pairs(), None)
    if good(catalogue.archives).full():
        assert newest_verified(left) == newest_verified(catalogue.archives)
    else:
        assert not removed
    assert Catalogue(left).full()[:1] == catalogue.full()[:1]
    for each in removed:
        assert each.identity[:2] not in known.pinned
        assert NOW - each.identity.mtime_ns / 1e9 >= policy.younger_than_s
    # What stays stands on what it stood on, and a crash anywhere in between leaves it so.
    bases = {each.name.slot for each in left if each.name.base is None}
    assert all(each.name.base in bases for each in left if each.name.base is not None and each.base_present)
    if policy.cap_bytes is not None:
        assert made.over_cap_bytes == max(0, sum(each.size for each in left) - policy.cap_bytes)
    # The same listing in any order has the same plan.
    shuffled = list(archives)
    order.shuffle(shuffled)
    assert plan(listing(*shuffled), policy, known, NOW).digest == made.digest


@given(cases())
def test_a_plan_carried_out_leaves_nothing_more_to_do(case: tuple[list[Archive], Policy, Known]) -> None:
    archives, policy, known = case
    first = plan(listing(*archives), policy, known, NOW)
    left = [each for each in archives if each.identity not in {gone.archive.identity for gone in first.removals}]
    second = plan(listing(*left), policy, known, NOW)
    assert not [each for each in second.removals if each.why is not Why.BASE_MISSING]


def test_a_digest_tells_plans_apart() -> None:
    digests = {plan(listing(*USUAL), Policy(2, keep), Known(), NOW).digest for keep in (1, 2, 3)} | {
        plan(listing(*USUAL), Policy(2, 2), Known(bad={text(USUAL[0])}), NOW).digest
    }
    assert len(digests) == 4
