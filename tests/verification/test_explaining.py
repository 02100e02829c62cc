"""One value explained: what counts, what does not and why, and that it is what training answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import featurestore as fs
from featurestore.declare.collector import Collector
from featurestore.engines.polars import PolarsEngine
from featurestore.errors import MissingColumnError, ParameterError, VerificationError

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
ROWS = pl.DataFrame(
    {
        "user": [1, 1, 1, 1, 1, 1, 2, 1],
        "at": [NOON - timedelta(minutes=minutes) for minutes in (90, 60, 30, 20, 10, 5, 5, -1)],
        "known": [NOON - timedelta(minutes=minutes) for minutes in (90, 60, 30, 20, 10, -60, 5, -1)],
        "amount": [5.0, 0.1, 0.2, None, -7.0, 9.0, 3.0, 4.0],
        "event": ["a", "b", "c", "d", "e", "f", "g", "h"],
    }
)
AGGREGATES = [
    fs.agg.sum("amount", "1h", where="amount > 0", name="earned"),
    fs.agg.mean("amount", "1h"),
    fs.agg.count("1h"),
    fs.agg.time_since_last("1h"),
]


@pytest.fixture
def store() -> fs.FeatureStore:
    """A store of a window function, a timeline, and features that are computed with it."""
    store = fs.FeatureStore(_collector=Collector())

    @store.register_feature(name="x.spent", entity="user", timestamp="at", available_at="known", aggregates=AGGREGATES)
    def spent() -> pl.DataFrame:
        return ROWS

    @store.register_feature(
        name="x.newest", entity="user", timestamp="at", ttl="8m", schema={"amount": fs.types.Float64}
    )
    def newest() -> pl.DataFrame:
        return ROWS.filter(pl.col("user") == 1, pl.col("event").is_in(["c", "e"]))

    @fs.on_demand_feature_view(
        sources=[spent, fs.RequestSource("cart", [fs.Field("price", fs.types.Float64)])],
        schema=[fs.Field("share", fs.types.Float64)],
        mode="python",
        singleton=True,
    )
    def part(row: dict[str, Any]) -> dict[str, Any]:
        return {"share": row["price"] * row["earned"]}

    @store.register_feature(name="x.twice", inputs=["spent:earned"])
    def twice(earned: float) -> float:
        return earned * 2

    store.apply([spent, newest, part, twice], allow=["part", "twice"])
    return store


def test_a_window_says_which_events_count_and_why_the_others_do_not(store: fs.FeatureStore) -> None:
    found = store.explain_value("x.spent:earned", {"user": 1}, at=NOON)
    assert (found.value, found.answered, found.ok, found.status) == (0.1 + 0.2, 0.1 + 0.2, True, "PRESENT")
    assert [event.values["amount"] for event in found.events] == [0.1, 0.2]
    assert found.arithmetic == (
        "sum of amount over 1h where amount > 0: 0.1 + 0.2",
        "exactly 0.3000000000000000166533453693773481063544750213623046875, rounded to 0.30000000000000004",
    )
    assert found.left_out == {
        "is outside of the window: too old": 1,
        "is not of those where amount > 0": 2,
        "was not yet available": 1,
        "happens after the time": 1,
    }
    text = str(found)
    assert "x.spent:earned" not in text
    assert "spent:earned [window] of user=1 at 2024-05-01T12:00:00+00:00" in text
    assert "(as applied)" in text
    assert "was not yet available" in found._repr_html_()


def test_nulls_are_left_out_and_a_mean_is_a_sum_by_a_count(store: fs.FeatureStore) -> None:
    found = store.explain_value("x.spent:amount_mean_1h", {"user": 1}, at=NOON)
    assert found.left_out["has no amount"] == 1
    assert found.arithmetic[0] == "mean of amount over 1h: (0.1 + 0.2 + (-7.0)) / 3"
    assert found.value == found.answered


def test_a_look_up_says_which_row_won_and_how_long_it_holds(store: fs.FeatureStore) -> None:
    fresh = store.explain_value("x.newest:amount", {"user": 1}, at=NOON - timedelta(minutes=2))
    (row,) = fresh.events
    assert (row.values["amount"], fresh.value) == (-7.0, -7.0)
    assert row.why == "the newest row that is known; it holds until 2024-05-01T11:58:00+00:00, for the ttl of 8m"
    expired = store.explain_value("x.newest:amount", {"user": 1}, at=NOON)
    assert (expired.value, expired.status, expired.events) == (None, "OUTSIDE_MAX_AGE", ())
    assert "too old" in expired.others[-1].why


def test_what_is_computed_is_explained_down_to_the_events(store: fs.FeatureStore) -> None:
    found = store.explain_value("part:share", {"user": 1, "price": 2.0}, at=NOON)
    assert (found.value, found.ok) == (2 * (0.1 + 0.2), True)
    assert "earned=0.30000000000000004" in found.arithmetic[0]
    assert "price=2.0" in found.arithmetic[0]
    earned = next(one for one in found.inputs if one.feature == "spent:earned")
    assert len(earned.events) == 2
    twice = store.explain_value("x.twice", {"user": 1}, at=NOON)
    assert (twice.value, [one.feature for one in twice.inputs]) == (2 * (0.1 + 0.2), ["spent:earned"])
    assert found.to_dict()["inputs"][0]["value"] is not None


def test_a_value_that_training_does_not_answer_is_said_loudly(
    store: fs.FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    join = PolarsEngine.join

    def wrong(self: PolarsEngine, plan: Any) -> pl.DataFrame:
        return join(self, plan).with_columns(pl.lit(0.3).alias("spent__earned"))

    monkeypatch.setattr(PolarsEngine, "join", wrong)
    found = store.explain_value("x.spent:earned", {"user": 1}, at=NOON)
    assert (found.ok, found.answered) == (False, 0.3)
    assert "DIFFERS      training answers 0.3" in str(found)
    with pytest.raises(VerificationError, match="another value in training"):
        found.raise_if_different()


def test_one_feature_is_explained_at_a_time_and_needs_its_keys(store: fs.FeatureStore) -> None:
    with pytest.raises(ParameterError, match="one value"):
        store.explain_value("x.spent", {"user": 1})
    with pytest.raises(MissingColumnError, match="user"):
        store.explain_value("x.spent:earned", {})


def test_the_rows_that_are_left_out_are_the_nearest_of_each_reason() -> None:
    hours = pl.DataFrame({"user": 1, "at": [NOON + timedelta(hours=hour) for hour in range(-50, 51)]})
    store = fs.FeatureStore(_collector=Collector())

    @store.register_feature(name="x.seen", entity="user", timestamp="at", aggregates=[fs.agg.count("2h")])
    def seen() -> pl.DataFrame:
        return hours

    found = store.explain_value("x.seen:count_2h", {"user": 1}, at=NOON)
    assert [(one.values["at"] - NOON) // timedelta(hours=1) for one in found.others] == [-4, -3, 0, 1, 2]
    assert found.left_out == {
        "is outside of the window: too old": 48,
        "is at or after the end of the window": 1,
        "happens after the time": 50,
    }
    assert "left out     is outside of the window: too old (48), is at" in str(found)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"user": 1, "users": 2}, "'x.spent' takes no 'users'"),
        ({"user": 1.5}, "'user' has a value of another type"),
        ({"user": True}, "'user' has a value of another type"),
        ({"user": [1]}, "'user' has a value of another type"),
        (1, "the keys are no mapping"),
    ],
)
def test_keys_that_do_not_fit_are_refused(store: fs.FeatureStore, keys: Any, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        store.explain_value("x.spent:earned", keys, at=NOON)
    assert store.explain_value("x.spent:earned", {"user": "1"}, at=NOON).value == 0.1 + 0.2


def test_a_time_that_is_none_says_whose_it_is() -> None:
    store = fs.FeatureStore(_collector=Collector())
    request = fs.RequestSource("plan", [fs.Field("day", fs.types.Date)])

    @fs.on_demand_feature_view(sources=[request], schema=[fs.Field("n", fs.types.Int64)], mode="python", singleton=True)
    def weekday(row: dict[str, Any]) -> dict[str, Any]:
        return {"n": row["day"].isoweekday()}

    store.apply(weekday, allow=["weekday"])
    assert "weekday(day=2026-11-10) = 2" in str(store.explain_value("weekday:n", {"day": "2026-11-10"}))
    with pytest.raises(ParameterError, match="'day' has a value of another type"):
        store.explain_value("weekday:n", {"day": "tomorrow"})
    failed = store.explain_value("weekday:n", {"day": None})
    assert (failed.status, failed.ok) == ("ERROR", True)
    assert "AttributeError" in str(failed.value)


def test_a_view_that_nothing_was_pushed_to_has_no_value() -> None:
    store = fs.FeatureStore(_collector=Collector())
    schema = [fs.Field("amount", fs.types.Float64)]
    store.apply(fs.FeatureView("bought", fs.PushSource("purchases"), entities=[fs.Entity("user")], schema=schema))
    found = store.explain_value("bought:amount", {"user": 1})
    assert (found.value, found.status, found.events) == (None, "NOT_FOUND", ())


def test_an_as_of_function_is_handed_a_time_such_as_was_written() -> None:
    store, calls = fs.FeatureStore(_collector=Collector()), list[datetime]()

    @store.register_feature(name="x.n", entity="user", every="1d", schema={"n": fs.types.Int64})
    def n(when: datetime) -> pl.DataFrame:
        calls.append(when)
        return pl.DataFrame({"user": [1], "n": [when.day]})

    found = store.explain_value("x.n:n", {"user": 1}, at="2024-05-02T10:00")
    assert found.value == 2
    assert found.events[0].values["when"] == datetime(2024, 5, 2, tzinfo=UTC)
    store.explain_value("x.n:n", {"user": 1}, at="2024-05-02T10:00Z")
    assert dict.fromkeys(calls) == dict.fromkeys([datetime(2024, 5, 2), datetime(2024, 5, 2, tzinfo=UTC)])


def test_a_view_in_two_roles_is_explained_in_each_also_before_it_is_applied(tmp_path: Path) -> None:
    rows = pl.DataFrame({"place": [1, 1, 2], "at": [NOON - timedelta(hours=h) for h in (2, 1, 1)], "temp": [9.0, 1, 3]})
    rows.write_parquet(tmp_path / "rows.parquet")
    source = fs.FileSource(str(tmp_path / "rows.parquet"), timestamp_field="at")
    weather = fs.FeatureView("weather", source, [fs.Field("temp", fs.types.Float64)], ["place"])
    start = weather.with_name("start").with_join_key_map({"place": "from"})
    end = weather.with_name("end").with_join_key_map({"place": "to"})

    @fs.on_demand_feature_view(
        sources=[start, end], schema=[fs.Field("rise", fs.types.Float64)], mode="python", singleton=True
    )
    def rise(row: dict[str, Any]) -> dict[str, Any]:
        return {"rise": row["end__temp"] - row["start__temp"]}

    store = fs.FeatureStore(_collector=Collector())
    found = store.explain_value(rise, {"from": 1, "to": 2}, at=NOON)
    assert (found.value, found.ok) == (2.0, True)
    assert {one.feature: one.value for one in found.inputs} == {"start:temp": 1.0, "end:temp": 3.0}
    assert store.explain_value(start[["temp"]], {"place": 2}, at=NOON).ok
    with pytest.raises(MissingColumnError, match=r"no 'to' among the keys(.|\n)*--key to="):
        store.explain_value(rise, {"from": 1}, at=NOON)
