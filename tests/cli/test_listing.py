"""Listing and describing what is in force."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from featurestore.cli.app import app
from tests.cli.commands import run

FEATURES = "conv_rate, acc_rate, avg_daily_trips"
LISTED = {
    "entities": [["driver", "driver_id", "", "Somebody who drives"]],
    "feature-views": [
        ["driver_hourly_stats", "driver", FEATURES, "1d", "driver_stats"],
        ["driver_hourly_stats_fresh", "driver", FEATURES, "1d", "driver_stats_push"],
    ],
    "on-demand-feature-views": [
        ["driver_forecast", "driver_hourly_stats, planned_day", "expected_conversions", "python"]
    ],
    "feature-services": [["driver_activity_v1", "driver_hourly_stats:*", ""]],
    "data-sources": [
        ["driver_stats", "FileSource", "data/driver_stats.parquet"],
        ["driver_stats_push", "PushSource", "history: driver_stats"],
        ["planned_day", "RequestSource", ""],
    ],
}


@pytest.mark.parametrize("kind", LISTED)
def test_in_a_pipe_a_list_is_lines_of_fields_between_tabs(applied: Path, kind: str) -> None:
    assert run(applied, kind, "list").rows == LISTED[kind]


def test_features_are_listed_by_reference_with_their_types(applied: Path) -> None:
    types = {row[0]: row[1] for row in run(applied, "features", "list").rows}
    assert types["driver_hourly_stats:conv_rate"] == "Float32"
    assert len(types) == 7


@pytest.mark.parametrize("kind", [*LISTED, "features"])
def test_what_is_listed_can_be_described(applied: Path, kind: str) -> None:
    name = run(applied, kind, "list").rows[0][0]
    described = run(applied, kind, "describe", name, "--json").json
    assert described["name"] == name.rpartition(":")[2]


@pytest.mark.parametrize(
    "kind", ["entities", "feature-views", "on-demand-feature-views", "feature-services", "features"]
)
def test_an_unknown_name_is_an_error_with_the_nearest(applied: Path, kind: str) -> None:
    name = run(applied, kind, "list").rows[0][0]
    done = run(applied, kind, "describe", f"{name}x")
    assert done.status == 1
    assert f"did you mean '{name}" in done.err


def test_a_description_for_people_has_a_line_for_each_part(applied: Path) -> None:
    out = run(applied, "feature-views", "describe", "driver_hourly_stats").out
    assert "ttl:       1d\n" in out
    assert "schema:    conv_rate: Float32 - Share of offers that became trips\n" in out


def test_a_feature_of_several_views_is_described_by_its_reference(applied: Path) -> None:
    done = run(applied, "features", "describe", "conv_rate")
    assert "2 features are called 'conv_rate'" in done.err
    described = run(applied, "features", "describe", "driver_hourly_stats:conv_rate", "--json").json
    assert described["view"] == "driver_hourly_stats"


def test_a_list_can_be_narrowed_to_a_tag(applied: Path) -> None:
    listed = run(applied, "feature-views", "list", "--tags", "team:driver_performance", "--json").json
    assert [each["name"] for each in listed] == ["driver_hourly_stats"]


def test_functions_are_listed_beside_declared_views(functions: Path, tmp_path: Path) -> None:
    (row,) = run(tmp_path, "-c", str(functions), "feature-views", "list").rows
    assert row == ["driver_hourly_stats", "driver_id", FEATURES, "1d", "function features.driver_hourly_stats"]


def test_a_function_is_described_with_where_it_is_defined(functions: Path) -> None:
    described = run(functions, "feature-views", "describe", "driver_hourly_stats", "--json").json
    assert described["qualified_name"] == "features.driver_hourly_stats"
    assert described["defined_at"].startswith(str(functions / "features.py"))


def test_on_a_terminal_a_list_is_a_table_with_a_header(applied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from featurestore.cli import output

    class Terminal:
        stdout = type("Stdout", (), {"isatty": staticmethod(lambda: True)})

    monkeypatch.setattr(output, "sys", Terminal)
    out = CliRunner().invoke(app, ["-c", str(applied), "entities", "list"], catch_exceptions=False).output
    assert out.splitlines()[0].split() == ["NAME", "JOIN", "KEYS", "TYPE", "DESCRIPTION"]


def test_a_header_is_there_in_a_pipe_where_it_is_asked_for(applied: Path) -> None:
    assert run(applied, "entities", "list", "--header").rows[0] == ["NAME", "JOIN KEYS", "TYPE", "DESCRIPTION"]


def test_before_the_first_apply_it_is_said_what_to_do_first(tmp_path: Path) -> None:
    run(tmp_path, "init", "shop")
    shop = tmp_path / "shop"
    listed = run(shop, "feature-views", "list")
    assert (listed.status, listed.out) == (0, "")
    asked = run(
        shop, "explain", "-d", '{"driver_id": [1], "event_timestamp": ["2026-01-01"]}', "-f", "driver_hourly_stats"
    )
    assert asked.status == 1
    for done in (listed, asked):
        assert "nothing of project 'shop' is applied: featurestore apply" in done.err


def test_a_join_key_that_a_schema_lists_is_no_feature_of_the_lists(tmp_path: Path) -> None:
    (tmp_path / "feature_store.yaml").write_text("project: keyed")
    (tmp_path / "views.py").write_text(
        "from featurestore import Entity, FeatureView, FileSource\n"
        "from featurestore.dtypes import Int64\n"
        "source = FileSource('rows.parquet', timestamp_field='at')\n"
        "view = FeatureView('users', source, {'user': Int64, 'trips': Int64}, entities=[Entity('user')])\n"
    )
    assert run(tmp_path, "apply", "--skip-source-validation").status == 0
    assert [row[0] for row in run(tmp_path, "features", "list").rows] == ["users:trips"]
    assert run(tmp_path, "feature-views", "list").rows == [["users", "user", "trips", "", "rows"]]
    assert "expected: one of: trips\n" in run(tmp_path, "get-online-features", "-f", "users:user", "-e", "user=1").err
