"""What every online store does, wherever its rows live: the part of the exam that `online_stores` begins with."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from featurestore.errors import ConfigurationError
from featurestore.online.base import OnlineStore, Row
from featurestore.testing import online_writers as writers
from featurestore.testing.online_writers import (
    Connect,
    at_once,
    count,
    greatest,
    key,
    replace,
    row_of,
    version_in,
    version_rows,
)

__all__ = ["COUNTERS", "OnlineStoreConformance", "all_rows", "assert_counted"]

COUNTERS = 5
"""Keys to which several writers add at once."""
_OTHER_VIEW = b"\x01\x00"
_WRITERS = 4


class OnlineStoreConformance:
    """What every online store does. Subclass it, and give the fixture ``connect``."""

    misspelt: ClassVar[tuple[str, str]] = ("pth", "path")
    """An option that does not exist, and the one that is meant; ``""`` where there are no options."""
    rows: ClassVar[int] = 5_000
    """Rows of the tests that take many."""
    rounds: ClassVar[int] = 25
    """Times that each of several writers writes the same keys."""
    examples: ClassVar[int] = 50
    """Random sequences of calls to try."""

    @pytest.fixture
    def connect(self) -> Connect:
        """Return what connects to the storage under test."""
        raise NotImplementedError("the subclass gives the fixture `connect`")

    @pytest.fixture
    def store(self, connect: Connect) -> Iterator[OnlineStore]:
        """A store that is empty."""
        with connect() as store:
            yield store

    # ---- what is put comes back ----------------------------------------------------------------------------------

    def test_an_empty_store_has_nothing(self, store: OnlineStore) -> None:
        assert store.get([key(1), key(2)]) == [None, None]
        assert list(store.scan()) == []
        assert store.delete([key(1)]) == 0
        assert store.drop(writers.VIEW) == 0

    def test_calls_for_nothing_do_nothing(self, store: OnlineStore) -> None:
        assert store.get([]) == []
        assert store.put([], replace) == 0
        assert store.delete([]) == 0
        assert list(store.scan()) == []

    def test_values_come_in_the_order_of_the_keys_with_none_for_those_that_are_missing(
        self, store: OnlineStore
    ) -> None:
        store.put([(key(1), b"one"), (key(2), b"two"), (key(3), b"three")], replace)
        assert store.get([key(3), key(9), key(1), key(2)]) == [b"three", None, b"one", b"two"]
        assert store.get((key(9),)) == [None]

    def test_a_key_that_is_asked_for_twice_is_answered_twice(self, store: OnlineStore) -> None:
        store.put([(key(1), b"one")], replace)
        assert store.get([key(1), key(2), key(1), key(2), key(1)]) == [b"one", None, b"one", None, b"one"]

    def test_values_are_bytes(self, store: OnlineStore) -> None:
        store.put([(key(1), b"one")], replace)
        assert [type(value) for value in store.get([key(1)])] == [bytes]
        assert [(type(a), type(b)) for batch in store.scan() for a, b in batch] == [(bytes, bytes)]

    @pytest.mark.parametrize("size", [0, 1, 100, 2_000, 4_096, 8_192, 70_000, 200_000])
    def test_a_value_may_be_empty_or_large(self, store: OnlineStore, size: int) -> None:
        value = bytes(range(256)) * (size // 256 + 1)
        assert store.put([(key(1), value[:size]), (key(2), value[: size // 2])], replace) == 2
        assert store.get([key(1), key(2)]) == [value[:size], value[: size // 2]]
        assert dict(all_rows(store)) == {key(1): value[:size], key(2): value[: size // 2]}

    def test_a_key_may_have_any_bytes_and_three_to_511_of_them(self, store: OnlineStore) -> None:
        entities = [b"\0", b"\xff", b"\0\0", b"'", b"{x}", b"\0" * 509, b"\xff" * 509, b"a" * 508, b"a" * 509, b"%s\n:"]
        rows = [(entity + view, entity[:7] + view) for entity in entities for view in (b"\0\0", b"\0\1", b"\xff\xff")]
        assert store.put(rows, replace) == len(rows)
        assert store.get([key for key, _ in rows]) == [value for _, value in rows]
        assert sorted(all_rows(store)) == sorted(rows)
        assert store.delete([key for key, _ in rows]) == len(rows)
        assert all_rows(store) == []

    def test_many_rows_come_back(self, store: OnlineStore) -> None:
        rows = version_rows(1, self.rows)
        assert store.put(rows, replace) == len(rows)
        assert store.get([key for key, _ in rows[::-1]]) == [value for _, value in rows[::-1]]
        assert sorted(all_rows(store)) == rows

    def test_rows_in_any_order_are_put(self, store: OnlineStore) -> None:
        rows = [row_of((number * 7919) % 1009, number) for number in range(1009)]
        store.put(tuple(rows), replace)
        assert sorted(all_rows(store)) == sorted(rows)

    def test_reading_without_blocking_answers_the_same(self, store: OnlineStore) -> None:
        keys = [key(2), key(9), key(1), key(2)]

        async def read_ten_times() -> list[list[bytes | None]]:
            return list(await asyncio.gather(*[store.get_async(keys) for _ in range(10)]))

        store.put([(key(1), b"one"), (key(2), b"")], replace)
        assert asyncio.run(read_ten_times()) == [store.get(keys)] * 10
        assert asyncio.run(store.get_async([])) == []
        assert asyncio.run(read_ten_times()) == [store.get(keys)] * 10  # in another event loop

    # ---- merging -------------------------------------------------------------------------------------------------

    def test_the_merge_gets_what_is_there_and_what_is_brought(self, store: OnlineStore) -> None:
        asked: list[tuple[bytes | None, bytes]] = []

        def note(old: bytes | None, new: bytes) -> bytes:
            asked.append((old, new))
            return new

        store.put([(key(1), b"a")], note)
        store.put([(key(1), b"b"), (key(2), b"c")], note)
        assert asked == [(None, b"a"), (b"a", b"b"), (None, b"c")]
        assert all(type(old) in {bytes, type(None)} and type(new) is bytes for old, new in asked)

    def test_the_greater_wins_whichever_comes_last(self, store: OnlineStore) -> None:
        store.put([(key(1), b"5"), (key(2), b"5")], greatest)
        assert store.put([(key(1), b"7"), (key(2), b"3"), (key(3), b"1")], greatest) == 2
        assert store.get([key(1), key(2), key(3)]) == [b"7", b"5", b"1"]

    def test_a_merge_may_make_a_third_value(self, store: OnlineStore) -> None:
        store.put([(key(1), b"a")], replace)
        assert store.put([(key(1), b"b")], lambda old, new: (old or b"") + new) == 1
        assert store.get([key(1)]) == [b"ab"]

    @pytest.mark.parametrize("answer", ["none", "old"])
    def test_a_merge_that_wants_nothing_leaves_the_row_as_it_is(self, store: OnlineStore, answer: str) -> None:
        store.put([(key(1), b"old")], replace)
        assert store.put([(key(1), b"new"), (key(2), b"new")], lambda old, _: old if answer == "old" else None) == 0
        assert store.get([key(1), key(2)]) == [b"old", None]

    def test_an_empty_value_is_a_value_to_the_merge(self, store: OnlineStore) -> None:
        store.put([(key(1), b"")], replace)
        assert store.put([(key(1), b"new")], lambda old, new: new if old == b"" else None) == 1
        assert store.put([(key(1), b"new")], lambda _old, _new: b"") == 1
        assert store.get([key(1)]) == [b""]

    def test_a_merge_that_raises_reaches_the_caller_and_leaves_its_row(self, store: OnlineStore) -> None:
        def refuse(old: bytes | None, new: bytes) -> bytes:
            if old is not None:
                raise _OddError
            return new

        store.put([(key(2), b"old")], replace)
        with pytest.raises(_OddError):
            store.put([(key(1), b"new"), (key(2), b"new")], refuse)
        assert store.get([key(2)]) == [b"old"]
        assert store.get([key(1)])[0] in {None, b"new"}

    def test_a_store_goes_on_after_a_merge_that_raised(self, store: OnlineStore, connect: Connect) -> None:
        def refuse(_old: bytes | None, _new: bytes) -> bytes:
            raise _OddError

        with pytest.raises(_OddError):
            store.put([(key(1), b"new")], refuse)
        at_once(lambda: store.put([(key(2), b"a")], replace), lambda: connect().put([(key(3), b"b")], replace))
        assert store.put([(key(1), b"c")], replace) == 1
        assert store.get([key(1), key(2), key(3)]) == [b"c", b"a", b"b"]

    def test_a_merge_that_raises_does_so_however_busy_the_readers_are(self, store: OnlineStore) -> None:
        def refuse(_old: bytes | None, _new: bytes) -> bytes:
            raise _OddError

        def write() -> None:
            try:
                for _ in range(self.rounds):
                    with pytest.raises(_OddError):
                        store.put([(key(1), b"new")], refuse)
            finally:
                done.set()

        def read() -> None:
            while not done.is_set():
                assert store.get([key(1)] * 50) == [b"old"] * 50

        done = threading.Event()
        store.put([(key(1), b"old")], replace)
        at_once(write, read, read, read)

    # ---- at the same time ----------------------------------------------------------------------------------------

    def test_of_many_threads_that_count_no_step_is_lost(self, store: OnlineStore) -> None:
        at_once(*[partial(count, store, COUNTERS, self.rounds)] * _WRITERS)
        assert_counted(store, _WRITERS * self.rounds)

    def test_of_many_stores_that_count_no_step_is_lost(self, connect: Connect) -> None:
        at_once(*[partial(count, connect(), COUNTERS, self.rounds) for _ in range(_WRITERS)])
        assert_counted(connect(), _WRITERS * self.rounds)

    def test_of_many_threads_that_write_the_greatest_stays(self, store: OnlineStore) -> None:
        def write(first: int) -> None:
            for version in range(first, _WRITERS * self.rounds, _WRITERS):
                store.put(version_rows(version, COUNTERS), greatest)

        at_once(*[partial(write, writer) for writer in range(_WRITERS)])
        expected = version_rows(_WRITERS * self.rounds - 1, COUNTERS)
        assert sorted(all_rows(store)) == expected

    def test_reads_while_others_write_see_whole_rows_that_never_go_back(self, store: OnlineStore) -> None:
        keys, done = [key(number) for number in range(50)], threading.Event()
        store.put(version_rows(1, 50), replace)

        def write() -> None:
            try:
                for version in range(2, self.rounds):
                    store.put([row_of(number, version, 400 * version) for number in range(50)], greatest)
            finally:
                done.set()

        def read(get: Callable[[], list[bytes]]) -> None:
            last = [0] * len(keys)
            while not done.is_set():
                found = [version_in(value) for value in get()]
                assert all(old <= new for old, new in zip(last, found, strict=True)), "a row went back"
                last = found

        at_once(
            write,
            lambda: read(lambda: [value for value in store.get(keys) if value is not None]),
            lambda: read(lambda: [value for _, value in sorted(all_rows(store, batch=7))]),
        )

    # ---- scanning ------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("batch", [1, 2, 7, 100, 10_000])
    def test_a_scan_has_each_row_once_some_at_a_time(self, store: OnlineStore, batch: int) -> None:
        rows = [(key(number, view), view) for number in range(50) for view in (writers.VIEW, _OTHER_VIEW)]
        store.put(rows, replace)
        for view in (None, writers.VIEW, _OTHER_VIEW, b"\0\0"):
            batches = list(store.scan(view, batch=batch))
            found = [row for each in batches for row in each]
            assert sorted(found) == sorted(row for row in rows if view is None or row[0].endswith(view))
            assert all(0 < len(each) <= batch for each in batches)

    def test_a_scan_is_not_in_the_way_of_writing(self, store: OnlineStore) -> None:
        store.put(version_rows(1, 30), replace)
        scan = store.scan(batch=10)
        found = list(next(scan))
        store.put(version_rows(2, 40), replace)
        found += [row for batch in scan for row in batch]
        numbers = [found_key for found_key, _ in found]
        assert len(numbers) == len(set(numbers))
        assert {key(number) for number in range(30)} <= set(numbers)

    def test_a_scan_that_is_given_up_leaves_nothing_behind(self, store: OnlineStore) -> None:
        store.put(version_rows(1, 30), replace)
        for _ in range(20):
            next(store.scan(batch=1))
        store.put(version_rows(2, 30), replace)
        assert sorted(all_rows(store)) == version_rows(2, 30)

    # ---- removing ------------------------------------------------------------------------------------------------

    def test_deleted_rows_are_gone_and_the_others_stay(self, store: OnlineStore) -> None:
        store.put(version_rows(1, 6), replace)
        assert store.delete([key(0), key(99), key(5)]) == 2
        assert sorted(all_rows(store)) == version_rows(1, 6)[1:5]
        assert store.get([key(0), key(1)]) == [None, row_of(1, 1)[1]]
        assert store.delete([key(0)]) == 0

    def test_a_deleted_row_is_new_to_the_merge(self, store: OnlineStore) -> None:
        store.put([(key(1), b"9")], greatest)
        store.delete([key(1)])
        assert store.put([(key(1), b"1")], greatest) == 1
        assert store.get([key(1)]) == [b"1"]

    def test_dropping_a_view_leaves_the_others(self, store: OnlineStore) -> None:
        views = [b"\0\0", b"\0\1", b"\1\0", b"\1\1"]
        rows = [(key(number, view), view) for number in range(30) for view in views]
        store.put(rows, replace)
        assert type(store.drop(b"\0\1")) is int
        assert sorted(all_rows(store)) == sorted(row for row in rows if row[1] != b"\0\1")
        assert list(store.scan(b"\0\1")) == []
        assert store.put([(key(1, b"\0\1"), b"again")], greatest) == 1

    def test_many_rows_are_dropped_and_deleted(self, store: OnlineStore) -> None:
        rows = [*version_rows(1, self.rows), (key(0, _OTHER_VIEW), b"stays")]
        store.put(rows, replace)
        store.drop(writers.VIEW)
        assert all_rows(store) == [(key(0, _OTHER_VIEW), b"stays")]
        store.put(rows, replace)
        assert store.delete([key for key, _ in rows]) == len(rows)
        assert all_rows(store) == []

    def test_compacting_changes_no_row(self, store: OnlineStore) -> None:
        store.compact()
        store.put(version_rows(1, 500), replace)
        store.delete([key(number) for number in range(400)])
        store.compact()
        assert sorted(all_rows(store)) == version_rows(1, 500)[400:]
        store.put(version_rows(2, 500), greatest)
        assert store.get([key(0), key(499)]) == [row_of(0, 2)[1], row_of(499, 2)[1]]

    # ---- projects ------------------------------------------------------------------------------------------------

    def test_projects_do_not_see_each_other(self, connect: Connect) -> None:
        with connect("shop") as shop, connect("taxi") as taxi:
            shop.put([(key(1), b"of shop"), (key(2), b"of shop")], replace)
            assert taxi.get([key(1)]) == [None]
            assert taxi.put([(key(1), b"of taxi")], greatest) == 1
            assert all_rows(taxi) == [(key(1), b"of taxi")]
            taxi.drop(writers.VIEW)
            taxi.delete([key(1), key(2)])
            assert sorted(all_rows(shop)) == [(key(1), b"of shop"), (key(2), b"of shop")]
            assert list(taxi.scan()) == []

    @pytest.mark.parametrize(("one", "other"), [("shop", "shop2"), ("shop", "SHOP"), ("a-b", "a_b"), ("x" * 100, "x")])
    def test_projects_with_like_names_are_two(self, connect: Connect, one: str, other: str) -> None:
        with connect(one) as first, connect(other) as second:
            first.put([(key(1), b"1")], replace)
            second.put([(key(1), b"2")], replace)
            second.drop(writers.VIEW)
            assert first.get([key(1)]) == [b"1"]
            assert second.get([key(1)]) == [None]

    # ---- life ----------------------------------------------------------------------------------------------------

    def test_a_closed_store_opens_again(self, store: OnlineStore) -> None:
        store.close()
        store.put([(key(1), b"one")], replace)
        store.close()
        store.close()
        assert store.get([key(1)]) == [b"one"]
        store.close()
        assert list(store.scan()) == [[(key(1), b"one")]]
        store.close()
        assert asyncio.run(store.get_async([key(1)])) == [b"one"]
        store.close()

    def test_closing_while_others_read_fails_none_of_them(self, store: OnlineStore) -> None:
        store.put([row_of(1, 1)], replace)
        done = threading.Event()

        def close() -> None:
            try:
                for _ in range(self.rounds):
                    store.close()
                    store.get([key(1)])
            finally:
                done.set()

        def read() -> None:
            while not done.is_set():
                assert store.get([key(1)]) == [row_of(1, 1)[1]]

        at_once(close, read, read)

    def test_an_option_that_means_nothing_is_refused_with_the_nearest(self, connect: Connect, tmp_path: Path) -> None:
        wrong, right = self.misspelt
        with pytest.raises(ConfigurationError, match=wrong) as caught:
            type(connect()).of_settings({wrong: "x"}, project="shop", folder=tmp_path)
        assert f"did you mean {right!r}?" in str(caught.value) or not right
        assert list(tmp_path.iterdir()) == []

    # ---- everything ----------------------------------------------------------------------------------------------

    def test_random_calls_have_the_effect_that_they_have_on_a_dictionary(self, store: OnlineStore) -> None:
        from featurestore.testing.online_calls import for_each_sequence_of_calls  # only this test needs Hypothesis

        for_each_sequence_of_calls(store, examples=self.examples)


class _OddError(Exception):
    """What no store raises by itself."""


def all_rows(store: OnlineStore, *, batch: int = 10_000) -> list[Row]:
    """Return all that a scan finds."""
    return [row for rows in store.scan(batch=batch) for row in rows]


def assert_counted(store: OnlineStore, expected: int) -> None:
    """Check that each counter is at ``expected``."""
    found = [int.from_bytes(value or b"", "big") for value in store.get([key(number) for number in range(COUNTERS)])]
    assert found == [expected] * COUNTERS
