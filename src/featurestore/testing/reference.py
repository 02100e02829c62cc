"""The point-in-time join as its definition reads: slow, in plain Python, over rows as mappings. The oracle of tests.

Engines are right when they agree with this. It uses the plan's own words (`ViewJoin`, `Status`) and nothing of the
engines. Instants are datetimes, dates, or integers: microseconds since 1970 UTC.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from featurestore.instants import from_micros, to_micros
from featurestore.planning.scans import Scan
from featurestore.planning.training import Selected, Status, ViewJoin
from featurestore.rows.order import canonical_row
from featurestore.testing.windows import aggregate_of

__all__ = ["instant", "join"]

Row = Mapping[str, object]


def join(
    labels: Sequence[Row],
    timestamp: str,
    views: Sequence[ViewJoin],
    rows: Mapping[str, Sequence[Row]],
    *,
    conditions: Mapping[str, Callable[[Row], bool]] = MappingProxyType({}),
) -> list[dict[str, object]]:
    """Return the labels, each with the values of ``views`` at its time.

    Args:
        labels: the label rows.
        timestamp: the name of their event timestamp.
        views: what to join. Scans are not opened.
        rows: the rows of each source, by its name, with column names after the field mapping.
        conditions: what each ``where`` of an aggregate, by its text, says of a row.

    Example:
        >>> scan = Scan("stats", open=None, timestamp="at")
        >>> view = ViewJoin("stats", scan, (("user", "user"),), (Selected("n", "n"),), fields=("n",))
        >>> source = [{"user": 1, "at": 10, "n": 5}, {"user": 1, "at": 20, "n": 6}]
        >>> join([{"user": 1, "t": 19}, {"user": 2, "t": 19}], "t", [view], {"stats": source})
        [{'user': 1, 't': 19, 'n': 5}, {'user': 2, 't': 19, 'n': None}]
    """
    answers = []
    for label in labels:
        answer = dict(label)
        for view in views:
            at, of_source = instant(label[timestamp], zone=None), rows[view.scan.source]
            if view.aggregates:
                answer |= _aggregated(view, label, at, of_source, conditions)
            else:
                answer |= _values(view, label, at, of_source)
        answers.append(answer)
    return answers


def instant(value: object, *, zone: str | None) -> int | None:
    """Return a time as UTC microseconds; naive ones are read in ``zone`` (UTC if None), the later of two readings.

    Example:
        >>> from_micros(instant(datetime(2024, 11, 3, 1, 30), zone="America/New_York")).isoformat()
        '2024-11-03T06:30:00+00:00'
    """
    if value is None or isinstance(value, int):
        return value
    assert isinstance(value, date)
    if zone is None or (isinstance(value, datetime) and value.tzinfo is not None):
        return to_micros(value)
    local = datetime(value.year, value.month, value.day) if not isinstance(value, datetime) else value
    return max(to_micros(local.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)) for fold in (0, 1))


def _values(view: ViewJoin, label: Row, at: int | None, rows: Sequence[Row]) -> dict[str, object]:
    row = _newest(view, label, at, rows)
    stamp = _event(view.scan, row) if row is not None else None
    expired = row is not None and _is_expired(view, stamp, at)
    used = None if expired else row
    answer: dict[str, object] = {one.output: used[one.field] if used is not None else None for one in view.selected}
    answer |= {one.status: str(_status(one, row, expired)) for one in view.selected if one.status is not None}
    if view.event_timestamp is not None:
        answer[view.event_timestamp] = from_micros(stamp) if used is not None and stamp is not None else None
    return answer


def _newest(view: ViewJoin, label: Row, at: int | None, rows: Sequence[Row]) -> Row | None:
    visible = [row for row in rows if _matches(view, label, row) and _is_visible(view.scan, row, at)]
    if view.snapshots is not None:
        newest = max((stamp for stamp in view.snapshots if at is not None and stamp <= at), default=None)
        visible = [row for row in visible if _event(view.scan, row) == newest]
    return max(visible, key=lambda row: _order(view, row), default=None)


def _matches(view: ViewJoin, label: Row, row: Row) -> bool:
    pairs = [(label[ours], row[theirs]) for ours, theirs in view.keys]
    return all(_is_key(ours) and _is_key(theirs) and ours == theirs for ours, theirs in pairs)


def _is_key(value: object) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _is_visible(scan: Scan, row: Row, at: int | None) -> bool:
    known = [name for name in (scan.timestamp, scan.available_at) if name is not None]
    stamps = [instant(row[name], zone=scan.timezone) for name in known]
    return all(at is not None and stamp is not None and stamp <= at for stamp in stamps)


def _order(view: ViewJoin, row: Row) -> tuple[object, ...]:
    created = instant(row[view.scan.created], zone=view.scan.timezone) if view.scan.created else None
    return (
        _event(view.scan, row) or 0,
        (created is not None, created or 0),
        canonical_row(row[name] for name in view.fields),
    )


def _event(scan: Scan, row: Row) -> int | None:
    return instant(row[scan.timestamp], zone=scan.timezone) if scan.timestamp is not None else None


def _is_expired(view: ViewJoin, stamp: int | None, at: int | None) -> bool:
    return view.max_age is not None and stamp is not None and at is not None and stamp < at - view.max_age


def _status(one: Selected, row: Row | None, expired: bool) -> Status:
    if row is None:
        return Status.NOT_FOUND
    if expired:
        return Status.OUTSIDE_MAX_AGE
    return Status.NULL_VALUE if row[one.field] is None else Status.PRESENT


# ---- windows ----------------------------------------------------------------------------------------------------

_AT = "__fs_at"


def _aggregated(
    view: ViewJoin,
    label: Row,
    at: int | None,
    rows: Sequence[Row],
    conditions: Mapping[str, Callable[[Row], bool]],
) -> dict[str, object]:
    keyed = at is not None and all(_is_key(label[ours]) for ours, _ in view.keys)
    events = _events(view, label, at, rows) if keyed else []
    answer: dict[str, object] = {}
    for one in view.selected:
        aggregate = next(each for each in view.aggregates if each.name == one.field)
        keep = conditions[aggregate.where] if aggregate.where else lambda _row: True
        value = (
            aggregate_of(aggregate, events, from_micros(at), keep=keep, at=_AT) if keyed and at is not None else None
        )
        answer[one.output] = value
        if one.status is not None:
            status = Status.NULL_VALUE if value is None else Status.PRESENT
            answer[one.status] = str(status if keyed else Status.NOT_FOUND)
    if view.event_timestamp is not None:
        answer[view.event_timestamp] = _reached(view, at, events)
    return answer


def _reached(view: ViewJoin, at: int | None, events: Sequence[Row]) -> object:
    """Return when the newest event before a label happened, if a window of the view can reach it."""
    reaches = [each.reach for each in view.aggregates]
    before = [to_micros(event[_AT]) for event in events if at is not None and to_micros(event[_AT]) < at]  # type: ignore[arg-type]  # Datetimes.
    if at is None or not before:
        return None
    is_near = any(reach is None or before[-1] >= at - reach // timedelta(microseconds=1) for reach in reaches)
    return from_micros(before[-1]) if is_near else None


def _events(view: ViewJoin, label: Row, at: int | None, rows: Sequence[Row]) -> list[dict[str, object]]:
    """Return the visible rows of the label's key in their order, each event once, with their time as ``_AT``."""
    visible = [row for row in rows if _matches(view, label, row) and _is_visible(view.scan, row, at)]
    visible.sort(key=lambda row: _order(view, row), reverse=True)
    if view.event_id is not None:
        known_first: dict[object, Row] = {}
        for row in sorted(visible, key=lambda row: _known(view.scan, row)):
            known_first.setdefault(row[view.event_id], row)
        visible = [row for row in visible if row[view.event_id] is None or known_first[row[view.event_id]] is row]
    return [{**row, _AT: from_micros(_event(view.scan, row) or 0)} for row in reversed(visible)]


def _known(scan: Scan, row: Row) -> int:
    """Return when a row became known."""
    stamps = [instant(row[name], zone=scan.timezone) for name in (scan.timestamp, scan.available_at) if name]
    return max(stamp for stamp in stamps if stamp is not None)
