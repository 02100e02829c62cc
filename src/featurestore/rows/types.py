"""The text of a Polars type, exactly: what a type means stays readable in a document for as long as the document does.

The types are those of the source's columns, so that a served value equals the training value, type included.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from featurestore.errors import UnsupportedValueError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FLOATS", "INTEGERS", "base_of", "polars_dtype", "type_text"]

_SIZES = (8, 16, 32, 64, 128)
INTEGERS = (*(f"Int{size}" for size in _SIZES), *(f"UInt{size}" for size in _SIZES))
FLOATS = ("Float16", "Float32", "Float64")
_PLAIN = frozenset([*INTEGERS, *FLOATS, "Boolean", "String", "Binary", "Date", "Time", "Null"])


def base_of(text: str) -> str:
    """Return the name that the text of a type begins with.

    Example:
        >>> base_of("List(Datetime[us])")
        'List'
    """
    return text[: min((at for mark in "([{" if (at := text.find(mark)) >= 0), default=len(text))]


# ---- to text -----------------------------------------------------------------------------------------------------


def type_text(dtype: pl.DataType, *, column: str = "") -> str:
    """Return text from which `polars_dtype` makes an equal type.

    Args:
        dtype: the type of a column; ``column`` is its name, for the error.

    Raises:
        UnsupportedValueError: a type whose values are no data that can be stored (``Object``).

    Example:
        >>> import polars as pl
        >>> type_text(pl.List(pl.Datetime("us", "Europe/Berlin")))
        'List(Datetime[us, Europe/Berlin])'
        >>> type_text(pl.Struct({"a": pl.Decimal(10, 2), "b": pl.Enum(["x", "y"])}))
        'Struct{"a": Decimal[10, 2], "b": Enum("x", "y")}'
    """
    # Inner types may be given as classes.
    name = dtype.__name__ if isinstance(dtype, type) else type(dtype).__name__
    if name in _PLAIN:
        return name
    write = _WRITERS.get(name)
    if write is None:
        raise UnsupportedValueError(
            f"the values of column {column!r} cannot be kept online",
            found=str(dtype),
            expected="numbers, text, bytes, dates and times, and lists and structs of them",
            fix="let the source give the column another type, or leave it out of the view",
        )
    return write(dtype, column)


def _write_datetime(dtype: Any, _: str) -> str:
    return (
        f"Datetime[{dtype.time_unit}]" if dtype.time_zone is None else f"Datetime[{dtype.time_unit}, {dtype.time_zone}]"
    )


def _write_struct(dtype: Any, column: str) -> str:
    fields = (f"{json.dumps(field.name)}: {type_text(field.dtype, column=column)}" for field in dtype.fields)
    return f"Struct{{{', '.join(fields)}}}"


def _write_categorical(dtype: Any, _: str) -> str:
    if dtype.categories.is_global():
        return "Categorical"
    of = dtype.categories
    return f"Categorical({json.dumps(of.name())}, {json.dumps(of.namespace())}, {of.physical().__name__})"


def _write_enum(dtype: Any, _: str) -> str:
    return f"Enum({', '.join(json.dumps(category) for category in dtype.categories.to_list())})"


_WRITERS: dict[str, Callable[[Any, str], str]] = {
    "Datetime": _write_datetime,
    "Duration": lambda dtype, _: f"Duration[{dtype.time_unit}]",
    "Decimal": lambda dtype, _: f"Decimal[{dtype.precision}, {dtype.scale}]",
    "Categorical": _write_categorical,
    "Enum": _write_enum,
    "List": lambda dtype, column: f"List({type_text(dtype.inner, column=column)})",
    # Of several dimensions an array is one of arrays.
    "Array": lambda dtype, column: f"Array({type_text(dtype.inner, column=column)}, {dtype.size})",
    "Struct": _write_struct,
}


# ---- and back ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def polars_dtype(text: str) -> pl.DataType:
    """Return the type whose text `type_text` wrote.

    Raises:
        UnsupportedValueError: text that is no type.

    Example:
        >>> polars_dtype("Array(Duration[ns], 3)")
        Array(Duration(time_unit='ns'), shape=(3,))
    """
    parser = _Parser(text)
    try:
        dtype = parser.dtype()
        parser.end()
    except (ValueError, IndexError, KeyError) as error:
        raise UnsupportedValueError(
            "not the text of a type",
            found=repr(text),
            expected="such as 'Int64', 'Datetime[us, UTC]' or 'List(String)'",
            fix="upgrade featurestore, if a newer version wrote it",
        ) from error
    return dtype


class _Parser:
    """Reads one type after the other from a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def dtype(self) -> pl.DataType:
        import polars as pl

        name = self._word()
        if name in _PLAIN:
            plain: pl.DataType = getattr(pl, name)()
            return plain
        return _READERS[name](self)

    def end(self) -> None:
        if self._at != len(self._text):
            raise ValueError(self._text[self._at :])

    def arguments(self, brackets: str) -> list[str]:
        """Return what stands between brackets, cut at commas."""
        self.take(brackets[0])
        end = self._text.index(brackets[1], self._at)
        inside, self._at = self._text[self._at : end], end + 1
        return inside.split(", ")

    def names(self) -> Iterator[str]:
        """Yield quoted names up to something else, such as the closing bracket."""
        while self._text[self._at] == '"':
            yield self.name()
            self.skip(", ")

    def name(self) -> str:
        name, self._at = _read_json(self._text, self._at)
        return name

    def number(self) -> int:
        return int(self._word())

    def take(self, text: str) -> None:
        if not self.skip(text):
            raise ValueError(self._text[self._at :])

    def skip(self, text: str) -> bool:
        found = self._text.startswith(text, self._at)
        self._at += len(text) * found
        return found

    def _word(self) -> str:
        begun = self._at
        while self._at < len(self._text) and self._text[self._at].isalnum():
            self._at += 1
        return self._text[begun : self._at]


