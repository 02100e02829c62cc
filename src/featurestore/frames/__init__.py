"""Recognising and converting the tables that users hand in or get back; one file a library.

Libraries are recognised through ``sys.modules`` and loaded on use, so nobody imports one that they do not have.
"""

from __future__ import annotations

from featurestore.frames.base import Input, Kind, Normal, Shape
from featurestore.frames.conversion import convert, from_polars, kind_named, schema_of, to_polars
from featurestore.frames.joining import common_kind, full_join
from featurestore.frames.recognition import describe, kind_of

__all__ = [
    "Input",
    "Kind",
    "Normal",
    "Shape",
    "common_kind",
    "convert",
    "describe",
    "from_polars",
    "full_join",
    "kind_named",
    "kind_of",
    "schema_of",
    "to_polars",
]
