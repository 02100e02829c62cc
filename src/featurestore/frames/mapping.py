"""A mapping of key to value as a table: one row a key, one value column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from featurestore.errors import FrameError
from featurestore.frames import forms
from featurestore.frames.base import Normal, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["from_polars", "schema_of", "to_polars"]


def to_polars(value: Mapping[Any, Any], *, name: str, key: Sequence[str]) -> Normal:
    """Return the mapping as a frame with the key columns ``key`` (or ``key``) and the value column ``name``.

    Several key columns take keys that are tuples of that length. Values are numbers, text and so on; or lists, tuples
    and sets of them; or mappings (neighbours in a graph and their weights), which become lists of ``{key, value}``.
    """
    columns = tuple(key) or ("key",)
    if name in columns:
        raise FrameError(
            f"the key and the value of {name!r} have one name",
            found=name,
            expected="a key column and a value column",
            fix="declare another entity key, or rename the function",
        )
    ids = list(value)
    read = [_read_key(ids, i, len(columns), name) for i in range(len(columns))]
    values, form = forms.read(list(value.values()), where=lambda row: f"the value of key {ids[row]!r} of {name!r}")
    frame = pl.DataFrame([*(s.alias(c) for c, (s, _) in zip(columns, read, strict=True)), values.alias(name)])
    keys = [{"column": c, "form": f} for c, (_, f) in zip(columns, read, strict=True)]
    return Normal(frame, {"kind": "mapping", "keys": keys, "value": {"column": name, "form": form}})


def from_polars(frame: pl.LazyFrame | pl.DataFrame, shape: Shape) -> dict[Any, Any]:
    """Return the frame as the dict that it was."""
    table = frame.lazy().collect()
    keys = [forms.give(table[key["column"]], key["form"]) for key in shape["keys"]]
    values = forms.give(table[shape["value"]["column"]], shape["value"]["form"])
    ids = keys[0] if len(keys) == 1 else zip(*keys, strict=True)
    return dict(zip(ids, values, strict=True))


def schema_of(value: Mapping[Any, Any], *, name: str, key: Sequence[str]) -> dict[str, pl.DataType]:
    """Return the column types of the mapping's table."""
    return dict(to_polars(value, name=name, key=key).frame.collect_schema())


def _read_key(ids: list[Any], position: int, width: int, name: str) -> tuple[pl.Series, forms.Form]:
    def where(row: int) -> str:
        return f"key {ids[row]!r} of {name!r}"

    if width == 1:
        return forms.read(ids, where=where)
    for identity in ids:
        if not isinstance(identity, tuple) or len(identity) != width:
            raise FrameError(
                f"a key of {name!r} does not fit its {width} key columns",
                found=repr(identity),
                expected=f"a tuple of {width}",
                fix="return tuples as keys, or declare another entity",
            )
    return forms.read([identity[position] for identity in ids], where=where)
