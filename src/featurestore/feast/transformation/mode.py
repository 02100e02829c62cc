"""Feast's ``TransformationMode``."""

from __future__ import annotations

from enum import Enum

__all__ = ["TransformationMode"]


class TransformationMode(Enum):
    """What a function gets; on-demand views take ``PANDAS`` and ``PYTHON``, and refuse the others."""

    PYTHON = "python"
    PANDAS = "pandas"
    SPARK_SQL = "spark_sql"
    SPARK = "spark"
    RAY = "ray"
    SQL = "sql"
    SUBSTRAIT = "substrait"
