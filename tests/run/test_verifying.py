"""Rows under the digest of a long key are read for that key alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from featurestore import FeatureStore
from featurestore.rows.keys import KeyCodec
from featurestore.run.online import online_views
from tests.run.published import in_memory, parts

ONE, OTHER = "a" * 1000, "b" * 1000


@pytest.fixture
def store() -> FeatureStore:
    """A store in which a row of one long key lies where that of another would, as if they had the same digest."""
    store = in_memory()

    @store.register_feature(entity="name", timestamp="at", name="m.named")
    def named() -> pl.DataFrame:
        at = datetime(2024, 5, 1, tzinfo=UTC)
        return pl.DataFrame({"name": [ONE, "short"], "at": [at, at], "n": [1, 2]})

    store.materialize_incremental()
    online = parts(store)
    kept = online_views(online.registry)["m.named"]
    one, other = (KeyCodec(kept.keys, kept.suffix).encode([name]) for name in (ONE, OTHER))
    assert one is not None
    assert other is not None
    (row,) = online.store.get([one])
    assert row is not None
    online.store.put([(other, row)], lambda _, new: new)
    return store


NAMES = ["short", ONE, None, OTHER, "unknown", ONE]
FOUND = [2, 1, None, None, None, 1]


@pytest.mark.parametrize("rows", [{"name": NAMES}, pl.DataFrame({"name": NAMES})], ids=["lists", "frame"])
def test_a_row_of_another_key_with_the_same_digest_is_not_found(store: FeatureStore, rows: Any) -> None:
    assert store.get_online_features("named", rows).to_dict()["n"] == FOUND
    assert store.get_online_features("named", rows).to_polars()["n"].to_list() == FOUND


@pytest.mark.parametrize(("name", "n"), [(ONE, 1), (OTHER, None), ("short", 2)])
def test_so_it_is_for_single_rows(store: FeatureStore, name: str, n: int | None) -> None:
    assert store.get_online_features("named", [{"name": name}]).to_dict()["n"] == [n]
