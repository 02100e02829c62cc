from __future__ import annotations

import enum
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import ConfigurationError
from featurestore.materializer.base import Materialization, Materializations, Materializer
from featurestore.materializer.duckdb import DuckDBMaterializer
from featurestore.materializer.memory import MemoryMaterializer
from featurestore.materializer.parquet import ParquetMaterializer
from featurestore.repository.parameters import EnumMember

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.timedeltas(),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=6,
)
params = st.dictionaries(st.text(), plain | st.datetimes(timezones=st.none() | st.just(UTC)), max_size=4)


class Colour(enum.Enum):
    RED = 1


@given(st.text(), params, st.text())
def test_a_record_survives_its_text(name: str, params: dict, fingerprint: str) -> None:
    record = Materialization(name, params, fingerprint=fingerprint, created=datetime(2024, 5, 1, tzinfo=UTC))
    assert Materialization.from_json(record.to_json()) == record


@given(st.text(), params, st.text())
def test_a_records_identity_survives_its_text(name: str, params: dict, fingerprint: str) -> None:
    record = Materialization(name, params, fingerprint=fingerprint, created=datetime(2024, 5, 1, tzinfo=UTC))
    assert Materialization.from_json(record.to_json()).identity == record.identity


def test_an_identity_is_32_hex_digits() -> None:
    assert len(bytes.fromhex(Materialization("f", {}).identity)) == 16


@pytest.mark.parametrize(
    "other",
    [
        Materialization("g", {"n": 1}, fingerprint="c"),
        Materialization("f", {"n": 1.0}, fingerprint="c"),
        Materialization("f", {"n": True}, fingerprint="c"),
        Materialization("f", {"m": 1}, fingerprint="c"),
        Materialization("f", {}, fingerprint="c"),
        Materialization("f", {"n": 1}, fingerprint="d"),
    ],
)
def test_feature_parameters_and_code_make_the_identity(other: Materialization) -> None:
    assert other.identity != Materialization("f", {"n": 1}, fingerprint="c").identity


def test_what_a_result_looks_like_is_no_part_of_its_identity() -> None:
    record = Materialization("f", {"n": 1})
    described = replace(record, inputs={"g": "x"}, rows=3, key=("a",), shape={"kind": "pandas"}, schema={"a": "Int64"})
    assert described.identity == record.identity


def test_the_zone_of_an_instant_is_no_part_of_the_identity() -> None:
    there = datetime(2024, 5, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    naive = datetime(2024, 5, 1)
    assert Materialization("f", {"when": there}).identity == Materialization("f", {"when": naive}).identity


def test_an_enum_comes_back_by_name_with_the_same_identity() -> None:
    record = Materialization("f", {"colour": Colour.RED}, created=datetime(2024, 5, 1, tzinfo=UTC))
    listed = Materialization.from_json(record.to_json())
    assert listed.params["colour"] == EnumMember(f"{__name__}.Colour", "RED")
    assert listed.identity == record.identity


def test_a_stored_record_says_when_and_how_many_rows() -> None:
    now = datetime(2024, 5, 1, tzinfo=UTC)
    stored = Materialization("f", {"n": 1}).stored(created=now, rows=7)
    assert (stored.created, stored.rows, stored.params) == (now, 7, {"n": 1})


def test_people_see_the_feature_and_its_parameters() -> None:
    record = Materialization("features.events.n_favorites", {"app": "shop"}, fingerprint="x" * 64)
    assert repr(record) == "Materialization(feature_name='features.events.n_favorites', params={'app': 'shop'})"


def test_equal_records_are_one_in_a_set() -> None:
    record = Materialization("f", {"n": [1]}, created=datetime(2024, 5, 1, tzinfo=UTC))
    assert {record, Materialization.from_json(record.to_json())} == {record}
    assert len({record, Materialization("f", {"n": [2]})}) == 2
    assert hash(Materialization("f", {"n": 1})) == hash(Materialization("f", {"n": 1.0}))  # equal, says Python


def test_a_listing_is_a_tuple_that_prints_a_record_a_line() -> None:
    records = tuple(Materialization("f", {"n": n}) for n in range(100))
    assert Materializations(records) == records
    assert repr(Materializations(records[:1])) == repr(records[:1])
    assert repr(Materializations(records[:2])) == repr(records[:2]).replace("), Mat", "),\n Mat")
    lines = repr(Materializations(records)).splitlines()
    assert (len(lines), lines[30]) == (61, " ... 40 more,")


def test_a_listing_is_a_table_in_a_notebook() -> None:
    html = Materializations([Materialization("f", {"app": "<b>"}, rows=1234)])._repr_html_()
    assert "<td style='text-align:left'>app=&#x27;&lt;b&gt;&#x27;</td><td style='text-align:left'>1,234</td>" in html
    many = Materializations(Materialization("f", {"n": n}) for n in range(100))._repr_html_()
    assert (many.count("<tr>"), many.count("... 40 more")) == (62, 1)


def test_a_materializer_says_where_it_keeps_results(tmp_path: Path) -> None:
    made = [MemoryMaterializer(), ParquetMaterializer(tmp_path), DuckDBMaterializer(tmp_path / "x.duckdb")]
    assert list(map(repr, made)) == [
        "MemoryMaterializer(0 stored)",
        f"ParquetMaterializer({str(tmp_path)!r})",
        f"DuckDBMaterializer({str(tmp_path / 'x.duckdb')!r}, schema='feature_store')",
    ]
    assert repr(DuckDBMaterializer(":memory:")) == "DuckDBMaterializer(a connection, schema='feature_store')"


def test_an_adapter_without_the_four_methods_cannot_be_made() -> None:
    class Half(Materializer):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]  # the mistake under test


@pytest.mark.parametrize("choice", [{"on_miss": "store"}, {"on_stale": "serve"}])
def test_an_unknown_choice_is_an_error_that_lists_the_choices(choice: dict) -> None:
    from featurestore.materializer.memory import MemoryMaterializer

    with pytest.raises(ConfigurationError, match=" or "):
        MemoryMaterializer(**choice)
