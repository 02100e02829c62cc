from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import featurestore
from featurestore import FeatureStore
from featurestore.errors import FrameError, MissingColumnError, ParameterError

DATA = {"age": [3, 70, 20], "fare": [1.0, 2.0, 4.0]}

FRAMES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(DATA),
    "pandas with an index": lambda: pd.DataFrame(DATA, index=pd.Index([7, 5, 7], name="row")),
    "polars": lambda: pl.DataFrame(DATA),
    "lazy": lambda: pl.LazyFrame(DATA),
    "arrow": lambda: pa.table(DATA),
}


def plain(age):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    return age < 18


def pandas_series(age: pd.Series) -> pd.Series:
    return age < 18


def polars_series(age: pl.Series) -> pl.Series:
    return age < 18


def expression(age: pl.Expr) -> pl.Expr:
    return age < 18


def array(age: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return age < 18


def numpy_array(age: np.ndarray) -> np.ndarray:
    return age < 18


def any_column(age: featurestore.Column) -> Any:
    return age < 18  # type: ignore[operator]  # A column, when it is called.


def frame_in(df: Any) -> Any:
    return df["age"] < 18


def pandas_frame_in(df: pd.DataFrame) -> pd.Series:
    return df["age"].map(lambda age: age < 18)


def polars_frame_in(df: pl.DataFrame) -> pl.Series:
    return df.get_column("age") < 18


def lazy_frame_in(df: pl.LazyFrame) -> pl.Expr:
    return pl.col(df.collect_schema().names()[0]) < 18


FORMS = [
    plain,
    pandas_series,
    polars_series,
    expression,
    array,
    numpy_array,
    any_column,
    frame_in,
    pandas_frame_in,
    polars_frame_in,
    lazy_frame_in,
]


def values(frame: Any, column: str) -> list[Any]:
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    return list(frame[column].to_pylist() if isinstance(frame, pa.Table) else frame[column].to_list())


def columns(frame: Any) -> list[str]:
    if isinstance(frame, pl.LazyFrame):
        return frame.collect_schema().names()
    return list(frame.column_names if isinstance(frame, pa.Table) else frame.columns)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_of_function_works_on_every_kind_of_frame(
    fs: FeatureStore, form: Callable[..., Any], frame: str
) -> None:
    before = FRAMES[frame]()
    table = fs.add_features(before, fs.register_feature(form))
    assert type(table) is type(before)
    assert values(table, form.__name__) == [True, False, False]
    assert values(table, "fare") == DATA["fare"]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_the_index_of_a_pandas_frame_stays(fs: FeatureStore, form: Callable[..., Any]) -> None:
    before = FRAMES["pandas with an index"]()
    after = fs.add_features(before, fs.register_feature(form))
    pd.testing.assert_index_equal(after.index, before.index)


def test_it_stays_callable_by_hand(fs: FeatureStore) -> None:
    minor = fs.register_feature(pandas_series)
    assert str(minor.kind) == "column"
    assert minor(pd.Series([3, 30])).to_list() == [True, False]


def test_the_default_store_adds_features_by_both_spellings() -> None:
    frame = pd.DataFrame(DATA)
    minor = featurestore.fs.register_feature(name="tests.functions.minor_by_two_spellings")(plain)
    for store in (featurestore, featurestore.fs):
        assert store.add_features(frame, minor)["minor_by_two_spellings"].to_list() == [True, False, False]


@pytest.mark.parametrize("frame", FRAMES)
def test_functions_may_take_each_others_output_in_any_order(fs: FeatureStore, frame: str) -> None:
    @fs.register_feature(name="tests.fare_of_minors")
    def fare_of_minors(fare: Any, minor: Any) -> Any:
        return fare * minor

    @fs.register_feature(name="tests.minor")
    def minor(age: Any) -> Any:
        return age < 18

    table = fs.add_features(FRAMES[frame](), fare_of_minors, "minor")
    assert values(table, "fare_of_minors") == [1.0, 0.0, 0.0]
    assert columns(table) == ["age", "fare", "minor", "fare_of_minors"]


def test_functions_that_need_each_other_are_an_error(fs: FeatureStore) -> None:
    @fs.register_feature(name="tests.a")
    def a(b: Any) -> Any:
        return b

    @fs.register_feature(name="tests.b")
    def b(a: Any) -> Any:
        return a

    with pytest.raises(ParameterError, match=r"a -> b -> a|b -> a -> b"):
        fs.add_features(pd.DataFrame(DATA), a, b)


def test_a_default_and_a_value_from_with_params(fs: FeatureStore) -> None:
    @fs.register_feature(name="tests.below")
    def below(age: Any, limit: int = 18) -> Any:
        return age < limit

    frame = pd.DataFrame(DATA)
    assert fs.add_features(frame, below)["below"].to_list() == [True, False, False]
    assert fs.with_params(limit=50).add_features(frame, below)["below"].to_list() == [True, False, True]
    with pytest.raises(ParameterError, match="no requested feature takes 'limt'"):
        fs.with_params(limt=50).add_features(frame, below)


def test_inputs_name_the_columns_of_parameters_in_their_order(fs: FeatureStore) -> None:
    @fs.register_feature(name="tests.ratio", inputs=["fare", "age"])
    def ratio(x: Any, y: Any) -> Any:
        return y / x

    @fs.register_feature(name="tests.square", inputs=["age", "age"])
    def square(x: pl.Series, y: pl.Series) -> pl.Series:
        return x * y

    table = fs.add_features(pd.DataFrame(DATA), ratio, square)
    assert table["ratio"].to_list() == [3.0, 35.0, 5.0]
    assert table["square"].to_list() == [9, 4900, 400]


@pytest.mark.parametrize("frame", ["pandas", "polars", "lazy", "arrow"])
@pytest.mark.parametrize("form", [pandas_series, polars_series, expression, numpy_array], ids=lambda f: f.__name__)
def test_a_missing_column_is_an_error_that_suggests_the_right_one(
    fs: FeatureStore, form: Callable[..., Any], frame: str
) -> None:
    table = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "lazy": pl.LazyFrame, "arrow": pa.table}[frame]
    feature = fs.register_feature(name=f"tests.{form.__name__}", inputs=["age"])(form)
    with pytest.raises(MissingColumnError, match="did you mean 'agee'"):
        fs.add_features(table({"agee": [1]}), feature)


