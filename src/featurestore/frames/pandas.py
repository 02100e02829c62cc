"""pandas frames and Series.

Columns keep their dtype in the shape. Named index levels are columns of the table; a default index is none; any other
unnamed index is a hidden column (``__index_0__``), which only serves to give the frame back.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from featurestore.errors import FrameError
from featurestore.frames import arrow, forms, polars
from featurestore.frames.base import Input, Kind, Normal, Shape

__all__ = ["from_polars", "full_join", "plain", "schema_of", "to_polars"]

Spec = Mapping[str, Any]
# A column on its way in: its name in the normal form, its label in pandas, its values.
Column = tuple[str, Any, Any]


def to_polars(value: Any, *, name: str, key: Sequence[str]) -> Normal:
    """Return the frame's index levels and columns as one table."""
    levels, columns = _split(value, name, key)
    read = {column: _read(data, column, name) for column, _, data in (*levels, *columns)}
    frame = pl.DataFrame([series.alias(column) for column, (series, _) in read.items()])
    if not read:
        frame = pl.DataFrame(height=len(value))
    shape: dict[str, Any] = {
        "kind": str(Kind.PANDAS_SERIES if isinstance(value, pd.Series) else Kind.PANDAS),
        "columns": [{"column": c, "label": _label(label, name), **read[c][1]} for c, label, _ in columns],
        "index": _index_shape(value.index, [(c, _label(label, name), read[c][1]) for c, label, _ in levels]),
        "hidden": [c for c, _, _ in levels if c.startswith("__index_")],
    }
    if isinstance(value, pd.DataFrame):
        shape["labels"] = {"name": _label(value.columns.name, name), **_labels_shape(value.columns)}
    return Normal(frame, shape)


def from_polars(frame: pl.LazyFrame | pl.DataFrame, shape: Shape) -> Any:
    """Return the frame or Series with its index, labels and dtypes."""
    table = frame.lazy().collect()
    index = _index(table, shape["index"])
    columns = [_series(table[spec["column"]], spec, index) for spec in shape["columns"]]
    if shape["kind"] == Kind.PANDAS_SERIES:
        return columns[0].rename(shape["columns"][0]["label"])
    result = pd.DataFrame(dict(enumerate(columns)), index=index)
    result.columns = _labels(shape)
    return result


def plain(frame: pl.LazyFrame | pl.DataFrame) -> Any:
    """Return the frame with a default index; whole numbers and booleans with nulls become nullable, never floats."""
    table = frame.lazy().collect()
    columns = {column: _series(table[column], _default(table[column])) for column in table.columns}
    return pd.DataFrame(columns, index=pd.RangeIndex(table.height))


def schema_of(value: Any, *, name: str, key: Sequence[str]) -> dict[str, pl.DataType]:
    """Return the column types. Only columns of dtype ``object`` have to be looked through."""
    levels, columns = _split(value, name, key)
    shown = [(c, d) for c, _, d in (*levels, *columns) if not c.startswith("__index_")]
    return {c: _read(d if _is_object(d.dtype) else d.iloc[:0], c, name)[0].dtype for c, d in shown}


def full_join(inputs: Sequence[Input], keys: Sequence[str]) -> Any:
    """Return the join, done by Polars, with a default index.

    Columns keep their dtypes, except that whole numbers and booleans that got nulls become nullable.
    """
    normal = [to_polars(each.value, name=_value_name(each), key=keys) for each in inputs]
    frames = [Input(e.feature, n.frame, e.columns) for e, n in zip(inputs, normal, strict=True)]
    joined = polars.full_join(frames, keys)
    known = [_specs(each) for each in normal]
    specs = {new: spec[old] for e, spec in zip(inputs, known, strict=True) for old, new in e.columns.items()}
    for key in keys:
        first, *others = (spec[key] for spec in known)
        specs[key] = first if all(other == first for other in others) else _default(joined[key])
    return pd.DataFrame({column: _series(joined[column], specs[column]) for column in joined.columns})


