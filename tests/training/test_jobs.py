"""What a job gives back, and what it tells before it has run."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from featurestore import FeatureStore, FeatureView, FileSource
from featurestore.datasets.parquet import DatasetFiles, DatasetRecord
from featurestore.errors import (
    ConfigurationError,
    FrameError,
    MissingDependencyError,
    RegistrationError,
    UnknownNameError,
)
from featurestore.run.jobs import RetrievalJob

MAY = [datetime(2024, 5, day) for day in range(1, 11)]
LABELS = pl.DataFrame({"user": [2, 1, 9], "event_timestamp": [MAY[4], MAY[2], MAY[3]], "city": ["x", "y", "x"]})


@pytest.fixture
def job(store: FeatureStore, tmp_path: Path) -> RetrievalJob:
    rows = {"user": [1, 1, 2], "at": [MAY[0], MAY[3], MAY[1]], "n": [10, 11, 20], "seen": [True, None, False]}
    pl.DataFrame(rows).write_parquet(tmp_path / "visits.parquet")
    view = FeatureView("visits", FileSource("visits.parquet", timestamp_field="at"), entities=["user"], ttl="4d")
    return store.get_historical_features(LABELS, view)


def test_a_job_shows_how_many_labels_and_which_features(job: RetrievalJob) -> None:
    assert repr(job) == "<RetrievalJob of 3 labels: n, seen>"
    names = "user, event_timestamp, city, n, seen"
    assert repr(job.persist("shown")) == f"<SavedDataset 'shown' version 1, 3 rows: {names}>"


def test_every_kind_of_table_holds_the_same_rows(job: RetrievalJob) -> None:
    expected = LABELS.with_columns(n=pl.Series([20, 10, None]), seen=pl.Series([False, True, None]))
    assert_frame_equal(job.to_polars(), expected)
    assert_frame_equal(job.to_lazy().collect(), expected)
    assert_frame_equal(pl.DataFrame(job.to_arrow()), expected)
    assert_frame_equal(job.to_duckdb().pl(), expected)
    assert_frame_equal(pl.DataFrame(job.to_df()), expected)


def test_the_relation_is_one_of_duckdbs_default_connection(job: RetrievalJob) -> None:
    rows = job.to_duckdb()
    total = duckdb.sql("select sum(n) from rows")
    assert total is not None
    assert total.fetchall() == [(30,)]
    assert rows.columns == job.to_polars().columns


def test_a_lazy_frame_is_not_run_before_it_is_collected(store: FeatureStore, tmp_path: Path) -> None:
    rows = pl.DataFrame({"user": [1], "at": [MAY[0]], "n": [1]})
    rows.write_parquet(tmp_path / "late.parquet")
    view = FeatureView("late", FileSource("late.parquet", timestamp_field="at"), entities=["user"])
    lazy = store.get_historical_features(LABELS, view).to_lazy().filter(user=1)
    (tmp_path / "late.parquet").unlink()
    with pytest.raises(pl.exceptions.ComputeError, match="cannot be read as declared"):
        lazy.collect()


def test_a_lazy_frame_takes_filters_and_projections(job: RetrievalJob) -> None:
    lazy = job.to_lazy().filter(pl.col("user") < 9).select("n", "city").head(1)
    assert lazy.collect().rows() == [(20, "x")]


def test_a_matrix_has_the_features_as_floats_with_nan_for_null(job: RetrievalJob) -> None:
    matrix = job.to_numpy()
    assert matrix.dtype == np.float64
    np.testing.assert_array_equal(matrix, [[20, 0], [10, 1], [np.nan, np.nan]])
    np.testing.assert_array_equal(job.to_numpy(["user"]), [[2], [1], [9]])


def test_a_matrix_of_text_is_an_error_that_names_the_column(job: RetrievalJob) -> None:
    with pytest.raises(FrameError, match=r"(?s)'city' has no place.*columns=\[\.\.\.\]"):
        job.to_numpy(["city"])


def test_a_tensor_without_torch_is_an_error_that_says_how_to_get_it(
    job: RetrievalJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingDependencyError, match="pip install torch"):
        job.to_torch()


def test_a_parquet_file_holds_the_rows(job: RetrievalJob, tmp_path: Path) -> None:
    job.write_parquet(tmp_path / "new" / "train.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "new" / "train.parquet"), job.to_polars())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["train.parquet"]


def test_metadata_are_known_before_the_job_runs(job: RetrievalJob) -> None:
    known = job.metadata
    assert known.features == ("n", "seen")
    assert known.keys == ("user",)
    assert (known.min_event_timestamp, known.max_event_timestamp) == tuple(
        stamp.replace(tzinfo=UTC) for stamp in (MAY[2], MAY[4])
    )
    assert known.rows == 3


def test_the_explanation_shows_scans_filters_joins_and_memory(job: RetrievalJob) -> None:
    told = job.explain()
    for line in (
        "point-in-time join of 3 labels, engine polars",
        "memory: about ",
        "scan visits: 3 rows",
        "columns: user, at, n, seen",
        "filter: at >= 2024-04-29T00:00:00+00:00 and at <= 2024-05-05T00:00:00+00:00 and 1 <= user <= 9",
        "join 1 visits on user = user: newest at at or before the label, at most 4d old -> n, seen",
    ):
        assert line in told


def test_text_that_is_no_time_in_a_source_is_an_error_that_shows_it(store: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("user,at,n\n1,2024-05-01,1\n1,yesterday,2\n")
    view = FeatureView("bad", FileSource("bad.csv", timestamp_field="at"), entities=["user"])
    with pytest.raises(FrameError, match=r"(?s)cannot be read as declared.*yesterday"):
        store.get_historical_features(LABELS, view).to_polars()


# ---- saved datasets ---------------------------------------------------------------------------------------------


def test_a_saved_dataset_is_listed_and_read_again_by_name(store: FeatureStore, job: RetrievalJob) -> None:
    saved = job.persist("train")
    assert_frame_equal(store.get_saved_dataset("train").to_polars(), job.to_polars())
    assert [(each.name, each.version) for each in store.list_saved_datasets()] == [("train", 1)]
    assert saved.rows == 3
    assert list(saved.schema) == job.to_polars().columns
    assert saved.record.features == ("n", "seen")
    assert saved.record.latest == MAY[4].replace(tzinfo=UTC)


def test_saving_again_makes_a_new_version_and_leaves_the_old_one(store: FeatureStore, job: RetrievalJob) -> None:
    first = job.persist("train")
    bytes_before = first.path.read_bytes()
    assert job.persist("train").version == 2
    again = store.get_saved_dataset("train", 1)
    assert again.path.read_bytes() == bytes_before
    assert hashlib.sha256(bytes_before).hexdigest() == again.hash


def test_an_unknown_dataset_or_version_is_an_error_that_says_what_there_is(
    store: FeatureStore, job: RetrievalJob
) -> None:
    job.persist("train")
    with pytest.raises(UnknownNameError, match="did you mean 'train'"):
        store.get_saved_dataset("trian")
    with pytest.raises(UnknownNameError, match="one of: 1"):
        store.get_saved_dataset("train", 2)


def test_a_changed_file_is_never_read_as_what_was_saved(job: RetrievalJob) -> None:
    saved = job.persist("train")
    saved.path.write_bytes(saved.path.read_bytes() + b"!")
    with pytest.raises(ConfigurationError, match="is not what was saved"):
        saved.to_polars()


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden"])
def test_a_name_that_is_no_folder_is_refused(job: RetrievalJob, name: str) -> None:
    with pytest.raises(RegistrationError, match="not a name for a saved dataset"):
        job.persist(name)


def test_savers_at_once_get_a_version_each(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    record = DatasetRecord("train", datetime(2024, 5, 1, tzinfo=UTC))

    def save(number: int) -> int:
        return DatasetFiles(tmp_path).add(record, pl.LazyFrame({"n": [number]})).version

    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(save, range(16)))
    assert sorted(versions) == list(range(1, 17))
    assert len(DatasetFiles(tmp_path).entries()) == 16
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == sorted(map(str, range(1, 17)))


@pytest.mark.parametrize("columns", [["n"], ["n", "seen"], None])
def test_a_matrix_is_the_users_own_to_write_to(job: RetrievalJob, columns: list[str] | None) -> None:
    matrix = job.to_numpy(columns)
    assert matrix.flags.c_contiguous
    before = matrix.copy()
    matrix[:] = -1.0
    assert np.array_equal(job.to_numpy(columns), before, equal_nan=True)
