"""What JSON has no form for comes in over HTTP as it goes out: as text that is read by its column's type."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.client import Client
from featurestore.errors import FrameError
from featurestore.server.answers import encode
from featurestore.server.json_values import read_rows, readers
from tests.server.projects import opened
from tests.server.servers import FeatureServer, running

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Date": st.dates(),
    "Time": st.times(),
    "Duration[us]": st.timedeltas(timedelta(days=-(10**6)), timedelta(days=10**6)),
    "Datetime[us]": st.datetimes(),
    "Datetime[us, UTC]": st.datetimes(timezones=st.just(UTC)),
    "UnixTimestamp": st.datetimes(timezones=st.just(UTC)),
    "Decimal[38, 10]": st.decimals(allow_nan=False, allow_infinity=False),
    "Binary": st.binary(),
    "String": st.text(),
    "Int64": st.integers(),
}
LISTS = {
    form.format(text): st.lists(st.none() | values) | st.none()
    for text, values in VALUES.items()
    for form in ("List({})", "Array({}, 3)")
}


@given(st.data())
def test_what_an_answer_writes_is_read_as_the_same_value(data: st.DataObject) -> None:
    text, values = data.draw(st.sampled_from([*VALUES.items(), *LISTS.items()]))
    column = data.draw(st.lists(values | st.none(), max_size=4))
    written = msgspec.json.decode(encode(column))
    known = readers({"x": text})
    found = read_rows({"x": written}, known)["x"]
    assert (found, encode(found)) == (column, encode(column))
    assert read_rows([{"x": each} for each in written], known) == [{"x": each} for each in column]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Date", "yesterday"),
        ("Date", "2024-05-01T00:00:00Z"),
        ("Time", "noon"),
        ("Duration[us]", "P1Y"),
        ("Datetime[us, UTC]", "2024-05-01T10:00:00.0000001Z"),
        ("Datetime[us, UTC]", "0001-01-01T00:00:00+10:00"),
        ("Decimal[10, 2]", "NaN"),
        ("Decimal[10, 2]", " 1.50"),
        ("Decimal[10, 2]", "1_0"),
        ("Binary", "AB=="),
        ("Bytes", "?"),
        ("List(Date)", ["2024-05-01", "x"]),
    ],
)
def test_other_text_is_refused_with_its_place(text: str, value: Any) -> None:
    known = readers({"x": text})
    for rows in ({"x": [None, value]}, [{}, {"x": value}]):
        with pytest.raises(FrameError, match=r"row 1 .* column 'x'") as caught:
            read_rows(rows, known)
        assert caught.value.found == repr(value)
        assert text in str(caught.value.expected)


def test_an_instant_is_one_in_any_zone_and_utc_without() -> None:
    known = readers({"x": "Datetime[us, UTC]"})
    at = datetime(2024, 5, 1, 10, tzinfo=UTC)
    said = ("2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00", "2024-05-01T10:00:00.000000000Z")
    assert read_rows({"x": said}, known) == {"x": [at] * 3}


# ---- over HTTP ---------------------------------------------------------------------------------------------------

REPOSITORY = """
import featurestore as fs

day = fs.Entity("day", join_keys=["day"])
pushed = fs.FeatureView("pushed", source=fs.FileSource("pushed.parquet", timestamp_field="at"), entities=[day])
asked = fs.RequestSource("asked", schema={"amount": fs.types.Decimal, "raw": fs.types.Bytes})


@fs.on_demand_feature_view(sources=[asked], schema={"said": fs.types.String}, mode="python", singleton=True)
def said(row):
    return {"said": repr([row["amount"], row["raw"]])}
"""
AT = datetime(2024, 5, 1, 10, tzinfo=UTC)
ROWS = pl.DataFrame(
    {
        "day": [date(2024, 5, 1), date(1, 1, 1)],
        "at": [AT, AT],
        "born": [date(1999, 12, 31), None],
        "seen": [AT, None],
        "naive": [datetime(2024, 5, 1, 10, 0, 0, 1), None],
        "price": [Decimal("1.50"), None],
        "raw": [b"\xff\x00", b""],
        "took": [timedelta(seconds=1.5), None],
        "days": [[date(2024, 5, 1), None], None],
        "prices": [[Decimal("1.50")], []],
    },
    schema_overrides={"price": pl.Decimal(10, 2), "prices": pl.List(pl.Decimal(10, 2))},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("types")
    (folder / "feature_store.yaml").write_text("project: types\n")
    (folder / "features.py").write_text(REPOSITORY)
    ROWS.clear().write_parquet(folder / "pushed.parquet")
    with opened(folder) as store:
        store.apply(store.load_declarations())
    return folder


@pytest.fixture(scope="module")
def typed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureServer]:
    with running(folder, tmp_path_factory.mktemp("log") / "server.log") as server:
        yield server


def test_rows_of_any_type_are_pushed_and_found_by_keys_of_any_type(folder: Path, typed: FeatureServer) -> None:
    keys = ROWS.select("day")
    with Client(typed.url) as client:
        client.push("pushed", ROWS)
        answers = [client.get_online_features("pushed", rows) for rows in (keys, keys.to_dicts())]
    with opened(folder) as store:
        expected = store.get_online_features("pushed", keys).to_polars()
    assert expected.columns == [name for name in ROWS.columns if name != "at"]
    assert expected.drop("day").equals(ROWS.drop("day", "at"), null_equal=True)
    for answer in answers:
        assert answer.to_polars().equals(expected, null_equal=True)


def test_an_answer_is_a_push(typed: FeatureServer) -> None:
    with Client(typed.url) as client:
        client.write_to_online_store("pushed", ROWS.with_columns(day=pl.lit(date(2024, 5, 2))).head(1))
    ask = {"features": ["pushed"], "entities": {"day": ["2024-05-02"]}}
    answer = typed.post("/get-online-features", ask).json()
    columns = [each["values"] for each in answer["results"]]
    df = dict(zip(answer["metadata"]["feature_names"], columns, strict=True)) | {
        "day": ["2024-05-03"],
        "at": ["2024-05-01"],
    }
    assert typed.post("/push", {"push_source_name": "pushed", "df": df}).status_code == 200
    again = typed.post("/get-online-features", ask | {"entities": {"day": ["2024-05-03"]}}).json()
    assert [each["values"] for each in again["results"]][1:] == columns[1:]


def test_functions_are_handed_what_they_declare(typed: FeatureServer) -> None:
    row = {"amount": Decimal("1.50"), "raw": b"\xff"}
    with Client(typed.url) as client:
        answer = client.get_online_features("said:said", [row, row])
    assert answer.to_dict()["said"] == [repr(list(row.values()))] * 2


def test_text_that_says_no_value_is_422(typed: FeatureServer) -> None:
    asked = {"features": ["pushed"], "entities": {"day": ["soon"]}}
    df = {"day": ["2024-05-01"], "at": ["2024-05-01"], "price": ["much"]}
    for path, body, place in (
        ("/get-online-features", asked, "'day'"),
        ("/push", {"push_source_name": "pushed", "df": df}, "'price'"),
    ):
        answer = typed.post(path, body)
        error = answer.json()["error"]
        assert (answer.status_code, error["type"]) == (422, "FrameError")
        assert place in error["what"]