def _value_name(each: Input) -> str:
    # A Series takes the name under which its one column is asked for.
    return next(iter(each.columns), each.feature)


def _specs(normal: Normal) -> dict[str, Spec]:
    specs = [*normal.shape["columns"], *normal.shape["index"].get("levels", ())]
    roles = ("column", "label", "freq")
    return {spec["column"]: {k: v for k, v in spec.items() if k not in roles} for spec in specs}


# --- index and labels


def _split(value: Any, name: str, key: Sequence[str]) -> tuple[list[Column], list[Column]]:
    if isinstance(value, pd.Series):
        levels = _series_levels(value, name, key)
        if name in {column for column, _, _ in levels}:
            raise FrameError(
                f"the key and the value of {name!r} have one name",
                found=name,
                expected="an index and a value of different names",
                fix="rename the index or the function",
            )
        return levels, [(name, value.name, value.reset_index(drop=True))]
    columns = _columns(value, name)
    if isinstance(value.index, pd.RangeIndex) and value.index.name is None:
        return [], columns
    taken = {column for column, _, _ in columns}
    return [_level(value.index, i, taken) for i in range(value.index.nlevels)], columns


def _columns(value: Any, name: str) -> list[Column]:
    if isinstance(value.columns, pd.MultiIndex):
        raise FrameError(
            f"the columns of {name!r} have several levels",
            found=f"{value.columns.nlevels} levels: {list(value.columns[:3])}",
            expected="one level of names",
            fix="flatten them: frame.columns = ['_'.join(map(str, c)) for c in frame.columns]",
        )
    names = [str(label) for label in value.columns]
    arrow.require_distinct_names(names, name)
    rows = value.reset_index(drop=True)
    return [(text, label, rows.iloc[:, i]) for i, (text, label) in enumerate(zip(names, value.columns, strict=True))]


def _level(index: Any, position: int, taken: set[str]) -> Column:
    label = index.names[position]
    # A level that bears a column's name cannot stand beside it.
    hidden = label is None or str(label) in taken
    column = f"__index_{position}__" if hidden else str(label)
    taken.add(column)
    return column, label, _level_values(index, position)


def _level_values(index: Any, position: int) -> Any:
    values = index.get_level_values(position)
    return pd.Series(values, index=pd.RangeIndex(len(index)), dtype=values.dtype)


def _series_levels(value: Any, name: str, key: Sequence[str]) -> list[Column]:
    names = list(value.index.names)
    columns = list(key) or names
    if len(columns) != len(names) or any(column is None for column in columns):
        raise FrameError(
            f"the Series that {name!r} returned has no key",
            found=f"an index named {names[0]!r}" if len(names) == 1 else f"an index of levels {names}",
            expected=f"an index of {len(key)} levels: {', '.join(key)}" if key else "a named index",
            fix="name the index: series.rename_axis('user_id')",
        )
    return [(str(c), n, _level_values(value.index, i)) for i, (c, n) in enumerate(zip(columns, names, strict=True))]


def _label(label: Any, name: str) -> Any:
    plain = label.item() if isinstance(label, np.generic) else label
    if plain is None or isinstance(plain, str | int | float | bool):
        return plain
    raise FrameError(
        f"a column or index level of {name!r} is not named by text",
        found=f"{type(label).__name__} {label!r}",
        expected="text or numbers as names",
        fix="frame.rename(columns=str)",
    )


def _labels_shape(columns: Any) -> dict[str, Any]:
    if isinstance(columns, pd.RangeIndex):
        return {"range": [columns.start, columns.stop, columns.step]}
    return {"dtype": str(columns.dtype)}


def _labels(shape: Shape) -> Any:
    labels = shape["labels"]
    if "range" in labels:
        return pd.RangeIndex(*labels["range"]).rename(labels["name"])
    return pd.Index([spec["label"] for spec in shape["columns"]], dtype=labels["dtype"], name=labels["name"])


