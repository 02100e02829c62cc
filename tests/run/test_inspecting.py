"""Declarations held against their sources when they are applied."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from featurestore import FeatureStore, FeatureView, FileSource
from featurestore.errors import RegistrationError


def test_a_source_that_does_not_say_when_its_rows_hold_is_refused_with_the_columns_that_could(tmp_path: Path) -> None:
    file = tmp_path / "stats.parquet"
    pl.DataFrame({"user": [1], "seen_at": [datetime(2026, 5, 1)], "trips": [3]}).write_parquet(file)
    store = FeatureStore()
    with pytest.raises(RegistrationError, match="does not say when its rows hold") as told:
        store.apply(FeatureView("stats", FileSource(str(file)), entities=["user"]))
    assert told.value.found == "no timestamp_field; columns of times: seen_at"
    assert told.value.fix == f"FileSource({str(file)!r}, timestamp_field='seen_at')"
    assert store.registry.log() == ()
