from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from featurestore import Entity, FeatureService, FeatureView, Field, FileSource, types
from featurestore.declare.registering import Options, feature_of
from featurestore.declare.view import Projection
from featurestore.errors import AmbiguousNameError, ParameterError, UnknownNameError
from featurestore.planning.retrieval import Asked, Known, Table, asked_for, join_keys, merged, plan_retrieval
from featurestore.planning.scans import Scan
from featurestore.repository.names import AnyFeature

SOURCE = FileSource("stats.parquet", timestamp_field="at")
DRIVER = Entity("driver", join_keys=["driver_id"])


def view(name: str = "stats", *fields: str, **options: Any) -> FeatureView:
    schema = [Field(field, types.Int64) for field in fields or ("a", "b", "c")]
    return FeatureView(name, SOURCE, schema, entities=[DRIVER], **options)


def function(name: str, **options: Any) -> AnyFeature:
    def computed(a: int = 0) -> dict[int, int]:
        return {}

    return feature_of(computed, Options(name=f"features.{name}", **options))


def table(*fields: str, **options: Any) -> Table:
    return Table(Scan("stats", pl.LazyFrame, "at"), ("driver_id",), fields or ("a", "b", "c"), **options)


def planned(wanted: object, known: Known | None = None, **options: Any) -> list[str]:
    asked = asked_for(wanted, known or Known(views={"stats": view()}))
    return list(plan_retrieval(asked, {one.identity: table() for one in asked}, **options).order)


# ---- references -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", ["stats", "stats:*", ["stats"], view(), [view()], Projection(view())])
def test_a_bare_view_means_all_its_features(wanted: object) -> None:
    assert planned(wanted) == ["a", "b", "c"]


def test_features_come_in_the_order_asked_each_once() -> None:
    assert planned(["stats:c", "stats:a", "stats:c", view()[["b", "a"]]]) == ["c", "a", "b"]


def test_the_features_of_two_views_come_in_the_order_asked_though_each_view_is_joined_once() -> None:
    known = Known(views={"stats": view(), "other": view("other", "x", "y")})
    asked = asked_for(["stats:c", "other:x", "stats:a"], known)
    tables = {one.identity: table(*("xy" if one.name == "other" else "abc")) for one in asked}
    retrieval = plan_retrieval(asked, tables)
    assert retrieval.order == ("c", "x", "a")
    assert [one.name for one in retrieval.views] == ["stats", "other"]


def test_a_service_is_the_features_of_its_views() -> None:
    service = FeatureService("model", [view()[["b"]], view("other", "x").with_name("alias")])
    assert [(one.name, one.features) for one in asked_for(service, Known())] == [("stats", ("b",)), ("alias", None)]


def test_functions_are_asked_for_by_object_short_name_and_full_name() -> None:
    feature = function("n_events", entity="driver_id", timeless=True)
    for wanted in (feature, "n_events", "features.n_events", "n_events:*"):
        assert asked_for(wanted, Known(functions=(feature,))) == (Asked(feature, "n_events"),)


def test_a_declared_view_wins_over_a_function_of_the_same_short_name() -> None:
    (one,) = asked_for("stats", Known(views={"stats": view()}, functions=(function("stats"),)))
    assert isinstance(one.view, FeatureView)


def test_a_view_goes_before_a_service_of_its_name() -> None:
    known = Known(views={"stats": view()}, services={"stats": FeatureService("stats", [view("other", "x")])})
    assert [one.name for one in asked_for("stats", known)] == ["stats"]


def test_a_service_that_nothing_is_called_like_suggests_the_nearest() -> None:
    known = Known(services={"model": FeatureService("model", [view()])})
    with pytest.raises(UnknownNameError, match="did you mean 'model'"):
        asked_for("modle", known)


def test_an_unknown_view_is_an_error_that_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'stats'"):
        asked_for("stat:a", Known(views={"stats": view()}))


def test_a_feature_without_its_view_is_an_error_that_says_whose_it_is() -> None:
    known = Known({"stats": view(), "other": view("other", "a")}, (function("recent", schema={"a": types.Int64}),))
    with pytest.raises(UnknownNameError, match="ask for 'stats:a' or 'other:a' or 'recent:a'"):
        asked_for("a", known)


def test_an_unknown_feature_is_an_error_that_lists_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match="one of: a, b, c"):
        asked_for("stats:z", Known(views={"stats": view()}))


