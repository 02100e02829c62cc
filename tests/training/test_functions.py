"""Registered functions beside declared views: what each kind answers for a label at t."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from featurestore import FeatureStore, FeatureView, FileSource
from featurestore.errors import (
    ColumnClashError,
    DuplicateKeyError,
    FrameError,
    MissingColumnError,
    ParameterError,
    RegistrationError,
)
from featurestore.materializer.memory import MemoryMaterializer

MAY = [datetime(2024, 5, day) for day in range(1, 11)]
LABELS = pl.DataFrame({"user": [2, 1, 1, 9], "event_timestamp": [MAY[4], MAY[2], MAY[6], MAY[4]]})
HALF_A_DAY = timedelta(hours=12)


def answers(store: FeatureStore, *features: Any, labels: Any = LABELS, **options: Any) -> pl.DataFrame:
    answer = store.get_historical_features(labels, list(features), **options).to_polars()
    return answer.drop(pl.DataFrame(labels).columns)


# ---- timelines --------------------------------------------------------------------------------------------------


def timeline() -> pl.LazyFrame:
    """Rows of two users, of which one was corrected later, and one became known late."""
    rows = {
        "user": [1, 1, 1, 2],
        "at": [MAY[0], MAY[1], MAY[1], MAY[0]],
        "made": [MAY[0], MAY[1], MAY[2], MAY[0]],
        "known": [MAY[0], MAY[1], MAY[5], MAY[0]],
        "n": [1, 2, 3, 20],
    }
    return pl.LazyFrame(rows)


def test_a_timeline_is_a_feature_view_like_any_other(store: FeatureStore) -> None:
    visits = store.register_feature(entity="user", timestamp="at", created="made", available_at="known")(timeline)
    assert answers(store, visits).to_dict(as_series=False) == {"n": [20, 2, 3, None]}


def test_times_in_other_units_for_other_parameters_become_no_earlier_ones(store: FeatureStore) -> None:
    @store.register_feature(entity="user", timestamp="at", name="m.visits")
    def visits(unit: str) -> pl.DataFrame:
        at = pl.Series([MAY[4].replace(microsecond=900)]).dt.cast_time_unit(unit)  # type: ignore[arg-type]  # It is one.
        return pl.DataFrame({"user": [1], "at": at, "n": [1 if unit == "us" else 2]})

    labels = pl.DataFrame({"user": [1, 1], "event_timestamp": [MAY[4], MAY[4]], "unit": ["us", "ms"]})
    assert answers(store, visits, labels=labels)["n"].to_list() == [None, 2]


def test_the_ttl_of_a_timeline_holds(store: FeatureStore) -> None:
    visits = store.register_feature(entity="user", timestamp="at", ttl="2d")(timeline)
    assert answers(store, visits, statuses=True)["n__status"].to_list() == [
        "OUTSIDE_MAX_AGE",
        "PRESENT",
        "OUTSIDE_MAX_AGE",
        "NOT_FOUND",
    ]


def test_a_timeline_and_a_declared_view_stand_side_by_side(store: FeatureStore, tmp_path: Path) -> None:
    timeline().collect().write_parquet(tmp_path / "visits.parquet")
    view = FeatureView("visits", FileSource("visits.parquet", timestamp_field="made"), entities=["user"])
    store.register_feature(entity="user", timestamp="at", name="f.events")(timeline)
    together = answers(store, view[["n"]], "events:n", full_feature_names=True)
    assert together.columns == ["visits__n", "events__n"]
    assert together["visits__n"].to_list() == [20, 3, 3, None]


@pytest.mark.parametrize("kind", ["pandas", "sql"])
def test_a_timeline_may_be_of_any_kind(store: FeatureStore, tmp_path: Path, kind: str) -> None:
    timeline().select("user", "at", "n").collect().write_parquet(tmp_path / "rows.parquet")
    store.register_source(FileSource(tmp_path / "rows.parquet"))

    @store.register_feature(entity="user", timestamp="at")
    def visits() -> Any:
        return pd.read_parquet("rows.parquet") if kind == "pandas" else "select * from rows where n <> 3"

    assert answers(store, visits)["n"].to_list()[0] == 20


def test_a_timeline_without_its_time_is_an_error(store: FeatureStore) -> None:
    visits = store.register_feature(entity="user", timestamp="when")(timeline)
    with pytest.raises(MissingColumnError, match="'when' in the result of"):
        answers(store, visits)


def test_a_time_of_another_type_is_an_error(store: FeatureStore) -> None:
    visits = store.register_feature(entity="user", timestamp="n")(timeline)
    with pytest.raises(FrameError, match="holds no times"):
        answers(store, visits)


def test_options_about_time_are_for_tables_that_have_some() -> None:
    store = FeatureStore()
    with pytest.raises(RegistrationError, match=r"(?s)created='made'.*timestamp='event_timestamp'"):
        store.register_feature(created="made")(timeline)
    with pytest.raises(RegistrationError, match="cannot be timeless"):
        store.register_feature(timestamp="at", timeless=True)(timeline)


# ---- as-of functions --------------------------------------------------------------------------------------------


class Counting:
    """An as-of function that notes its calls: the users that were there at ``when``, with the day of that."""

    def __init__(self, result: Callable[[datetime], Mapping[int, int]] | None = None) -> None:
        self.calls: list[datetime] = []
        self.result = result or (lambda when: {1: when.day, 2: 10 * when.day})

    def register(self, store: FeatureStore, **options: Any) -> Any:
        @store.register_feature(entity="user", name="features.score", **options)
        def score(when: datetime) -> Mapping[int, int]:
            self.calls.append(when)
            return self.result(when)

        return score


def test_an_as_of_function_answers_with_the_grid_point_at_or_before_the_label(store: FeatureStore) -> None:
    score = Counting().register(store, every="1d")
    labels = LABELS.with_columns(pl.col("event_timestamp") + HALF_A_DAY)
    assert answers(store, score, labels=labels)["score"].to_list() == [50, 3, 7, None]


def test_an_as_of_function_is_called_once_for_each_grid_point_and_never_for_each_label(store: FeatureStore) -> None:
    counting = Counting()
    score = counting.register(store, every="1d")
    labels = pl.concat([LABELS, LABELS.with_columns(pl.col("event_timestamp") + HALF_A_DAY)] * 10)
    answers(store, score, labels=labels)
    assert counting.calls == [MAY[2], MAY[4], MAY[6]]


def test_a_wider_grid_is_called_less(store: FeatureStore) -> None:
    counting = Counting()
    score = counting.register(store, every="5d")
    assert answers(store, score)["score"].to_list() == [
        10 * counting.calls[0].day,
        counting.calls[0].day,
        counting.calls[1].day,
        None,
    ]
    assert len(counting.calls) == 2


def test_when_is_aware_where_the_labels_are(store: FeatureStore) -> None:
    counting = Counting()
    score = counting.register(store, every="1d")
    answers(store, score, labels=LABELS.with_columns(pl.col("event_timestamp").dt.replace_time_zone("Asia/Tokyo")))
    assert counting.calls == [datetime(2024, 5, day, tzinfo=UTC) for day in (2, 4, 6)]


@pytest.mark.parametrize(("zone", "said"), [(None, "has no zone"), (UTC, "has the zone UTC")])
def test_what_a_function_raises_tells_which_time_it_was_handed(store: FeatureStore, zone: Any, said: str) -> None:
    logged = datetime(2026, 5, 1, tzinfo=UTC if zone is None else None)

    @store.register_feature(name="app.seen", entity="user", every="1d")
    def seen(when: datetime) -> dict[int, bool]:
        return {1: logged < when}

    labels = pl.DataFrame({"user": [1], "event_timestamp": [datetime(2026, 5, 2, 13, tzinfo=zone)]})
    with pytest.raises(TypeError, match="offset-naive") as told:
        store.get_historical_features(labels, ["app.seen"]).to_polars()
    note = told.value.__notes__[-1]
    assert note.startswith("app.seen was called with when=2026-05-02 00:00:00")
    assert said in note


def test_a_key_that_the_newest_result_lacks_is_not_found(store: FeatureStore) -> None:
    score = Counting(lambda when: {1: 1} if when == MAY[2] else {2: 2}).register(store, every="1d")
    answer = answers(store, score, statuses=True, event_timestamps=True)
    assert answer["score"].to_list() == [2, 1, None, None]
    assert answer["score__status"].to_list() == ["PRESENT", "PRESENT", "NOT_FOUND", "NOT_FOUND"]
    assert answer["score__event_timestamp"].to_list()[:2] == [stamp.replace(tzinfo=UTC) for stamp in (MAY[4], MAY[2])]


def test_missing_grid_points_are_computed_through_the_attached_materializer(store: FeatureStore) -> None:
    counting = Counting()
    score = counting.register(store, every="1d")
    stored = MemoryMaterializer(on_miss="materialize")
    store.add_decorator(stored.decorator)
    with store.active():
        stored.materialize(score, when=MAY[2])
    first = answers(store, score)
    assert counting.calls == [MAY[2], MAY[4], MAY[6]]
    assert answers(store, score).equals(first)
    assert len(counting.calls) == 3


def test_an_as_of_function_without_a_grid_is_an_error_before_it_is_called(store: FeatureStore) -> None:
    counting = Counting()
    score = counting.register(store)
    with pytest.raises(ParameterError, match=r"(?s)no grid.*every='1d'"):
        answers(store, score)
    assert counting.calls == []


def test_when_comes_from_the_labels_alone(store: FeatureStore) -> None:
    score = Counting().register(store, every="1d")
    with pytest.raises(ParameterError, match="when is no parameter of a training dataset"):
        store.with_params(when=MAY[0]).get_historical_features(LABELS, score)


def test_labels_without_a_time_need_no_call_and_a_declared_schema(store: FeatureStore) -> None:
    counting = Counting()
    timeless = LABELS.with_columns(event_timestamp=pl.lit(None, pl.Datetime("us")))
    score = counting.register(store, every="1d", schema={"score": "Int64"})
    assert answers(store, score, labels=timeless)["score"].to_list() == [None] * 4
    assert counting.calls == []


def test_two_rows_for_one_key_are_an_error(store: FeatureStore) -> None:
    @store.register_feature(entity="user", every="1d")
    def score(when: datetime) -> pl.DataFrame:
        return pl.DataFrame({"user": [1, 2, 1], "score": [1, 2, 3]})

    with pytest.raises(DuplicateKeyError, match="score"):
        answers(store, score)


def test_results_with_different_columns_are_an_error(store: FeatureStore) -> None:
    @store.register_feature(entity="user", every="1d")
    def score(when: datetime) -> pl.DataFrame:
        return pl.DataFrame({"user": [1], f"n{when.day}": [1]})

    with pytest.raises(FrameError, match="different columns for different parameters"):
        answers(store, score)


# ---- parameters -------------------------------------------------------------------------------------------------


def scaled(store: FeatureStore) -> Any:
    @store.register_feature(entity="user", timeless=True, name="features.scaled")
    def scaled(scale: int = 1) -> dict[int, int]:
        return {1: scale, 2: 2 * scale}

    return scaled


def test_a_parameter_comes_from_the_label_column_of_its_name(store: FeatureStore) -> None:
    labels = LABELS.with_columns(scale=pl.Series([1, 10, 100, None]))
    assert answers(store, scaled(store), labels=labels)["scaled"].to_list() == [2, 10, 100, None]


def test_a_parameter_comes_else_from_with_params_else_from_its_default(store: FeatureStore) -> None:
    feature = scaled(store)
    assert answers(store, feature)["scaled"].to_list() == [2, 1, 1, None]
    given = store.with_params(scale=5).get_historical_features(LABELS, feature).to_polars()
    assert given["scaled"].to_list() == [10, 5, 5, None]


def test_grid_points_and_label_parameters_go_together(store: FeatureStore) -> None:
    calls = []

    @store.register_feature(entity="user", every="1d")
    def n_events(when: datetime, app: str) -> dict[int, str]:
        calls.append((when.day, app))
        return {1: f"{app}{when.day}", 2: f"{app}!{when.day}"}

    labels = LABELS.with_columns(app=pl.Series(["a", "a", "b", "a"]))
    assert answers(store, n_events, labels=labels)["n_events"].to_list() == ["a!5", "a3", "b7", None]
    assert sorted(calls) == [(3, "a"), (5, "a"), (7, "b")]


def test_a_parameter_without_value_is_an_error_before_any_call(store: FeatureStore) -> None:
    counting = Counting()
    score = counting.register(store, every="1d")

    @store.register_feature(entity="user", timeless=True)
    def above(limit: int) -> dict[int, bool]:
        return {}

    with pytest.raises(ParameterError, match="needs limit"):
        answers(store, score, above)
    assert counting.calls == []


def test_a_parameter_that_nobody_takes_is_an_error(store: FeatureStore) -> None:
    with pytest.raises(ParameterError, match="did you mean 'scale'"):
        store.with_params(scales=5).get_historical_features(LABELS, scaled(store))


# ---- tables -----------------------------------------------------------------------------------------------------


def test_a_table_takes_part_only_where_it_is_timeless(store: FeatureStore) -> None:
    @store.register_feature(entity="user")
    def name() -> dict[int, str]:
        return {1: "Ann", 2: "Bob"}

    with pytest.raises(ParameterError, match=r"(?s)from when its values hold.*timeless=True"):
        answers(store, name)


def test_a_timeless_table_is_joined_on_the_key_alone(store: FeatureStore) -> None:
    @store.register_feature(entity="user", timeless=True)
    def name() -> dict[int, str]:
        return {1: "Ann", 2: "Bob"}

    labels = LABELS.with_columns(event_timestamp=pl.Series([None, MAY[0], MAY[9], MAY[0]]))
    assert answers(store, name, labels=labels)["name"].to_list() == ["Bob", "Ann", "Ann", None]


def test_a_function_without_entity_is_an_error(store: FeatureStore) -> None:
    @store.register_feature(timeless=True)
    def name() -> dict[int, str]:
        return {}

    with pytest.raises(ParameterError, match="cannot be joined to labels"):
        answers(store, name)


# ---- column functions -------------------------------------------------------------------------------------------


def test_column_functions_are_computed_after_the_joins_from_features_labels_and_each_other(
    store: FeatureStore,
) -> None:
    store.register_feature(entity="user", timestamp="at", name="f.visits")(timeline)

    @store.register_feature(inputs=["n", "weight"])
    def weighted(n: Any, weight: Any) -> Any:
        return n * weight

    @store.register_feature
    def more(weighted: pl.Expr, plus: int = 1) -> pl.Expr:
        return weighted + plus

    labels = LABELS.with_columns(weight=2)
    job = store.with_params(plus=5).get_historical_features(labels, [more, "visits:n", weighted])
    assert job.to_polars().columns == ["user", "event_timestamp", "weight", "more", "n", "weighted"]
    assert job.to_polars()["more"].to_list() == [45, 11, 11, None]


def test_column_functions_find_their_inputs_under_full_names_too(store: FeatureStore) -> None:
    store.register_feature(entity="user", timestamp="at", name="f.visits")(timeline)

    @store.register_feature(inputs=["n"])
    def double(n: Any) -> Any:
        return n * 2

    answer = answers(store, "visits:n", double, full_feature_names=True)
    assert answer.columns == ["visits__n", "double__double"]
    assert answer["double__double"].to_list() == [40, 6, 6, None]


def test_an_input_that_is_not_there_is_an_error_before_anything_is_joined(store: FeatureStore) -> None:
    store.register_feature(entity="user", timestamp="at", name="f.visits")(timeline)

    @store.register_feature(inputs=["m"])
    def double(m: Any) -> Any:
        return m * 2

    with pytest.raises(MissingColumnError, match="'m'"):
        store.get_historical_features(LABELS, ["visits:n", double])


def test_a_column_function_of_a_label_columns_name_is_an_error(store: FeatureStore) -> None:
    @store.register_feature(inputs=["user"])
    def double(user: Any) -> Any:
        return user * 2

    with pytest.raises(ColumnClashError, match="'double'"):
        store.get_historical_features(LABELS.with_columns(double=1), [double])


def test_column_functions_alone_need_labels_only(store: FeatureStore) -> None:
    @store.register_feature(inputs=["user"])
    def double(user: Any) -> Any:
        return user * 2

    assert answers(store, double)["double"].to_list() == [4, 2, 2, 18]
