"""On-demand features computed when rows are written: kept, read without their function, and never stale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, RequestSource, agg, types
from featurestore import on_demand_feature_view as on_demand
from featurestore.errors import ParameterError, RegistrationError
from featurestore.run.online import online_views
from tests.generated import FEW
from tests.run.published import SetClock, in_memory

MAY = datetime(2024, 5, 1, tzinfo=UTC)
USER = Entity("user", join_keys=["user"])


class Calls:
    """Counts the rows that a function is called for."""

    def __init__(self) -> None:
        self.count = 0


def people(folder: Path, name: str = "people", ttl: timedelta | None = None) -> FeatureView:
    path = folder / f"{name}.parquet"
    rows = {"user": [1, 2], "at": [MAY, MAY], f"{name}_age": [17, None]}
    pl.DataFrame(rows, schema_overrides={f"{name}_age": pl.Int64}).write_parquet(path)
    source = PushSource(f"{name}_pushed", FileSource(str(path), timestamp_field="at"))
    return FeatureView(name, source, [Field(f"{name}_age", types.Int64)], [USER], ttl=ttl)


def doubled(*sources: Any, calls: Calls, factor: int = 2, column: str = "people_age") -> Any:
    def double(row: dict[str, Any]) -> dict[str, Any]:
        calls.count += 1
        if row[column] == 13:
            raise ValueError("unlucky")
        return {"double": None if row[column] is None else row[column] * factor}

    schema = [Field("double", types.Int64)]
    options: dict[str, Any] = {"mode": "python", "singleton": True, "write_to_online_store": True}
    return on_demand(sources=list(sources), schema=schema, name="doubled", **options)(double)


def opened(calls: Calls, view: FeatureView, *more: Any, factor: int = 2, clock: SetClock | None = None) -> FeatureStore:
    store = in_memory(clock or SetClock(MAY + timedelta(days=1)))
    store.apply([view, *more, doubled(view, calls=calls, factor=factor)])
    calls.count = 0  # Apply tries it.
    return store


def asked(store: FeatureStore, *users: int) -> list[Any]:
    answer: list[Any] = store.get_online_features("doubled", [{"user": user} for user in users]).to_dict()["double"]
    return answer


def pushed(store: FeatureStore, user: int, age: int | None, hours: int = 1, view: str = "people") -> None:
    store.push(f"{view}_pushed", [{"user": user, "at": MAY + timedelta(hours=hours), f"{view}_age": age}])


# ---- what is kept is read ----------------------------------------------------------------------------------------


def test_a_push_computes_and_reads_do_not_call_the_function(tmp_path: Path) -> None:
    calls = Calls()
    store = opened(calls, people(tmp_path))
    pushed(store, 1, 20)
    assert calls.count == 1
    assert asked(store, 1) == [40]
    response = store.get_online_features("doubled", pl.DataFrame({"user": [1, 1]}))
    assert response.to_polars()["double"].to_list() == [40, 40]
    assert response.statuses == {"double": ["PRESENT", "PRESENT"]}
    assert calls.count == 1


def test_materialize_computes_and_does_it_once(tmp_path: Path) -> None:
    calls = Calls()
    store = opened(calls, people(tmp_path))
    store.materialize_incremental()
    store.materialize_incremental()
    assert calls.count == 2
    assert asked(store, 2, 1) == [None, 34]
    assert calls.count == 2


def test_rows_of_which_nothing_is_kept_are_computed_beside_the_others(tmp_path: Path) -> None:
    calls = Calls()
    store = opened(calls, people(tmp_path))
    pushed(store, 1, 20)
    assert asked(store, 9, 1, 8) == [None, 40, None]
    rows = pl.DataFrame({"user": [9, 1, 8]})
    assert store.get_online_features("doubled", rows).to_polars()["double"].to_list() == [None, 40, None]
    assert calls.count == 1 + 2 * 2


def test_what_a_chain_is_computed_with_is_not_computed_at_reads(tmp_path: Path) -> None:
    calls, view = Calls(), people(tmp_path)
    store = in_memory(SetClock(MAY + timedelta(days=1)))
    inner = on_demand(sources=[view], schema=[Field("more", types.Int64)], name="inner", mode="python", singleton=True)(
        _inner(calls)
    )
    store.apply([view, inner, doubled(inner, calls=calls, column="more")])
    pushed(store, 1, 20)
    calls.count = 0
    assert asked(store, 1) == [42]
    assert calls.count == 0


def _counted(calls: Calls, value: int) -> int:
    calls.count += 1
    return value


def _inner(calls: Calls) -> Any:
    def inner(row: dict[str, Any]) -> dict[str, Any]:
        return {"more": None if row["people_age"] is None else _counted(calls, row["people_age"] + 1)}

    return inner


def test_views_of_one_entity_are_computed_with_together_whichever_is_pushed(tmp_path: Path) -> None:
    calls, one, other = Calls(), people(tmp_path), people(tmp_path, "others")

    def both(row: dict[str, Any]) -> dict[str, Any]:
        calls.count += 1
        return {"both": (row["people_age"] or 0) * 100 + (row["others_age"] or 0)}

    options: dict[str, Any] = {"mode": "python", "singleton": True, "write_to_online_store": True}
    view = on_demand(sources=[one, other], schema=[Field("both", types.Int64)], **options)(both)
    store = in_memory(SetClock(MAY + timedelta(days=1)))
    store.apply([one, other, view])
    for name, age, expected in [("people", 1, 100), ("others", 2, 102), ("people", 3, 302), ("others", 4, 304)]:
        pushed(store, 1, age, hours=age, view=name)
        calls.count = 0
        assert store.get_online_features("both", [{"user": 1}]).to_dict()["both"] == [expected]
        assert calls.count == 0


# ---- it is never stale -------------------------------------------------------------------------------------------


def test_what_a_slow_writer_keeps_of_a_row_that_was_replaced_is_not_read(tmp_path: Path) -> None:
    calls = Calls()
    store = opened(calls, people(tmp_path))
    pushed(store, 1, 20)
    kept = online_views(store.registry)["doubled"]
    before = [row for some in store.online_store.scan(kept.suffix) for row in some]
    pushed(store, 1, 30, hours=2)
    store.online_store.put(before, lambda _, new: new)  # As a slow writer leaves it.
    calls.count = 0
    assert asked(store, 1) == [60]
    assert calls.count == 1


def test_other_code_reads_nothing_of_what_the_former_has_kept_until_it_is_written_again(tmp_path: Path) -> None:
    calls, view = Calls(), people(tmp_path)
    store = opened(calls, view)
    pushed(store, 1, 20)
    store.apply(doubled(view, calls=calls, factor=3))
    calls.count = 0
    assert asked(store, 1) == [60]
    assert calls.count == 1
    store.materialize_incremental()
    calls.count = 0
    assert asked(store, 1) == [60]
    assert calls.count == 0


def test_an_expired_row_answers_what_the_function_says_of_nulls(tmp_path: Path) -> None:
    calls, clock = Calls(), SetClock(MAY + timedelta(hours=2))
    store = opened(calls, people(tmp_path, ttl=timedelta(hours=3)), clock=clock)
    pushed(store, 1, 20)
    assert asked(store, 1) == [40]
    clock.time = MAY + timedelta(hours=4, microseconds=1)
    response = store.get_online_features("doubled", [{"user": 1}])
    assert (response.to_dict()["double"], response.statuses["double"]) == ([None], ["NULL_VALUE"])


def test_a_column_that_joins_the_view_makes_nothing_stale(tmp_path: Path) -> None:
    calls, view = Calls(), people(tmp_path)
    store = opened(calls, view)
    pushed(store, 1, 20)
    assert isinstance(view.source, PushSource)
    path = str(tmp_path / "people.parquet")
    pl.read_parquet(path).with_columns(size=pl.lit(1.5)).write_parquet(path)
    wider = FeatureView("people", view.source, [*view.schema, Field("size", types.Float64)], [USER])
    store.apply([wider, doubled(wider, calls=calls)])
    assert asked(store, 1) == [40]
    store.push("people_pushed", [{"user": 1, "at": MAY + timedelta(hours=2), "people_age": 21, "size": 2.0}])
    calls.count = 0
    assert asked(store, 1) == [42]
    assert calls.count == 0


def test_of_a_row_on_which_the_function_fails_nothing_is_kept(tmp_path: Path) -> None:
    calls = Calls()
    store = opened(calls, people(tmp_path))
    pushed(store, 1, 20)
    pushed(store, 1, 13, hours=2)
    pushed(store, 2, 7)
    response = store.get_online_features("doubled", [{"user": 2}, {"user": 1}])
    assert (response.to_dict()["double"], response.statuses["double"]) == ([14, None], ["PRESENT", "ERROR"])
    assert "failed on row 1" in str(response.errors[0])


def test_a_view_that_cannot_be_computed_any_more_is_in_the_way_of_no_writer(tmp_path: Path) -> None:
    view, others = people(tmp_path), people(tmp_path, "others")
    store = opened(Calls(), view, others)
    store.apply(FeatureView("people", view.source, list(view.schema), [USER], online=False))
    pushed(store, 1, 3, view="others")
    pushed(store, 1, 3)
    store.materialize_incremental()
    assert store.get_online_features("others", [{"user": 1}]).to_dict()["others_age"] == [3]
    with pytest.raises(ParameterError, match="view 'people' is not kept online"):
        asked(store, 1)


def test_values_that_no_column_takes_are_in_the_way_of_no_writer(tmp_path: Path) -> None:
    view = people(tmp_path)
    options: dict[str, Any] = {"mode": "python", "singleton": True, "write_to_online_store": True, "name": "longest"}

    def longest(row: dict[str, Any]) -> dict[str, Any]:
        return {"span": timedelta.max if row["people_age"] == 17 else timedelta()}

    store = in_memory(SetClock(MAY + timedelta(days=1)))
    store.apply([view, on_demand(sources=[view], schema=[Field("span", types.Duration)], **options)(longest)])
    store.materialize_incremental()
    pushed(store, 2, 3)
    asked = store.get_online_features(["people", "longest"], [{"user": 2}]).to_dict()
    assert (asked["people_age"], asked["span"]) == ([3], [timedelta()])


def test_a_view_that_is_removed_leaves_nothing(tmp_path: Path) -> None:
    store = opened(Calls(), people(tmp_path))
    pushed(store, 1, 20)
    kept = online_views(store.registry)["doubled"]
    store.apply([], objects_to_delete=["doubled"])
    assert "doubled" not in online_views(store.registry)
    assert not [row for some in store.online_store.scan(kept.suffix) for row in some]


def test_a_view_of_rows_that_takes_its_name_finds_nothing_of_it(tmp_path: Path) -> None:
    store, others = opened(Calls(), people(tmp_path)), people(tmp_path, "others")
    pushed(store, 1, 20)
    store.apply(FeatureView("doubled", others.source, list(others.schema), [USER]), objects_to_delete=["doubled"])
    assert store.get_online_features("doubled", [{"user": 1}]).to_dict()["others_age"] == [None]
    pushed(store, 1, 5, view="others")
    assert store.get_online_features("doubled", [{"user": 1}]).to_dict()["others_age"] == [5]


# ---- the same value as at the read, and in training ----------------------------------------------------------------

TYPES: dict[str, tuple[Any, Any]] = {
    "i8": (types.Int8, lambda n: n % 100),
    "u64": (types.UInt64, lambda n: n + 2**63),
    "f32": (types.Float32, lambda n: n / 3),
    "f64": (types.Float64, lambda n: math.nan if n == 1 else -0.0 if n == 2 else n / 7),
    "text": (types.String, lambda n: "ü" * n),
    "raw": (types.Bytes, bytes),
    "yes": (types.Bool, lambda n: n % 2 == 0),
    "moment": (types.UnixTimestamp, lambda n: MAY + timedelta(microseconds=n)),
    "day": (types.Date, lambda n: (MAY + timedelta(days=n)).date()),
    "span": (types.Duration, lambda n: timedelta(microseconds=-n)),
    "many": (types.Array(types.Float32), lambda n: [None if each == 1 else each / 3 for each in range(n)]),
    "parts": (types.Struct({"a": types.Int64}), lambda n: {"a": n or None}),
}


def every_type(row: dict[str, Any]) -> dict[str, Any]:
    age = row["people_age"]
    return {name: None if age is None else make(age) for name, (_, make) in TYPES.items()}


@FEW
@given(
    ages=st.lists(st.none() | st.integers(0, 5), min_size=1, max_size=4), by=st.sampled_from(["push", "materialize"])
)
def test_what_is_kept_is_what_the_read_and_the_training_compute(
    tmp_path_factory: pytest.TempPathFactory, ages: Sequence[int | None], by: str
) -> None:
    folder = tmp_path_factory.mktemp("written")
    schema = [Field(name, dtype) for name, (dtype, _) in TYPES.items()]
    answers = []
    for written in (False, True):
        store, view = in_memory(SetClock(MAY + timedelta(days=1))), people(folder)
        options: dict[str, Any] = {"mode": "python", "singleton": True, "write_to_online_store": written}
        store.apply([view, on_demand(sources=[view], schema=schema, **options)(every_type)])
        for number, age in enumerate(ages):
            to = "both" if by == "push" else "offline"
            store.push("people_pushed", [{"user": number, "at": MAY + timedelta(hours=1), "people_age": age}], to=to)
        if by == "materialize":
            store.materialize_incremental()
        assert ("every_type" in online_views(store.registry)) == written
        rows = [{"user": user} for user in range(len(ages))]
        served = store.get_online_features("every_type", rows)
        labels = pl.DataFrame({"user": range(len(ages)), "event_timestamp": [MAY + timedelta(days=2)] * len(ages)})
        trained = store.get_historical_features(labels, "every_type").to_polars().drop("event_timestamp")
        assert trained.drop("user").equals(served.to_polars().drop("user"))
        assert trained.drop("user").schema == served.to_polars().drop("user").schema
        answers.append((repr(served.to_dict()), served.statuses))
    assert answers[0] == answers[1]


# ---- what cannot be ------------------------------------------------------------------------------------------------


def refused(*sources: Any, dtype: Any = types.Int64) -> str:
    with pytest.raises(RegistrationError, match="cannot be computed when rows are written") as raised:
        on_demand(sources=list(sources), schema=[Field("x", dtype)], mode="python", write_to_online_store=True)
    return str(raised.value.found)


def test_fields_of_the_request_are_refused_at_any_depth(tmp_path: Path) -> None:
    request = RequestSource("asked", [Field("plus", types.Float64)])
    assert refused(people(tmp_path), request) == "fields of the request: plus"
    inner = on_demand(sources=[request], schema=[Field("y", types.Int64)], name="inner", mode="python")(every_type)
    assert refused(people(tmp_path), inner) == "fields of the request: plus"


def test_sources_of_two_entities_are_refused(tmp_path: Path) -> None:
    one = people(tmp_path)
    other = FeatureView("shops", one.source, [Field("size", types.Int64)], ["shop"])
    assert refused(one, other) == "sources of user and of shop"


def test_window_views_are_refused(tmp_path: Path) -> None:
    windows = FeatureView("windows", people(tmp_path).source, entities=[USER], aggregates=[agg.count("7d")])
    assert "window view 'windows'" in refused(windows)


def test_views_that_are_not_kept_online_are_refused(tmp_path: Path) -> None:
    away = FeatureView("away", people(tmp_path).source, [Field("x", types.Int64)], [USER], online=False)
    assert refused(away) == "view 'away' with online=False"


def test_types_whose_values_would_not_come_back_are_refused(tmp_path: Path) -> None:
    assert refused(people(tmp_path), dtype=types.Array(types.Json)) == "feature 'x' of type Array(Json)"