def _index_shape(index: Any, levels: list[tuple[str, Any, Spec]]) -> dict[str, Any]:
    if not levels:
        return {"range": [index.start, index.stop, index.step]}
    freq = getattr(index, "freqstr", None) if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex) else None
    multi = isinstance(index, pd.MultiIndex)
    return {"levels": [{"column": c, "label": n, **s} for c, n, s in levels], "freq": freq, "multi": multi}


def _index(table: pl.DataFrame, shape: Spec) -> Any:
    if "range" in shape:
        whole = pd.RangeIndex(*shape["range"])
        # A part of the frame has no use for the index of the whole.
        return whole if len(whole) == table.height else pd.RangeIndex(table.height)
    levels = [_series(table[level["column"]], level) for level in shape["levels"]]
    names = [level["label"] for level in shape["levels"]]
    if shape["multi"]:
        return pd.MultiIndex.from_arrays([pd.Index(level, dtype=level.dtype) for level in levels], names=names)
    index = pd.Index(levels[0], dtype=levels[0].dtype, name=names[0])
    return _with_freq(index, shape["freq"])


def _with_freq(index: Any, freq: str | None) -> Any:
    if freq is None:
        return index
    try:
        index.freq = freq
    except ValueError:  # a part of the index need not have the frequency of the whole
        return index
    return index


# --- one column


def _read(data: Any, column: str, where: str) -> tuple[pl.Series, Spec]:
    """Return a pandas column as a Polars series, and what gives it back."""
    dtype = data.dtype
    if _is_object(dtype):
        series, form = forms.read(list(data), where=_where(column, where), records=True)
        return series, {"type": "object", "form": form}
    if isinstance(dtype, pd.CategoricalDtype):
        return _read_category(data, column, where)
    if isinstance(dtype, pd.SparseDtype):
        return _read(data.sparse.to_dense(), column, where)[0], {"type": "dtype", "dtype": str(dtype)}
    return _read_native(data, column, where), _dtype_spec(dtype)


