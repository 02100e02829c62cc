"""Validation: everything that is wrong, at once, and each with what to do."""

from __future__ import annotations

from typing import Any

import pytest

import featurestore as fs
from featurestore import types
from featurestore.errors import DuplicateNameError, RegistrationError
from featurestore.repository.collect import collect
from featurestore.repository.documents import ObjectKind
from featurestore.repository.repository import Repository
from featurestore.repository.validate import validate

SOURCE = fs.FileSource("stats.parquet", timestamp_field="at")
VIEW = fs.FeatureView("stats", SOURCE, [fs.Field("trips", types.Int64)], ["driver_id"])


def refused(*objects: object) -> str:
    with pytest.raises(RegistrationError) as caught:
        collect("p", objects)
    return str(caught.value)


def without(repository: Repository, kind: ObjectKind, name: str) -> Repository:
    documents: dict[ObjectKind, Any] = {each: dict(named) for each, named in repository.documents.items()}
    del documents[kind][name]
    return repository.with_documents(documents)


def test_an_empty_repository_stands() -> None:
    validate(Repository("p"))


def test_one_problem_is_raised_as_itself() -> None:
    with pytest.raises(DuplicateNameError, match="share the name 'stats'"):
        collect("p", [VIEW, fs.FeatureView("STATS", SOURCE)])


def test_names_of_views_are_unique_regardless_of_case_and_kind() -> None:
    @fs.on_demand_feature_view(sources=[VIEW], schema=[fs.Field("y", types.Int64)], name="Stats")
    def computed(frame: Any) -> Any:
        return frame

    @fs.register_feature(entity="driver_id", name="validate_tests.STATS")
    def counted() -> dict[int, int]:
        return {}

    message = refused(VIEW, computed, counted)
    assert "3 declarations share the name 'stats' of a feature view" in message
    assert "function validate_tests.STATS" in message


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param((fs.Entity("driver"), fs.Entity("Driver")), id="entities"),
        pytest.param((fs.FeatureService("m", [VIEW]), fs.FeatureService("M", [VIEW])), id="services"),
        pytest.param((fs.PushSource("clicks"), fs.PushSource("Clicks")), id="sources"),
    ],
)
def test_other_names_are_unique_regardless_of_case_too(pair: tuple[object, object]) -> None:
    assert "names that differ in more than upper and lower case" in refused(*pair)


def test_an_entity_a_service_and_a_view_may_share_a_name() -> None:
    validate(collect("p", [fs.Entity("stats"), VIEW, fs.FeatureService("stats", [VIEW])]))


def test_paths_that_differ_in_case_are_different_files() -> None:
    views = [fs.FeatureView(name, fs.FileSource(f"{name}/x.parquet", timestamp_field="at")) for name in ("a", "b")]
    other = fs.FeatureView("c", fs.FileSource("A/x.parquet", timestamp_field="at"))
    validate(collect("p", [*views, other]))


def test_all_problems_are_told_at_once() -> None:
    message = refused(
        VIEW,
        fs.FeatureView("STATS", SOURCE),
        fs.Entity("shop"),
        fs.Entity("Shop"),
        fs.FeatureView("twice", SOURCE, entities=["shop", "shop"]),
        object(),
    )
    assert "4 declarations cannot stand" in message
    for part in ("share the name 'stats'", "share the name 'shop'", "names an entity twice", "can be applied"):
        assert part in message


def test_a_service_of_a_view_that_is_gone_is_refused() -> None:
    repository = without(collect("p", [fs.FeatureService("model", [VIEW])]), ObjectKind.VIEW, "stats")
    with pytest.raises(RegistrationError, match="'model' refers to a feature view that is not there"):
        validate(repository)


def test_a_service_of_a_feature_that_is_gone_is_refused_with_the_nearest() -> None:
    newer = fs.FeatureView("stats", SOURCE, [fs.Field("trips_today", types.Int64)], ["driver_id"])
    repository = collect("p", [fs.FeatureService("model", [VIEW[["trips"]]])])
    documents = {**repository.documents, ObjectKind.VIEW: collect("p", [newer]).documents[ObjectKind.VIEW]}
    with pytest.raises(RegistrationError, match="did you mean 'trips_today'"):
        validate(repository.with_documents(documents))


def test_a_join_key_that_the_view_does_not_have_is_refused() -> None:
    service = fs.FeatureService("model", [VIEW.with_join_key_map({"drivr_id": "origin"})])
    assert "did you mean 'driver_id'" in refused(service)


def test_a_view_whose_source_or_entity_is_gone_is_refused() -> None:
    whole = collect("p", [VIEW])
    for kind, name in ((ObjectKind.SOURCE, "stats.parquet"), (ObjectKind.ENTITY, "driver_id")):
        with pytest.raises(RegistrationError, match="that is not there"):
            validate(without(whole, kind, name))


def test_entities_that_share_a_join_key_are_refused() -> None:
    view = fs.FeatureView("v", SOURCE, entities=[fs.Entity("a", join_keys=["id"]), fs.Entity("b", join_keys=["id"])])
    assert "share a join key" in refused(view)


def test_an_on_demand_view_without_a_function_that_can_be_found_is_refused() -> None:
    declare = fs.on_demand_feature_view(sources=[VIEW], schema=[fs.Field("y", types.Int64)], name="computed")
    assert "cannot be found again" in refused(declare(lambda frame: frame))


def test_a_source_declared_in_two_ways_is_refused_with_what_to_do() -> None:
    other = fs.FileSource("stats.parquet", timestamp_field="created")
    message = refused(VIEW, fs.FeatureView("w", other))
    assert "timestamp_field: 'at' and 'created'" in message
    assert "name=" in message


@pytest.mark.parametrize("source", [SOURCE, fs.PushSource("pushed", SOURCE)])
@pytest.mark.parametrize("name", ["driver_id", "at"])
def test_an_aggregate_is_not_called_as_a_join_key_or_the_timestamp(source: Any, name: str) -> None:
    view = fs.FeatureView("windows", source, entities=["driver_id"], aggregates=[fs.agg.count("1h", name=name)])
    with pytest.raises(RegistrationError, match="called as a join key or its timestamp"):
        validate(collect("shop", [view]))
