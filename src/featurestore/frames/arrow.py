# ruff: noqa: ARG001  The functions of a kind take what the port hands them; not each needs all of it.
"""PyArrow tables, record batches and readers."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.compute as pc

from featurestore.errors import FrameError
from featurestore.frames import polars
from featurestore.frames.base import Input, Kind, Normal, Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["from_polars", "full_join", "plain", "schema_of", "to_polars"]


def to_polars(value: Any, *, name: str, key: Sequence[str]) -> Normal:
    """Return the table as a Polars frame. A reader is read to its end."""
    table = _table(value)
    require_distinct_names(table.column_names, name)
    columns = [_column(table.column(i), field, name) for i, field in enumerate(table.schema)]
    frame = pl.DataFrame(columns) if columns else pl.DataFrame(height=table.num_rows)
    return Normal(frame, {"kind": str(Kind.ARROW), "form": _form(value), "schema": pack(table.schema)})


def from_polars(frame: pl.LazyFrame | pl.DataFrame, shape: Shape) -> Any:
    """Return the frame with the schema that it had: types, nullability and metadata."""
    schema = unpack(shape["schema"])
    table = frame.lazy().collect()
    if not schema.names:
        return _formed(pa.table({"": pa.nulls(table.height)}).select([]), shape["form"])
    arrays = [restored(table[field.name], field.type) for field in schema]
    return _formed(pa.Table.from_arrays(arrays, schema=schema), shape["form"])


def plain(frame: pl.LazyFrame | pl.DataFrame) -> Any:
    """Return the frame as a PyArrow table; integers of 128 bits, which Arrow lacks, as decimals."""
    wide = cs.by_dtype(pl.Int128, pl.UInt128)
    return frame.lazy().with_columns(wide.cast(pl.Decimal(38, 0))).collect().to_arrow()


def schema_of(value: Any, *, name: str, key: Sequence[str]) -> dict[str, pl.DataType]:
    """Return the column types; a reader is not read."""
    require_distinct_names(value.schema.names, name)
    return {f.name: _column(pa.chunked_array([], f.type), f, name).dtype for f in value.schema}


def full_join(inputs: Sequence[Input], keys: Sequence[str]) -> Any:
    """Return the join, done by Polars; columns keep their Arrow types."""
    tables = [_table(each.value) for each in inputs]
    normal = [
        Input(each.feature, to_polars(table, name=each.feature, key=keys).frame, each.columns)
        for each, table in zip(inputs, tables, strict=True)
    ]
    joined = polars.full_join(normal, keys)
    types = {
        new: table.schema.field(old).type
        for each, table in zip(inputs, tables, strict=True)
        for old, new in each.columns.items()
    }
    for key in keys:
        found = {table.schema.field(key).type for table in tables}
        types[key] = found.pop() if len(found) == 1 else joined.select(key).head(0).to_arrow().schema.field(key).type
    return pa.table({column: restored(joined[column], types[column]) for column in joined.columns})


def pack(schema: Any) -> str:
    """Return an Arrow schema as text."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode("ascii")


def unpack(text: str) -> Any:
    """Return the Arrow schema that ``pack`` made ``text`` of."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def restored(series: pl.Series, wanted: Any) -> Any:
    """Return ``series`` as an Arrow array of the type ``wanted``."""
    if isinstance(wanted, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(wanted, restored(series, wanted.storage_type))
    array = series.to_arrow()
    if pa.types.is_dictionary(wanted) and not pa.types.is_dictionary(array.type):
        array = array.cast(wanted.value_type).dictionary_encode()
    if pa.types.is_run_end_encoded(wanted):
        return pc.run_end_encode(array.cast(wanted.value_type), wanted.run_end_type)
    return array.cast(wanted)


def require_distinct_names(names: Sequence[str], feature: str) -> None:
    """Raise when two columns have one name."""
    for name in names:
        if list(names).count(name) > 1:
            raise FrameError(
                f"two columns of {feature!r} are named {name!r}",
                found=", ".join(names),
                expected="one name, one column",
                fix="rename one of them in the function",
            )


def _table(value: Any) -> Any:
    if isinstance(value, pa.RecordBatchReader):
        return value.read_all()
    return pa.Table.from_batches([value]) if isinstance(value, pa.RecordBatch) else value


def _form(value: Any) -> str:
    if isinstance(value, pa.RecordBatchReader):
        return "reader"
    return "batch" if isinstance(value, pa.RecordBatch) else "table"


def _formed(table: Any, form: str) -> Any:
    if form == "reader":
        return table.to_reader()
    if form == "table":
        return table
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _column(column: Any, field: Any, where: str) -> pl.Series:
    if isinstance(field.type, pa.BaseExtensionType):
        # The storage is what can be kept; the type is in the schema. A list of chunks, for an empty column too.
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], field.type.storage_type)
    if pa.types.is_run_end_encoded(column.type):
        column = pa.chunked_array([pc.run_end_decode(c) for c in column.chunks], column.type.value_type)
    if _foreign(column.type):
        raise polars.unsupported(field.name, field.type, where=where)
    series = pl.from_arrow(column)
    if not isinstance(series, pl.Series):
        raise polars.unsupported(field.name, field.type, where=where)
    return series.alias(field.name)


def _foreign(kind: Any) -> bool:
    """Whether Polars would panic, or refuse, at this type or one inside it."""
    if isinstance(kind, pa.BaseExtensionType):
        return True
    own = pa.types.is_decimal256(kind) or pa.types.is_interval(kind) or pa.types.is_union(kind)
    inner = [kind.field(i).type for i in range(kind.num_fields)] if pa.types.is_nested(kind) else []
    if pa.types.is_dictionary(kind):
        inner.append(kind.value_type)
    return own or any(map(_foreign, inner))
