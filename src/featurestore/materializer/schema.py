"""Polars schemas as text, exactly: units, zones, precision, categories, nesting."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["schema_from_text", "schema_to_text"]


def schema_to_text(schema: pl.Schema) -> str:
    """Return text from which `schema_from_text` makes an equal schema: an empty Arrow file in base64.

    Example:
        >>> import polars as pl
        >>> schema = pl.Schema({"at": pl.Datetime("ns", "Europe/Berlin"), "of": pl.List(pl.Enum(["a", "b"]))})
        >>> schema_from_text(schema_to_text(schema)) == schema
        True
    """
    import polars as pl

    file = io.BytesIO()
    pl.DataFrame(schema=schema).write_ipc(file)
    return base64.b64encode(file.getvalue()).decode("ascii")


@lru_cache(maxsize=1024)  # reading one takes most of a millisecond, which a lookup of one row would feel
def schema_from_text(text: str) -> pl.Schema:
    """Return the schema that `schema_to_text` wrote; the same object for the same text, so not to be changed."""
    import polars as pl

    return pl.read_ipc(io.BytesIO(base64.b64decode(text))).schema
