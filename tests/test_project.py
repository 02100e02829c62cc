"""A project from its first apply to its rollback: in memory, in files, and with others at work at the same time."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import featurestore as fs
from featurestore import types
from featurestore.declare.collector import Collector
from featurestore.errors import (
    ConfigurationError,
    ConflictError,
    FeatureStoreError,
    FeatureStoreWarning,
    RegistrationError,
    UnknownNameError,
)
from featurestore.store import FeatureStore

AT = datetime(2024, 1, 1, tzinfo=UTC)
DRIVER = fs.Entity("driver", join_keys=["driver_id"], tags={"team": "x"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository's folder with one file of data."""
    rows = {"driver_id": [1, 2], "at": [AT, AT], "trips": [3, 4], "rate": [0.5, 1.5], "city": ["a", "b"]}
    pl.DataFrame(rows).write_parquet(tmp_path / "stats.parquet")
    (tmp_path / "feature_store.yaml").write_text("project: taxi\nregistry: data/registry.db\n")
    return tmp_path


@pytest.fixture(params=["files", "memory", "postgresql"])
def store(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureStore:
    """A store of each kind of project."""
    if request.param == "memory":
        monkeypatch.chdir(folder)
        return FeatureStore(_collector=Collector())
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_database")
        (folder / "feature_store.yaml").write_text(f'project: taxi\nregistry:\n  path: "{url}"\n')
    return FeatureStore(repo_path=folder)


@pytest.fixture
def taxi(folder: Path) -> FeatureStore:
    """A store of a project in files."""
    return FeatureStore(repo_path=folder)


def view(name: str = "stats", *fields: fs.Field, path: str = "stats.parquet", **options: Any) -> fs.FeatureView:
    source = fs.FileSource(path, timestamp_field="at")
    chosen = fields or (fs.Field("trips", types.Int64), fs.Field("rate", types.Float32))
    return fs.FeatureView(name, source, chosen, options.pop("entities", [DRIVER]), **options)


# ---- applying ----------------------------------------------------------------------------------------------------


def test_what_is_applied_is_listed_and_found(store: FeatureStore) -> None:
    service = fs.FeatureService("model", [view()[["trips"]]])
    made = store.apply([service, fs.PushSource("clicks")])
    assert [str(change) for change in made] == [
        "+ entity driver",
        "+ data source clicks",
        "+ data source stats.parquet",
        "+ feature view stats",
        "+ feature service model",
    ]
    assert store.list_entities() == (DRIVER,)
    assert [each.name for each in store.list_data_sources()] == ["clicks", "stats"]
    assert store.list_feature_views() == (view(),)
    assert [each.reference for each in store.list_features()] == ["stats:trips", "stats:rate"]
    assert store.get_feature_view("stats") == view()
    assert store.get_feature_service("model") == service
    assert store.get_data_source("stats") == view().source


def test_applying_again_changes_nothing_and_commits_nothing(store: FeatureStore) -> None:
    store.apply([view()])
    assert store.apply([view()]) == ()
    assert len(store.registry_log()) == 1


def test_a_dry_run_and_a_plan_say_what_would_change_and_change_nothing(store: FeatureStore) -> None:
    planned = store.plan([view()])
    assert planned.changes == store.apply([view()], dry_run=True)
    assert store.list_feature_views() == ()
    assert store.registry_log() == ()
    store.apply_plan(planned)
    assert store.list_feature_views() == (view(),)


def test_what_is_not_given_stays_unless_it_is_the_whole_project(store: FeatureStore) -> None:
    store.apply([view("a")])
    store.apply([view("b")])
    assert [each.name for each in store.list_feature_views()] == ["a", "b"]
    store.apply([view("b")], partial=False)
    assert [each.name for each in store.list_feature_views()] == ["b"]


@pytest.mark.parametrize("gone", ["model", fs.FeatureService("model", [view()])])
def test_what_is_to_be_deleted_goes(taxi: FeatureStore, gone: object) -> None:
    taxi.apply([fs.FeatureService("model", [view()])])
    (change,) = taxi.apply([], objects_to_delete=[gone])
    assert change.breaking == ("feature service 'model' is dropped",)
    assert taxi.list_feature_services() == ()


def test_what_others_refer_to_is_not_deleted(taxi: FeatureStore) -> None:
    taxi.apply([fs.FeatureService("model", [view()])])
    with pytest.raises(RegistrationError, match="'model' refers to a feature view that is not there"):
        taxi.apply([], objects_to_delete=["stats"])
    assert taxi.list_feature_views() == (view(),)


def test_what_is_not_there_cannot_be_deleted(taxi: FeatureStore) -> None:
    with pytest.raises(UnknownNameError):
        taxi.apply([], objects_to_delete=["stats"])
    with pytest.raises(UnknownNameError):
        taxi.apply([], objects_to_delete=[view()])


def test_lists_are_chosen_by_tags(taxi: FeatureStore) -> None:
    taxi.apply([DRIVER, fs.Entity("shop")])
    assert taxi.list_entities(tags={"team": "x"}) == (DRIVER,)
    assert taxi.list_entities(tags={"team": "y"}) == ()


def test_a_string_names_an_entity_that_was_applied_before(taxi: FeatureStore) -> None:
    taxi.apply(DRIVER)
    taxi.apply(view(entities=["driver"]))
    assert taxi.get_feature_view("stats") == view()


def test_a_source_that_nothing_uses_any_more_goes_unless_it_has_a_name_of_its_own(taxi: FeatureStore) -> None:
    pl.read_parquet(taxi.base / "stats.parquet").write_parquet(taxi.base / "new.parquet")
    named = fs.FileSource("stats.parquet", "named", timestamp_field="at")
    taxi.apply([view(), fs.FeatureView("other", named, entities=[DRIVER])])
    made = taxi.apply([view(path="new.parquet"), view("other", path="new.parquet")])
    assert "- data source stats.parquet" in [str(change).partition("\n")[0] for change in made]
    assert [each.name for each in taxi.list_data_sources()] == ["named", "new"]


# ---- sources are looked at ---------------------------------------------------------------------------------------


def test_a_schema_is_taken_from_the_source_where_none_is_declared(store: FeatureStore) -> None:
    store.apply([fs.FeatureView("stats", view().source, entities=[DRIVER])])
    assert [str(each) for each in store.repository.feature_view("stats").schema] == [
        "trips: Int64",
        "rate: Float64",
        "city: String",
    ]


def test_a_column_that_is_not_in_the_source_is_refused_with_the_nearest(store: FeatureStore) -> None:
    with pytest.raises(RegistrationError, match="did you mean 'trips'"):
        store.apply([view("stats", fs.Field("tripz", types.Int64))])
    assert store.registry_log() == ()


def test_a_join_key_that_is_not_in_the_source_is_refused(taxi: FeatureStore) -> None:
    with pytest.raises(RegistrationError, match="the join key 'driver' of feature view 'stats' is no column"):
        taxi.apply([view(entities=["driver"])])


def test_a_type_that_the_source_does_not_have_is_refused(taxi: FeatureStore) -> None:
    with pytest.raises(RegistrationError, match="declares 'city' with a type") as caught:
        taxi.apply([view("stats", fs.Field("city", types.Int64))])
    assert "String in source 'stats'" in str(caught.value)


def test_numbers_of_another_width_are_accepted(taxi: FeatureStore) -> None:
    taxi.apply([view("stats", fs.Field("trips", types.Float32), fs.Field("rate", types.Int8))])


def test_a_source_without_files_is_refused(taxi: FeatureStore) -> None:
    with pytest.raises(ConfigurationError, match="no files"):
        taxi.apply([view(path="gone.parquet")])


def test_a_source_without_its_timestamp_is_refused(taxi: FeatureStore) -> None:
    source = fs.FileSource("stats.parquet", timestamp_field="event_timestamp")
    with pytest.raises(FeatureStoreError, match="event_timestamp"):
        taxi.apply([fs.FeatureView("stats", source, entities=[DRIVER])])


def test_all_that_is_wrong_is_told_at_once_declarations_and_sources_alike(taxi: FeatureStore) -> None:
    with pytest.raises(RegistrationError) as caught:
        taxi.apply(
            [
                view("stats", fs.Field("tripz", types.Int64)),
                view("STATS", fs.Field("city", types.Int64)),
                view("gone", path="gone.parquet"),
            ]
        )
    message = str(caught.value)
    assert "4 declarations cannot stand" in message
    for part in ("share the name", "'tripz'", "declares 'city'", "no files"):
        assert part in message


def test_a_view_that_did_not_change_is_not_held_against_its_source_again(taxi: FeatureStore) -> None:
    taxi.apply([view()])
    (taxi.base / "stats.parquet").unlink()
    assert taxi.apply([view(), fs.Entity("shop")])[0].name == "shop"


def test_a_source_that_lost_a_column_shows_in_the_plan_as_breaking(taxi: FeatureStore) -> None:
    undeclared = fs.FeatureView("stats", view().source, entities=[DRIVER])
    taxi.apply(undeclared)
    frame = pl.read_parquet(taxi.base / "stats.parquet")
    frame.drop("city").write_parquet(taxi.base / "stats.parquet")
    assert taxi.plan(undeclared).breaking == ("feature view 'stats': feature 'city' is dropped",)


# ---- history -----------------------------------------------------------------------------------------------------


def test_a_rollback_is_a_new_commit_of_the_old_declarations(store: FeatureStore) -> None:
    store.apply([view(ttl="1d")])
    store.apply([view(ttl="2d")])
    (change,) = store.rollback(1)
    assert str(change.fields[0]) == "ttl: 2d -> 1d"
    assert store.get_feature_view("stats") == view(ttl="1d")
    log = store.registry_log()
    assert [each.version for each in log] == [3, 2, 1]
    assert log[0].hash == log[2].hash != log[1].hash
    assert log[0].message == "rollback to version 1"


def test_the_difference_of_two_versions_can_be_asked_for(store: FeatureStore) -> None:
    store.apply([view(ttl="1d")], message="first")
    store.apply([view(ttl="2d"), fs.Entity("shop")])
    assert [each.name for each in store.registry_diff(1, 2)] == ["shop", "stats"]
    assert [each.action for each in store.registry_diff(2, 1)] == ["remove", "change"]
    assert [each.message for each in store.registry_log()] == ["1 added, 1 changed", "first"]
    with pytest.raises(UnknownNameError, match="versions 1 to 2"):
        store.registry_diff(1, 3)


def test_a_teardown_removes_everything_and_can_be_undone(store: FeatureStore) -> None:
    store.apply([view()])
    assert len(store.teardown(dry_run=True)) == 3
    assert store.list_feature_views() == (view(),)
    assert {change.action for change in store.teardown()} == {"remove"}
    assert store.list_feature_views() == ()
    assert store.list_entities() == ()
    store.rollback(1)
    assert store.list_feature_views() == (view(),)


def test_another_store_sees_what_was_applied_once_it_looks_again(folder: Path) -> None:
    one, other = FeatureStore(repo_path=folder), FeatureStore(repo_path=folder)
    assert other.list_feature_views() == ()
    one.apply([view()])
    assert other.list_feature_views() == ()
    other.refresh_registry()
    assert other.list_feature_views() == (view(),)


# ---- several at once ---------------------------------------------------------------------------------------------


def test_of_two_that_change_one_name_the_second_is_told_what_the_first_changed(folder: Path) -> None:
    one, other = FeatureStore(repo_path=folder), FeatureStore(repo_path=folder)
    one.apply([view(ttl="1d")])
    first, second = one.plan([view(ttl="2d")]), other.plan([view(ttl="3d")])
    one.apply_plan(first)
    with pytest.raises(ConflictError) as caught:
        other.apply_plan(second)
    assert "ttl: 1d -> 2d" in str(caught.value)
    assert "version 2" in str(caught.value)
    assert FeatureStore(repo_path=folder).get_feature_view("stats") == view(ttl="2d")


def test_of_two_that_change_different_names_both_are_in_force(folder: Path) -> None:
    one, other = FeatureStore(repo_path=folder), FeatureStore(repo_path=folder)
    first, second = one.plan([view("a")]), other.plan([view("b")])
    one.apply_plan(first)
    other.apply_plan(second)
    assert [each.name for each in FeatureStore(repo_path=folder).list_feature_views()] == ["a", "b"]
    assert [each.version for each in other.registry_log()] == [2, 1]


def test_who_applies_a_whole_project_removes_nothing_that_it_never_saw(folder: Path) -> None:
    one, other = FeatureStore(repo_path=folder), FeatureStore(repo_path=folder)
    whole = other.plan([view("b")], partial=False)
    one.apply([view("a")])
    with pytest.raises(ConflictError, match="nothing of this was written") as caught:
        other.apply_plan(whole)
    assert "+ feature view a" in str(caught.value)
    assert [each.name for each in FeatureStore(repo_path=folder).list_feature_views()] == ["a"]


def test_two_that_apply_the_same_whole_project_at_once_both_succeed(folder: Path) -> None:
    one, other = FeatureStore(repo_path=folder), FeatureStore(repo_path=folder)
    first, second = one.plan([view()], partial=False), other.plan([view()], partial=False)
    one.apply_plan(first)
    other.apply_plan(second)
    assert len(one.registry_log()) == 1


def test_who_drops_what_another_began_to_use_is_refused(folder: Path) -> None:
    one, other = FeatureStore(repo_path=folder), FeatureStore(repo_path=folder)
    one.apply([view()])
    dropping = other.plan([], objects_to_delete=["stats"])
    one.apply([fs.FeatureService("model", [view()])])
    with pytest.raises(RegistrationError, match="'model' refers to a feature view that is not there"):
        other.apply_plan(dropping)


def test_of_many_threads_that_apply_at_once_nothing_is_lost(folder: Path) -> None:
    def work(number: int) -> None:
        store = FeatureStore(repo_path=folder)
        barrier.wait()
        for step in range(3):
            store.apply([view(f"view_{number}_{step}")])

    barrier = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    store = FeatureStore(repo_path=folder)
    names = [each.name for each in store.list_feature_views()]
    assert names == [f"view_{number}_{step}" for number in range(4) for step in range(3)]
    assert len(store.registry_log()) == 12


# ---- functions, and the default store ----------------------------------------------------------------------------


def test_a_timeline_function_is_a_feature_view_like_any_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    store = FeatureStore(_collector=Collector())

    @store.register_feature(entity="driver_id", timestamp="at", ttl="1d", schema={"fare": types.Float64})
    def fares() -> pl.DataFrame:
        return pl.DataFrame({"driver_id": [1], "at": [AT], "fare": [2.5]})

    @store.register_feature
    def no_time() -> dict[int, int]:
        return {}

    store.apply([view()])
    assert [each.name for each in store.list_feature_views()] == ["fares", "stats"]
    assert store.get_feature_view("fares") is fares
    assert "fares:fare" in [each.reference for each in store.list_features()]
    assert [str(change) for change in store.apply(fares)] == [f"+ function {fares.qualified_name}"]
    assert [each.name for each in store.list_feature_views()] == ["fares", "stats"]


def test_views_serve_requests_applied_or_passed_as_they_are(store: FeatureStore) -> None:
    labels = pl.DataFrame({"driver_id": [2, 9], "event_timestamp": [AT, AT]})
    passed = store.get_historical_features(labels, [view()]).to_polars()
    store.apply([view()])
    by_name = store.get_historical_features(labels, ["stats:trips", "stats:rate"]).to_polars()
    assert passed["trips"].to_list() == by_name["trips"].to_list() == [4, None]


def test_functions_of_a_repository_are_found_from_anywhere(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (folder / "project_test_features.py").write_text(
        "import featurestore as fs\nimport polars as pl\n"
        "@fs.register_feature(entity='driver_id', timestamp='at')\n"
        "def fares():\n    return pl.read_parquet('stats.parquet')\n"
    )
    run = "import featurestore as fs; store = fs.FeatureStore(repo_path={!r}); "
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def python(code: str) -> str:
        command = [sys.executable, "-c", run.format(str(folder)) + code]
        env = {"PYTHONPATH": str(Path(__file__).parents[1] / "src")}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=elsewhere, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert python("print(*store.apply(store.load_declarations()))") == "+ function project_test_features.fares"
    assert python("print(store.get_feature_view('fares').name)") == "fares"


def test_a_function_whose_code_is_gone_is_left_out_with_a_warning(taxi: FeatureStore) -> None:
    @fs.register_feature(entity="driver_id", timestamp="at", name="project_tests.gone")
    def gone() -> pl.DataFrame:
        return pl.DataFrame()

    taxi.apply([gone, view()])
    fs.fs._session.collector.remove("project_tests.gone")
    later = FeatureStore(repo_path=taxi.base)
    assert later.get_feature_view("stats") == view()
    with pytest.warns(FeatureStoreWarning, match=r"the code of function 'project_tests\.gone' is not found"):
        assert later.list_feature_views() == (view(),)


def test_a_registry_of_another_program_is_refused_with_what_to_do(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "registry.db").write_bytes(b"\x0a\x04taxi" * 100)
    with pytest.raises(ConfigurationError, match="choose another path"):
        FeatureStore(repo_path=folder).apply([view()])


def test_a_folder_without_settings_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"feature_store\.yaml"):
        FeatureStore(repo_path=tmp_path)