def _is_object(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def _where(column: str, feature: str) -> Callable[[int], str]:
    return lambda row: f"row {row} of column {column!r} of {feature!r}"


def _read_native(data: Any, column: str, where: str) -> pl.Series:
    try:
        array = pa.array(data, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as exc:
        raise polars.unsupported(column, data.dtype, where=where) from exc
    except UnicodeEncodeError:
        # The slow way finds the row.
        return forms.read(list(data), where=_where(column, where))[0]
    table = pa.table([array], names=[column])
    return arrow.to_polars(table, name=where, key=()).frame.lazy().collect().to_series()


def _read_category(data: Any, column: str, where: str) -> tuple[pl.Series, Spec]:
    categories, spec = _read(pd.Series(data.cat.categories), column, where)
    codes = pl.Series(data.cat.codes.to_numpy().astype("int64"))
    if not len(categories):
        categories = categories.cast(pl.String())
    values = pl.DataFrame({"code": codes.set(codes < 0, None)}).select(pl.lit(categories).gather("code")).to_series()
    if values.dtype == pl.String:
        values = values.cast(pl.Categorical())
    return values, {
        "type": "category",
        "ordered": bool(data.cat.ordered),
        "categories": _pack(categories),
        "of": spec,
    }


def _dtype_spec(dtype: Any) -> Spec:
    if isinstance(dtype, pd.StringDtype):
        return {"type": "string", "storage": dtype.storage, "na": "NA" if dtype.na_value is pd.NA else "nan"}
    if isinstance(dtype, pd.ArrowDtype):
        return {"type": "arrow", "schema": arrow.pack(pa.schema([pa.field("x", dtype.pyarrow_dtype)]))}
    return {"type": "dtype", "dtype": str(dtype)}


def _series(series: pl.Series, spec: Spec, index: Any = None) -> Any:
    """Return a Polars series as the pandas column that it was."""
    given = _give(series, spec)
    # The dtype is said, as pandas 3 would make `str` of objects that are text.
    return pd.Series(given, index=index, dtype=given.dtype)


def _give(series: pl.Series, spec: Spec) -> Any:
    """Return a Polars series as the array that it was."""
    match spec["type"]:
        case "object":
            return _objects(forms.give(series, spec["form"]))
        case "category":
            categories = pd.Index(_series(_unpack(spec["categories"]), spec["of"]))
            values = _series(series, spec["of"])
            return pd.Categorical(values, dtype=pd.CategoricalDtype(categories, ordered=spec["ordered"]))
        case "string":
            na = pd.NA if spec["na"] == "NA" else np.nan
            return _from_arrow(series.cast(pl.String), pd.StringDtype(spec["storage"], na_value=na))
        case "arrow":
            wanted = arrow.unpack(spec["schema"]).field("x").type
            array = arrow.restored(series, wanted)
            return _from_array(array, pd.ArrowDtype(wanted))
        case _:
            return _give_dtype(series, pd.api.types.pandas_dtype(spec["dtype"]))


def _give_dtype(series: pl.Series, dtype: Any) -> Any:
    if isinstance(dtype, pd.SparseDtype):
        return pd.Series(_give_dtype(series, dtype.subtype)).astype(dtype).array
    if isinstance(dtype, pd.DatetimeTZDtype):
        naive = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return pd.Series(_times(naive, f"datetime64[{dtype.unit}]")).dt.tz_localize("UTC").astype(dtype).array
    if not isinstance(dtype, np.dtype):
        return _from_arrow(series, dtype)
    if dtype.kind in "mM":
        return _times(series, dtype)
    if series.null_count() and dtype.kind in "iub":
        return _from_arrow(series, _nullable(dtype))
    return series.to_numpy().astype(dtype)


def _times(series: pl.Series, dtype: Any) -> Any:
    return series.to_numpy().astype(dtype)


def _nullable(dtype: Any) -> Any:
    names = {"b": "boolean", "i": dtype.name.title(), "u": dtype.name.replace("ui", "UI")}
    return pd.api.types.pandas_dtype(names[dtype.kind])


def _from_arrow(series: pl.Series, dtype: Any) -> Any:
    return _from_array(series.to_arrow(), dtype)


def _from_array(array: Any, dtype: Any) -> Any:
    return dtype.__from_arrow__(array)


def _objects(values: list[Any]) -> Any:
    # np.array would make a matrix of lists of one length.
    return np.fromiter(values, dtype=object, count=len(values))


def _pack(series: pl.Series) -> str:
    buffer = io.BytesIO()
    series.alias("categories").to_frame().write_ipc(buffer)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _unpack(text: str) -> pl.Series:
    return pl.read_ipc(io.BytesIO(base64.b64decode(text))).to_series()


def _default(series: pl.Series) -> Spec:
    """Return the dtype that a pandas user expects of a Polars column."""
    match series.dtype:
        case pl.String():
            return {"type": "dtype", "dtype": "str"}
        case pl.Categorical() | pl.Enum():
            dtype = series.dtype
            used = series.cast(pl.String).drop_nulls().unique().sort()
            categories = dtype.categories if isinstance(dtype, pl.Enum) else used
            return {
                "type": "category",
                "ordered": False,
                "categories": _pack(categories),
                "of": {"type": "dtype", "dtype": "str"},
            }
        case pl.Date():
            return {"type": "dtype", "dtype": "datetime64[us]"}
        case pl.Datetime(time_unit=unit, time_zone=zone):
            return {"type": "dtype", "dtype": f"datetime64[{unit}, {zone}]" if zone else f"datetime64[{unit}]"}
        case pl.Duration(time_unit=unit):
            return {"type": "dtype", "dtype": f"timedelta64[{unit}]"}
        case pl.Boolean():
            return {"type": "dtype", "dtype": "bool"}
        case dtype if dtype.is_float() or (dtype.is_integer() and not isinstance(dtype, pl.Int128 | pl.UInt128)):
            return {"type": "dtype", "dtype": str(dtype).lower()}
        case _:
            return {"type": "object", "form": {"kind": "null"}}
