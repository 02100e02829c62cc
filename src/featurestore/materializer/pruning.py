"""Which results have had their day. Pure: `Materializer.prune` removes what this names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from itertools import groupby

from featurestore.errors import ConfigurationError
from featurestore.instants import SystemClock, to_duration, to_instant
from featurestore.materializer.base import Materialization
from featurestore.repository import parameters

__all__ = ["expendable"]

Values = tuple[tuple[str, tuple[str, object]], ...]
Rank = tuple[bool, Values, Values, datetime]


def expendable(
    entries: Iterable[Materialization],
    *,
    keep_last: int | None = None,
    older_than: str | timedelta | datetime | None = None,
    is_fresh: Callable[[Materialization], bool],
    now: datetime | None = None,
) -> tuple[Materialization, ...]:
    """Return the entries that both limits give up, of each feature the least worth keeping first.

    Stale results are worth less than fresh ones. Among equals the newer by its parameters is worth more: instants are
    compared first, then the other parameters, each in the order of their names. Then the one stored later is.

    Args:
        entries: records of any number of features.
        keep_last: how many of each feature to keep.
        older_than: give up only what was stored longer ago than this duration, or before this instant.
        is_fresh: tells whether the code that made a result is still the feature's.
        now: the instant that a duration counts from; the machine's clock unless given.

    Raises:
        ConfigurationError: neither limit given, or a negative number.

    Example:
        >>> days = [Materialization("f", {"when": date(2024, 5, day)}) for day in (2, 3, 1)]
        >>> [entry.params["when"].day for entry in expendable(days, keep_last=1, is_fresh=lambda entry: True)]
        [1, 2]
    """
    _require_limits(keep_last, older_than)
    limit = None if older_than is None else _instant_of(older_than, now)
    doomed: list[Materialization] = []
    for _, group in groupby(sorted(entries, key=_name), key=_name):
        ranked = sorted(group, key=lambda entry: _rank(entry, fresh=is_fresh(entry)))
        given_up = ranked[: max(0, len(ranked) - (keep_last or 0))]
        doomed.extend(entry for entry in given_up if limit is None or to_instant(entry.created) < limit)
    return tuple(doomed)


def _require_limits(keep_last: int | None, older_than: object) -> None:
    if keep_last is None and older_than is None:
        raise ConfigurationError(
            "nothing says which results to prune",
            found="neither keep_last nor older_than",
            expected="one of them, or both",
            fix="for example prune(keep_last=30) or prune(older_than='90d'); delete(feature) removes all results",
        )
    if keep_last is not None and keep_last < 0:
        raise ConfigurationError("cannot keep a negative number of results", found=keep_last, expected="0 or more")


def _instant_of(older_than: str | timedelta | date, now: datetime | None) -> datetime:
    if isinstance(older_than, date):
        return to_instant(older_than)
    return to_instant(now or SystemClock().now()) - to_duration(older_than)


def _name(entry: Materialization) -> str:
    return entry.feature_name


def _rank(entry: Materialization, *, fresh: bool) -> Rank:
    """Return what entries of one feature are ordered by: what sorts last is worth most."""
    params = tuple((name, _ordered(entry.params[name])) for name in sorted(entry.params))
    instants = tuple(pair for pair in params if pair[1][0] == "instant")
    others = tuple(pair for pair in params if pair[1][0] != "instant")
    return fresh, instants, others, to_instant(entry.created)


def _ordered(value: object) -> tuple[str, object]:
    """Return a key that can be compared with that of any other parameter value: by type first, then by value."""
    if isinstance(value, date):
        return "instant", parameters.order_key(value)
    if isinstance(value, (int, float)) and not math.isnan(value):
        return "number", value
    if isinstance(value, (str, timedelta)):
        return type(value).__name__, value
    return "other", parameters.digest({"value": value})
