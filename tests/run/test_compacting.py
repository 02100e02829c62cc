"""What views that are gone have left, and what `compact` does about it and about many small files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from featurestore import FeatureStore, FeatureView, Field, PushSource, agg, types
from featurestore.errors import FrameError
from featurestore.run import forgetting
from featurestore.run.compacting import Compacted
from featurestore.run.online import online_views
from tests.run.published import SetClock, content, parts
from tests.store.online_projects import NOW, opened, push_view


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """A store with a view that two rows were pushed to."""
    store = opened(tmp_path, SetClock(NOW))
    store.apply([push_view("clicks"), push_view("likes")])
    for n in range(2):
        store.push("clicks_push", _row(n))
    return store


def _row(n: int, at: Any = NOW) -> pl.DataFrame:
    return pl.DataFrame({"user": [n], "event_timestamp": [at], "n": [n], "twice": [2 * n]})


def _killed(store: FeatureStore, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Remove the view, and die after the commit when it comes to one of the steps of forgetting it."""

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(forgetting, at, die)
        with pytest.raises(Killed):
            store.apply([], objects_to_delete=[store.get_feature_view("clicks")])


def _is_gone(store: FeatureStore) -> bool:
    online = parts(store)
    views = online_views(online.registry)
    left = [key for rows in online.store.scan() for key, _ in rows if key[-2:] != bytes(2)]
    return "clicks" not in views and not views.retired and not left and online.log.views() == ()


STEPS = ["change_views", "remove_coverage", "drop_retired"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "repeat",
    [
        pytest.param(lambda store: store.apply([push_view("likes")]), id="apply"),
        pytest.param(lambda store: store.materialize_incremental(), id="materialize"),
        pytest.param(lambda store: store.compact(), id="compact"),
    ],
)
def test_a_view_whose_removal_was_cut_off_is_forgotten_by_whatever_comes_next(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, step: str, repeat: Callable[[FeatureStore], object]
) -> None:
    _killed(store, monkeypatch, step)
    repeat(store)
    assert _is_gone(store)


def test_a_view_that_was_never_applied_is_nobodys_to_forget(store: FeatureStore) -> None:
    parts(store).log.append("somebody.else", _row(1), key="a")
    assert forgetting.orphans(parts(store)) == ()


def test_compacting_merges_the_log_and_changes_no_answer(store: FeatureStore) -> None:
    before = content(store, "clicks")
    wanted = (Compacted("clicks", files=2),)
    assert store.compact(dry_run=True) == wanted
    assert store.compact() == wanted
    assert store.compact() == (Compacted("clicks"),)
    assert content(store, "clicks") == before


def test_a_dry_run_of_compacting_says_what_is_left_over_and_removes_nothing(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _killed(store, monkeypatch, "change_views")
    for _ in range(2):
        assert store.compact(dry_run=True) == (Compacted("clicks", removed=True, rows=2),)
    assert store.compact() == (Compacted("clicks", removed=True, rows=2),)
    assert store.compact() == ()


def test_rows_of_a_writer_that_came_too_late_are_removed(store: FeatureStore) -> None:
    suffix = online_views(store.registry)["clicks"].suffix
    (row, *_) = next(iter(parts(store).store.scan(suffix)))
    store.apply([], objects_to_delete=[store.get_feature_view("clicks")])
    parts(store).store.put([row], lambda _, new: new)
    assert store.compact() == (Compacted("", removed=True, rows=1),)
    assert _is_gone(store)


def test_the_settings_say_how_far_ahead_pushed_rows_may_be(tmp_path: Path) -> None:
    (tmp_path / "feature_store.yaml").write_text("project: shop\nmax_clock_skew: 1h\n", encoding="utf-8")
    store = FeatureStore(tmp_path, clock=SetClock(NOW))
    store.apply([push_view()])
    assert store.push("clicks_push", _row(1, NOW + timedelta(minutes=30))).rows == 1
    with pytest.raises(FrameError):
        store.push("clicks_push", _row(1, NOW + timedelta(hours=2)))
    with pytest.raises(FrameError):
        store.push("clicks_push", _row(1, NOW + timedelta(minutes=30)), max_clock_skew="5m")


def test_a_row_dated_ahead_is_served_before_training_sees_it_unless_no_skew_is_allowed(store: FeatureStore) -> None:
    later = NOW + timedelta(minutes=4)
    with pytest.raises(FrameError, match="dated ahead"):
        store.push("clicks_push", _row(2, later), max_clock_skew="0s")
    store.push("clicks_push", _row(2, later))
    assert store.get_online_features("clicks:n", [{"user": 2}]).to_dict()["n"] == [2]
    labels = pl.DataFrame({"user": [2, 2], "event_timestamp": [NOW, later]})
    assert store.get_historical_features(labels, ["clicks:n"]).to_polars()["n"].to_list() == [None, 2]


def test_compact_takes_from_window_views_what_no_window_reaches_any_more(tmp_path: Path) -> None:
    clock = SetClock(NOW)
    store = opened(tmp_path, clock)
    schema = [Field("n", types.Int64)]
    store.apply(FeatureView("hourly", PushSource("events"), schema, ["user"], aggregates=[agg.count("1h")]))
    store.push("events", [{"user": user, "event_timestamp": NOW, "n": user} for user in (1, 2)])
    kept = online_views(store.registry)["hourly"]

    def size() -> int:
        return sum(len(value) for rows in store.online_store.scan(kept.suffix) for _, value in rows)

    clock.time = NOW + timedelta(days=1)
    before = size()
    assert [one.swept for one in store.compact(dry_run=True)] == [0]
    assert size() == before
    assert [(one.view, one.swept) for one in store.compact()] == [("hourly", 2)]
    assert size() < before
    assert [one.swept for one in store.compact()] == [0]
