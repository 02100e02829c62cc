"""Making a project and putting it into force."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from featurestore import FeatureStore, load_settings
from featurestore.cli.scaffold import driver_stats, make_project
from tests.cli.commands import run

NOW = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
EVERYTHING = {
    ("entity", "driver"),
    ("data source", "driver_stats"),
    ("data source", "driver_stats_push"),
    ("data source", "planned_day"),
    ("feature view", "driver_hourly_stats"),
    ("feature view", "driver_hourly_stats_fresh"),
    ("on-demand feature view", "driver_forecast"),
    ("feature service", "driver_activity_v1"),
}


def _edit(shop: Path, old: str, new: str) -> None:
    file = shop / "example_repo.py"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


# ---- init ----


def test_init_makes_the_files_of_a_project(tmp_path: Path) -> None:
    assert run(tmp_path, "init", "shop").status == 0
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert made == {"shop/example_repo.py", "shop/feature_store.yaml", "shop/data/driver_stats.parquet"}


def test_init_without_a_name_makes_the_project_here(tmp_path: Path) -> None:
    run(tmp_path, "init")
    assert run(tmp_path, "plan", "--detailed-exitcode").status == 2


def test_init_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "example_repo.py").write_text("# mine\n")
    done = run(tmp_path, "init")
    assert "kept  example_repo.py" in done.out
    assert (tmp_path / "example_repo.py").read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("folder", "project"),
    [("my shop-2", "my_shop_2"), ("2026", "2026"), ("no", "no"), ("käse", "k_se"), ("--", "project")],
)
def test_a_folder_of_any_name_gives_a_project_that_has_one(tmp_path: Path, folder: str, project: str) -> None:
    list(make_project(tmp_path / folder, "local", now=NOW))
    assert load_settings(tmp_path / folder).project == project


def test_the_data_is_hourly_for_five_drivers_up_to_the_hour() -> None:
    frame = driver_stats(datetime(2026, 5, 1, 12, tzinfo=UTC))
    assert frame["driver_id"].unique().sort().to_list() == [1001, 1002, 1003, 1004, 1005]
    assert frame["event_timestamp"].max() == datetime(2026, 5, 1, 12, tzinfo=UTC)
    of_one = frame.filter(pl.col("driver_id") == 1001)["event_timestamp"]
    assert of_one.diff().drop_nulls().unique().to_list() == [timedelta(hours=1)]


def test_an_hour_has_the_same_values_whenever_the_project_is_made() -> None:
    early, late = (driver_stats(datetime(2026, 5, 1, hour, tzinfo=UTC)) for hour in (12, 15))
    common = late.filter(pl.col("event_timestamp") <= datetime(2026, 5, 1, 12, tzinfo=UTC))
    assert early.tail(500).equals(common.tail(500))


@pytest.mark.parametrize("template", ["local", "functions", "timeseries"])
def test_the_same_now_makes_the_same_bytes(tmp_path: Path, template: str) -> None:
    contents = []
    for place in ("a", "b"):
        files = [path for path, _ in make_project(tmp_path / place / "shop", template, now=NOW)]
        contents.append([path.read_bytes() for path in files])
    assert contents[0] == contents[1]


def test_a_project_of_time_series_works_as_it_is(tmp_path: Path) -> None:
    run(tmp_path, "init", "--template", "timeseries")
    assert run(tmp_path, "apply").status == 0
    with FeatureStore(repo_path=tmp_path) as store:
        rows = store.get_historical_features("data/labels.parquet", "daily_forecast_v1").to_polars()
    of_one = rows.filter(store="north", item="tea").sort("date")
    assert of_one["sold_sum_lag_7_1d"].to_list()[7:] == of_one["target"].to_list()[:-7]
    assert of_one["sold_sum_lag_1_1d"].to_list()[1:] == of_one["target"].to_list()[:-1]
    assert of_one["weekday"].to_list() == [day.isoweekday() for day in of_one["date"]]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(tmp_path, "init", "file/shop")
    assert done.status == 1
    assert "cannot be written" in done.err


# ---- plan and apply ----


def test_plan_shows_everything_of_a_new_project_and_changes_nothing(tmp_path: Path) -> None:
    run(tmp_path, "init")
    for _ in range(2):
        done = run(tmp_path, "plan", "--json").json
        assert {(change["kind"], change["name"]) for change in done["changes"]} == EVERYTHING
        assert {change["action"] for change in done["changes"]} == {"add"}
    assert not (tmp_path / "data" / "registry.db").exists()


def test_apply_of_what_is_in_force_changes_nothing(shop: Path) -> None:
    assert run(shop, "apply").out == "No changes: what the repository declares is in force.\n"
    assert len(run(shop, "registry", "log").rows) == 1


def test_a_changed_declaration_is_shown_before_and_after(shop: Path) -> None:
    _edit(shop, 'ttl="1d",\n    tags', 'ttl="2d",\n    tags')
    done = run(shop, "plan", "--detailed-exitcode")
    assert done.status == 2
    assert "~ feature view driver_hourly_stats\n    ttl: " in done.out
    assert "Plan: 0 to add, 1 to change, 0 to remove; 0 breaking." in done.out


def test_a_dropped_feature_is_named_as_breaking(shop: Path) -> None:
    _edit(shop, '        Field("acc_rate", types.Float32, description="Share of offers that were accepted"),\n', "")
    done = run(shop, "plan")
    assert "breaking: feature view 'driver_hourly_stats': feature 'acc_rate' is dropped" in done.out


def test_what_the_repository_does_not_declare_any_more_is_removed(shop: Path) -> None:
    _edit(shop, "driver_activity_v1 = FeatureService", "_ = 0  # FeatureService")
    done = run(shop, "apply", "--json").json
    assert [(change["action"], change["name"]) for change in done["changes"]] == [("remove", "driver_activity_v1")]
    assert run(shop, "feature-services", "list").rows == []


def test_apply_with_dry_run_changes_nothing(shop: Path) -> None:
    _edit(shop, 'ttl="1d",\n    tags', 'ttl="2d",\n    tags')
    assert "to change" in run(shop, "apply", "--dry-run").out
    assert run(shop, "plan", "--detailed-exitcode").status == 2


def test_a_schema_column_that_the_source_lacks_is_refused(shop: Path) -> None:
    _edit(shop, 'Field("acc_rate"', 'Field("acc_rte"')
    done = run(shop, "apply")
    assert done.status == 1
    assert "did you mean 'acc_rate'?" in done.err
    assert len(run(shop, "registry", "log").rows) == 1


def test_a_file_that_cannot_be_imported_is_named_with_its_line(shop: Path) -> None:
    (shop / "more.py").write_text("\n\nimport nothing_there\n")
    done = run(shop, "plan")
    assert done.status == 1
    assert f"{shop / 'more.py'}:3" in done.err


def test_feastignore_leaves_a_file_out(shop: Path) -> None:
    (shop / "more.py").write_text("import nothing_there\n")
    (shop / ".feastignore").write_text("more.py\n")
    assert run(shop, "plan", "--detailed-exitcode").status == 0


def test_options_of_feast_stop_nobody(shop: Path) -> None:
    assert run(shop, "apply", "--skip-source-validation", "--no-progress", "--no-promote").status == 0


def test_a_functions_project_is_in_force_from_any_folder(functions: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "-c", str(functions), "plan", "--detailed-exitcode").status == 0


# ---- teardown and history ----


def test_teardown_with_dry_run_only_tells(shop: Path) -> None:
    done = run(shop, "teardown", "--dry-run", "--json").json
    assert {change["action"] for change in done["changes"]} == {"remove"}
    assert run(shop, "plan", "--detailed-exitcode").status == 0


def test_teardown_can_be_rolled_back(shop: Path) -> None:
    run(shop, "teardown")
    assert run(shop, "entities", "list").rows == []
    assert run(shop, "registry", "rollback", "1").status == 0
    assert run(shop, "plan", "--detailed-exitcode").status == 0


def test_the_log_has_the_newest_first_with_its_message(shop: Path) -> None:
    _edit(shop, 'ttl="1d",\n    tags', 'ttl="2d",\n    tags')
    run(shop, "apply", "-m", "two days")
    commits = run(shop, "registry", "log", "--json").json
    assert [(each["version"], each["message"]) for each in commits] == [(2, "two days"), (1, "8 added")]


def test_diff_shows_what_lay_between_two_versions(shop: Path) -> None:
    _edit(shop, 'ttl="1d",\n    tags', 'ttl="2d",\n    tags')
    run(shop, "apply")
    (change,) = run(shop, "registry", "diff", "1", "2", "--json").json
    assert (change["name"], change["fields"][0]["path"]) == ("driver_hourly_stats", "ttl")


def test_an_unknown_version_is_an_error(shop: Path) -> None:
    done = run(shop, "registry", "rollback", "7")
    assert done.status == 1
    assert "versions 1 to 1" in done.err


def test_a_registry_in_postgresql_serves_two_checkouts(shop: Path, tmp_path: Path, postgres_database: str) -> None:
    other = Path(shutil.copytree(shop, tmp_path / "other"))
    assert run(shop, "apply", FEATURESTORE_REGISTRY=postgres_database).out.splitlines()[-1].startswith("Done: 8 added")
    assert run(other, "plan", "--detailed-exitcode", FEATURESTORE_REGISTRY=postgres_database).status == 0


# ---- health ----


def test_doctor_finds_nothing_wrong_with_a_new_project(applied: Path) -> None:
    done = run(applied, "doctor", "--json")
    assert done.status == 0
    assert [each["subject"] for each in done.json] == [
        "configuration",
        "registry",
        "modules",
        "source driver_stats",
        "declarations",
        "online store",
    ]
    assert not (applied / "data" / "online.lmdb").exists()


def test_doctor_says_which_source_is_missing_and_what_to_do(shop: Path) -> None:
    (shop / "data" / "driver_stats.parquet").unlink()
    done = run(shop, "doctor")
    assert done.status == 1
    assert "WRONG source driver_stats" in done.out
    assert "fix: check the path" in done.out


def test_doctor_says_that_a_registry_does_not_answer_without_its_password(applied: Path) -> None:
    done = run(applied, "doctor", FEATURESTORE_REGISTRY="postgresql://me:hunter2@127.0.0.1:1/x")
    assert done.status == 1
    assert "WRONG registry" in done.out
    assert "hunter2" not in done.out


def test_doctor_says_that_an_online_store_does_not_answer_without_its_password(applied: Path) -> None:
    url = "redis://:hunter2@127.0.0.1:1/0"
    done = run(applied, "doctor", FEATURESTORE_ONLINE_STORE__TYPE="redis", FEATURESTORE_ONLINE_STORE__URL=url)
    assert done.status == 1
    assert "WRONG online store" in done.out
    assert "hunter2" not in done.out


def test_doctor_without_a_project_says_how_to_make_one(tmp_path: Path) -> None:
    done = run(tmp_path, "doctor")
    assert done.status == 1
    assert "featurestore init" in done.out


def test_doctor_finds_a_key_that_means_nothing(shop: Path) -> None:
    with (shop / "feature_store.yaml").open("a") as file:
        file.write("onlin_store: x\n")
    done = run(shop, "doctor", "--json")
    assert done.status == 1
    assert any("online_store" in each["detail"] for each in done.json if not each["ok"])


def test_configuration_says_where_each_value_came_from(applied: Path) -> None:
    done = run(applied, "configuration", FEATURESTORE_OFFLINE_STORE__TYPE="duckdb")
    origins = {name: (value, origin) for name, value, origin in done.rows}
    assert origins["project"] == ("shop", "feature_store.yaml:2")
    assert origins["offline_store.type"] == (
        "duckdb",
        "the environment variable FEATURESTORE_OFFLINE_STORE__TYPE",
    )


def test_configuration_shows_no_passwords(shop: Path) -> None:
    url = "postgresql://me:hunter2@db/x"
    out = run(shop, "configuration", FEATURESTORE_REGISTRY=url, FEATURESTORE_ONLINE_STORE__PASSWORD="hunter2").out
    assert "hunter2" not in out


# ---- sources that cannot be reached, and what teardown says ----


def test_sources_are_not_looked_at_where_that_is_said(tmp_path: Path) -> None:
    run(tmp_path, "init", "shop")
    shop = tmp_path / "shop"
    (shop / "data" / "driver_stats.parquet").unlink()
    assert run(shop, "plan").status == 1
    assert run(shop, "plan", "--skip-source-validation").status == 0
    applied = run(shop, "apply", "--skip-source-validation")
    assert (applied.status, applied.err) == (0, "")
    assert "Done: 8 added" in applied.out


def test_teardown_names_what_goes_once(shop: Path) -> None:
    told = run(shop, "teardown", "--dry-run").out
    assert "- entity driver" in told
    assert "breaking:" not in told
    assert "8 to remove; 8 breaking" in told
