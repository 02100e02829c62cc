"""Training datasets as files, and as CSV: what a format has no form for is text there."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurestore.cli.output import plain
from featurestore.errors import ConfigurationError, FeatureStoreError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SUFFIXES", "as_csv", "write"]

SUFFIXES = (".parquet", ".csv", ".ndjson", ".arrow")
_WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    ".csv": lambda frame, path: _with_text(frame, nested=True).write_csv(path),
    ".ndjson": lambda frame, path: _with_text(frame, nested=False).write_ndjson(path),
    ".arrow": lambda frame, path: frame.write_ipc(path),
}


def write(job: Any, output: Path) -> None:
    """Write what a retrieval gives to a file, in the format of its name; its folder is made where there is none.

    Raises:
        ConfigurationError: the file cannot be written, or the format has no form for the rows.
    """
    with _writing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.suffix == ".parquet":
            job.write_parquet(output)
        else:
            _WRITERS[output.suffix](job.to_polars(), output)


def as_csv(frame: pl.DataFrame) -> str:
    """Return rows as CSV with a header; lists and structs are JSON in it, bytes Base64.

    Example:
        >>> import polars as pl
        >>> print(as_csv(pl.DataFrame({"tags": [["a", "b"]], "raw": [b"hi"]})), end="")
        tags,raw
        "[""a"", ""b""]",aGk=
    """
    return _with_text(frame, nested=True).write_csv()


def _with_text(frame: pl.DataFrame, *, nested: bool) -> pl.DataFrame:
    import polars as pl

    forms = {name: _form(dtype, nested=nested) for name, dtype in frame.schema.items()}
    return frame.with_columns(
        pl.Series(name, [None if value is None else form(value) for value in frame[name].to_list()], pl.String)
        for name, form in forms.items()
        if form is not None
    )


def _form(dtype: pl.DataType, *, nested: bool) -> Callable[[Any], str] | None:
    import polars as pl

    if dtype == pl.Binary:
        return lambda value: base64.b64encode(value).decode()
    return (lambda value: json.dumps(plain(value), ensure_ascii=False)) if nested and dtype.is_nested() else None


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    import polars as pl

    try:
        yield
    except FeatureStoreError:  # Also where it is a kind of OSError.
        raise
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigurationError(
            f"{output} cannot be written",
            found=f"{type(error).__name__}: {error}",
            expected=f"a file that can be made, and rows that {output.suffix} has a form for",
            fix="--output with another place, or .parquet",
        ) from error
