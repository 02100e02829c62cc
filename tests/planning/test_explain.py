"""What a plan says of itself."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from featurestore.planning.explain import explain
from featurestore.planning.scans import Scan
from featurestore.planning.training import Selected, Survey, ViewJoin, plan_training

LABELS = pl.DataFrame({"user": [1, 2], "t": [0, 0]})


def explained(view: ViewJoin, survey: Survey | None = None, *, memory_limit: int | None = None) -> list[str]:
    plan = plan_training(LABELS, "t", [view], survey or Survey(2), memory_limit=memory_limit)
    return explain(plan, engine="polars", within_memory="in 3 parts").splitlines()


def view() -> ViewJoin:
    scan = Scan("trips", pl.LazyFrame, "at", available_at="known")
    return ViewJoin("rates", scan, (("user", "u"),), (Selected("n", "n"),), fields=("n", "m"))


def test_it_says_what_is_read_and_what_only_ties_need() -> None:
    assert explained(view(), Survey(2, rows={"trips": 1_000}))[2:5] == [
        "  scan trips: 1,000 rows",
        "    columns: u, at, known, n",
        "    columns for ties only: m",
    ]


def test_an_estimate_is_told_from_a_count() -> None:
    survey = Survey(2, rows={"trips": 1_000}, estimated=frozenset({"trips"}))
    assert explained(view(), survey)[2] == "  scan trips: about 1,000 rows"


def test_it_says_from_when_rows_are_visible_and_for_how_long() -> None:
    joined = explained(replace(view(), ttl=36 * 3_600_000_000))[-1]
    assert joined == (
        "  join 1 rates on user = u: newest at at or before the label, known by then (known), at most 1d12h old -> n"
    )


def test_it_says_that_the_memory_allowed_does_not_suffice_and_what_is_done() -> None:
    _, memory, done, *_ = explained(view(), Survey(2, rows={"trips": 10_000_000}), memory_limit=400 << 20)
    assert memory.endswith("(limit 400.0 MiB)")
    assert done == "  in 3 parts, as it would not fit at once"
