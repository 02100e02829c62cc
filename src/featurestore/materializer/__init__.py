"""Materializers: where the results of feature functions live, one file a back end."""

from featurestore.materializer.base import ROW, Materialization, Materializer

__all__ = ["ROW", "Materialization", "Materializer"]
