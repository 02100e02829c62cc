"""Rows out of messages: those that a view can hold, in its types, and the messages that it cannot, each with a reason.

A message is taken or refused as a whole, and by itself: what else came with it makes no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import polars as pl

from featurestore.declare.source import StreamSource, Transformation
from featurestore.declare.view import FeatureView
from featurestore.errors import FeatureStoreError, FrameError, ParameterError
from featurestore.run.dead_letters import DeadLetter
from featurestore.run.history import AVAILABLE, CREATED, EVENT
from featurestore.run.incoming import Limit, frame_of, incoming, time_columns, types_of_rows
from featurestore.run.online import Online
from featurestore.streams.base import Batch, Message
from featurestore.streams.messages import BadMessageError, Reader

__all__ = ["Said", "rows_for", "said_by", "with_names_of_view"]

_ORDER = "__fs_place"
_SHOWN = 200
"""Characters of a value in a reason."""

Fields: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """A message and the rows that it says; none where it was passed over."""

    message: Message
    rows: tuple[Fields, ...]
    shape: Mapping[str, Any] | None
    """The type of each field that has a value; ``None`` where it is not the same in all rows."""


def said_by(batch: Batch, read: Reader, transformation: Transformation | None) -> tuple[list[Said], list[DeadLetter]]:
    """Return what the messages of a batch say, and those that cannot be read."""
    good: list[Said] = []
    bad: list[DeadLetter] = []
    for message in batch.messages:
        try:
            rows = _rows(message, read, transformation)
            good.append(Said(message, rows, _shape_of(rows)))
        except BadMessageError as error:
            bad.append(DeadLetter(message, str(error)))
    return good, bad


def _rows(message: Message, read: Reader, transformation: Transformation | None) -> tuple[Fields, ...]:
    if message.value is None:
        raise BadMessageError("no payload")
    fields = read(message.value)
    if transformation is None:
        return (fields,)
    try:
        made = transformation(fields)
    except Exception as error:  # The user's code may raise anything; it becomes the reason.
        raise BadMessageError(f"the transformation failed: {type(error).__name__}: {error}") from error
    rows: Any = (made,) if isinstance(made, Mapping) else () if made is None else made
    if not isinstance(rows, Sequence) or not all(isinstance(each, Mapping) for each in rows):
        raise BadMessageError(f"the transformation returned {type(made).__name__}, not fields of rows")
    return tuple(dict(each) for each in rows)


# ---- rows of a view ----------------------------------------------------------------------------------------------


def rows_for(
    online: Online, source: StreamSource, view: FeatureView, said: Sequence[Said], limit: Limit
) -> tuple[pl.DataFrame | None, list[DeadLetter]]:
    """Return the rows of messages as the event log of a view keeps them, and the messages that do not fit.

    Raises:
        ParameterError: nothing says the types of the view's features.
    """
    names = time_columns(view)
    keys, types = types_of_rows(online, view, pl.DataFrame(), names)
    if all(name in keys for name in types):
        raise _no_types(source, view)
    wanted = _Wanted(online, view, source.timestamp_field, names.event, limit, tuple(types), frozenset(keys))
    frames: list[pl.DataFrame] = []
    bad: list[DeadLetter] = []
    numbered = list(_numbered(said))
    for alike in _by_shape(each for each in numbered if each.said.rows):
        wanted.sort_out(alike, frames, bad)
    if not frames:
        return None, bad
    return pl.concat(frames).sort(_ORDER, maintain_order=True).drop(_ORDER), bad


def with_names_of_view(view: FeatureView, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows as the event log names them, under the names that a push to the view has."""
    names = time_columns(view)
    renamed = {EVENT: names.event, AVAILABLE: names.available, CREATED: names.created or CREATED}
    return rows.rename({old: new for old, new in renamed.items() if old in rows.columns})


@dataclass(frozen=True, slots=True)
class _Place:
    number: int
    said: Said


