"""Feast's ``Aggregation``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from featurestore import agg
from featurestore.feast._refusal import left_undone, not_supported

__all__ = ["Aggregation", "aggregates_of"]


@dataclass(frozen=True, slots=True)
class Aggregation:
    """A function of a column over a window of time.

    Values are exact at any time, so ``slide_interval`` decides nothing. Without ``name`` the feature is called as Feast
    calls it: ``{function}_{column}``, then ``_{seconds}s`` where there is a window.
    """

    column: str
    function: str
    time_window: timedelta | None = None
    slide_interval: timedelta | None = None
    name: str = ""

    @property
    def feature(self) -> str:
        """What the feature is called."""
        seconds = f"_{int(self.time_window.total_seconds())}s" if self.time_window else ""
        return self.name or f"{self.function}_{self.column}{seconds}"


def aggregates_of(what: str, aggregations: Iterable[Aggregation], options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a view, ``aggregates`` among them instead of what Feast says of windows.

    A ttl decides nothing: windows say themselves how long an event counts. Fields of the schema that are the results
    of aggregations, as Feast has them too, are no columns of the events.

    Raises:
        NotSupportedError: a function that there is none of here.
    """
    given = list(aggregations)
    if not given:
        return options
    made = [_aggregate(what, each) for each in given]
    left_undone(what, instead="leave it out: a window says how long an event counts", ttl=options.get("ttl"))
    results = {one.name for one in made}
    schema = [field for field in options.get("schema") or () if field.name not in results]
    return {**options, "ttl": None, "schema": schema, "aggregates": made}


def _aggregate(what: str, each: Aggregation) -> Any:
    make = _FUNCTIONS.get(each.function)
    if make is None:
        raise not_supported(
            f"function {each.function!r} of an aggregation of {what}",
            instead="featurestore.agg has further functions: FeatureView(..., aggregates=[...]) of featurestore itself",
            found=each.function,
            expected=", ".join(_FUNCTIONS),
        )
    return make(each.column, each.time_window or None, each.feature)


def _named(make: Callable[..., Any]) -> Callable[[str, timedelta | None, str], Any]:
    return lambda column, window, name: make(column, window, name=name)


_FUNCTIONS: dict[str, Callable[[str, timedelta | None, str], Any]] = {
    "sum": _named(agg.sum),
    "count": lambda column, window, name: agg.count(window, column, name=name),
    "mean": _named(agg.mean),
    "avg": _named(agg.mean),
    "min": _named(agg.min),
    "max": _named(agg.max),
    "std": _named(agg.std),
    "var": _named(agg.var),
    "first": _named(agg.first),
    "last": _named(agg.last),
    "count_distinct": _named(agg.count_distinct),
    "nunique": _named(agg.count_distinct),
}
