"""A store over the files of a repository."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from featurestore import FeatureStore
from featurestore.declare.collector import collected
from featurestore.errors import ConfigurationError

REPOSITORY = """
import featurestore as fs

@fs.register_feature(entity="driver_id", timestamp="at", schema={"trips": fs.types.Int64})
def stats() -> dict:
    import polars as pl
    return pl.DataFrame({"driver_id": [1], "at": ["2026-01-01T00:00:00"], "trips": [N]}).with_columns(
        pl.col("at").str.to_datetime())
"""


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Leave modules, path and declarations as they were."""
    modules, path = dict(sys.modules), list(sys.path)
    with collected.isolated():
        yield
    for name in [name for name in sys.modules if name not in modules and name in {"trips_repo", "script"}]:
        del sys.modules[name]
    sys.path[:] = path


def _repository(folder: Path, value: int = 5) -> Path:
    folder.mkdir()
    (folder / "feature_store.yaml").write_text("project: shop\n")
    (folder / "trips_repo.py").write_text(REPOSITORY.replace("N", str(value)))
    return folder


def _trips(store: FeatureStore) -> list[int]:
    labels = pl.DataFrame({"driver_id": [1], "event_timestamp": ["2026-02-01T00:00:00"]})
    found: list[int] = store.get_historical_features(labels, "stats").to_polars()["trips"].to_list()
    return found


def test_a_store_without_files_has_nothing_to_load() -> None:
    with pytest.raises(ConfigurationError, match="no repository of files"):
        FeatureStore().load_declarations()


def test_the_plan_of_a_repository_can_be_applied(tmp_path: Path) -> None:
    store = FeatureStore(_repository(tmp_path / "shop"))
    store.apply_plan(store.plan_repository())
    assert len(store.plan_repository()) == 0
    assert repr(store.plan_repository()) == str(store.plan_repository())


def test_functions_in_force_come_with_the_modules_of_the_repository(tmp_path: Path) -> None:
    store = FeatureStore(_repository(tmp_path / "shop"))
    store.apply_plan(store.plan_repository())
    assert _trips(FeatureStore(tmp_path / "shop")) == [5]


def test_two_repositories_with_functions_of_one_name_keep_to_their_own(tmp_path: Path) -> None:
    folders = [_repository(tmp_path / "one", 5), _repository(tmp_path / "two", 7)]
    for folder in folders:
        store = FeatureStore(folder)
        store.apply_plan(store.plan_repository())
    assert [_trips(FeatureStore(folder)) for folder in folders] == [[5], [7]]


MADE = """
import featurestore as fs

def times(factor):
    def computed(row):
        return {"x": row["n"] * factor}
    asked, schema = fs.RequestSource("asked", [fs.Field("n", fs.types.Int64)]), [fs.Field("x", fs.types.Int64)]
    declare = fs.on_demand_feature_view(
        sources=[asked], schema=schema, name=f"times_{factor}", mode="python", singleton=True
    )
    return declare(computed)

two, three = times(2), times(3)
"""


def test_functions_that_one_function_makes_are_those_of_their_own_views(tmp_path: Path) -> None:
    folder = _repository(tmp_path / "shop")
    (folder / "trips_repo.py").write_text(MADE)
    store = FeatureStore(folder)
    store.apply_plan(store.plan_repository())
    for each in (store, FeatureStore(folder)):
        answer = each.get_online_features(["times_2", "times_3"], [{"n": 5}], full_feature_names=True).to_dict()
        assert (answer["times_2__x"], answer["times_3__x"]) == ([10], [15])


def test_asking_for_functions_runs_no_other_file_of_the_folder(tmp_path: Path) -> None:
    store = FeatureStore(_repository(tmp_path / "shop"))
    store.apply_plan(store.plan_repository())
    (tmp_path / "shop" / "script.py").write_text("raise SystemExit(3)\n")
    assert _trips(FeatureStore(tmp_path / "shop")) == [5]


def test_what_is_wrong_with_a_module_is_told_once(tmp_path: Path) -> None:
    folder = _repository(tmp_path / "shop")
    (folder / "script.py").write_text("raise SystemExit(3)\n")
    wrong = [each for each in FeatureStore(folder).check() if not each.ok]
    assert [each.subject for each in wrong] == ["modules"]
