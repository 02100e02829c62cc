"""Results in the memory of this process: for tests, notebooks and short-lived services.

Suits what may be lost when the process ends. Other processes do not see it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from featurestore.materializer.base import Materialization, Materializer
from featurestore.materializer.refusals import not_materialized, require_data

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MemoryMaterializer"]


class MemoryMaterializer(Materializer):
    """Keeps results in a dictionary. Safe to share between threads.

    Args:
        on_miss: what a call does when no fresh result is stored, see `Materializer`.
        on_stale: what a call does when a result by other code is stored, see `Materializer`.

    Example:
        >>> import polars as pl
        >>> materializer = MemoryMaterializer()
        >>> record = Materialization("events.n_favorites", {"app": "shop"})
        >>> materializer.put(record, pl.DataFrame({"user_id": [1, 2], "n": [3, 4]}))
        >>> materializer.open(record).filter(pl.col("user_id") == 2).collect()["n"].to_list()
        [4]
    """

    keeps_order = True

    def __init__(
        self,
        *,
        on_miss: Literal["compute", "materialize"] = "compute",
        on_stale: Literal["recompute", "error"] = "recompute",
    ) -> None:
        super().__init__(on_miss=on_miss, on_stale=on_stale)
        self._stored: dict[str, tuple[Materialization, pl.DataFrame]] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"MemoryMaterializer({len(self._stored)} stored)"

    def put(self, record: Materialization, frame: pl.DataFrame) -> None:
        require_data(record, frame, where="memory")
        # The record goes through its text, as in every other store: what is read back is what would be there too.
        # The data are copied: a frame made from pandas or numpy shares memory that its owner may still write to.
        entry = (Materialization.from_json(record.to_json()), _copied(frame))
        with self._lock:
            self._stored[record.identity] = entry

    def entries(self, feature_name: str | None = None) -> tuple[Materialization, ...]:
        with self._lock:
            records = [record for record, _ in self._stored.values()]
        return tuple(record for record in records if feature_name in (None, record.feature_name))

    def open(self, record: Materialization) -> pl.LazyFrame:
        with self._lock:
            entry = self._stored.get(record.identity)
        if entry is None:
            raise not_materialized(record, where="memory")
        return entry[1].clone().lazy()

    def drop(self, record: Materialization) -> None:
        with self._lock:
            self._stored.pop(record.identity, None)


def _copied(frame: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    return frame.select(pl.all().gather(pl.int_range(pl.len())))
