"""The exam that every materializer passes. To write an adapter of your own:

1. Subclass `featurestore.materializer.Materializer`: implement `put`, `entries`, `open` and `drop`, whose docstrings
   are the contract. `featurestore.materializer.memory` is the shortest example.
2. In a test file, subclass `PersistentMaterializerConformance` (or `MaterializerConformance`, where results live in one
   process) as ``TestMine`` and give it one fixture, ``connect``: a function without arguments that returns a
   materializer on storage that is empty when the test begins, the same storage at every call. For the persistent
   suite it must survive pickling, as other processes call it: `functools.partial` of your class does.
3. Name in ``unsupported`` what your back end refuses by contract: names of `featurestore.testing.results.CASES`, with
   the reason. The suite then demands an `UnsupportedValueError` that names the column, and nothing stored.
4. Let ``footprint`` count what your back end stores (files, tables), so that litter of dead writers is found.
5. Add ``mine = "package.module:Class"`` to ``[project.entry-points."featurestore.materializers"]`` of your pyproject.

Example:
    class TestMine(PersistentMaterializerConformance):
        unsupported = {"text with NUL": "the server's text ends at NUL"}

        @pytest.fixture
        def connect(self, tmp_path):
            return partial(MyMaterializer, tmp_path)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

import polars as pl
import pytest

from featurestore.errors import NotMaterializedError, UnsupportedValueError
from featurestore.materializer.base import ROW, Materialization, Materializer
from featurestore.testing import faults, versions
from featurestore.testing.faults import Connect
from featurestore.testing.predicates import PREDICATES
from featurestore.testing.results import CASES, assert_same, facts
from featurestore.testing.versions import put_version, version_in

__all__ = ["MaterializerConformance", "PersistentMaterializerConformance"]

_NAMES = [
    "plain",
    "features.events.n_favorites",
    "features.events.N_favorites",
    "FEATURES.EVENTS.N_FAVORITES",
    "../../etc/passwd",
    "..",
    ".",
    "",
    "/",
    "a/b\\c",
    "with space ",
    "quote'\"`;--",
    "%s%%",
    "line\nfeed",
    "é",
    "e\u0301",
    "\U0001f986",
    "<locals>.<lambda>",
    "x" * 300 + "1",
    "x" * 300 + "2",
]


class MaterializerConformance:
    """What every materializer does. Subclass it, and give the fixture ``connect``."""

    unsupported: ClassVar[Mapping[str, str]] = {}
    """Names of cases that the back end refuses, each with the reason."""
    examples: ClassVar[int] = 40
    """Random frames to try."""
    many: ClassVar[int] = 300
    """Results, each with columns of its own, that meet limits of pages, open files and cached statements."""

    @pytest.fixture
    def connect(self) -> Connect:
        """Return a function that returns a materializer on the storage of this test."""
        raise NotImplementedError("the subclass gives the fixture `connect`")

    @pytest.fixture
    def materializer(self, connect: Connect) -> Materializer:
        return connect()

    # ---- what is put comes back ----------------------------------------------------------------------------------

    @pytest.mark.parametrize("case", CASES)
    def test_a_frame_comes_back_exactly(self, materializer: Materializer, case: str) -> None:
        if case in self.unsupported:
            _assert_refused(materializer, CASES[case]())
        else:
            _assert_round_trip(materializer, CASES[case](), what=case)

    @pytest.mark.parametrize("case", CASES)
    def test_a_frame_without_rows_keeps_its_types(self, materializer: Materializer, case: str) -> None:
        if case not in self.unsupported:
            _assert_round_trip(materializer, CASES[case]().clear(), what=case)

    @pytest.mark.parametrize("case", ["no columns", "no rows", "text", "integers Int64"])
    def test_a_frame_without_row_numbers_comes_back_too(self, materializer: Materializer, case: str) -> None:
        frame = CASES[case]()
        record = _record(rows=frame.height)
        materializer.put(record, frame)
        got = materializer.open(record).collect()
        assert got.schema == frame.schema
        assert sorted(got.rows(), key=repr) == sorted(frame.rows(), key=repr)

    def test_random_frames_come_back_exactly(self, materializer: Materializer) -> None:
        from featurestore.testing.strategies import for_each_frame  # only this test needs Hypothesis

        @for_each_frame(examples=self.examples)
        def check(frame: pl.DataFrame) -> None:
            try:
                _assert_round_trip(materializer, frame, what="random frame")
            except UnsupportedValueError:
                # Random content may be of the kind that this back end declares to refuse.
                if not self.unsupported:
                    raise

        check()

    def test_python_objects_come_back_or_are_refused_by_column(self, materializer: Materializer) -> None:
        frame = pl.DataFrame({"fine": [1], "odd": pl.Series([object()], dtype=pl.Object)})
        _assert_refused(materializer, frame, column="odd")

    def test_a_later_change_of_the_callers_frame_is_not_seen(self, materializer: Materializer) -> None:
        frame = pl.DataFrame({"a": [1, 2]})
        materializer.put(_record(), frame)
        frame[0, "a"] = 99
        assert sorted(materializer.open(_record()).collect()["a"]) == [1, 2]

    # ---- records -------------------------------------------------------------------------------------------------

    def test_a_record_comes_back_equal(self, materializer: Materializer) -> None:
        record = Materialization(
            feature_name="features.é.\U0001f986",
            params={
                "when": datetime(2024, 5, 1, 2, 3, 4, 5),
                "until": datetime(2024, 5, 1, tzinfo=UTC),
                "nothing": None,
                "numbers": [1, 1.5, True, float("inf")],
                "pair": (1, "a'\"\\\n%s\x00"),
                "set": frozenset({1, 2}),
                "day": date(2024, 5, 1),
                "span": timedelta(microseconds=1),
                "price": Decimal("1.20"),
                "id": UUID(int=1),
                "raw": b"\x00\xff",
                "deep": {"a": [{"b": (1,)}]},
            },
            fingerprint="0" * 64,
            inputs={"features.events.n_events": "1" * 64},
            created=datetime(2024, 5, 2, 3, 4, 5, 6, tzinfo=UTC),
            rows=1,
            key=("user id", "é"),
            shape={"kind": "pandas", "index": [None, "é"], "nested": {"a": 1.5}},
            schema={"user id": "Int64"},
        )
        materializer.put(record, pl.DataFrame({"user id": [1], "é": [2]}))
        assert materializer.entries(record.feature_name) == (record,)
        assert materializer.entries(record.feature_name)[0].identity == record.identity

    def test_what_was_stored_is_opened_by_the_listed_record(self, materializer: Materializer) -> None:
        materializer.put(_record(), pl.DataFrame({"a": [7]}))
        (listed,) = materializer.entries()
        assert materializer.open(listed).collect()["a"].to_list() == [7]

    def test_an_empty_store_lists_nothing(self, materializer: Materializer) -> None:
        assert materializer.entries() == ()

    def test_an_unknown_feature_has_no_entries(self, materializer: Materializer) -> None:
        materializer.put(_record("known"), pl.DataFrame({"a": [1]}))
        assert materializer.entries("unknown") == ()

    def test_entries_of_one_feature_leave_out_others(self, materializer: Materializer) -> None:
        for name in _NAMES:
            materializer.put(_record(name), pl.DataFrame({"name": [name]}))
        for name in _NAMES:
            assert [entry.feature_name for entry in materializer.entries(name)] == [name]
            assert materializer.open(_record(name)).collect()["name"].to_list() == [name]

    def test_entries_of_all_features_are_listed_together(self, materializer: Materializer) -> None:
        for name in _NAMES:
            materializer.put(_record(name), pl.DataFrame({"name": [name]}))
        assert sorted(entry.feature_name for entry in materializer.entries()) == sorted(_NAMES)

    def test_parameters_and_fingerprints_coexist(self, materializer: Materializer) -> None:
        records = [
            _record(params={"n": value}, fingerprint=code)
            for value in (1, 1.0, True, "1", None, datetime(2024, 5, 1))
            for code in ("old", "new")
        ]
        for number, record in enumerate(records):
            materializer.put(record, pl.DataFrame({"number": [number]}))
        assert len(materializer.entries("f")) == len(records)
        assert [materializer.open(record).collect().item() for record in records] == list(range(len(records)))

    def test_many_entries_are_all_listed(self, materializer: Materializer) -> None:
        for number in range(self.many):
            materializer.put(_record(params={"n": number}), pl.DataFrame({f"column_{number}": [number]}))
        assert sorted(int(str(entry.params["n"])) for entry in materializer.entries("f")) == list(range(self.many))

    # ---- replacing and removing ----------------------------------------------------------------------------------

    def test_the_same_identity_is_replaced_with_its_record(self, materializer: Materializer) -> None:
        first = _record(rows=1)
        second = replace(first, rows=2, created=datetime(2025, 1, 1, tzinfo=UTC), schema={"b": "String"})
        materializer.put(first, pl.DataFrame({"a": [1]}))
        materializer.put(second, pl.DataFrame({"b": ["x", "y"]}))
        assert materializer.entries() == (second,)
        assert materializer.open(first).sort("b").collect().to_dict(as_series=False) == {"b": ["x", "y"]}

    def test_a_refused_replacement_leaves_the_old_result(self, materializer: Materializer) -> None:
        materializer.put(_record(), pl.DataFrame({"a": [1]}))
        with pytest.raises(UnsupportedValueError):
            materializer.put(_record(), pl.DataFrame({"odd": pl.Series([object()], dtype=pl.Object)}))
        assert materializer.open(_record()).collect()["a"].to_list() == [1]

    def test_a_dropped_result_is_gone(self, materializer: Materializer) -> None:
        kept, doomed = _record(params={"n": 1}), _record(params={"n": 2})
        materializer.put(kept, pl.DataFrame({"a": [1]}))
        materializer.put(doomed, pl.DataFrame({"a": [2]}))
        materializer.drop(doomed)
        assert materializer.entries() == (kept,)
        assert materializer.open(kept).collect().item() == 1

    def test_dropping_what_is_not_there_is_a_no_op(self, materializer: Materializer) -> None:
        materializer.drop(_record("never stored"))
        materializer.put(_record(), pl.DataFrame({"a": [1]}))
        materializer.drop(_record())
        materializer.drop(_record())
        assert materializer.entries() == ()

    def test_what_was_dropped_can_be_put_again(self, materializer: Materializer) -> None:
        for value in (1, 2):
            materializer.put(_record(), pl.DataFrame({"a": [value]}))
            assert materializer.open(_record()).collect().item() == value
            materializer.drop(_record())

    @pytest.mark.parametrize("name", ["f", "never stored"])
    def test_opening_what_is_not_stored_is_an_error(self, materializer: Materializer, name: str) -> None:
        materializer.put(_record(), pl.DataFrame({"a": [1]}))
        materializer.drop(_record())
        with pytest.raises(NotMaterializedError, match=name):
            materializer.open(_record(name))

    def test_a_frame_opened_before_a_replacement_is_read_whole(self, materializer: Materializer) -> None:
        put_version(materializer, 1, 100)
        opened = materializer.open(versions.record_of(1, 100))
        put_version(materializer, 2, 100)
        assert versions.require_whole(opened.collect(), 100) in (1, 2)

    def test_a_frame_whose_columns_were_looked_at_before_a_replacement_is_read_whole(
        self, materializer: Materializer
    ) -> None:
        put_version(materializer, 1, 100)
        opened = materializer.open(versions.record_of(1, 100))
        assert "version" in opened.collect_schema()
        put_version(materializer, 2, 50_000)
        got = opened.collect()
        assert versions.require_whole(got, 100 if got.height < 1_000 else 50_000) in (1, 2)

    # ---- reading lazily ------------------------------------------------------------------------------------------

    def test_an_adapter_that_keeps_the_order_of_rows_does_so_filtered_or_not(self, materializer: Materializer) -> None:
        """Nothing to show for one that does not say so: its rows have `__row__` to be ordered by."""
        import polars as pl

        record = _record("events.order")
        frame = pl.DataFrame({"user_id": [n * 7 % 1_000 for n in range(1_000)], "n": range(1_000)})
        materializer.put(record, frame)
        for chosen in (pl.lit(value=True), pl.col("n") % 3 == 0, pl.col("user_id") < 500):
            got = materializer.open(record).filter(chosen).collect()
            expected = frame.filter(chosen)
            assert got.equals(expected) if materializer.keeps_order else got.sort("n").equals(expected)

    def test_opening_gives_the_columns_in_their_order(self, materializer: Materializer) -> None:
        frame = _numbered(facts(10))
        materializer.put(_record(), frame)
        assert materializer.open(_record()).collect_schema() == frame.schema

    @pytest.mark.parametrize("name", PREDICATES)
    def test_a_filter_finds_what_it_finds_in_memory(self, materializer: Materializer, name: str) -> None:
        frame, opened = _put_facts(materializer)
        predicate = PREDICATES[name]
        assert_same(_in_order(opened.filter(predicate)), frame.filter(predicate), what=name)
        assert_same(_in_order(opened.filter(~predicate)), frame.filter(~predicate), what=f"not {name}")
        narrow = opened.filter(predicate).select(ROW, "price").collect().sort(ROW)
        assert_same(narrow, frame.filter(predicate).select(ROW, "price"), what=f"{name}, two columns")
        some = opened.filter(predicate).head(3).collect()
        assert some.height == min(3, frame.filter(predicate).height)
        assert set(some[ROW]) <= set(frame.filter(predicate)[ROW])

    def test_filters_one_after_the_other_all_count(self, materializer: Materializer) -> None:
        frame, opened = _put_facts(materializer)
        first, second = pl.col("user_id") < 50, pl.col("word").str.contains("b")
        assert_same(_in_order(opened.filter(first).filter(second)), frame.filter(first, second), what="two filters")

    def test_a_filter_after_a_limit_sees_only_the_rows_of_the_limit(self, materializer: Materializer) -> None:
        _, opened = _put_facts(materializer)
        seen = opened.head(5).filter(pl.col("user_id") >= 0).collect()
        assert seen.height == 5
        assert opened.head(5).filter(pl.col("user_id") < 0).collect().height == 0

    def test_a_projection_gives_its_columns_in_its_order(self, materializer: Materializer) -> None:
        frame, opened = _put_facts(materializer)
        got = opened.select("word", "user_id", ROW).collect().sort(ROW)
        assert_same(got, frame.select("word", "user_id", ROW), what="projection")

    def test_rows_are_counted_without_a_column(self, materializer: Materializer) -> None:
        frame, opened = _put_facts(materializer)
        assert opened.select(pl.len()).collect().item() == frame.height
        assert opened.filter(pl.col("user_id") < 10).select(pl.len()).collect().item() == 20

    def test_head_zero_gives_the_columns_without_rows(self, materializer: Materializer) -> None:
        frame, opened = _put_facts(materializer)
        assert_same(opened.head(0).collect(), frame.clear(), what="head(0)")

    def test_an_expression_may_be_selected(self, materializer: Materializer) -> None:
        frame, opened = _put_facts(materializer)
        total = pl.col("count").filter(pl.col("flag")).sum()
        assert opened.select(total).collect().item() == frame.select(total).item()

    def test_sorted_and_sliced_rows_are_those_of_memory(self, materializer: Materializer) -> None:
        frame, opened = _put_facts(materializer)
        assert_same(opened.sort(ROW).slice(10, 5).collect(), frame.slice(10, 5), what="slice")
        assert_same(opened.sort(ROW, descending=True).head(2).collect(), frame.reverse().head(2), what="last rows")

    def test_two_opened_results_are_joined_and_filtered(self, materializer: Materializer) -> None:
        frame, opened = _put_facts(materializer)
        other = _record("other")
        materializer.put(other, pl.DataFrame({"user_id": [3, 4], "extra": ["x", "y"]}))
        joined = opened.join(materializer.open(other), on="user_id").filter(pl.col("user_id") == 4)
        expected = frame.filter(pl.col("user_id") == 4).with_columns(extra=pl.lit("y"))
        assert_same(_in_order(joined), expected, what="join")

    def test_the_streaming_engine_reads_the_same(self, materializer: Materializer) -> None:
        frame, opened = _put_facts(materializer)
        predicate = pl.col("score") > 1.0
        got = opened.filter(predicate).collect(engine="streaming").sort(ROW)
        assert_same(got, frame.filter(predicate), what="streaming")

    def test_an_opened_frame_is_read_twice_and_from_threads(self, materializer: Materializer) -> None:
        frame, opened = _put_facts(materializer)
        with ThreadPoolExecutor(4) as pool:
            for got in pool.map(lambda number: _in_order(opened.filter(pl.col("user_id") == number)), range(8)):
                assert_same(got, frame.filter(pl.col("user_id") == got["user_id"][0]), what="threads")

    # ---- several at once -----------------------------------------------------------------------------------------

    def test_writers_in_threads_leave_one_whole_result(self, materializer: Materializer) -> None:
        done = threading.Event()
        with ThreadPoolExecutor(3) as pool:
            reader = pool.submit(_read_until, done.is_set, materializer, 500)
            writers = [pool.submit(_write_versions, materializer, list(range(first, 12, 2))) for first in (1, 2)]
            try:
                for writer in writers:
                    writer.result()
            finally:
                done.set()
            reader.result()
        assert version_in(materializer, 500) in (11, 10)

    def test_writers_of_different_results_do_not_disturb_each_other(self, materializer: Materializer) -> None:
        records = [_record(params={"n": number}) for number in range(24)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda record: materializer.put(record, pl.DataFrame({"n": [record.params["n"]]})), records))
        assert [materializer.open(record).collect().item() for record in records] == list(range(24))


class PersistentMaterializerConformance(MaterializerConformance):
    """What a materializer does whose results outlive its process and are seen by others."""

    def footprint(self, materializer: Materializer) -> int:  # noqa: ARG002  # of no use where nothing is counted
        """Return how many things (files, tables) the back end holds for its results; 0 leaves litter uncounted."""
        return 0

    def test_another_instance_sees_what_was_put(self, connect: Connect) -> None:
        put_version(connect(), 1, 100)
        assert version_in(connect(), 100) == 1

    def test_writers_in_processes_leave_one_whole_result(self, connect: Connect) -> None:
        writers = [faults.start_writer(connect, list(range(first, 8, 2)), 2_000) for first in (1, 2)]
        _read_until(lambda: not any(writer.is_alive() for writer in writers), connect(), 2_000)
        for writer in writers:
            writer.join()
            assert writer.exitcode == 0
            writer.close()
        assert version_in(connect(), 2_000) in (6, 7)

    @pytest.mark.parametrize("at", [0.02, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.98])
    def test_a_writer_killed_between_two_steps_leaves_the_old_state_or_the_new(
        self, connect: Connect, at: float
    ) -> None:
        self._assert_atomic(connect, faults.killed_between_steps, rows=1_000, at=at)

    @pytest.mark.parametrize("at", [0.1, 0.4, 0.7, 0.9])
    def test_a_writer_killed_within_a_step_leaves_the_old_state_or_the_new(self, connect: Connect, at: float) -> None:
        self._assert_atomic(connect, faults.killed_within_a_step, rows=200_000, at=at)

    def test_dead_writers_leave_no_growing_litter(self, connect: Connect) -> None:
        put_version(connect(), 1, 1_000)
        before = self.footprint(connect())
        for _ in range(3):
            faults.killed_between_steps(connect, 1, 2, 1_000, at=0.75)
        put_version(connect(), 3, 1_000)
        assert self.footprint(connect()) == before

    def test_replaced_and_dropped_results_leave_nothing(self, connect: Connect) -> None:
        materializer = connect()
        put_version(materializer, 1, 10)
        before = self.footprint(materializer)
        put_version(materializer, 2, 10)
        assert self.footprint(materializer) == before
        other = _record("other")
        materializer.put(other, pl.DataFrame({"a": [1]}))
        materializer.drop(other)
        assert self.footprint(materializer) == before

    def _assert_atomic(self, connect: Connect, kill: Callable[..., bool], *, rows: int, at: float) -> None:
        died = kill(connect, 1, 2, rows, at=at)
        assert version_in(connect(), rows) in ((1, 2) if died else (2,))
        put_version(connect(), 3, rows)
        assert version_in(connect(), rows) == 3


def _record(
    feature_name: str = "f", params: Mapping[str, Any] | None = None, *, fingerprint: str = "code", rows: int = 1
) -> Materialization:
    created = datetime(2024, 5, 2, tzinfo=UTC)
    return Materialization(feature_name, params or {}, fingerprint=fingerprint, created=created, rows=rows)


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with the column that keeps its order, as those have it who call `put`."""
    return frame.with_row_index(ROW)


