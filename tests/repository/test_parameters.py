"""Parameters in canonical form: what is the same, what differs, what is refused."""

from __future__ import annotations

import enum
import json
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import ParameterError
from featurestore.repository.parameters import EnumMember, decode, digest, encode, order_key, same

ZONES = st.sampled_from([UTC, ZoneInfo("Europe/Prague"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/St_Johns")])
AWARE = st.datetimes(datetime(1700, 1, 1), datetime(2300, 1, 1), timezones=ZONES)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.datetimes(),
    AWARE.map(lambda value: value.astimezone(UTC)),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.binary(),
    st.sampled_from([PurePosixPath("/a/b"), PurePosixPath("c")]),
)
HASHABLE = st.recursive(
    SCALARS, lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(inner, max_size=3)), max_leaves=6
)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(HASHABLE, inner, max_size=3), st.sets(HASHABLE, max_size=3)
    ),
    max_leaves=8,
)
PARAMS = st.dictionaries(st.text(), VALUES, max_size=4)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Text(enum.StrEnum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@given(PARAMS)
def test_what_is_decoded_equals_what_was_encoded_and_has_its_digest(params: dict[str, Any]) -> None:
    again = decode(json.loads(json.dumps(encode(params))))
    assert again == params
    assert digest(again) == digest(params)


@given(PARAMS)
def test_the_order_of_parameters_does_not_matter(params: dict[str, Any]) -> None:
    assert digest(dict(reversed(params.items()))) == digest(params)


@given(VALUES, VALUES)
def test_values_that_differ_have_other_digests(one: Any, other: Any) -> None:
    if one != other:
        assert not same(one, other) or _only_naivety_differs(one, other)


def _only_naivety_differs(one: Any, other: Any) -> bool:
    return json.dumps(encode({"x": one})).count('"naive"') != json.dumps(encode({"x": other})).count('"naive"')


@given(AWARE, ZONES)
def test_an_instant_is_one_value_in_every_zone(value: datetime, zone: ZoneInfo) -> None:
    utc = value.astimezone(UTC)
    assert digest({"t": value}) == digest({"t": utc.astimezone(zone)}) == digest({"t": utc.replace(tzinfo=None)})


def test_a_naive_instant_comes_back_naive_and_an_aware_one_aware() -> None:
    naive = datetime(2024, 5, 1, 10)
    assert decode(encode({"t": naive})) == {"t": naive}
    assert decode(encode({"t": naive.replace(tzinfo=UTC)})) == {"t": naive.replace(tzinfo=UTC)}


def test_a_date_is_not_its_midnight() -> None:
    assert not same(date(2024, 5, 1), datetime(2024, 5, 1))


DISTINCT: list[Any] = [
    *(
        1,
        1.0,
        True,
        "1",
        b"1",
        Decimal(1),
        Number.ONE,
        Colour.RED,
        timedelta(microseconds=1),
        None,
        "None",
        "red",
        Text.RED,
    ),
    *([1], (1,), {1}, frozenset({1}), {1: 1}, [], (), {}, set(), "", {"$set": [1]}, {"$float": "0x1.0p+0"}),
    *(
        date(2024, 5, 1),
        datetime(2024, 5, 1),
        "2024-05-01",
        time(0),
        PurePosixPath("1"),
        uuid.UUID(int=1),
        EnumMember("a", "b"),
    ),
]


def test_values_of_other_types_are_other_values() -> None:
    assert len({digest({"x": value}) for value in DISTINCT}) == len(DISTINCT)


@given(st.lists(SCALARS, unique=True, max_size=6), st.randoms())
def test_sets_and_dicts_are_free_of_order(items: list[Any], random: Any) -> None:
    shuffled = random.sample(items, len(items))
    assert same(set(items), set(shuffled))
    assert same(dict.fromkeys(items, 0), dict.fromkeys(shuffled, 0))


def test_sets_are_free_of_order_where_some_instants_are_naive() -> None:
    naive, aware = datetime(2024, 5, 1), datetime(2024, 5, 1, tzinfo=UTC)
    assert same({(naive, 1), (aware, 2)}, {(aware, 1), (naive, 2)})


def test_lists_are_not_free_of_order() -> None:
    assert not same([1, 2], [2, 1])


@pytest.mark.parametrize("member", [Colour.RED, Text.RED, Number.ONE, Access.READ | Access.WRITE, Access(0)])
def test_an_enum_is_stored_by_name_and_keeps_its_digest(member: enum.Enum) -> None:
    read = decode(encode({"x": member}))["x"]
    assert isinstance(read, EnumMember)
    assert read.enum.endswith(type(member).__qualname__)
    assert same(read, member)


@pytest.mark.parametrize(
    ("scalar", "plain"),
    [
        (np.int8(3), 3),
        (np.uint64(2**63), 2**63),
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), b"a"),
        (np.array(5), 5),
        (np.datetime64("2024-05-01"), datetime(2024, 5, 1)),
        (np.datetime64("2024-05-01T10:00:00.000001", "ns"), datetime(2024, 5, 1, 10, 0, 0, 1)),
        (np.timedelta64(10**9, "ns"), timedelta(seconds=1)),
        (np.timedelta64(1, "D"), timedelta(days=1)),
        (pd.Timestamp("2024-05-01"), datetime(2024, 5, 1)),
        (pd.Timestamp("2024-05-01", tz="Europe/Prague"), datetime(2024, 4, 30, 22, tzinfo=UTC)),
        (pd.Timedelta(3, "s"), timedelta(seconds=3)),
    ],
)
def test_scalars_of_numpy_and_pandas_are_what_python_calls_them(scalar: Any, plain: Any) -> None:
    assert same(scalar, plain)
    assert same([scalar], [plain])
    assert decode(encode({"x": scalar})) == {"x": plain}


@pytest.mark.parametrize(
    "value",
    [
        pd.Timestamp(1),
        pd.Timestamp(1, tz="UTC"),
        pd.Timedelta(1, "ns"),
        pd.NaT,
        np.datetime64(1, "ns"),
        np.datetime64("NaT"),
        np.datetime64("20000-01-01", "us"),
        np.timedelta64(1, "ns"),
        np.timedelta64(1, "M"),
        np.timedelta64(1),
        np.timedelta64("NaT", "s"),
    ],
)
def test_times_that_are_no_whole_microseconds_are_refused(value: Any) -> None:
    with pytest.raises(ParameterError, match="'when' is no whole number of microseconds"):
        encode({"when": value})


@pytest.mark.parametrize(
    "value", [object(), lambda: 1, np.array([1]), 1j, bytearray(b"a"), [object()], {"a": {1: print}}]
)
def test_what_is_no_plain_data_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ParameterError, match="'conn' cannot identify a result"):
        encode({"conn": value})


def test_not_a_number_is_one_value() -> None:
    assert same(float("nan"), float("nan"))


@given(AWARE, AWARE)
def test_instants_are_ordered_by_time(one: datetime, other: datetime) -> None:
    keys: list[Any] = [order_key(one), order_key(other)]
    assert (keys[0] < keys[1]) == (one.astimezone(UTC) < other.astimezone(UTC))


def test_dates_instants_and_their_numpy_forms_share_one_order() -> None:
    day = datetime(2024, 5, 1)
    assert len({order_key(each) for each in (day, day.date(), np.datetime64(day), pd.Timestamp(day))}) == 1


def test_other_values_are_ordered_by_themselves() -> None:
    assert order_key("b") == "b"
    assert order_key(np.int64(2)) == 2