def test_a_missing_column_of_a_lazy_frame_is_told_before_it_runs(fs: FeatureStore) -> None:
    with pytest.raises(MissingColumnError, match="did you mean 'agee'"):
        fs.add_features(pl.LazyFrame({"agee": [1]}), fs.register_feature(frame_in))


@pytest.mark.parametrize("frame", ["pandas", "polars"])
def test_a_column_of_another_length_is_an_error(fs: FeatureStore, frame: str) -> None:
    @fs.register_feature
    def shorter(age: Any) -> Any:
        return age[:2]

    with pytest.raises(FrameError, match="another length"):
        fs.add_features(FRAMES[frame](), shorter)


@pytest.mark.parametrize("frame", ["pandas", "polars", "lazy", "arrow"])
def test_a_function_that_returns_nothing_or_a_frame_is_an_error(fs: FeatureStore, frame: str) -> None:
    @fs.register_feature
    def nothing(age: Any) -> None:
        pass

    @fs.register_feature
    def whole(df: Any) -> Any:
        return df if not hasattr(df, "_frame") else df._frame

    for feature in (nothing, whole):
        with pytest.raises(FrameError, match="returned no column"):
            fs.add_features(FRAMES[frame](), feature)


def test_a_single_value_is_a_column_of_it(fs: FeatureStore) -> None:
    @fs.register_feature(name="tests.one")
    def one(age: Any) -> int:
        return 1

    for frame in FRAMES.values():
        assert values(fs.add_features(frame(), one), "one") == [1, 1, 1]


def test_the_callers_frame_is_not_changed(fs: FeatureStore) -> None:
    @fs.register_feature(name="tests.assigning")
    def assigning(df: pd.DataFrame) -> pd.Series:
        df["extra"] = 1
        df.loc[:, "age"] = 0
        return df["age"]

    @fs.register_feature(name="tests.in_place")
    def in_place(age: np.ndarray) -> np.ndarray:
        age *= 2
        return age

    for make in FRAMES.values():
        before = make()
        table = fs.add_features(before, assigning, in_place)
        assert values(before, "age") == DATA["age"]
        assert values(table, "in_place") == [6, 140, 40]
        assert values(table, "assigning") == [0, 0, 0]
        assert columns(before) == ["age", "fare"]


