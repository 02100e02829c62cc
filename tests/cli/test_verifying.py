"""Verifying and explaining from the command line, over the templates of new projects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import run

DIFFERENT = """
import polars as pl
import featurestore as fs
from datetime import datetime

ROWS = pl.DataFrame({"user": [1, 1, 2], "at": [datetime(2024, 5, day) for day in (1, 2, 3)], "n": [1, 2, 3]})

@fs.register_feature(entity="user", timestamp="at", schema={"n": fs.types.Int64})
def visits():
    return ROWS

@fs.on_demand_feature_view(sources=[visits], schema=[fs.Field("share", fs.types.Float64)], mode="polars")
def of_all(frame):
    return frame.select(share=pl.col("n") / pl.col("n").sum())
"""


@pytest.mark.parametrize("template", ["local", "functions", "timeseries"])
def test_a_new_project_is_the_same_in_every_way(tmp_path: Path, template: str) -> None:
    assert run(tmp_path, "init", "shop", "--template", template).status == 0
    done = run(tmp_path / "shop", "apply", "--verify")
    assert (done.status, done.err) == (0, "")
    assert run(tmp_path / "shop", "registry", "log").out


def test_a_project_in_force_is_the_same_in_every_way(functions: Path) -> None:
    done = run(functions, "verify", "--labels", "24", "--seed", "1", "--json")
    assert (done.status, done.err) == (0, "")
    assert {view["ok"] for view in done.json["views"]} == {True}
    assert all(view["paths"] == ["polars", "duckdb", "online"] for view in done.json["views"])


def test_what_differs_is_shown_and_never_committed(tmp_path: Path) -> None:
    (tmp_path / "feature_store.yaml").write_text("project: shop\n", encoding="utf-8")
    (tmp_path / "features.py").write_text(DIFFERENT, encoding="utf-8")
    refused = run(tmp_path, "apply", "--verify", "--allow", "of_all")
    assert refused.status == 1
    assert "values of of_all depend on who computes them" in refused.err
    assert "of_all:share differs in polars, duckdb" in refused.err
    assert run(tmp_path, "registry", "log").out == ""
    assert run(tmp_path, "apply", "--allow", "of_all").status == 0
    done = run(tmp_path, "verify", "of_all", "--labels", "24", "--seed", "1")
    assert done.status == 1
    (row,) = done.rows
    assert row[:3] == ["of_all", "on-demand", "differs"]
    assert "the smallest case:" in done.err
    assert "--seed 1" in done.err


def test_a_value_is_explained(shop: Path) -> None:
    asked = ["explain-value", "driver_hourly_stats:conv_rate", "-k", "driver_id=1001"]
    done = run(shop, *asked)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("driver_hourly_stats:conv_rate [view] of driver_id=1001 at ")
    assert "the newest row that is known" in done.out
    assert run(shop, *asked, "--json").json["ok"] is True
    strange = run(shop, "explain-value", "driver_hourly_stats:conv_rate", "-k", "driver_id=x")
    assert (strange.status, "'driver_id' has a value of another type" in strange.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["-k", "driver_id"], 2, "no COLUMN=VALUE"),
        (["-k", "driver_id=1", "-k", "driver_id=2"], 2, "given twice"),
        (["-k", "driver=1001"], 1, "--key driver_id=..."),
        (["-k", "driver_id=1001", "-k", "city=1"], 1, "takes no 'city'"),
        (["-k", "driver_id=1001", "--at", "yesterday"], 1, "not an instant"),
    ],
)
def test_keys_and_times_that_cannot_be_are_said(shop: Path, arguments: list[str], status: int, said: str) -> None:
    done = run(shop, "explain-value", "driver_hourly_stats:conv_rate", *arguments)
    assert (done.status, done.out) == (status, "")
    assert said in done.err


def test_names_that_nothing_bears_are_said(tmp_path: Path, shop: Path) -> None:
    done = run(shop, "verify", "driver_hourly_stat")
    assert done.status == 1
    assert "did you mean 'driver_hourly_stats'" in done.err
    assert run(tmp_path, "init", "new").status == 0
    assert "nothing of project 'new' is applied" in run(tmp_path / "new", "verify", "driver_hourly_stats").err
    assert (run(tmp_path / "new", "verify").out, run(tmp_path / "new", "verify").status) == ("", 0)
