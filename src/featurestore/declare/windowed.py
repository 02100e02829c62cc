"""What declarations with aggregates may say, whether they are functions or views."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from featurestore.declare.aggregates import Aggregate
from featurestore.errors import RegistrationError

__all__ = ["checked_aggregates", "reach_of"]

_MICROSECOND = timedelta(microseconds=1)


def checked_aggregates(
    what: str, aggregates: Iterable[Aggregate] | None, *, ttl: timedelta | None, event_id: str | None
) -> tuple[Aggregate, ...]:
    """Return the aggregates of ``what``, such as ``"feature view 'transactions'"``.

    Raises:
        RegistrationError: something that is no aggregate, two of one name, a ttl beside them, or an event id without
            any.

    Example:
        >>> from featurestore.declare.aggregates import count
        >>> [each.name for each in checked_aggregates("view 'a'", [count("7d")], ttl=None, event_id=None)]
        ['count_7d']
    """
    found = tuple(aggregates or ())
    _require_aggregates(what, found)
    _require_names(what, found)
    if found and ttl:
        raise RegistrationError(
            f"{what} has aggregates and a ttl",
            found=f"ttl {ttl}",
            expected="windows, which say themselves how long an event counts",
            fix="leave ttl= out",
        )
    if event_id is not None and not found:
        raise RegistrationError(
            f"{what} has an event id and no aggregates",
            found=f"event_id={event_id!r}",
            expected="aggregates, which count the events of one id once",
            fix="leave event_id= out, or add aggregates=[...]",
        )
    return found


def reach_of(aggregates: Iterable[Aggregate]) -> int | None:
    """Return microseconds before t at which an event is in none of their windows; ``None`` where it always may be.

    Example:
        >>> from featurestore.declare.aggregates import count, sum
        >>> reach_of([count("1s"), sum("x", "1s", offset="2s")]), reach_of([count("1s"), count()])
        (3000000, None)
    """
    reaches = [each.reach for each in aggregates]
    known = [reach // _MICROSECOND for reach in reaches if reach is not None]
    return max(known) if known and len(known) == len(reaches) else None


def _require_aggregates(what: str, given: tuple[object, ...]) -> None:
    for each in given:
        if not isinstance(each, Aggregate):
            raise RegistrationError(
                f"{what} has an aggregate that is none",
                found=f"{each!r} of type {type(each).__name__}",
                expected="what the functions of fs.agg return",
                fix="such as fs.agg.sum('amount', '7d')",
            )


def _require_names(what: str, aggregates: tuple[Aggregate, ...]) -> None:
    twice = sorted(name for name, count in Counter(each.name for each in aggregates).items() if count > 1)
    if twice:
        raise RegistrationError(
            f"{what} has two aggregates of one name",
            found=", ".join(twice),
            expected="names that differ",
            fix="give one of them another: name='...'",
        )
