"""The plan of a training dataset: what is read, in which bounds, in how many parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from featurestore.errors import ColumnClashError, ConfigurationError, MissingColumnError
from featurestore.planning.scans import KeyRange, Scan
from featurestore.planning.training import Selected, Survey, TrainingPlan, ViewJoin, plan_training

LABELS = pl.DataFrame({"user": [1], "shop": [1], "t": [0]})


def scan(name: str = "source", **options: Any) -> Scan:
    return Scan(name, pl.LazyFrame, "at", **options)


def view(name: str = "view", *, source: Scan | None = None, field: str = "n", **options: Any) -> ViewJoin:
    keys = options.pop("keys", (("user", "u"),))
    selected = options.pop("selected", (Selected(field, f"{name}_{field}"),))
    return ViewJoin(name, source or scan(), keys, selected, **options)


def planned(*views: ViewJoin, survey: Survey | None = None, **options: Any) -> TrainingPlan:
    return plan_training(LABELS, "t", views, survey or Survey(1), **options)


def test_views_of_one_source_share_one_read() -> None:
    plan = planned(view("a"), view("b", field="m"))
    assert [read.columns for read in plan.reads] == [("u", "at", "n", "m")]
    assert plan.read_of(plan.views[0]) is plan.read_of(plan.views[1])


def test_scans_are_the_same_whatever_opens_them() -> None:
    assert scan() == replace(scan(), open=lambda: pl.LazyFrame({"u": [1]}))


def test_sources_of_other_meaning_are_read_apart() -> None:
    assert len(planned(view("a"), view("b", source=scan(created="made"))).reads) == 2


def test_only_needed_columns_are_read_and_the_other_declared_ones_only_for_ties() -> None:
    (read,) = planned(view(source=scan(created="made", available_at="known"), fields=("m", "n", "o"))).reads
    assert read.columns == ("u", "at", "made", "known", "n")
    assert read.tie_columns == ("m", "o")


def test_no_row_after_the_last_label_is_read() -> None:
    (read,) = planned(view(), survey=Survey(1, earliest=5, latest=9)).reads
    assert (read.earliest, read.latest) == (None, 9)


def test_a_ttl_bounds_the_read_below() -> None:
    (read,) = planned(view(ttl=3), survey=Survey(1, earliest=5, latest=9)).reads
    assert read.earliest == 2


def test_the_longest_ttl_of_a_source_bounds_it() -> None:
    (read,) = planned(view("a", ttl=3), view("b", ttl=4), survey=Survey(1, earliest=5, latest=9)).reads
    assert read.earliest == 1


@pytest.mark.parametrize("ttl", [None, 0])
def test_a_view_without_ttl_needs_rows_of_any_age(ttl: int | None) -> None:
    (read,) = planned(view("a", ttl=3), view("b", ttl=ttl), survey=Survey(1, earliest=5, latest=9)).reads
    assert read.earliest is None


def test_statuses_need_rows_of_any_age() -> None:
    selected = (Selected("n", "n", "n_status"),)
    (read,) = planned(view(ttl=3, selected=selected), survey=Survey(1, earliest=5, latest=9)).reads
    assert read.earliest is None


def test_rows_that_hold_at_any_time_are_read_whatever_the_time_of_the_labels() -> None:
    timeless = replace(scan(), timestamp=None)
    (read,) = planned(view(source=timeless), survey=Survey(1, earliest=5, latest=9)).reads
    assert (read.earliest, read.latest) == (None, None)


def test_the_range_of_the_labels_bounds_an_integer_key() -> None:
    (read,) = planned(view(), survey=Survey(1, ranges={"user": (3, 8)})).reads
    assert read.keys == (KeyRange("u", 3, 8),)


def test_views_that_share_a_source_need_the_hull_of_their_keys() -> None:
    views = (view("a"), view("b", keys=(("shop", "u"),)))
    (read,) = planned(*views, survey=Survey(1, ranges={"user": (3, 8), "shop": (5, 9)})).reads
    assert read.keys == (KeyRange("u", 3, 9),)


def test_a_key_is_not_bounded_where_one_of_the_views_is_joined_on_another() -> None:
    views = (view("a"), view("b", keys=(("shop", "s"),)), view("c", keys=()))
    (read,) = planned(*views, survey=Survey(1, ranges={"user": (3, 8), "shop": (5, 9)})).reads
    assert read.keys == ()


def test_outputs_come_view_by_view_unless_an_order_is_given() -> None:
    views = (view("a"), view("b", event_timestamp="b_time"))
    assert planned(*views).outputs == ("a_n", "b_n", "b_time")
    assert planned(*views, order=("b_time", "b_n", "a_n")).outputs == ("b_time", "b_n", "a_n")


def test_an_order_must_name_every_output() -> None:
    with pytest.raises(ConfigurationError, match="an order must name every appended column once"):
        planned(view("a"), view("b"), order=("a_n",))


def test_labels_without_a_join_key_are_an_error_that_suggests_one() -> None:
    with pytest.raises(MissingColumnError, match="no column 'usr' in the labels") as caught:
        planned(view(keys=(("usr", "u"),)))
    assert "did you mean 'user'?" in str(caught.value)


def test_labels_without_their_timestamp_are_an_error() -> None:
    with pytest.raises(MissingColumnError, match="no column 'time' in the labels"):
        plan_training(LABELS, "time", [view()], Survey(1))


@pytest.mark.parametrize("taken", ["user", "a_n"])
def test_an_output_of_a_name_that_is_taken_is_an_error(taken: str) -> None:
    with pytest.raises(ColumnClashError, match=f"two columns would be called '{taken}'"):
        planned(view("a"), view("b", selected=(Selected("n", taken),)))


def test_what_fits_is_joined_at_once() -> None:
    survey = Survey(10, rows={"source": 1_000})
    assert planned(view(), survey=survey, memory_limit=10**6).partitions == 1
    assert planned(view(), survey=survey).partitions == 1


def test_what_does_not_fit_is_joined_in_parts_that_do() -> None:
    plan = planned(view(), survey=Survey(10, rows={"source": 1_000_000}), memory_limit=10**7)
    assert plan.partitions > 1
    assert plan.estimate / plan.partitions < 10**7


def test_an_estimate_counts_the_widths_that_the_survey_knows() -> None:
    known = Survey(10, rows={"source": 1_000}, widths={"source": {"u": 8, "at": 8, "n": 1_000}})
    assert planned(view(), survey=known).estimate > 1_000 * 1_000
