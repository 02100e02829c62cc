"""Results of features in a SQLite database: an example of an adapter by a third party.

A result is one value: a frame in Arrow's file format. So its types survive, and a filter reads all of it.
"""

from __future__ import annotations

import contextlib
import io
import sqlite3
from collections.abc import Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any

from featurestore.errors import NotMaterializedError, UnsupportedValueError
from featurestore.materializer import Materialization, Materializer

if TYPE_CHECKING:
    import polars as pl

_TABLE = "CREATE TABLE IF NOT EXISTS results (identity TEXT PRIMARY KEY, record TEXT, data BLOB)"


class SQLiteMaterializer(Materializer):
    """Keeps results in a file that SQLite manages."""

    def __init__(self, path: str | PathLike[str], **options: Any) -> None:
        super().__init__(**options)
        self.path = path

    def put(self, record: Materialization, frame: pl.DataFrame) -> None:
        row = (record.identity, record.to_json(), _packed(record, frame))
        with self._database() as database:
            database.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", row)

    def entries(self, feature_name: str | None = None) -> tuple[Materialization, ...]:
        with self._database() as database:
            rows = database.execute("SELECT record FROM results").fetchall()
        records = [Materialization.from_json(text) for (text,) in rows]
        return tuple(record for record in records if feature_name in (None, record.feature_name))

    def open(self, record: Materialization) -> pl.LazyFrame:
        import polars as pl

        with self._database() as database:
            rows = database.execute("SELECT data FROM results WHERE identity = ?", [record.identity]).fetchall()
        if not rows:
            raise NotMaterializedError(f"{record.feature_name} is not in {self.path}", found=dict(record.params))
        return pl.read_ipc(io.BytesIO(rows[0][0])).lazy()

    def drop(self, record: Materialization) -> None:
        with self._database() as database:
            database.execute("DELETE FROM results WHERE identity = ?", [record.identity])

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.path, timeout=60)) as database, database:
            database.execute(_TABLE)
            yield database


def _packed(record: Materialization, frame: pl.DataFrame) -> bytes:
    import polars as pl

    for name, dtype in frame.schema.items():
        if isinstance(dtype, pl.Object):
            raise UnsupportedValueError(f"column {name!r} of {record.feature_name} holds Python objects")
    file = io.BytesIO()
    frame.write_ipc(file)
    return file.getvalue()
