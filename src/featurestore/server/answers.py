"""Answers to reads as bytes: Feast's columns, rows, and Arrow streams.

What JSON does not have is written so: NaN and infinities as null (their status is ``PRESENT``), integers in full,
however long, decimals as text, times as ISO 8601 (UTC with ``Z``), durations as ISO 8601 (``PT1.5S``), bytes as Base64.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from featurestore import OnlineResponse

__all__ = ["FeastForm", "arrow_stream", "encode", "rows"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME = b'"1970-01-01T00:00:00Z"'
"""The event timestamp of what has none, as Feast writes it."""
_MOST_TIMES = 4096

_encoder = msgspec.json.Encoder(enc_hook=str)
encode = _encoder.encode
"""Any value as JSON."""
_lines = _encoder.encode_lines


class _Column(msgspec.Struct, gc=False):
    """One column of Feast's answers."""

    values: Sequence[Any]
    statuses: msgspec.Raw
    event_timestamps: msgspec.Raw


class FeastForm:
    """Writes Feast's answers to one question: join keys, then features, as columns.

    Args:
        plan: of the reads.
    """

    __slots__ = ("_head", "_places", "_plan", "_runs", "_times")

    def __init__(self, plan: Any) -> None:
        self._plan = plan
        self._head = b'{"metadata":{"feature_names":' + encode([*plan.join_keys, *plan.features]) + b'},"results":'
        known = {name: (at, place) for at, view in enumerate(plan.views) for place, name in enumerate(view.columns)}
        self._places = [known.get(name, (-1, -1)) for name in plan.features]
        """Of each feature, the place of its view, and its own among the view's columns."""
        self._runs = _runs([at for at, _ in self._places])
        self._times: dict[int | None, bytes] = {None: _NO_TIME}

    def written(self, response: OnlineResponse, reads: Sequence[Any], keys: Mapping[str, Sequence[Any]]) -> bytes:
        """Return an answer.

        Args:
            response: what was read.
            reads: the values in it, view by view.
            keys: the columns of the request.
        """
        plan, height = self._plan, len(response)
        if height == 1 and not plan.computes:
            row = [reads[view].columns[place][0] for view, place in self._places]
            if None not in row:
                return self._of_one(row, reads, [keys[name][0] for name in plan.join_keys])
        present, none = _repeated("PRESENT", height), _repeated("1970-01-01T00:00:00Z", height)
        columns = [_Column(keys[name], present, none) for name in plan.join_keys]
        if plan.computes:
            columns += _computed(response, present, none)
            return self._head + encode(columns) + b"}"
        stamps = [self._stamps(read.stamps) for read in reads]
        known: Mapping[str, Sequence[str]] = {}
        for name, (view, place) in zip(plan.features, self._places, strict=True):
            values = reads[view].columns[place]
            if None in values:
                known = known or response.statuses
                columns.append(_Column(values, msgspec.Raw(encode(known[name])), stamps[view]))
            else:
                columns.append(_Column(values, present, stamps[view]))
        return self._head + encode(columns) + b"}"

    def _of_one(self, row: list[Any], reads: Sequence[Any], keys: list[Any]) -> bytes:
        """Return the answer for one row that is whole: columns of one view differ in their value alone."""
        parts = _lines([*keys, *row]).split(b"\n")  # A line break in a value is written as two characters.
        written = [_between(_NO_TIME).join(parts[: len(keys)])] if keys else []
        time, first = _NO_TIME, len(keys)
        for view, count in self._runs:
            before, time = time, self._time(reads[view].stamps[0])
            if first:
                written.append(_between(before))
            written.append(_between(time).join(parts[first : first + count]))
            first += count
        return b"".join([self._head, b'[{"values":[', *written, _AFTER_VALUE, time, b"]}]}"])

    def _time(self, stamp: int | None) -> bytes:
        found = self._times.get(stamp)
        if found is None:
            assert stamp is not None
            if len(self._times) >= _MOST_TIMES:
                self._times = {None: _NO_TIME}
            found = self._times[stamp] = encode(_EPOCH + timedelta(0, 0, stamp))
        return found

    def _stamps(self, stamps: Sequence[int | None]) -> msgspec.Raw:
        try:
            return msgspec.Raw(b"[" + b",".join([self._times[stamp] for stamp in stamps]) + b"]")
        except KeyError:
            return msgspec.Raw(b"[" + b",".join([self._time(stamp) for stamp in stamps]) + b"]")


_AFTER_VALUE = b'],"statuses":["PRESENT"],"event_timestamps":['


def _between(time: bytes) -> bytes:
    """Return what stands between two values of one row."""
    return _AFTER_VALUE + time + b']},{"values":['


def _runs(views: Sequence[int]) -> list[tuple[int, int]]:
    """Return the views of features that follow each other, and how many each.

    Example:
        >>> _runs([0, 0, 1, 0])
        [(0, 2), (1, 1), (0, 1)]
    """
    return [(view, len(list(members))) for view, members in groupby(views)]


def _computed(response: OnlineResponse, present: msgspec.Raw, none: msgspec.Raw) -> Iterable[_Column]:
    """Yield the columns of an answer of which some were computed: these have a status and no time."""
    values, statuses = response.to_dict(), response.statuses
    reads = zip(response.plan.views, response.stored(), strict=True)
    stamps = {name: read.stamps for view, read in reads for name in view.columns}
    for name in response.plan.features:
        column = values[name]
        known = statuses.get(name) or ["PRESENT" if value is not None else "NULL_VALUE" for value in column]
        said = present if None not in column else msgspec.Raw(encode(known))
        yield _Column(column, said, _stamps_of(stamps[name]) if name in stamps else none)


@lru_cache(1024)
def _repeated(text: str, count: int) -> msgspec.Raw:
    return msgspec.Raw(encode([text] * count))


def _stamps_of(stamps: Sequence[int | None]) -> msgspec.Raw:
    return msgspec.Raw(encode([_EPOCH if stamp is None else _EPOCH + timedelta(0, 0, stamp) for stamp in stamps]))


def rows(response: OnlineResponse, *, statuses: bool, event_timestamps: bool) -> bytes:
    """Return an answer in rows: keys and features of each, and beside them what was asked for."""
    parts = [b'{"rows":', encode(response.to_rows())]
    if statuses:
        parts += [b',"statuses":', encode(_by_row(response.statuses, len(response)))]
    if event_timestamps:
        parts += [b',"event_timestamps":', encode(_by_row(response.event_timestamps, len(response)))]
    return b"".join([*parts, b"}"])


def _by_row(columns: Mapping[str, Sequence[Any]], height: int) -> list[dict[str, Any]]:
    if not columns:
        return [{} for _ in range(height)]
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def arrow_stream(response: OnlineResponse, *, statuses: bool, event_timestamps: bool) -> bytes:
    """Return an answer as an Arrow stream, in which every value has its type and nothing is lost."""
    import polars as pl

    buffer = io.BytesIO()
    frame = response.to_polars(include_event_timestamps=event_timestamps, include_statuses=statuses)
    frame.write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()
