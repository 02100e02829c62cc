"""Values as the type that is declared for them: one by one, and as columns."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from featurestore import types
from featurestore.dtypes import DType
from featurestore.frames.typed import as_declared, taker

NOON = datetime(2026, 11, 21, 12, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [
        (types.UnixTimestamp, "2026-11-21T12:00:00.000005Z", NOON),
        (types.UnixTimestamp, "2026-11-21T06:00:00.000005-06:00", NOON),
        (types.UnixTimestamp, "2026-11-21T12:00:00.000005", NOON),
        (types.Date, "2026-11-21", date(2026, 11, 21)),
        (types.Date, "2026-11-21T12:00:00Z", date(2026, 11, 21)),
        (types.Date, None, None),
    ],
)
def test_times_may_be_text_as_json_has_no_other(declared: DType, text: str | None, value: Any) -> None:
    take = taker(declared)
    assert take is not None
    assert take(text) == value
    assert as_declared(pl.Series([text], dtype=pl.String), declared).to_list() == [value]


@pytest.mark.parametrize("declared", [types.UnixTimestamp, types.Date])
def test_text_that_is_no_time_is_refused(declared: DType) -> None:
    take = taker(declared)
    assert take is not None
    with pytest.raises(ValueError, match="isoformat"):
        take("yesterday")
    with pytest.raises(ValueError, match="isoformat"):
        as_declared(pl.Series(["yesterday"]), declared)
