"""Rows in parts by key: none lost, none twice, all of a key together, whatever can be held."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import ConfigurationError
from featurestore.run._parting import in_parts
from tests.generated import FEW

KEYS = st.integers(0, 30) | st.integers(0, 1000)
FRAMES = st.lists(st.lists(st.tuples(KEYS, st.text(max_size=3), st.floats()), max_size=12), max_size=4)


def frames_of(rows: list[list[tuple[int, str, float]]]) -> list[pl.DataFrame]:
    schema = {"id": pl.Int64, "name": pl.String, "x": pl.Float64}
    made = [pl.DataFrame(each, schema=schema, orient="row") for each in rows]
    places = 0
    for index, frame in enumerate(made):
        made[index] = frame.with_row_index("place", places)
        places += frame.height
    return made


def ends(keys: list[str], ids: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"id": ids, "name": [""] * len(ids)}).select(keys)


@FEW
@given(FRAMES, st.sampled_from([["id"], ["id", "name"], []]), st.sampled_from([1, 500, 10**9]))
def test_parts_have_every_row_once_in_order_and_those_of_a_key_together(rows: Any, keys: list[str], most: int) -> None:
    frames = frames_of(rows)
    parts = list(in_parts(iter(frames), keys, lambda _: ends(keys, [3, 7, 20]), most=most))
    whole = pl.concat(frames) if frames else pl.DataFrame()
    if parts:
        assert pl.concat(parts).sort("place").equals(whole, null_equal=True)
        assert all(frame["place"].is_sorted() for part in parts for frame in part.partition_by("id", "name"))
    else:
        assert whole.is_empty()
    seen = [set(part.select(keys).rows()) for part in parts if part.height]
    assert sum(map(len, seen)) == len(set().union(*seen))


def _tens(width: float) -> pl.DataFrame:
    assert width == 8
    return pl.DataFrame({"id": range(9, 100, 10)})


def test_what_cannot_be_held_is_read_once_and_nothing_stays_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    read = 0

    def frames() -> Any:
        nonlocal read
        for number in range(20):
            read += 1
            yield pl.DataFrame({"id": range(number, number + 100)})

    sizes = [part.height for part in in_parts(frames(), ["id"], _tens, most=1_000)]
    assert read == 20
    assert sum(sizes) == 2_000
    assert max(sizes) < 500
    assert list(tmp_path.iterdir()) == []


def test_no_room_for_parts_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def frames() -> Any:
        yield pl.DataFrame({"id": range(10)})
        (home,) = tmp_path.iterdir()
        (home / "000002").write_text("in the way")
        yield pl.DataFrame({"id": range(100)})

    with pytest.raises(ConfigurationError, match="put by") as told:
        list(in_parts(frames(), ["id"], _tens, most=10))
    assert str(tmp_path) in str(told.value)
    assert list(tmp_path.iterdir()) == []