@pytest.mark.parametrize("frame", FRAMES)
def test_a_series_that_comes_back_sorted_is_put_in_the_order_of_the_frame(fs: FeatureStore, frame: str) -> None:
    @fs.register_feature(name="tests.same")
    def same(age: pd.Series) -> pd.Series:
        return age.sort_values()

    if frame != "pandas with an index":  # whose labels repeat
        assert values(fs.add_features(FRAMES[frame](), same), "same") == DATA["age"]


def test_a_series_with_another_index_is_refused_as_its_values_would_be_lost(fs: FeatureStore) -> None:
    @fs.register_feature
    def fresh(age: pd.Series) -> pd.Series:
        return pd.Series(list(age))

    assert fs.add_features(FRAMES["pandas"](), fresh)[fresh.name].to_list() == DATA["age"]
    with pytest.raises(FrameError, match="index is not the frame's"):
        fs.add_features(FRAMES["pandas with an index"](), fresh)


@pytest.mark.parametrize("form", ["plain", "pandas", "polars", "expression", "numpy", "frame"])
def test_a_filter_above_a_lazy_function_of_the_whole_column_does_not_change_it(fs: FeatureStore, form: str) -> None:
    annotation = {
        "pandas": pd.Series,
        "polars": pl.Series,
        "expression": pl.Expr,
        "numpy": np.ndarray,
        "plain": featurestore.Column,
    }.get(form)

    def of_column(age: Any) -> Any:
        return age - age.mean()

    def of_frame(df: Any) -> Any:
        return df["age"] - df["age"].mean()

    of_column.__annotations__ = {"age": annotation}
    centred = of_column if annotation else of_frame
    feature = fs.register_feature(name="tests.centred")(centred)
    table = fs.add_features(pl.LazyFrame(DATA), feature)
    assert table.filter(pl.col("age") > 10).select("centred").collect()["centred"].to_list() == [39.0, -11.0]
    assert table.head(1).collect()["centred"].to_list() == [-28.0]


def test_integers_with_nulls_stay_integers(fs: FeatureStore) -> None:
    @fs.register_feature(name="tests.twice")
    def twice(age: pd.Series) -> pd.Series:
        return age * 2

    @fs.register_feature(name="tests.thrice")
    def thrice(age: pl.Series) -> pl.Series:
        return age * 3

    eager = fs.add_features(pl.DataFrame({"age": [2**60, None]}), twice, thrice)
    assert eager.rows() == [(2**60, 2**61, 3 * 2**60), (None, None, None)]
    pandas = fs.add_features(pd.DataFrame({"age": pd.array([2**60, None], dtype="Int64")}), twice, thrice)
    assert pandas["thrice"].dtype == pandas["twice"].dtype == "Int64"
    assert pandas["thrice"][0] == 3 * 2**60


def test_a_lazy_column_whose_type_depends_on_the_rows_is_an_error_that_says_so(fs: FeatureStore) -> None:
    @fs.register_feature(name="tests.moody")
    def moody(age: pl.Series) -> pl.Series:
        return age.cast(pl.String) if age.len() == 3 else age

    with pytest.raises(FrameError, match="another type for these rows"):
        fs.add_features(pl.LazyFrame(DATA), moody).collect()


def test_a_function_of_a_lazy_frame_that_no_sample_suits_is_an_error_that_says_so(fs: FeatureStore) -> None:
    @fs.register_feature
    def picky(age: pl.Series) -> pl.Series:
        if age.to_list() != DATA["age"]:
            raise ValueError("no")
        return age

    with pytest.raises(FrameError, match="cannot be planned for a lazy frame"):
        fs.add_features(pl.LazyFrame(DATA), picky)


def test_a_column_may_be_replaced_by_a_function_of_its_name(fs: FeatureStore) -> None:
    @fs.register_feature(name="tests.age")
    def age(age: Any) -> Any:
        return age + 1

    for frame in FRAMES.values():
        assert values(fs.add_features(frame(), age), "age") == [4, 71, 21]


def test_what_is_no_frame_is_refused(fs: FeatureStore) -> None:
    with pytest.raises(FrameError):
        fs.add_features([1, 2], fs.register_feature(plain))
