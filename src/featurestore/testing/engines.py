"""The exam of offline engines. Subclass it, give a fixture ``engine``, done.

    class TestMyEngine(EngineConformance):
        @pytest.fixture
        def engine(self) -> Engine:
            return MyEngine()

What is right is what `featurestore.testing.reference` answers, which is slow and obvious. The generated joins are five
times as many as the Hypothesis profile says: 500 in the usual run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from polars.testing import assert_frame_equal

from featurestore.engines.base import Engine
from featurestore.engines.survey import survey
from featurestore.errors import ColumnClashError, FrameError, MissingColumnError
from featurestore.planning.scans import Scan
from featurestore.planning.training import Selected, ViewJoin, plan_training
from featurestore.rows.order import canonical_bytes
from featurestore.testing import reference
from featurestore.testing.training_cases import TIME, Case, cases
from featurestore.windows.kernel import result_type

__all__ = ["EngineConformance", "assert_agrees", "typed"]

_GENERATED = settings(
    max_examples=5 * settings().max_examples,
    deadline=None,
    # An engine keeps nothing between calls, and one exam is written for many subclasses.
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
    ],
)
_MICROS = pl.Datetime("us", "UTC")


class EngineConformance:
    """What every engine must do."""

    @_GENERATED
    @given(case=cases())
    def test_agrees_with_the_reference(self, engine: Engine, case: Case) -> None:
        assert_agrees(engine, case)

    def test_labels_keep_their_order_duplicates_columns_and_types(self, engine: Engine) -> None:
        when = pl.Series("t", [30, 10, 30]).cast(pl.Datetime("ns", "Asia/Tokyo"))
        labels = pl.DataFrame({"extra": ["x", None, "x"], "u": [1, 2, 1], "t": when})
        answer = _joined(engine, labels, _view({"u": [1], "at": [0], "n": [5]}))
        assert_frame_equal(answer.drop("n"), labels)
        assert answer["n"].to_list() == [5, None, 5]

    def test_a_row_at_the_time_of_the_label_counts_and_a_later_one_never(self, engine: Engine) -> None:
        view = _view({"u": [1, 1], "at": [10, 11], "n": [1, 2]})
        assert _values(engine, _labels(1, 1, 1, at=[9, 10, 11]), view) == [None, 1, 2]

    def test_ttl_includes_both_ends_to_the_microsecond(self, engine: Engine) -> None:
        view = _view({"u": [1], "at": [10], "n": [1]}, ttl=5)
        assert _values(engine, _labels(1, 1, 1, at=[10, 15, 16]), view) == [1, 1, None]

    def test_a_ttl_of_zero_is_no_limit(self, engine: Engine) -> None:
        assert _values(engine, _labels(1, at=[10**15]), _view({"u": [1], "at": [0], "n": [1]}, ttl=0)) == [1]

    def test_an_expired_row_hides_no_older_one(self, engine: Engine) -> None:
        view = _view({"u": [1, 1], "at": [0, 10], "n": [1, 2]}, ttl=5)
        assert _values(engine, _labels(1, at=[16]), view) == [None]

    def test_created_decides_between_rows_of_one_time_and_null_comes_first(self, engine: Engine) -> None:
        rows = {"u": [1, 1, 1], "at": [5, 5, 5], "made": [None, 2, 1], "n": [9, 1, 8]}
        assert _values(engine, _labels(1, at=[5]), _view(rows, created="made")) == [1]

    @pytest.mark.parametrize("turned", [False, True])
    def test_fields_that_nobody_asked_for_decide_a_tie_whatever_the_order_of_rows(
        self, engine: Engine, turned: bool
    ) -> None:
        rows = pl.DataFrame({"u": [1, 1, 1], "at": [5, 5, 5], "m": ["b", "a", None], "n": [1, 2, 3]})
        view = _view(rows.reverse() if turned else rows, fields=("m", "n"))
        assert _values(engine, _labels(1, at=[5]), view) == [1]

    def test_a_late_row_counts_from_when_it_was_available(self, engine: Engine) -> None:
        rows = {"u": [1, 1], "at": [5, 8], "known": [20, 9], "n": [1, 2]}
        labels = _labels(1, 1, 1, at=[8, 9, 20])
        assert _values(engine, labels, _view(rows, available_at="known")) == [None, 2, 2]

    def test_a_late_row_that_is_greater_supersedes_once_available(self, engine: Engine) -> None:
        rows = {"u": [1, 1], "at": [8, 5], "known": [20, 5], "n": [1, 2]}
        labels = _labels(1, 1, at=[19, 20])
        assert _values(engine, labels, _view(rows, available_at="known")) == [2, 1]

    def test_the_whole_row_counts_and_a_null_in_it_is_a_null(self, engine: Engine) -> None:
        view = _view({"u": [1, 1], "at": [1, 2], "n": [7, None]})
        assert _values(engine, _labels(1, at=[2]), view) == [None]

    def test_nanoseconds_of_labels_round_down_and_those_of_rows_up(self, engine: Engine) -> None:
        stamps = pl.Series([1_001, 3_000]).cast(pl.Datetime("ns"))
        rows = pl.DataFrame({"u": [1, 2], "at": stamps, "n": [1, 2]})
        labels = pl.DataFrame({"u": [1, 1, 2], "t": pl.Series([1_999, 2_000, 3_999]).cast(pl.Datetime("ns"))})
        assert _values(engine, labels, _view(rows)) == [None, 1, 2]

    def test_null_keys_and_null_times_give_nulls(self, engine: Engine) -> None:
        view = _view({"u": [1, None], "at": [1, 1], "n": [1, 2]})
        assert _values(engine, _labels(1, None, 1, at=[1, 1, None]), view) == [1, None, None]

    def test_keys_compare_as_numbers_whatever_their_types(self, engine: Engine) -> None:
        labels = pl.DataFrame({"u": [1.0, 1.5, float("nan"), 2.0**63], "t": [9] * 4}).cast({"t": _MICROS})
        rows = pl.DataFrame({"u": [1, 2], "at": [1, 1], "n": [1, 2]}).cast({"u": pl.UInt8})
        assert _values(engine, labels, _view(rows)) == [1, None, None, None]

    def test_a_key_that_is_not_a_number_matches_nothing_and_zero_has_no_sign(self, engine: Engine) -> None:
        labels = pl.DataFrame({"u": [float("nan"), 0.0, -0.0], "t": [9] * 3}).cast({"t": _MICROS})
        rows = {"u": [float("nan"), -0.0], "at": [1, 1], "n": [1, 2]}
        assert _values(engine, labels, _view(rows)) == [None, 2, 2]

    def test_a_key_of_several_columns_matches_as_a_whole(self, engine: Engine) -> None:
        labels = pl.DataFrame({"u": [1, 1, 2], "m": ["a", "b", None], "t": [9] * 3}).cast({"t": _MICROS})
        rows = {"u": [1, 1, 2], "m": ["b", "c", "a"], "at": [1, 1, 1], "n": [1, 2, 3]}
        assert _values(engine, labels, _view(rows, keys=(("u", "u"), ("m", "m")))) == [None, 1, None]

    def test_a_view_without_entities_holds_for_every_label(self, engine: Engine) -> None:
        view = _view({"at": [1, 5], "n": [1, 2]}, keys=())
        assert _values(engine, _labels(1, None, at=[4, 5]), view) == [1, 2]

    def test_rows_without_a_time_hold_at_any(self, engine: Engine) -> None:
        view = _view({"u": [1, 1], "n": [1, 2]}, timestamp=None)
        assert _values(engine, _labels(1, 2, 1, at=[-1, 0, None]), view) == [2, None, 2]

    def test_the_newest_snapshot_supersedes_the_older_ones_as_a_whole(self, engine: Engine) -> None:
        view = _view({"u": [1, 2, 1], "at": [10, 10, 20], "n": [1, 2, 3]}, snapshots=(10, 20, 30))
        labels = _labels(1, 2, 1, 2, 1, at=[19, 19, 20, 20, 30])
        assert _values(engine, labels, view) == [1, 2, 3, None, None]

    def test_one_source_under_two_names_is_read_once(self, engine: Engine) -> None:
        reads: list[pl.DataFrame] = []

        def read(rows: pl.DataFrame) -> pl.DataFrame:
            reads.append(rows)
            return rows

        frame = pl.DataFrame({"u": [1, 2], "at": [1, 1], "n": [1, 2]}).cast({"at": _MICROS})
        scan = Scan("users", lambda: frame.lazy().map_batches(read), "at")
        views = [
            ViewJoin(name, scan, ((name, "u"),), (Selected("n", f"{name}_n"),), ("n",)) for name in ("buyer", "seller")
        ]
        labels = pl.DataFrame({"buyer": [1, 2], "seller": [2, 3], "t": [5, 5]}).cast({"t": _MICROS})
        answer = engine.join(plan_training(labels, "t", views, survey(labels, "t", views)))
        assert answer["buyer_n"].to_list() == [1, 2]
        assert answer["seller_n"].to_list() == [2, None]
        assert len(reads) == 1

    def test_statuses_say_why_and_event_timestamps_say_whence(self, engine: Engine) -> None:
        view = _view(
            {"u": [1, 2, 3], "at": [10, 10, 1], "n": [5, None, 7]},
            ttl=5,
            selected=(Selected("n", "n", "n_status"),),
            event_timestamp="n_time",
        )
        answer = _joined(engine, _labels(1, 2, 3, 4, at=[10] * 4), view)
        assert answer["n_status"].to_list() == ["PRESENT", "NULL_VALUE", "OUTSIDE_MAX_AGE", "NOT_FOUND"]
        stamp = datetime(1970, 1, 1, microsecond=10, tzinfo=UTC)
        assert answer["n_time"].to_list() == [stamp, stamp, None, None]
        assert answer.schema["n_time"] == _MICROS

    def test_columns_of_a_file_may_differ_in_case_alone(self, engine: Engine, tmp_path: Path) -> None:
        rows = pl.DataFrame({"u": [1], "at": [1], "N": [2], "n": [3]}).cast({"at": _MICROS})
        rows.write_parquet(tmp_path / "rows.parquet")
        view = _view(rows)
        scan = replace(view.scan, files=(str(tmp_path / "rows.parquet"),))
        assert _values(engine, _labels(1, at=[1]), replace(view, scan=scan)) == [3]

    def test_no_labels_give_no_rows_with_all_the_columns(self, engine: Engine) -> None:
        labels = _labels(at=[])
        answer = _joined(engine, labels, _view({"u": [1], "at": [1], "n": [1]}))
        assert answer.schema == pl.Schema({**labels.schema, "n": pl.Int64()})

    def test_an_empty_source_gives_nulls(self, engine: Engine) -> None:
        empty = pl.DataFrame({"u": [1], "at": [1], "n": [1.5]}).clear()
        answer = _joined(engine, _labels(1, at=[1]), _view(empty))
        assert answer.schema["n"] == pl.Float64
        assert answer["n"].to_list() == [None]

    def test_a_million_labels_with_one_key(self, engine: Engine) -> None:
        count = 1_000_000
        labels = pl.select(u=pl.repeat(7, count), t=pl.int_range(count).reverse().cast(_MICROS))
        view = _view({"u": [7, 7, 8], "at": [10, 500_000, 0], "n": [1, 2, 3]})
        answer = _joined(engine, labels, view)
        assert answer["n"].null_count() == 10
        assert answer["n"].sum() == 499_990 + 2 * 500_000

    def test_a_missing_source_column_is_named_before_anything_is_read(self, engine: Engine) -> None:
        view = _view(_unreadable({"u": pl.Int64, "at": _MICROS}))
        with pytest.raises(MissingColumnError, match="no column 'n' in source 'source'"):
            _joined(engine, _labels(1, at=[1]), view)

    def test_keys_that_can_never_be_equal_are_an_error_before_anything_is_read(self, engine: Engine) -> None:
        view = _view(_unreadable({"u": pl.String, "at": _MICROS, "n": pl.Int64}))
        with pytest.raises(FrameError, match="keys of view 'view': u = u can never be equal"):
            _joined(engine, _labels(1, at=[1]), view)

    def test_a_time_that_is_no_time_is_an_error_before_anything_is_read(self, engine: Engine) -> None:
        view = _view(_unreadable({"u": pl.Int64, "at": pl.String, "n": pl.Int64}))
        with pytest.raises(FrameError, match="column 'at' of source 'source' holds no times"):
            _joined(engine, _labels(1, at=[1]), view)

    def test_a_field_mapping_onto_another_column_is_an_error(self, engine: Engine) -> None:
        view = _view({"u": [1], "at": [1], "n": [1], "m": [2]}, renames=(("m", "n"),))
        with pytest.raises(ColumnClashError, match="the field mapping of source 'source' gives two columns one name"):
            _joined(engine, _labels(1, at=[1]), view)


def assert_agrees(engine: Engine, case: Case) -> None:
    """Assert that ``engine`` answers ``case`` as the reference does, to the bit."""
    with tempfile.TemporaryDirectory() as folder:
        answer = engine.join(case.plan(Path(folder)))
    rows = {name: source.rows for name, source in case.sources.items()}
    expected = reference.join(case.label_rows, TIME, case.views, rows, conditions=case.conditions)
    assert_frame_equal(answer.select(case.labels.columns), case.labels)
    assert answer.columns == [*case.labels.columns, *case.order]
    for view in case.views:
        for output in view.outputs:
            _assert_same(answer.get_column(output), [row[output] for row in expected])
        schema = case.sources[view.scan.source].frame.rename(dict(view.scan.renames)).schema
        types = {one.name: result_type(one, schema) for one in view.aggregates} or schema
        for one in view.selected:
            assert answer.schema[one.output] == types[one.field]


def _assert_same(answer: pl.Series, expected: Sequence[object]) -> None:
    truth = [typed(value, answer.dtype) for value in expected]
    assert [canonical_bytes(value) for value in answer.to_list()] == [canonical_bytes(value) for value in truth], (
        f"{answer.name}: {answer.to_list()} is not {truth}"
    )


def typed(value: object, dtype: pl.DataType) -> object:
    """Return a value of the reference, whose sums of nothing know no type, as one of the type ``dtype``."""
    if isinstance(dtype, pl.Struct) and isinstance(value, Mapping):
        return {name: typed(value[name], part) for name, part in dtype.to_schema().items()}  # type: ignore[arg-type]  # An instance holds instances.
    return float(value) if isinstance(value, int) and dtype.is_float() else value


def _labels(*keys: int | None, at: Sequence[int | None]) -> pl.DataFrame:
    return pl.DataFrame({"u": keys, "t": at}, schema={"u": pl.Int64, "t": pl.Int64}).cast({"t": _MICROS})


def _view(rows: Mapping[str, object] | pl.DataFrame | pl.LazyFrame, **options: Any) -> ViewJoin:
    """Return a view of column ``n`` by key ``u``; options are those of `Scan` and `ViewJoin`, integer times micros."""
    frame = pl.DataFrame(rows) if isinstance(rows, Mapping) else rows
    timed = frame if isinstance(frame, pl.LazyFrame) else _with_times(frame, options)
    names = ("created", "available_at", "timezone", "renames")
    scan = Scan(
        "source",
        timed.lazy,
        options.pop("timestamp", "at"),
        **{name: options.pop(name) for name in names if name in options},
    )
    defaults = {"keys": (("u", "u"),), "selected": (Selected("n", "n"),), "fields": ("n",)}
    return ViewJoin("view", scan, **(defaults | options))


def _with_times(frame: pl.DataFrame, options: Mapping[str, Any]) -> pl.DataFrame:
    times = ("at", options.get("created"), options.get("available_at"))
    return frame.cast({name: _MICROS for name in times if name in frame.columns and frame.schema[name].is_integer()})


def _unreadable(schema: Mapping[str, Any]) -> pl.LazyFrame:
    """Return rows that may be asked for their columns only."""

    def read(_: pl.DataFrame) -> pl.DataFrame:
        raise AssertionError("a row was read")

    return pl.LazyFrame(schema=schema).map_batches(read, schema=schema)


def _joined(engine: Engine, labels: pl.DataFrame, view: ViewJoin) -> pl.DataFrame:
    return engine.join(plan_training(labels, "t", [view], survey(labels, "t", [view])))


def _values(engine: Engine, labels: pl.DataFrame, view: ViewJoin) -> list[object]:
    return _joined(engine, labels, view)["n"].to_list()