def test_an_unknown_feature_of_a_view_without_schema_is_found_out_by_its_table() -> None:
    bare = FeatureView("stats", SOURCE, entities=[DRIVER])
    with pytest.raises(UnknownNameError, match="'z'"):
        planned("stats:z", Known(views={"stats": bare}))


def test_nothing_asked_for_is_an_error() -> None:
    with pytest.raises(ParameterError, match="no feature was asked for"):
        asked_for([], Known())


def test_what_is_no_reference_is_an_error() -> None:
    with pytest.raises(ParameterError, match="not a feature"):
        asked_for([3], Known())


# ---- names of columns -------------------------------------------------------------------------------------------


def test_full_names_begin_with_the_view_or_its_alias() -> None:
    assert planned(["stats:a", view().with_name("origin")[["a"]]], full_feature_names=True) == [
        "stats__a",
        "origin__a",
    ]


def test_statuses_and_event_timestamps_come_after_the_features() -> None:
    assert planned("stats", event_timestamps=True, statuses=True) == [
        *("a", "b", "c"),
        *("a__status", "b__status", "c__status"),
        "stats__event_timestamp",
    ]


def test_a_column_function_adds_one_column_after_the_joins() -> None:
    minor = function("minor", inputs=["a"])
    asked = asked_for([minor, "stats:a"], Known(views={"stats": view()}))
    retrieval = plan_retrieval(asked, {one.identity: table() for one in asked})
    assert retrieval.features == ("minor", "a")
    assert retrieval.order == ("a",)
    assert retrieval.columns == ((minor, "minor"),)


# ---- keys -------------------------------------------------------------------------------------------------------


def test_join_keys_are_those_of_the_entities_each_once() -> None:
    both = FeatureView("both", SOURCE, entities=[DRIVER, Entity("trip", join_keys=["driver_id", "trip_id"])])
    assert join_keys(both, {}) == ("driver_id", "trip_id")


def test_an_entity_by_name_is_the_declared_one_else_a_key_of_that_name() -> None:
    named = FeatureView("named", SOURCE, entities=["driver"])
    assert join_keys(named, {"driver": DRIVER}) == ("driver_id",)
    assert join_keys(named, {}) == ("driver",)


def test_a_function_without_entity_is_refused() -> None:
    with pytest.raises(ParameterError, match="entity='user_id'"):
        join_keys(function("n_events"), {})


def test_a_join_key_map_names_the_label_columns() -> None:
    asked = asked_for(view().with_name("origin").with_join_key_map({"driver_id": "origin_id"}), Known())
    (one,) = plan_retrieval(asked, {asked[0].identity: table()}).views
    assert one.keys == (("origin_id", "driver_id"),)


def test_a_join_key_map_for_a_key_that_the_view_does_not_have_is_refused() -> None:
    asked = asked_for(view().with_join_key_map({"driver": "origin_id"}), Known())
    with pytest.raises(UnknownNameError, match="did you mean 'driver_id'"):
        plan_retrieval(asked, {asked[0].identity: table()})


def test_dimensions_are_joined_on_like_keys() -> None:
    asked = asked_for(view(), Known())
    known = table(dimensions=(("app", "__app"),))
    (one,) = plan_retrieval(asked, {asked[0].identity: known}).views
    assert one.keys == (("driver_id", "driver_id"), ("app", "__app"))


def test_two_different_views_of_one_name_are_refused() -> None:
    asked = asked_for([view(), view("stats", "x")], Known())
    with pytest.raises(AmbiguousNameError, match="two views are called 'stats'"):
        plan_retrieval(asked, {one.identity: table() for one in asked})


def test_a_view_as_handed_in_and_as_applied_is_one_view() -> None:
    bare = FeatureView("stats", SOURCE, entities=["driver"])
    applied = FeatureView("stats", SOURCE, [Field("a", types.Int64)], entities=[Entity("driver")])
    asked = asked_for([bare, "stats:a"], Known(views={"stats": applied}))
    assert [one.view for one in merged(asked)] == [applied]


def test_the_ttl_is_handed_on_in_microseconds() -> None:
    asked = asked_for(view(), Known())
    (one,) = plan_retrieval(asked, {asked[0].identity: table(ttl=timedelta(seconds=2))}).views
    assert one.ttl == 2_000_000
