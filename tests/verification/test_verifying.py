"""Verification over every kind of view: nothing differs where nothing is wrong, and exactly that which is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import featurestore as fs
from featurestore.declare.collector import Collector
from featurestore.engines.polars import PolarsEngine
from featurestore.errors import (
    ConfigurationError,
    FrameError,
    ParameterError,
    UnsupportedValueError,
    VerificationError,
)
from featurestore.run import pushing
from featurestore.run.window_states import WindowStates
from featurestore.store import verifying as glue
from featurestore.verification.report import Difference, Verification

START = datetime(2024, 3, 9, 12, tzinfo=UTC)  # The night after it the clocks of Chicago change.
AGGREGATES = (
    fs.agg.sum("amount", "1d"),
    fs.agg.mean("amount", "1d", offset="2h"),
    fs.agg.std("amount"),
    fs.agg.count("1h", where="amount > 0.15", name="large"),
    fs.agg.count_distinct("shop", "1d"),
    fs.agg.last_n("amount", 2),
    fs.agg.max("amount", "1d", by="shop", categories=["a", "b"], name="by_shop"),
    fs.agg.time_since_last(),
    fs.agg.lag("amount", 1, missing=0, tz="America/Chicago"),
    fs.agg.sum("amount", "7d", every="1d", tz="America/Chicago", name="by_days"),
    fs.agg.ewma("amount", "6h", "1d"),
    fs.agg.slope("amount", "1d"),
)


def history(count: int = 60, **more: Any) -> pl.DataFrame:
    """Return events of three users, some of no user, hour by hour and some at one time, with nulls."""
    users = [(1, 1, 2, 3, None)[number % 5] for number in range(count)]
    at = [START + timedelta(hours=number // 2 * 3) for number in range(count)]
    amounts = [(0.1, 0.2, None, 1e16, -1e16, 0.3, 3.5)[number % 7] for number in range(count)]
    shops = [("a", "b", "c", None)[number % 4] for number in range(count)]
    return pl.DataFrame({"user": users, "at": at, "amount": amounts, "shop": shops, **more})


def late(rows: pl.DataFrame) -> pl.DataFrame:
    """Add when rows became known: some hours after they happened, or at once."""
    hours = pl.int_range(pl.len()) % 3 * 7
    return rows.with_columns(known=pl.col("at") + pl.duration(hours=hours), made=pl.col("at").shuffle(1))


def a_store() -> fs.FeatureStore:
    """Return a store of its own."""
    return fs.FeatureStore(_collector=Collector())


def a_view(rows: pl.DataFrame, folder: Path, **options: Any) -> fs.FeatureView:
    """Return a view ``bought`` over a file of ``rows``."""
    path = folder / "rows.parquet"
    rows.write_parquet(path)
    named: dict[str, Any] = (
        {"created_timestamp_column": "made", "available_at": "known"} if "known" in rows.columns else {}
    )
    source = fs.FileSource(str(path), timestamp_field="at", **named)
    return fs.FeatureView("bought", source, entities=[fs.Entity("user")], **options)


# ---- nothing differs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_known", [False, True])
def test_a_view_with_a_ttl_is_the_same_everywhere(tmp_path: Path, *, with_known: bool) -> None:
    rows = late(history()) if with_known else history()
    schema = [fs.Field("amount", fs.types.Float64), fs.Field("shop", fs.types.String)]
    found = a_store().verify(a_view(rows, tmp_path, schema=schema, ttl="5h"), labels=60, seed=1)
    found.raise_if_different()
    (one,) = found.views
    assert (one.kind, one.paths, one.labels, one.events, one.keys) == (
        "view",
        ("polars", "duckdb", "online"),
        60,
        60,
        4,
    )
    assert one.values == 60 * 5  # Two features, their statuses, and the event timestamp.


def test_windows_of_events_that_come_late_and_twice_are_the_same_everywhere(tmp_path: Path) -> None:
    rows = late(history(event=[None if number % 9 == 0 else number // 2 for number in range(60)]))
    view = a_view(rows, tmp_path, aggregates=AGGREGATES, event_id="event")
    found = a_store().verify(view, labels=60, seed=2)
    found.raise_if_different()
    assert "equal" in str(found)


def test_functions_and_what_is_computed_of_them_are_the_same_everywhere() -> None:
    store, rows = a_store(), history()
    clock_time = datetime(2024, 3, 20, 1, tzinfo=UTC)
    store.clock = _Standing(clock_time)

    @store.register_feature(name="v.bought", entity="user", timestamp="at", schema={"amount": fs.types.Float64})
    def bought() -> pl.DataFrame:
        return rows

    @store.register_feature(name="v.known", entity="user", every="1d", schema={"n": fs.types.UInt32})
    def known(when: datetime) -> pl.DataFrame:
        before = pl.lit(when).dt.replace_time_zone("UTC")
        return rows.filter(pl.col("at") < before).group_by("user").agg(pl.len().alias("n"))

    @store.register_feature(name="v.names", entity="user", timeless=True, schema={"names": fs.types.String})
    def names() -> dict[int, str]:
        return {1: "Ann", 3: "Bob"}

    @store.register_feature(name="v.twice", inputs=["amount"])
    def twice(amount: float) -> float:
        return amount * 2  # Fails for None: training raises, serving says ERROR.

    @fs.on_demand_feature_view(
        sources=[bought, fs.RequestSource("cart", [fs.Field("price", fs.types.Float64)])],
        schema=[fs.Field("share", fs.types.Float64)],
        mode="python",
        singleton=True,
    )
    def share(row: dict[str, Any]) -> dict[str, Any]:
        price, amount = row["price"], row["amount"]
        return {"share": None if not amount or price is None else price / amount}

    @fs.on_demand_feature_view(sources=[share], schema=[fs.Field("is_large", fs.types.Bool)], mode="polars")
    def is_large(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.select(is_large=pl.col("share") > 1)

    store.apply([bought, known, names, twice, share, is_large], allow=["twice"])
    found = store.verify(labels=40, seed=3)
    found.raise_if_different()
    kinds = {one.view: one.kind for one in found.views if one.paths}
    assert kinds == {
        "is_large": "on-demand",
        "share": "on-demand",
        "v.bought": "timeline",
        "v.known": "as-of",
        "v.names": "table",
        "v.twice": "column",
    }


class _Standing:
    def __init__(self, time: datetime) -> None:
        self.time = time

    def now(self) -> datetime:
        return self.time


def test_rows_can_be_handed_in_for_a_view_that_was_never_pushed_to() -> None:
    source = fs.PushSource("purchases")
    view = fs.FeatureView("bought", source, entities=[fs.Entity("user")], aggregates=[fs.agg.sum("amount", "1d")])
    rows = history().rename({"at": "event_timestamp"})
    found = a_store().verify(view, rows, labels=30, seed=4)
    found.raise_if_different()
    assert found.views[0].events == 60


def test_of_many_rows_whole_histories_of_some_keys_are_looked_at(tmp_path: Path) -> None:
    rows = history(6000).with_columns(user=pl.int_range(pl.len()) // 60)
    found = a_store().verify(a_view(rows, tmp_path), labels=20, seed=5)
    (one,) = found.views
    assert (one.ok, one.sampled, one.events, one.keys) == (True, True, 780, 13)


def test_the_same_seed_looks_at_the_same(tmp_path: Path) -> None:
    view = a_view(history(), tmp_path)
    once, again = (a_store().verify(view, labels=10, seed=6).to_dict() for _ in range(2))
    for each in (*once["views"], *again["views"]):
        each.pop("seconds")
    assert once["views"] == again["views"]


def test_a_column_of_which_nothing_says_the_type_cannot_be_verified() -> None:
    store = a_store()

    @store.register_feature(name="v.gross")
    def gross(net: pl.Series) -> pl.Series:
        return net * 1.2

    with pytest.raises(ParameterError, match=r"of what type net is.*inputs=\['view:net'\] says whose it is"):
        store.verify(gross)


def test_a_function_with_a_parameter_cannot_be_verified() -> None:
    store = a_store()

    @store.register_feature(name="v.of", entity="user", timestamp="at")
    def of(country: str) -> pl.DataFrame:
        return history().filter(pl.col("shop") == country)

    with pytest.raises(ParameterError, match="country"):
        store.verify(of)
    assert store.verify().views[0].skipped.startswith("v.of takes country")


def test_as_of_functions_get_the_naive_times_that_they_are_materialized_with() -> None:
    store, rows = a_store(), history().with_columns(pl.col("at").dt.replace_time_zone(None))

    @store.register_feature(name="v.known", entity="user", every="1d", schema={"n": fs.types.UInt32})
    def known(when: datetime) -> pl.DataFrame:
        return rows.filter(pl.col("at") < when).group_by("user").agg(pl.len().alias("n"))

    store.verify(known, labels=10, seed=1).raise_if_different()
    assert store.explain_value("v.known:n", {"user": 3}).value == 12
    store.apply([known])
    (done,) = store.materialize_incremental()
    assert done.keys == 3
    (compared,) = store.skew().views
    assert compared.equal == compared.sampled


def test_a_lazy_function_that_takes_no_naive_time_is_an_error_that_says_what_does(tmp_path: Path) -> None:
    history().write_parquet(tmp_path / "rows.parquet")
    store = a_store()

    @store.register_feature(name="v.known", entity="user", every="1d", schema={"n": fs.types.UInt32})
    def known(when: datetime) -> pl.LazyFrame:
        rows = pl.scan_parquet(tmp_path / "rows.parquet")
        return rows.filter(pl.col("at") < when).group_by("user").agg(pl.len().alias("n"))

    for look in (lambda: store.verify(known), lambda: store.explain_value("v.known:n", {"user": 1})):
        with pytest.raises(
            ConfigurationError, match=r"'v.known' cannot be read\n.*SchemaError(.|\n)*replace_time_zone\('UTC'\)"
        ):
            look()


def test_what_was_not_looked_at_is_noted(tmp_path: Path) -> None:
    store = a_store()

    @store.register_feature(name="v.bought", entity="user", timestamp="at", schema={"amount": fs.types.Float64})
    def bought() -> pl.DataFrame:
        return history()

    @store.register_feature(name="v.broken", inputs=["bought:amount"])
    def broken(amount: float | None) -> float:
        raise LookupError("no rate")

    found = store.verify(broken, labels=5, seed=1)
    assert found.views[0].skipped == (
        "fails for 5 labels, of the first with ComputationError: column function 'v.broken' failed on row 0: "
        "LookupError: no rate"
    )
    empty = a_store().verify(a_view(history().head(0), tmp_path), labels=5)
    assert empty.views[0].skipped == "there are no rows"


def test_a_source_that_has_lost_a_column_is_an_error_of_that_source(tmp_path: Path) -> None:
    view = a_view(history(), tmp_path, schema=[fs.Field("amount", fs.types.Float64)])
    history().drop("amount").write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ConfigurationError, match=r"rows of 'rows' cannot be read(.|\n)*amount"):
        a_store().verify(view)


def test_rows_that_nothing_is_verified_with_are_refused(tmp_path: Path) -> None:
    view = a_view(history(), tmp_path, schema=[fs.Field("amount", fs.types.Float64)])

    @fs.on_demand_feature_view(sources=[view], schema=[fs.Field("twice", fs.types.Float64)], mode="polars")
    def doubled(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(twice=pl.col("amount") * 2)

    with pytest.raises(ParameterError, match=r"data for doubled\n.*rows of bought"):
        a_store().verify(doubled, history())
    with pytest.raises(FrameError, match="'at' of the rows to verify 'bought' with holds no times"):
        a_store().verify(view, history().with_columns(at=pl.lit("2024-05-01")))


@pytest.mark.parametrize("labels", [0, -1, "3"])
def test_labels_are_a_number_from_one_on(labels: Any) -> None:
    with pytest.raises(ParameterError, match=f"labels={labels!r}"):
        a_store().verify(labels=labels)


# ---- one path is broken ------------------------------------------------------------------------------------------


def only(found: Verification, feature: str) -> Difference:
    """Return the one difference of a feature."""
    (one,) = (each for each in found.differences if each.feature == feature)
    return one


class _Leaking(PolarsEngine):
    """Sees a microsecond into the future."""

    def __init__(self) -> None:
        super().__init__(name="leaking")

    def join(self, plan: Any) -> pl.DataFrame:
        stamp = plan.labels.get_column(plan.timestamp)
        later = plan.labels.with_columns((stamp + timedelta(microseconds=1)).alias(plan.timestamp))
        return super().join(replace(plan, labels=later)).with_columns(stamp)


def test_an_engine_that_leaks_is_found_with_the_one_event_that_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glue, "_engines", lambda _own: (PolarsEngine(), _Leaking()))
    schema = [fs.Field("amount", fs.types.Float64)]
    found = a_store().verify(a_view(history(), tmp_path, schema=schema), labels=60, seed=7)
    one = only(found, "amount")
    assert one.paths == ("leaking",)
    assert one.answers["online"] == one.answers["polars"] == one.expected
    (event,) = one.events
    assert event.values["at"] - one.label["event_timestamp"] == timedelta(microseconds=1)
    with pytest.raises(VerificationError, match=r"bought:amount differs in leaking"):
        found.raise_if_different()


def test_a_window_edge_that_is_included_by_mistake_is_found_at_the_microsecond(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glue, "_engines", lambda _own: (PolarsEngine(), _Leaking()))
    aggregates = [fs.agg.count("1d")]
    one = only(a_store().verify(a_view(history(), tmp_path, aggregates=aggregates), labels=60, seed=8), "count_1d")
    (event,) = one.events
    distance = one.label["event_timestamp"] - event.values["at"]
    assert distance in (timedelta(0), timedelta(days=1))
    assert {one.expected, one.answers["leaking"]} == {0, 1}


def test_an_online_store_that_forgets_what_is_older_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def last_write_wins(_view: Any) -> Any:
        return lambda _old, new: new

    monkeypatch.setattr(pushing, "pushed", last_write_wins)
    schema = [fs.Field("amount", fs.types.Float64)]
    found = a_store().verify(a_view(history(), tmp_path, schema=schema), labels=60, seed=9)
    assert {one.paths for one in found.differences} == {("online",)}
    one = only(found, "amount")
    assert len(one.events) == 2
    assert any("pushed at" in event.brought for event in one.events)


def test_a_late_event_that_is_dropped_online_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = WindowStates.add

    def dropping(self: Any, batches: Any, *, now: int, **options: Any) -> Any:
        return add(
            self, [(key, events[:-1] if len(events) > 1 else events) for key, events in batches], now=now, **options
        )

    monkeypatch.setattr(WindowStates, "add", dropping)
    view = a_view(history(), tmp_path, aggregates=[fs.agg.count("1d"), fs.agg.sum("amount")])
    found = a_store().verify(view, labels=40, seed=10)
    assert {one.paths for one in found.differences} == {("online",)}
    one = only(found, "count_1d")
    assert (one.expected, one.answers["online"], len(one.events)) == (2, 1, 2)


def test_a_report_shows_the_smallest_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glue, "_engines", lambda _own: (_Leaking(),))
    found = a_store().verify(a_view(history(), tmp_path, aggregates=[fs.agg.count("1d")]), labels=30, seed=11)
    text, (one,) = str(found), [each for each in found.differences if each.feature == "count_1d"]
    assert "bought:count_1d differs in leaking for" in text
    assert f"  expected  {one.expected!r}" in text
    assert f"  leaking   {one.answers['leaking']!r}" in text
    assert "count_1d differs" in found._repr_html_()
    assert found.to_dict()["views"][0]["differences"][0]["paths"] == ["leaking"]


def test_names_with_underscores_are_said_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glue, "_engines", lambda _own: (_Leaking(),))
    rows = history().rename({"amount": "amount__eur"})
    schema = [fs.Field("amount__eur", fs.types.Float64), fs.Field("shop", fs.types.String)]
    view = replace(a_view(rows, tmp_path, schema=schema), name="bought__now")
    one = only(a_store().verify(view, labels=30, seed=1), "amount__eur")
    assert all(set(event.values) == {"user", "at", "amount__eur"} for event in one.events)


def test_a_sum_that_does_not_fit_its_type_is_an_error_as_in_training(tmp_path: Path) -> None:
    rows = pl.DataFrame({"user": 1, "at": [START, START], "amount": [2**62, 2**62]})
    with pytest.raises(UnsupportedValueError, match=r"bought__amount_sum_1d' is no Int64\n.*9223372036854775808"):
        a_store().verify(a_view(rows, tmp_path, aggregates=[fs.agg.sum("amount", "1d")]), labels=20, seed=1)
