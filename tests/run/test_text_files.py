"""Text files say little of their types: what was declared says the rest, in one rule for CSV and NDJSON."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from featurestore import Entity, FeatureStore, FeatureView, Field, FileSource, types
from featurestore.errors import ConfigurationError, FrameError, RegistrationError

AT = datetime(2024, 5, 1, tzinfo=UTC)
LABELS = pl.DataFrame({"user": [1, 2], "event_timestamp": [AT, AT]})
USER = Entity("user", value_type=types.Int64)
ZIP = Field("zip", types.String)
N = Field("n", types.Int64)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureStore:
    monkeypatch.chdir(tmp_path)
    return FeatureStore()


def view_of(path: str, *fields: Field, entity: Entity = USER, name: str = "v", **options: Any) -> FeatureView:
    return FeatureView(name, FileSource(path, timestamp_field="at", **options), fields, [entity])


def answer(store: FeatureStore, *views: FeatureView, labels: pl.DataFrame = LABELS) -> pl.DataFrame:
    return store.get_historical_features(labels, list(views), full_feature_names=len(views) > 1).to_polars()


# ---- nothing to tell by -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["user,at,n\n", "user,at,n\n,2024-05-01,\n,2024-05-01,\n"], ids=["header", "nulls"])
@pytest.mark.parametrize("entity", [USER, Entity("user")], ids=["typed", "untyped"])
def test_columns_without_a_value_have_the_declared_type_and_match_nothing(
    store: FeatureStore, text: str, entity: Entity
) -> None:
    Path("rows.csv").write_text(text)
    found = answer(store, view_of("rows.csv", N, entity=entity))
    assert found.schema["n"] == pl.Int64
    assert found["n"].to_list() == [None, None]


@pytest.mark.parametrize("name", ["rows.csv", "rows.ndjson"])
def test_a_file_of_no_bytes_has_no_rows(store: FeatureStore, name: str) -> None:
    Path(name).write_text("")
    found = answer(store, view_of(name, N, ZIP))
    assert found.schema == {**LABELS.schema, "n": pl.Int64, "zip": pl.String}
    assert found["n"].null_count() == 2


def test_a_file_of_no_bytes_is_refused_where_nobody_says_what_would_be_in_it(store: FeatureStore) -> None:
    Path("rows.csv").write_text("")
    with pytest.raises(ConfigurationError, match=r"(?s)holds nothing: no row, and no header.*schema="):
        answer(store, FeatureView("v", FileSource("rows.csv", timestamp_field="at"), entities=[]))


def test_null_columns_of_ndjson_have_the_declared_type(store: FeatureStore) -> None:
    Path("rows.ndjson").write_text('{"user": null, "at": "2024-05-01", "n": null}\n')
    assert answer(store, view_of("rows.ndjson", N)).schema["n"] == pl.Int64


def test_a_value_far_down_is_a_value(store: FeatureStore) -> None:
    lines = [f"{row},2024-05-01,\n" for row in range(3000)] + ["1,2024-05-01,x\n"]
    Path("rows.csv").write_text("user,at,n\n" + "".join(lines))
    with pytest.raises(RegistrationError, match=r"(?s)declares 'n' with a type.*String.*Int64"):
        store.apply([USER, view_of("rows.csv", N)])


def test_a_declared_type_is_there_at_apply_already(store: FeatureStore) -> None:
    Path("rows.csv").write_text("user,at,n\n")
    store.apply([USER, view_of("rows.csv", N)])
    assert store.get_historical_features(LABELS, "v:n").to_polars().schema["n"] == pl.Int64


# ---- text that looks like something else ------------------------------------------------------------------------


def test_what_is_declared_as_text_keeps_its_leading_zeros(store: FeatureStore) -> None:
    Path("rows.csv").write_text("user,at,zip\n1,2024-05-01,0012\n")
    store.apply([USER, view_of("rows.csv", ZIP)])
    assert store.get_historical_features(LABELS, "v:zip").to_polars()["zip"].to_list() == ["0012", None]


def test_keys_that_are_declared_as_text_are_joined_as_text(store: FeatureStore) -> None:
    Path("rows.csv").write_text("user,at,n\n01,2024-05-01,5\n1,2024-05-01,6\n")
    labels = LABELS.with_columns(user=pl.Series(["01", "1"]))
    found = answer(store, view_of("rows.csv", N, entity=Entity("user", value_type=types.String)), labels=labels)
    assert found["n"].to_list() == [5, 6]


def test_the_type_of_a_mapped_column_is_that_of_its_new_name(store: FeatureStore) -> None:
    Path("rows.csv").write_text("user,at,Z\n1,2024-05-01,07\n")
    assert answer(store, view_of("rows.csv", ZIP, field_mapping={"Z": "zip"}))["zip"].to_list() == ["07", None]


def test_two_views_that_read_one_column_differently_get_each_their_own(store: FeatureStore) -> None:
    Path("rows.csv").write_text("user,at,zip\n1,2024-05-01,0012\n")
    number = view_of("rows.csv", Field("zip", types.Int64), name="number")
    found = answer(store, view_of("rows.csv", ZIP, name="text"), number)
    assert (found["text__zip"][0], found["number__zip"][0]) == ("0012", 12)


def test_views_that_agree_share_one_scan(store: FeatureStore) -> None:
    Path("rows.csv").write_text("user,at,zip,n\n1,2024-05-01,x,1\n")
    job = store.get_historical_features(LABELS, [view_of("rows.csv", ZIP), view_of("rows.csv", N, name="w")])
    assert job.explain().count("scan rows") == 1


def test_numbers_stay_what_they_are_whatever_number_is_declared(store: FeatureStore) -> None:
    Path("rows.csv").write_text("user,at,n\n1,2024-05-01,1.5\n")
    assert answer(store, view_of("rows.csv", N))["n"].to_list() == [1.5, None]


# ---- several files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "user,at,n\n", "user,at,n\n2,2024-05-01,\n"], ids=["no bytes", "header", "null"])
@pytest.mark.parametrize("fields", [[N], []], ids=["declared", "undeclared"])
def test_a_file_without_values_is_of_the_types_of_the_others(
    store: FeatureStore, text: str, fields: list[Field]
) -> None:
    Path("a.csv").write_text(text)
    Path("b.csv").write_text("user,at,n\n1,2024-05-01,5\n")
    found = answer(store, view_of("*.csv", *fields, entity=Entity("user")))
    assert found["n"].to_list() == [5, None]
    assert found.schema["n"] == pl.Int64


def test_a_column_without_values_has_the_type_of_the_union(store: FeatureStore) -> None:
    Path("a.csv").write_text("user,at,n\n2,2024-05-01,\n")
    Path("b.csv").write_text("user,at,n\n1,2024-05-01,5\n")
    Path("c.csv").write_text("user,at,n\n2,2024-04-01,1.5\n")
    found = answer(store, view_of("*.csv", entity=Entity("user"), union_by_name=True))
    assert found["n"].to_list() == [5.0, None]


def test_text_in_one_file_and_none_in_the_other_is_text(store: FeatureStore) -> None:
    Path("a.csv").write_text("user,at,zip\n1,2024-05-01,01\n")
    Path("b.csv").write_text("user,at,zip\n2,2024-05-01,x\n")
    with pytest.raises(FrameError, match="differ in column 'zip'"):
        answer(store, view_of("*.csv"))
    assert answer(store, view_of("*.csv", ZIP))["zip"].to_list() == ["01", "x"]
