"""The book of series: one id for one series, bounded, and the bound is said once."""

import numpy as np
from structlog.testing import capture_logs

from controlplane.telemetry.store.book import SeriesBook
from controlplane.telemetry.store.counts import REFUSED_SERIES
from controlplane.telemetry.store.model import SeriesKey


def test_the_order_of_labels_and_empty_ones_say_nothing() -> None:
    book = SeriesBook()
    first = book.intern("a", "m", {"x": "1", "y": "2"})
    assert book.intern("a", "m", {"y": "2", "x": "1", "z": ""}) == first
    assert book.intern("b", "m", {"x": "1", "y": "2"}) != first
    assert book.key(0) == SeriesKey("m", (("host", "a"), ("x", "1"), ("y", "2")))


def test_a_host_cannot_speak_for_another() -> None:
    book = SeriesBook()
    book.intern("a", "m", {"host": "b"})
    assert dict(book.key(0).labels) == {"host": "a"}


def test_an_explosion_is_bounded_and_said_once() -> None:
    book = SeriesBook(most=100, most_of_host=60)
    refused = REFUSED_SERIES.labels("too_many_of_host")._value.get(), REFUSED_SERIES.labels("too_many")._value.get()
    with capture_logs() as said:
        for number in range(500):
            for host in ("a", "b", "c"):
                book.intern(host, "m", {"n": str(number)})
    assert len(book) == 100
    assert len(said) <= 4
    assert {(one["event"], one["log_level"]) for one in said} == {("series_not_stored", "warning")}
    after = REFUSED_SERIES.labels("too_many_of_host")._value.get(), REFUSED_SERIES.labels("too_many")._value.get()
    assert sum(after) - sum(refused) == 1400


def test_what_is_forgotten_makes_room_and_is_not_known() -> None:
    book = SeriesBook(most=3, most_of_host=2)
    ids = [book.intern("a", "m", {"n": str(number)}) for number in range(2)]
    assert book.intern("a", "m", {"n": "2"}) is None
    book.forget([0])
    assert book.intern("a", "m", {"n": "2"}) == 2
    assert ids == [0, 1]
    known = book.known(np.array([0, 1, 2, 3, -1, 2**31 - 1], dtype=np.int32))
    assert known.tolist() == [False, True, True, False, False, False]
    assert [number for number, _ in book.named("m")] == [1, 2]
    book.forget([1, 2])
    assert book.named("m") == []


def test_what_was_stored_is_loaded_with_its_ids() -> None:
    book = SeriesBook()
    key = SeriesKey("m", (("host", "a"),))
    book.load([(5000, key)])
    assert book.intern("a", "m", {}) == 5000
    assert book.intern("a", "m", {"x": "y"}) == 5001
    assert book.known(np.array([4999, 5000, 5001], dtype=np.int32)).tolist() == [False, True, True]
