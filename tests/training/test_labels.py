"""Labels of every kind go in, and come out as they were."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal as assert_pandas_equal
from polars.testing import assert_frame_equal

from featurestore import FeatureStore, FeatureView, FileSource
from featurestore.engines.base import Engine
from featurestore.engines.duckdb import DuckDBEngine
from featurestore.engines.polars import PolarsEngine
from featurestore.errors import ColumnClashError, FrameError, MissingColumnError, ParameterError, UnknownNameError

MAY = [datetime(2024, 5, day) for day in range(1, 11)]
LABELS = pl.DataFrame({"user": [2, 1, 1, 9], "event_timestamp": [MAY[4], MAY[2], MAY[2], MAY[4]], "y": [1, 0, 0, 1]})


@pytest.fixture
def view(tmp_path: Path) -> FeatureView:
    rows = {"user": [1, 1, 2], "at": [MAY[0], MAY[3], MAY[1]], "n": [10, 11, 20], "seen": [True, None, False]}
    pl.DataFrame(rows).write_parquet(tmp_path / "visits.parquet")
    return FeatureView("visits", FileSource("visits.parquet", timestamp_field="at"), entities=["user"])


def expected(labels: pl.DataFrame = LABELS) -> pl.DataFrame:
    return labels.with_columns(n=pl.Series([20, 10, 10, None]), seen=pl.Series([False, True, True, None]))


# ---- kinds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "as_",
    [
        pytest.param(lambda frame: frame, id="polars"),
        pytest.param(pl.DataFrame.lazy, id="lazy"),
        pytest.param(pl.DataFrame.to_arrow, id="arrow"),
        pytest.param(lambda frame: duckdb.from_arrow(frame.to_arrow()), id="duckdb"),
        pytest.param(pl.DataFrame.to_pandas, id="pandas"),
    ],
)
def test_frames_of_every_kind_are_labels(store: FeatureStore, view: FeatureView, as_: Any) -> None:
    assert_frame_equal(store.get_historical_features(as_(LABELS), view).to_polars(), expected())


def test_files_are_labels(store: FeatureStore, view: FeatureView, tmp_path: Path) -> None:
    LABELS.write_parquet(tmp_path / "labels.parquet")
    LABELS.write_csv(tmp_path / "labels.csv")
    for name in ("labels.parquet", tmp_path / "labels.parquet"):
        assert_frame_equal(store.get_historical_features(name, view).to_polars(), expected())
    from_text = store.get_historical_features("labels.csv", view).to_polars()
    assert from_text["n"].to_list() == [20, 10, 10, None]
    assert from_text.schema["event_timestamp"] == pl.String()


def test_sql_over_declared_sources_is_labels(store: FeatureStore, view: FeatureView, tmp_path: Path) -> None:
    LABELS.rename({"user": "who"}).write_parquet(tmp_path / "purchases.parquet")
    store.register_source(FileSource("purchases.parquet", field_mapping={"who": "user"}))
    text = "SELECT user, event_timestamp, y FROM purchases WHERE y = 1 ORDER BY user"
    answer = store.get_historical_features(text, view).to_polars()
    assert answer["n"].to_list() == [20, None]


@pytest.mark.parametrize("name", ["values.parquet", "from.parquet", "with-labels.parquet"])
def test_a_file_whose_name_begins_as_sql_does_is_a_file(
    store: FeatureStore, view: FeatureView, tmp_path: Path, name: str
) -> None:
    LABELS.write_parquet(tmp_path / name)
    for path in (name, tmp_path / name):
        assert_frame_equal(store.get_historical_features(path, view).to_polars(), expected())


@pytest.mark.parametrize("before", ["/* of\nMay */ ", "(", "-- of May\n("])
def test_sql_may_begin_with_a_comment_or_a_bracket(store: FeatureStore, view: FeatureView, before: str) -> None:
    sql = f"{before}SELECT 1 AS \"user\", TIMESTAMP '2024-05-03' AS event_timestamp{')' * before.count('(')}"
    assert store.get_historical_features(sql, view).to_polars()["n"].to_list() == [10]


def test_sql_over_an_unknown_source_is_an_error_that_suggests_one(store: FeatureStore, view: FeatureView) -> None:
    store.register_source(FileSource("purchases.parquet"))
    with pytest.raises(UnknownNameError, match="did you mean 'purchases'"):
        store.get_historical_features("select * from purchase", view)


def test_sql_that_duckdb_refuses_is_an_error_that_shows_it(store: FeatureStore, view: FeatureView) -> None:
    with pytest.raises(FrameError, match=r"(?s)refuses the SQL.*in: select \* frm"):
        store.get_historical_features("select * frm", view)


def test_text_that_is_neither_file_nor_sql_is_an_error(store: FeatureStore, view: FeatureView) -> None:
    with pytest.raises(FrameError, match="neither a file nor SQL"):
        store.get_historical_features("labels.docx", view)


@pytest.mark.parametrize("labels", [3, {"user": [1]}, [1, 2]])
def test_what_is_no_frame_is_an_error_that_says_what_is(store: FeatureStore, view: FeatureView, labels: Any) -> None:
    with pytest.raises(FrameError, match=r"(?s)labels of an unknown kind.*a pandas or Polars frame"):
        store.get_historical_features(labels, view)


# ---- what survives ----------------------------------------------------------------------------------------------


def test_pandas_keeps_index_columns_and_dtypes(store: FeatureStore, view: FeatureView) -> None:
    labels = pd.DataFrame(
        {
            "note": pd.Categorical(["a", "b", "a"]),
            "user": np.array([1, 9, 1], "int32"),
            "event_timestamp": pd.to_datetime(["2024-05-03", "2024-05-03", "2024-05-06"]).tz_localize("Asia/Tokyo"),
            "small": np.array([1, 2, 3], "uint8"),
            "missing": [1.5, np.nan, 2.0],
        },
        index=pd.Index(["x", "y", "x"], name="row"),
    )
    before = labels.copy()
    answer = store.get_historical_features(labels, view).to_df()
    assert_pandas_equal(answer[list(labels.columns)], labels)
    assert_pandas_equal(labels, before)
    assert list(answer.columns) == [*labels.columns, "n", "seen"]


def test_an_unnamed_index_of_any_values_survives(store: FeatureStore, view: FeatureView) -> None:
    labels = LABELS.to_pandas().set_axis([7, 7, -1, 3], axis=0)
    answer = store.get_historical_features(labels, view)
    assert answer.to_df().index.tolist() == [7, 7, -1, 3]
    assert answer.to_polars().columns == [*LABELS.columns, "n", "seen"]


def test_whole_numbers_and_booleans_with_misses_are_nullable(store: FeatureStore, view: FeatureView) -> None:
    for labels in (LABELS, LABELS.to_pandas()):
        answer = store.get_historical_features(labels, view).to_df()
        assert (str(answer["n"].dtype), str(answer["seen"].dtype)) == ("Int64", "boolean")
        assert answer["n"].tolist() == [20, 10, 10, pd.NA]


def test_arrow_labels_keep_their_types(store: FeatureStore, view: FeatureView) -> None:
    labels = LABELS.to_arrow().append_column("kind", pa.array(["a", "b", "a", None]).dictionary_encode())
    answer = store.get_historical_features(labels, view).to_arrow()
    assert answer.select(labels.column_names).equals(labels)
    assert answer.column("n").to_pylist() == [20, 10, 10, None]


def test_the_label_time_comes_back_untouched_in_its_unit_and_zone(store: FeatureStore, view: FeatureView) -> None:
    zone = ZoneInfo("America/New_York")
    labels = LABELS.with_columns(pl.col("event_timestamp").dt.replace_time_zone(zone.key).dt.cast_time_unit("ns"))
    answer = store.get_historical_features(labels, view).to_polars()
    assert_frame_equal(answer.select(labels.columns), labels)


# ---- the time column --------------------------------------------------------------------------------------------


def test_the_only_column_of_datetimes_is_the_time(store: FeatureStore, view: FeatureView) -> None:
    labels = LABELS.rename({"event_timestamp": "bought"}).with_columns(born=date(2000, 1, 1))
    assert store.get_historical_features(labels, view).to_polars()["n"].to_list() == [20, 10, 10, None]


def test_the_only_column_of_dates_is_the_time_without_datetimes(store: FeatureStore, view: FeatureView) -> None:
    labels = LABELS.with_columns(pl.col("event_timestamp").cast(pl.Date)).rename({"event_timestamp": "day"})
    assert store.get_historical_features(labels, view).to_polars()["n"].to_list() == [20, 10, 10, None]


def test_event_timestamp_wins_over_other_columns_of_datetimes(store: FeatureStore, view: FeatureView) -> None:
    labels = LABELS.with_columns(a=MAY[0], z=MAY[9])
    assert store.get_historical_features(labels, view).to_polars()["n"].to_list() == [20, 10, 10, None]


def test_no_time_is_an_error_that_lists_the_columns(store: FeatureStore, view: FeatureView) -> None:
    with pytest.raises(FrameError, match=r"(?s)do not say when.*user Int64, y Int64"):
        store.get_historical_features(LABELS.drop("event_timestamp"), view)


def test_two_possible_times_are_an_error_that_names_the_fix(store: FeatureStore, view: FeatureView) -> None:
    labels = LABELS.rename({"event_timestamp": "a"}).with_columns(b=MAY[0])
    with pytest.raises(FrameError, match=r"(?s)several columns.*rename the column that says when"):
        store.get_historical_features(labels, view)


def test_text_times_are_parsed_and_come_back_as_text(store: FeatureStore, view: FeatureView) -> None:
    labels = LABELS.with_columns(
        event_timestamp=pl.Series(["2024-05-05T00:00Z", "2024-05-03", "2024-05-03 02:00:00+02:00", None])
    )
    answer = store.get_historical_features(labels, view).to_polars()
    assert_frame_equal(answer.select(labels.columns), labels)
    assert answer["n"].to_list() == [20, 10, 10, None]


def test_text_that_is_no_time_is_an_error_that_shows_it_and_how_to_parse_it(
    store: FeatureStore, view: FeatureView
) -> None:
    labels = LABELS.with_columns(event_timestamp=pl.Series(["2024-05-05", "03/05/2024", "x", "2024-05-03"]))
    with pytest.raises(FrameError, match=r"(?s)'03/05/2024', and 1 more.*str\.to_datetime"):
        store.get_historical_features(labels, view)


def test_numbers_as_times_are_an_error(store: FeatureStore, view: FeatureView) -> None:
    with pytest.raises(FrameError, match=r"(?s)'event_timestamp' of the labels holds no times.*Int64.*from_epoch"):
        store.get_historical_features(LABELS.with_columns(event_timestamp=pl.col("y")), view)


# ---- what is wrong ----------------------------------------------------------------------------------------------


def test_a_missing_join_key_is_an_error_that_lists_the_columns(store: FeatureStore, view: FeatureView) -> None:
    with pytest.raises(MissingColumnError, match=r"(?s)'user' in the labels.*users"):
        store.get_historical_features(LABELS.rename({"user": "users"}), view)


def test_keys_that_can_never_be_equal_are_an_error_before_anything_is_read(
    store: FeatureStore, view: FeatureView
) -> None:
    with pytest.raises(FrameError, match=r"(?s)can never be equal.*String among the labels, Int64 in the source"):
        store.get_historical_features(LABELS.cast({"user": pl.String}), view)


def test_a_label_column_of_a_features_name_is_an_error(store: FeatureStore, view: FeatureView) -> None:
    labels = LABELS.with_columns(n=1)
    with pytest.raises(ColumnClashError, match="two columns would be called 'n'"):
        store.get_historical_features(labels, view)
    assert "visits__n" in store.get_historical_features(labels, view, full_feature_names=True).to_polars().columns


def test_the_order_and_number_of_labels_survive_duplicates_and_nulls(store: FeatureStore, view: FeatureView) -> None:
    labels = pl.DataFrame(
        {"user": [1, None, 1, 1], "event_timestamp": [MAY[5], MAY[5], None, MAY[5]]},
        schema={"user": pl.Int64, "event_timestamp": pl.Datetime("us")},
    )
    answer = store.get_historical_features(labels, view[["n"]]).to_polars()
    assert_frame_equal(answer.select(labels.columns), labels)
    assert answer["n"].to_list() == [11, None, None, 11]


def test_no_labels_give_no_rows_with_all_columns(store: FeatureStore, view: FeatureView) -> None:
    answer = store.get_historical_features(LABELS.clear(), view).to_polars()
    assert_frame_equal(answer, expected().clear())


# ---- no labels --------------------------------------------------------------------------------------------------


def test_a_range_gives_every_row_in_it_both_ends_included(store: FeatureStore, view: FeatureView) -> None:
    job = store.get_historical_features(None, view[["n"]], start_date=MAY[1], end_date="2024-05-04")
    assert job.to_polars().rows() == [
        (2, MAY[1].replace(tzinfo=UTC), 20),
        (1, MAY[3].replace(tzinfo=UTC), 11),
    ]


def test_a_grid_gives_every_known_key_at_every_point(store: FeatureStore, view: FeatureView) -> None:
    job = store.get_historical_features(None, view[["n"]], start_date=MAY[0], end_date=MAY[4], every="2d")
    answer = job.to_polars().with_columns(pl.col("event_timestamp").dt.day())
    assert answer.rows() == [(1, 1, 10), (2, 1, None), (1, 3, 10), (2, 3, 20), (1, 5, 11), (2, 5, 20)]


def test_keys_that_are_floats_in_one_view_keep_the_digits_of_the_other(store: FeatureStore, tmp_path: Path) -> None:
    large = 2**53 + 1
    pl.DataFrame({"user": [large, 5], "at": MAY[0], "n": [1, 2]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"user": [7.0, float("nan")], "at": MAY[0], "m": [3, 4]}).write_parquet(tmp_path / "b.parquet")
    views = [FeatureView(x, FileSource(f"{x}.parquet", timestamp_field="at"), entities=["user"]) for x in "ab"]
    answer = store.get_historical_features(None, views, start_date=MAY[0], end_date=MAY[0]).to_polars()
    assert answer.sort("user").select("user", "n", "m").rows() == [(5, 2, None), (7, None, 3), (large, 1, None)]


def test_integers_wider_than_arrows_are_answered(store: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text(f"user,at,n\n1,2024-05-01,1\n2,2024-05-01,{10**20}\n")
    wide = FeatureView("wide", FileSource("w.csv", timestamp_field="at"), entities=["user"])
    for engine in (PolarsEngine(), DuckDBEngine()):
        job = replace(store.get_historical_features(LABELS, wide), _engine=engine)
        assert job.to_polars()["n"].to_list() == [10**20, 1, 1, None]
        assert job.to_arrow()["n"].to_pylist() == [Decimal(10**20), 1, 1, None]


def test_a_range_of_views_about_different_things_is_an_error(store: FeatureStore, view: FeatureView) -> None:
    other = FeatureView("other", view.source, entities=["n"])
    with pytest.raises(ParameterError, match=r"(?s)no common labels.*visits: user.*other: n"):
        store.get_historical_features(None, [view, other[["seen"]]], start_date=MAY[0], end_date=MAY[4])


@pytest.mark.parametrize("options", [{}, {"start_date": MAY[0]}, {"every": "1d"}])
def test_neither_labels_nor_a_range_is_an_error(store: FeatureStore, view: FeatureView, options: Any) -> None:
    with pytest.raises(ParameterError, match="there are no labels"):
        store.get_historical_features(None, view, **options)


def test_labels_and_a_range_exclude_each_other(store: FeatureStore, view: FeatureView) -> None:
    with pytest.raises(ParameterError, match="exclude each other"):
        store.get_historical_features(LABELS, view, start_date=MAY[0])


def test_a_range_that_ends_before_it_starts_is_an_error(store: FeatureStore, view: FeatureView) -> None:
    with pytest.raises(ParameterError, match="ends before it starts"):
        store.get_historical_features(None, view, start_date=MAY[4], end_date=MAY[0])


# ---- columns that nobody needs, and keys that are decimals ------------------------------------------------------


def test_a_column_of_mixed_types_that_no_feature_needs_comes_back_untouched(
    store: FeatureStore, view: FeatureView
) -> None:
    values = [1, "x", {"a": 2}]
    labels = pd.DataFrame(
        {"user": [1, 2, 9], "mixed": values, "event_timestamp": [datetime(2024, 5, 9)] * 3}, index=[7, 8, 9]
    )
    job = store.get_historical_features(labels, view)
    answer = job.to_df()
    assert answer["mixed"].tolist() == values
    assert answer["n"].tolist()[:2] == [11, 20]
    assert answer.index.tolist() == [7, 8, 9]
    assert job.to_polars().columns[:3] == ["user", "mixed", "event_timestamp"]
    for write in (job.to_arrow, job.to_duckdb, lambda: job.persist("x"), lambda: job.write_parquet("x.parquet")):
        with pytest.raises(FrameError, match=r"(?s)column 'mixed' of the labels has no type.*astype\(str\)"):
            write()


@pytest.mark.parametrize("name", [None, "row"])
def test_an_index_of_mixed_types_comes_back_untouched(store: FeatureStore, view: FeatureView, name: str | None) -> None:
    index = pd.Index([7, "x", 7], name=name)
    labels = pd.DataFrame({"user": [1, 2, 9], "event_timestamp": [datetime(2024, 5, 9)] * 3}, index=index)
    job = store.get_historical_features(labels, view)
    answer = job.to_df()
    pd.testing.assert_index_equal(answer.index, index)
    assert answer["n"].tolist()[:2] == [11, 20]
    assert job.to_polars().columns[:2] == (["user", "event_timestamp"] if name is None else ["row", "user"])


def test_a_join_key_beside_a_level_of_mixed_types_is_found(store: FeatureStore, view: FeatureView) -> None:
    index = pd.MultiIndex.from_arrays([[1, 2], [7, "x"]], names=["user", "row"])
    labels = pd.DataFrame({"event_timestamp": [datetime(2024, 5, 9)] * 2}, index=index)
    answer = store.get_historical_features(labels, view).to_df()
    assert answer["n"].tolist() == [11, 20]
    pd.testing.assert_index_equal(answer.index, index)


def test_a_key_of_mixed_types_is_an_error_that_names_it(store: FeatureStore, view: FeatureView) -> None:
    labels = pd.DataFrame({"user": [1, "x"], "event_timestamp": [datetime(2024, 5, 9)] * 2})
    with pytest.raises(FrameError, match=r"(?s)user = user can never be equal.*Object among the labels"):
        store.get_historical_features(labels, view)


@pytest.mark.parametrize("engine", [PolarsEngine(), DuckDBEngine(threads=1)], ids=["polars", "duckdb"])
@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([1, 2, None], [10, None, None]),
        ([Decimal("1.000"), Decimal("2.5"), Decimal("2.51")], [10, 20, None]),
    ],
    ids=["integers", "another scale"],
)
def test_decimal_keys_are_joined_exactly(
    store: FeatureStore, engine: Engine, keys: list[Any], expected: list[Any]
) -> None:
    rows = pl.DataFrame({"user": [Decimal("1.00"), Decimal("2.50")], "at": [datetime(2024, 5, 1)] * 2, "n": [10, 20]})
    rows.write_parquet("decimals.parquet")
    view = FeatureView("decimals", FileSource("decimals.parquet", timestamp_field="at"), entities=["user"])
    labels = pl.DataFrame({"user": keys, "event_timestamp": [datetime(2024, 5, 9)] * 3})
    job = replace(store.get_historical_features(labels, view), _engine=engine)
    assert job.to_polars()["n"].to_list() == expected


def test_floats_are_not_compared_with_decimals_that_have_places(store: FeatureStore) -> None:
    rows = pl.DataFrame({"user": [Decimal("0.10")], "at": [datetime(2024, 5, 1)], "n": [1]})
    rows.write_parquet("decimals.parquet")
    view = FeatureView("decimals", FileSource("decimals.parquet", timestamp_field="at"), entities=["user"])
    labels = pl.DataFrame({"user": [0.1], "event_timestamp": [datetime(2024, 5, 9)]})
    with pytest.raises(FrameError, match=r"(?s)can never be equal.*Float64.*Decimal.*cast the label column"):
        store.get_historical_features(labels, view)