def _in_order(opened: pl.LazyFrame) -> pl.DataFrame:
    return opened.collect().sort(ROW)


def _put_facts(materializer: Materializer) -> tuple[pl.DataFrame, pl.LazyFrame]:
    frame = _numbered(facts())
    record = replace(_record(rows=frame.height), key=("user_id",))
    materializer.put(record, frame)
    return frame, materializer.open(record)


def _assert_round_trip(materializer: Materializer, frame: pl.DataFrame, *, what: str) -> None:
    record, stored = _record(rows=frame.height), _numbered(frame)
    materializer.put(record, stored)
    assert_same(_in_order(materializer.open(record)), stored, what=what)


def _assert_refused(materializer: Materializer, frame: pl.DataFrame, *, column: str | None = None) -> None:
    with pytest.raises(UnsupportedValueError) as caught:
        materializer.put(_record(rows=frame.height), _numbered(frame))
    named = [name for name in frame.columns if repr(name) in str(caught.value)]
    assert named == [column] if column is not None else named, f"no column is named in: {caught.value}"
    assert materializer.entries() == (), "something was stored all the same"


def _write_versions(materializer: Materializer, numbers: list[int]) -> None:
    for number in numbers:
        put_version(materializer, number, 500)


def _read_until(stop: Callable[[], bool], materializer: Materializer, rows: int) -> None:
    while not stop():
        version_in(materializer, rows)
