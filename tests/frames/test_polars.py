from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from polars.testing import assert_frame_equal, assert_series_equal

from featurestore.frames import from_polars, schema_of, to_polars
from tests.frames.frame_values import polars_frames


@given(frame=polars_frames())
def test_an_eager_frame_comes_back_eager_and_equal(frame: pl.DataFrame) -> None:
    normal = to_polars(frame, name="f")
    back = from_polars(normal.frame.lazy(), normal.shape)
    assert isinstance(back, pl.DataFrame)
    assert_frame_equal(back, frame)


def test_a_lazy_frame_stays_lazy() -> None:
    normal = to_polars(pl.LazyFrame({"a": [1]}), name="f")
    assert isinstance(normal.frame, pl.LazyFrame)
    assert isinstance(from_polars(normal.frame.collect(), normal.shape), pl.LazyFrame)


@pytest.mark.parametrize("series", [pl.Series("a", [1, None]), pl.Series([1.5])])
def test_a_series_comes_back_with_its_name(series: pl.Series) -> None:
    normal = to_polars(series, name="f")
    assert_series_equal(from_polars(normal.frame, normal.shape), series)


def test_the_schema_of_a_lazy_frame_is_known_without_running_it() -> None:
    lazy = pl.LazyFrame({"a": [1]}).map_batches(_fail, schema={"a": pl.Int64})
    assert schema_of(lazy) == {"a": pl.Int64()}


def _fail(frame: pl.DataFrame) -> pl.DataFrame:
    raise AssertionError("was run")
