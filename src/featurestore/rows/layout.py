"""What the online rows of a project's views look like, as one document of its registry.

Rows say which layout they were written in, so that a view can change while its rows stay: a column that a layout does
not have reads as null, one that is not asked for is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from featurestore.errors import ConfigurationError, UnsupportedValueError

__all__ = ["ONLINE_VIEWS", "Columns", "Layout", "OnlineView", "OnlineViews"]

ONLINE_VIEWS = "online/views"
"""The key under which a registry keeps the document."""

FORMAT = 1
"""Version of the document; raised when older code could not read it rightly."""

_MOST_VIEWS = 2**16 - 1
_MOST_LAYOUTS = 2**16 - 1

Columns = tuple[tuple[str, str], ...]
"""Pairs of a column and the text of its type, such as ``("conv_rate", "Float64")``; see `featurestore.rows.types`."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The features in a row, in the order of the view's declaration, which also decides between rows of equal time."""

    columns: Columns

    @property
    def names(self) -> tuple[str, ...]:
        """The features."""
        return tuple(name for name, _ in self.columns)


@dataclass(frozen=True, slots=True)
class OnlineView:
    """How the rows of one view are kept."""

    number: int
    """What keys end in. Never given to another view, so that a late writer of a deleted view harms nobody."""
    keys: Columns
    """The join keys and their types, in the order in which they make an entity's bytes."""
    layouts: tuple[Layout, ...]
    """Every layout that rows may have, by number from 0; the last is the one that is written."""
    snapshots: bool = False
    """Whether the newest result replaces older ones as a whole: rows of any other event time are not there."""
    events: bool = False
    """Whether what is kept under a key are the events of a window view (`featurestore.windows.states`), not a row."""
    reach: int | None = None
    """Of a window view, the age in microseconds from which on events are dropped; ``None``: never."""

    @property
    def suffix(self) -> bytes:
        """The number as keys end in it."""
        return self.number.to_bytes(2, "big")

    @property
    def layout(self) -> Layout:
        """The layout that is written."""
        return self.layouts[-1]

    def _holds(self, other: OnlineView) -> bool:
        """Whether what is kept goes for the other view as well."""
        if (self.keys, self.snapshots, self.events) != (other.keys, other.snapshots, other.events):
            return False
        return self.reach is None or (other.reach is not None and other.reach <= self.reach)