def _read_json(text: str, at: int) -> tuple[str, int]:
    name, end = json.JSONDecoder().raw_decode(text, at)
    if not isinstance(name, str):
        raise ValueError(text[at:])  # noqa: TRY004  # As for every text that does not parse.
    return name, end


def _read_datetime(parser: _Parser) -> pl.DataType:
    import polars as pl

    unit, *zone = parser.arguments("[]")
    return pl.Datetime(unit, *zone)  # type: ignore[arg-type]  # Polars checks the unit.


def _read_duration(parser: _Parser) -> pl.DataType:
    import polars as pl

    (unit,) = parser.arguments("[]")
    return pl.Duration(unit)  # type: ignore[arg-type]  # Polars checks the unit.


def _read_decimal(parser: _Parser) -> pl.DataType:
    import polars as pl

    precision, scale = parser.arguments("[]")
    return pl.Decimal(int(precision), int(scale))


def _read_categorical(parser: _Parser) -> pl.DataType:
    import polars as pl

    if not parser.skip("("):
        return pl.Categorical()
    name, namespace = parser.names()
    physical = parser.dtype()
    parser.take(")")
    return pl.Categorical(pl.Categories(name, namespace, type(physical)))


def _read_enum(parser: _Parser) -> pl.DataType:
    import polars as pl

    parser.take("(")
    categories = list(parser.names())
    parser.take(")")
    return pl.Enum(categories)


def _read_list(parser: _Parser) -> pl.DataType:
    import polars as pl

    parser.take("(")
    inner = parser.dtype()
    parser.take(")")
    return pl.List(inner)


def _read_array(parser: _Parser) -> pl.DataType:
    import polars as pl

    parser.take("(")
    inner = parser.dtype()
    parser.take(", ")
    size = parser.number()
    parser.take(")")
    return pl.Array(inner, size)


def _read_struct(parser: _Parser) -> pl.DataType:
    import polars as pl

    parser.take("{")
    fields = {}
    while not parser.skip("}"):
        name = parser.name()
        parser.take(": ")
        fields[name] = parser.dtype()
        parser.skip(", ")
    return pl.Struct(fields)


_READERS: dict[str, Callable[[_Parser], pl.DataType]] = {
    "Datetime": _read_datetime,
    "Duration": _read_duration,
    "Decimal": _read_decimal,
    "Categorical": _read_categorical,
    "Enum": _read_enum,
    "List": _read_list,
    "Array": _read_array,
    "Struct": _read_struct,
}
