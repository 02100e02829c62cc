"""Hive partitions: what ``key=value`` folders say of the files in them, alike for every format.

Only folders that the declared path names or leads to count, not those in which the repository happens to lie. A column
that a file has itself is never replaced. Values decide the types, those of all files together, save that a column that
is declared as text is text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import polars as pl

__all__ = ["Partitions", "partitions_of"]

_FOLDER = re.compile(r"([^/=]+)=([^/]*)/")
_NOTHING = ("", "__HIVE_DEFAULT_PARTITION__")


@dataclass(frozen=True, slots=True)
class Partitions:
    """Columns that folders give, and their values for each file."""

    types: Mapping[str, pl.DataType]
    values: Mapping[str, Mapping[str, Any]]
    """By file."""
    is_whole: bool = True
    """Whether no other folder in any path looks like one: then the readers of columnar files see the same ones."""

    def on(self, frame: pl.LazyFrame, file: str) -> pl.LazyFrame:
        """Return the rows of ``file`` with these columns."""
        if not self.types:
            return frame
        own = frame.collect_schema()
        found = self.values[file]
        return frame.with_columns(
            pl.lit(found[name], dtype).alias(name) for name, dtype in self.types.items() if name not in own
        )

    def suit(self, own: Iterable[str]) -> bool:
        """Return whether a reader of hive partitions gives the same, for files with the columns ``own``."""
        return self.is_whole and self.types.keys().isdisjoint(own)


def partitions_of(
    files: Sequence[str], base: str, types: Mapping[str, pl.DataType | None], *, wanted: bool | None
) -> Partitions:
    """Return the partitions of ``files``.

    Args:
        files: paths or URLs.
        base: the repository's folder; what is above the files and not below it counts only in paths from elsewhere.
        types: what is declared.
        wanted: ``False``: there are none; ``None``: there are where each file is in such a folder.

    Example:
        >>> files = ["/repo/n=7/data/region=007/a.csv", "/repo/n=7/data/region=eu/a.csv"]
        >>> partitions_of(files, "/repo/n=7", {}, wanted=None).types
        {'region': String}
    """
    folders = {file: _folders(file.removeprefix(f"{base}/")) for file in files}
    if wanted is False or not (any if wanted else all)(folders.values()):
        return Partitions({}, {})
    names = dict.fromkeys(name for found in folders.values() for name in found)
    columns = {name: _column([found.get(name) for found in folders.values()], types.get(name)) for name in names}
    values = {
        file: dict(zip(columns, row, strict=True))
        for file, row in zip(files, zip(*columns.values(), strict=True), strict=True)
    }
    is_whole = all(found.keys() == _folders(file).keys() for file, found in folders.items())
    return Partitions({name: column.dtype for name, column in columns.items()}, values, is_whole)


def _folders(path: str) -> dict[str, str | None]:
    return {name: None if text in _NOTHING else unquote(text) for name, text in _FOLDER.findall(path)}


def _column(texts: Sequence[str | None], declared: pl.DataType | None) -> pl.Series:
    """Return the values of a partition in the type that all of them look like."""
    known = list(dict.fromkeys(text for text in texts if text is not None))
    if declared == pl.String() or not known:
        return pl.Series(texts, dtype=pl.String)
    table = io.BytesIO()
    pl.DataFrame({"": known}).write_csv(table)
    read = pl.read_csv(table.getvalue(), try_parse_dates=True, infer_schema_length=None).to_series()
    value_of = dict(zip(known, read, strict=True))
    return pl.Series([None if text is None else value_of[text] for text in texts], dtype=read.dtype)