def _numbered(said: Sequence[Said]) -> Iterator[_Place]:
    for number, each in enumerate(said):
        yield _Place(number, each)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a view takes."""

    online: Online
    view: FeatureView
    said_event: str
    """What messages call the event timestamp."""
    event: str
    limit: Limit
    types: tuple[str, ...]
    keys: frozenset[str]

    def sort_out(self, places: Sequence[_Place], frames: list[pl.DataFrame], bad: list[DeadLetter]) -> None:
        """Add the rows of messages to ``frames``, and what does not fit, looked for by halves, to ``bad``."""
        try:
            frames.append(self._frame(places))
        except FeatureStoreError as error:
            if len(places) == 1:
                bad.append(DeadLetter(places[0].said.message, _reason(error)))
                return
            middle = len(places) // 2
            self.sort_out(places[:middle], frames, bad)
            self.sort_out(places[middle:], frames, bad)

    def _frame(self, places: Sequence[_Place]) -> pl.DataFrame:
        rows = [self._named(row) for place in places for row in place.said.rows]
        if len(places) == 1:
            self._require_features(rows)
        elif any(not self._has_features(row) for row in rows):
            raise FrameError("a message has no feature of the view")  # Found by halves, and said then.
        frame = frame_of(rows)
        lacking = [name for name in (*self.types, self.event) if name not in frame.columns]
        checked = incoming(
            self.online, self.view, frame.with_columns(pl.lit(None).alias(name) for name in lacking), self.limit
        )
        order = [place.number for place in places for _ in place.said.rows]
        return checked.rows.with_columns(pl.Series(_ORDER, order, pl.Int64))

    def _named(self, row: Fields) -> Fields:
        if self.said_event and self.said_event != self.event and self.said_event in row:
            return {**row, self.event: row[self.said_event]}
        return row

    def _has_features(self, row: Fields) -> bool:
        return any(name in row for name in self.types if name not in self.keys)

    def _require_features(self, rows: Sequence[Fields]) -> None:
        for row in rows:
            if not self._has_features(row):
                features = [name for name in self.types if name not in self.keys]
                raise FrameError(
                    f"no feature of view {self.view.name!r} in the message",
                    found=", ".join(row) or "no fields",
                    expected="one at least of: " + ", ".join(features),
                )


def _reason(error: FeatureStoreError) -> str:
    parts = [
        error.what,
        *(
            f"{label} {str(value)[:_SHOWN]}"
            for label, value in (("found", error.found), ("expected", error.expected))
            if value is not None
        ),
    ]
    return "; ".join(parts)


# ---- shapes ------------------------------------------------------------------------------------------------------


def _by_shape(places: Iterable[_Place]) -> Iterator[list[_Place]]:
    """Yield messages in groups of which each field has values of one type: a frame of others would convert some."""
    alone: list[list[_Place]] = []
    groups: list[tuple[dict[str, Any], list[_Place]]] = []
    for place in places:
        shape = place.said.shape
        if shape is None:
            alone.append([place])
            continue
        for known, members in groups:
            if all(known.get(name, kind) == kind for name, kind in shape.items()):
                known.update(shape)
                members.append(place)
                break
        else:
            groups.append((dict(shape), [place]))
    yield from alone
    yield from (members for _, members in groups)


def _shape_of(rows: Sequence[Fields]) -> dict[str, Any] | None:
    """Return the type of each field that has a value; ``None`` where it is not the same in all rows."""
    shape: dict[str, Any] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None and shape.setdefault(name, _kind(value)) != _kind(value):
                return None
    return shape


def _kind(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return list, frozenset(_kind(each) for each in value if each is not None)
    if isinstance(value, dict):
        return dict, tuple(sorted((name, str(_kind(each))) for name, each in value.items()))
    return type(value)


def _no_types(source: StreamSource, view: FeatureView) -> ParameterError:
    return ParameterError(
        f"nothing says the types of view {view.name!r}",
        found=f"no schema, and stream {source.name!r} has no batch source",
        expected="types that do not depend on which message comes first",
        fix=f"FeatureView({view.name!r}, ..., schema=[Field(...), ...])",
    )