@dataclass(frozen=True, slots=True)
class OnlineViews:
    """The views of a project that are, or were, kept online.

    Example:
        >>> views = OnlineViews().with_view("stats", keys=(("id", "Int64"),), columns=(("rate", "Float64"),))
        >>> views["stats"].number, views["stats"].layout.names
        (1, ('rate',))
        >>> OnlineViews.from_json(views.to_json()) == views
        True
    """

    views: Mapping[str, OnlineView] = field(default_factory=dict)
    """By name of the view; of a registered function by its qualified name."""
    last_number: int = 0
    retired: tuple[int, ...] = ()
    """Numbers of views that are gone and whose rows are still to be removed."""

    def __getitem__(self, name: str) -> OnlineView:
        return self.views[name]

    def __contains__(self, name: object) -> bool:
        return name in self.views

    def with_view(
        self,
        name: str,
        *,
        keys: Columns,
        columns: Columns,
        snapshots: bool = False,
        events: bool = False,
        reach: int | None = None,
    ) -> OnlineViews:
        """Return the document in which ``name`` has these columns; this one where it has them already.

        Other columns make a new layout. Other keys make the old rows unreachable, so the view starts again; so does a
        window view whose windows reach further back than events were kept.

        Raises:
            UnsupportedValueError: more views or layouts than fit.
        """
        known = self.views.get(name)
        made = OnlineView(self.last_number + 1, keys, (Layout(columns),), snapshots, events, reach)
        if known is None or not known._holds(made):
            started = self if known is None else self.without([name])
            return started._with_new(name, made)
        return self._with_layout(name, columns)

    def with_types(self, name: str, types: Mapping[str, str]) -> OnlineViews:
        """Return the document in which features of a view that is there have other types; others are passed over.

        Example:
            >>> views = OnlineViews().with_view("stats", keys=(("id", "Int64"),), columns=(("rate", "Int64"),))
            >>> [each.columns for each in views.with_types("stats", {"rate": "String"})["stats"].layouts]
            [(('rate', 'Int64'),), (('rate', 'String'),)]

        Raises:
            UnsupportedValueError: more layouts than fit.
        """
        columns = tuple((column, types.get(column, text)) for column, text in self[name].layout.columns)
        return self._with_layout(name, columns)

    def _with_layout(self, name: str, columns: Columns) -> OnlineViews:
        known = self[name]
        if known.layout.columns == columns:
            return self
        if len(known.layouts) > _MOST_LAYOUTS:
            raise _too_many(f"layouts of view {name!r}", _MOST_LAYOUTS)
        return replace(self, views={**self.views, name: replace(known, layouts=(*known.layouts, Layout(columns)))})

    def _with_new(self, name: str, view: OnlineView) -> OnlineViews:
        if view.number > _MOST_VIEWS:
            raise _too_many("views", _MOST_VIEWS)
        return replace(self, views={**self.views, name: view}, last_number=view.number)

    def without(self, names: Iterable[str]) -> OnlineViews:
        """Return the document without some views, whose numbers are then retired. Unknown names are no error."""
        gone = [name for name in names if name in self.views]
        kept = {name: view for name, view in self.views.items() if name not in gone}
        return replace(self, views=kept, retired=(*self.retired, *(self.views[name].number for name in gone)))

    def cleared(self, numbers: Iterable[int]) -> OnlineViews:
        """Return the document after the rows of retired numbers were removed."""
        done = set(numbers)
        return replace(self, retired=tuple(number for number in self.retired if number not in done))

    # ---- as a document -------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Return the document's text: equal values give equal text."""
        views = {name: _to_plain(view) for name, view in self.views.items()}
        plain = {"format": FORMAT, "last_number": self.last_number, "retired": list(self.retired), "views": views}
        return json.dumps(plain, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> OnlineViews:
        """Return what `to_json` wrote.

        Raises:
            ConfigurationError: the document of a newer version.
        """
        plain = json.loads(text)
        if plain.get("format", FORMAT) > FORMAT:
            raise ConfigurationError(
                "the online layouts were written by a newer version of featurestore",
                found=f"format {plain['format']}",
                expected=f"format {FORMAT}",
                fix="upgrade featurestore",
            )
        views = {name: _from_plain(view) for name, view in plain["views"].items()}
        return cls(MappingProxyType(views), plain["last_number"], tuple(plain["retired"]))


def _to_plain(view: OnlineView) -> dict[str, Any]:
    plain = {
        "number": view.number,
        "keys": view.keys,
        "layouts": [layout.columns for layout in view.layouts],
        "snapshots": view.snapshots,
    }
    return plain | ({"events": True, "reach": view.reach} if view.events else {})


def _from_plain(plain: Mapping[str, Any]) -> OnlineView:
    layouts = tuple(Layout(_columns(each)) for each in plain["layouts"])
    more = plain.get("events", False), plain.get("reach")
    return OnlineView(plain["number"], _columns(plain["keys"]), layouts, plain["snapshots"], *more)


def _columns(pairs: Iterable[Iterable[str]]) -> Columns:
    return tuple((name, dtype) for name, dtype in pairs)


def _too_many(what: str, most: int) -> UnsupportedValueError:
    return UnsupportedValueError(
        f"a project has too many {what} online",
        found=f"more than {most:,}",
        expected=f"at most {most:,}",
        fix="tear the project down and apply it anew: numbers are never given twice",
    )
