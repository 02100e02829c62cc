"""What a plan says of itself."""

from __future__ import annotations

import polars as pl

from featurestore.planning.explain import explain
from featurestore.planning.scans import Scan
from featurestore.planning.training import Selected, Survey, ViewJoin, plan_training

LABELS = pl.DataFrame({"user": [1, 2], "t": [0, 0]})


def explained(view: ViewJoin, survey: Survey | None = None, *, memory_limit: int | None = None) -> list[str]:
    plan = plan_training(LABELS, "t", [view], survey or Survey(2), memory_limit=memory_limit)
    return explain(plan).splitlines()


def view() -> ViewJoin:
    scan = Scan("trips", pl.LazyFrame, "at", available_at="known")
    return ViewJoin("rates", scan, (("user", "u"),), (Selected("n", "n"),), fields=("n", "m"))


def test_it_says_what_is_read_and_what_only_ties_need() -> None:
    lines = explained(view(), Survey(2, rows={"trips": 1_000}))
    assert lines[1:3] == [
        "  read trips (1,000 rows): u, at, known, n",
        "    to order rows of equal times, if there are such: m",
    ]


def test_it_says_from_when_rows_are_visible() -> None:
    assert explained(view())[-1] == "    join rates on user = u, visible from known: n"


def test_it_says_that_the_memory_allowed_does_not_suffice_and_what_is_done() -> None:
    first = explained(view(), Survey(2, rows={"trips": 10_000_000}), memory_limit=400 << 20)[0]
    assert "more than the 400 MB allowed: in" in first
    assert first.endswith("parts by hash of the key")
