"""CSV and NDJSON files: text, which says little of its types, so that declarations say what the files do not.

One rule, file by file: values decide where there are some, save that a CSV column declared as text is read as text,
leading zeros included. A column without a value has the declared type, else that of the other files; a join key of
which nobody says anything is of no type, which goes with every key, and any other column is text. A file of no bytes
has no rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from featurestore.declare.entity import Entity
from featurestore.declare.view import FeatureView
from featurestore.planning.retrieval import join_keys
from featurestore.run.casting import polars_type

__all__ = ["TextFile", "Types", "declared_types", "read_text", "settled"]

Types = Mapping[str, pl.DataType | None]
"""What is declared of columns, by the names that the files use; ``None`` for a join key without a type."""

Read = Callable[[str, Mapping[str, pl.DataType]], pl.LazyFrame]
"""Opens a file, with types for some of its columns."""

_FIRST_ROWS = 1000
"""So many are looked at before a whole column is, as almost every column has a value among them."""


def declared_types(view: FeatureView, entities: Mapping[str, Entity]) -> Types:
    """Return what ``view`` and its entities say of the columns of its source, by the project's names.

    Args:
        view: any declared view.
        entities: by name, for those that the view only names.
    """
    types: dict[str, pl.DataType | None] = dict.fromkeys(join_keys(view, entities))
    for one in view.entities:
        entity = entities.get(one) if isinstance(one, str) else one
        if entity is not None and entity.value_type is not None and len(entity.join_keys) == 1:
            types[entity.join_key] = polars_type(entity.value_type)
    declared = {one.name: polars_type(one.dtype) for one in view.schema}
    return types | {name: dtype for name, dtype in declared.items() if dtype is not None}


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file of text, opened and not read.

    Attributes:
        file: its path or URL.
        frame: its rows.
        schema: its columns; those of ``blank`` have the type that they are given for want of a value.
        blank: columns without a value.
        overrides: types of columns that are read otherwise than their values look.
    """

    file: str
    frame: pl.LazyFrame = field(repr=False)
    schema: pl.Schema
    blank: frozenset[str]
    overrides: Mapping[str, pl.DataType]

    def retyped(self, changed: Mapping[str, pl.DataType], read: Read) -> TextFile:
        """Return the file read with other types for some of its columns."""
        values = {column: dtype for column, dtype in changed.items() if column not in self.blank}
        overrides = {**self.overrides, **values}
        frame = read(self.file, overrides) if values else self.frame
        nothing = [pl.lit(None, changed.get(name, self.schema[name])).alias(name) for name in self.blank]
        return TextFile(
            self.file,
            frame.with_columns(nothing) if nothing else frame,
            pl.Schema({**self.schema, **changed}),
            self.blank,
            overrides,
        )


def read_text(file: str, read: Read, types: Types, *, times: Iterable[str], csv: bool) -> TextFile | None:
    """Return ``file``, or ``None`` where it has not even a header.

    Args:
        file: path or URL.
        read: opens it.
        types: what is declared.
        times: columns that are read as times whatever is in them.
        csv: whether numbers in it may be meant as text.
    """
    try:
        frame = read(file, {})
        schema = frame.collect_schema()
    except pl.exceptions.NoDataError:
        return None
    except pl.exceptions.ComputeError as error:
        if "empty reader" in str(error):  # What Polars says of NDJSON without a line.
            return None
        raise
    text = {
        name: pl.String() for name, dtype in types.items() if csv and dtype == pl.String() and _is_value(schema, name)
    }
    if text:
        frame = read(file, text)
        schema = pl.Schema({**schema, **text})
    blank = [pl.col(name).cast(pl.String) for name in times if schema.get(name) == pl.Null()]
    if blank:  # Times are text, whether or not there are any.
        frame = frame.with_columns(blank)
        schema = frame.collect_schema()
    unsure = [name for name, dtype in schema.items() if isinstance(dtype, (pl.String, pl.Null)) and name not in times]
    return TextFile(file, frame, schema, frozenset(_blank(frame, unsure)), text)


def settled(files: Iterable[TextFile], types: Types, read: Read) -> Iterator[TextFile]:
    """Yield ``files`` with a type for each column without a value."""
    opened = tuple(files)
    known: dict[str, pl.DataType] = {}
    for each in opened:
        for name, dtype in each.schema.items():
            if name not in each.blank:
                known.setdefault(name, dtype)
    for each in opened:
        yield each.retyped({name: _of_nothing(name, types, known) for name in each.blank}, read)


def _of_nothing(name: str, types: Types, known: Mapping[str, pl.DataType]) -> pl.DataType:
    declared = types.get(name) or known.get(name)
    return declared or (pl.Null() if name in types else pl.String())


def _is_value(schema: pl.Schema, name: str) -> bool:
    return name in schema and not isinstance(schema[name], (pl.String, pl.Null))


def _blank(frame: pl.LazyFrame, columns: list[str]) -> Iterator[str]:
    """Yield those of ``columns`` that hold no value."""
    left = columns
    for rows in (frame.head(_FIRST_ROWS), frame):
        if left:
            found: dict[str, Any] = (
                rows.select(pl.col(left).is_not_null().any()).collect(engine="streaming").row(0, named=True)
            )
            left = [name for name in left if not found[name]]
    yield from left
