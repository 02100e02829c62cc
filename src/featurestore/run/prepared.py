"""A serving plan with all that its reads need ready: codecs, suffixes of keys, and where in an answer what goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product, starmap
from operator import concat
from typing import TYPE_CHECKING, Any, TypeAlias

from featurestore.declare.aggregates import Aggregate
from featurestore.online.base import VIEW_BYTES, OnlineStore
from featurestore.planning.serving import ServedView, ServingPlan
from featurestore.rows.blocks import Blocks
from featurestore.rows.keys import KeyCodec, snapshot_key
from featurestore.rows.layout import OnlineView
from featurestore.run.following import Following, State
from featurestore.run.requesting import Requested, read_rows
from featurestore.run.values import Values, ViewReader
from featurestore.run.verifying import may_be_digests, verified

if TYPE_CHECKING:
    from featurestore.run.lists import OnLists
    from featurestore.run.window_gathering import Gathering
    from featurestore.run.window_reading import UnknownKeys, WindowReader
    from featurestore.run.written import WrittenReader
    from featurestore.windows.gathering import Reading

__all__ = ["AnyReader", "Group", "Prepared", "prepared"]

AnyReader: TypeAlias = "ViewReader | WindowReader"

_PLAIN = frozenset({int, str, bytes, float})
_MAY_COME = _PLAIN | {bool, type(None)}
"""Types of values that come as they are, in columns that functions take."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Views whose rows are found under the same entities, so that these are encoded once."""

    names: tuple[str, ...]
    """Columns of the request."""
    codec: KeyCodec | UnknownKeys
    views: tuple[int, ...]
    """Their places in the plan."""
    suffixes: tuple[bytes, ...]
    long: bool = False
    """Whether digests may stand for entities."""

    def entities(self, request: Requested) -> Values:
        """Return the bytes of each row's entity; ``None`` for rows that are about none."""
        if not self.names:
            return [self.codec.entity(())] * request.height
        if request.frame is not None:
            return self.codec.entities_of_columns([request.frame.get_column(name) for name in self.names])
        return self.codec.entities([request.columns[name] for name in self.names])

    def full_entity(self, request: Requested, row: int) -> bytes | None:
        """Return the bytes of a row's entity however many they are."""
        assert isinstance(self.codec, KeyCodec)
        if request.frame is not None:
            return self.codec.full_entities([request.frame.get_column(name)[row : row + 1] for name in self.names])[0]
        return self.codec.full_entity([request.columns[name][row] for name in self.names])


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What reads of one plan share. It never changes; another apply makes another one."""

    state: State
    following: Following
    """Where newer states come from."""
    plan: ServingPlan
    params: Mapping[str, Any]
    """Values of parameters of column functions."""
    needed: tuple[str, ...]
    """Columns that a request must have."""
    groups: tuple[Group, ...]
    snapshots: tuple[tuple[int, bytes], ...]
    """Places of views of which the newest result replaces the older ones, and where it is said which that is."""
    places: Mapping[str, tuple[int, int]]
    """By column of the answer: the place of its view, and its own place among the view's fields."""
    readers: tuple[AnyReader, ...]
    """Of each view of the plan."""
    ages: tuple[int | None, ...]
    """Of each view the ttl in microseconds."""
    order: tuple[int, ...]
    """Of each feature that is stored, the place of its column where those of the views stand side by side."""
    in_order: bool
    """Whether they stand there in the order asked."""
    blocks: Blocks | None
    """Reads the rows of all views at once, where these are of one shape and the only group."""
    single: Group | None
    """The only group, which has all views in order, where nothing else is to be looked up."""
    windows: Mapping[bytes, Reading] = field(default_factory=dict)
    """By the end of their keys, how the windows of a view are read, under whatever names it is asked for."""
    lists: OnLists | None = None
    """Computes without any frame, where that can be."""
    has_long: bool = False
    """Whether digests may stand for entities."""
    written: tuple[WrittenReader, ...] = ()
    """Read what is kept of on-demand views; their rows are found after those of the views of the plan."""

    @property
    def store(self) -> OnlineStore:
        """Where the rows are."""
        return self.state.online.store

    def request(self, rows: Any) -> Requested:
        """Return the rows of a request, checked."""
        return read_rows(rows, self.needed, every=self.plan.computes)

    def keys(self, request: Requested) -> tuple[list[bytes], list[Values]]:
        """Return the keys to get, entity by entity, and each group's entities."""
        keys: list[bytes] = []
        found = []
        for group in self.groups:
            entities = group.entities(request)
            found.append(entities)
            known = entities if all(entities) else [each for each in entities if each is not None]
            keys += starmap(concat, product(known, group.suffixes))  # type: ignore[arg-type]  # None is out of them.
        if self.snapshots and keys:
            keys += [key for _, key in self.snapshots]
        return keys, found

    def gathered(self, keys: Sequence[bytes], values: list[Any], now: int) -> list[Any]:
        """Return what was found under ``keys``, of window views with all events that are needed besides."""
        from featurestore.run.window_gathering import driven

        for gathering, places in self._gatherings(keys, values, now):
            for place, one in zip(places, driven(gathering, self.store), strict=True):
                values[place] = one
        return values

    async def gathered_async(self, keys: Sequence[bytes], values: list[Any], now: int) -> list[Any]:
        """Return what `gathered` does, without blocking the event loop."""
        from featurestore.run.window_gathering import driven_async

        for gathering, places in self._gatherings(keys, values, now):
            for place, one in zip(places, await driven_async(gathering, self.store), strict=True):
                values[place] = one
        return values

    def _gatherings(
        self, keys: Sequence[bytes], values: Sequence[Any], now: int
    ) -> Iterator[tuple[Gathering, list[int]]]:
        from featurestore.run.window_gathering import gather

        for suffix, reading in self.windows.items():
            places = [place for place, key in enumerate(keys) if key[-VIEW_BYTES:] == suffix and key[:1] != b"\x00"]
            yield gather(reading, [(keys[place], values[place]) for place in places], now), places

    def by_view(self, found: Sequence[Values], values: Values, request: Requested) -> list[Values]:
        """Return what the keys of `keys` had, view by view and row by row."""
        height = request.height
        if self.has_long:
            values = verified(self.groups, found, values, request)
        width = len(self.plan.views) + len(self.written)
        if self.single is not None and len(values) == height * width:
            return [values[place::width] for place in range(width)]
        answer: list[Values] = [[None] * height] * width
        start = 0
        for group, entities in zip(self.groups, found, strict=True):
            step = len(group.suffixes)
            whole = all(entities)
            count = step * (len(entities) if whole else len(entities) - entities.count(None))
            for offset, place in enumerate(group.views):
                column = values[start + offset : start + count : step]
                answer[place] = column if whole else _spread(column, entities)
            start += count
        for (place, _), newest in zip(self.snapshots, values[start:], strict=False):
            # Rows of a result that is being written count already; those of the older ones count no longer once it is.
            oldest = newest or b""
            answer[place] = [each if each is not None and each[:8] >= oldest else None for each in answer[place]]
        return answer

    def alone(self, rows: Any) -> tuple[Requested, list[bytes]] | None:
        """Return a request of one row, and the keys to get, one for each view; ``None`` where that is not so simple.

        It is what most services ask for, and worth a way of its own: half the time of a read is its steps.
        """
        if self.single is None or type(rows) is not list or len(rows) != 1:
            return None
        group = self.single
        row = rows[0]
        try:
            values = [row[name] for name in group.names]
            if not _PLAIN.issuperset(map(type, values)):
                return None
            entity = group.codec.entity(values)
        except (KeyError, TypeError):  # It is said what is wrong where all rows are looked at.
            return None
        if entity is None or entity[:1] == b"\xff":
            return None
        if self.plan.computes:
            return self._alone_with_others(row, entity)
        columns = {name: [value] for name, value in zip(group.names, values, strict=True)}
        return Requested(1, columns), [entity + suffix for suffix in group.suffixes]

    def _alone_with_others(self, row: Mapping[str, Any], entity: bytes) -> tuple[Requested, list[bytes]] | None:
        """Return what `alone` does for a row that has columns for functions, too."""
        assert self.single is not None
        if not (_MAY_COME.issuperset(map(type, row.values())) and row.keys() >= self.plan.requested.keys()):
            return None
        columns = {name: [value] for name, value in row.items()}
        return Requested(1, columns), [entity + suffix for suffix in self.single.suffixes]


def _spread(column: Values, entities: Values) -> Values:
    values = iter(column)
    return [None if entity is None else next(values) for entity in entities]


def prepared(state: State, following: Following, plan: ServingPlan, params: Mapping[str, Any]) -> Prepared:
    """Return ``plan`` ready to read by."""
    has_windows = any(view.aggregates for view in plan.views)
    if has_windows:
        from featurestore.run.window_reading import with_layout

        plan = replace(plan, views=tuple(map(with_layout, plan.views)))
    written = _written(state, plan)
    all_views = (*plan.views, *(one.written.rows for one in written))
    groups = _groups(all_views)
    needed = dict.fromkeys([*plan.join_keys, *plan.requested])
    stored = [(place, view.stored) for place, view in enumerate(plan.views)]
    side_by_side = [column for view in plan.views for column in view.columns]
    snapshots = tuple((place, snapshot_key(one.suffix)) for place, one in stored if one is not None and one.snapshots)
    is_alone = len(groups) == 1 and len(groups[0].views) == len(all_views)
    single = groups[0] if is_alone and not snapshots else None
    ages = [view.max_age for view in plan.views]
    order = tuple(side_by_side.index(column) for column in plan.features if column in side_by_side)
    readers = tuple(map(_reader, plan.views))
    return Prepared(
        state,
        following,
        plan,
        params,
        tuple(needed),
        groups,
        snapshots,
        {column: (place, index) for place, view in enumerate(plan.views) for index, column in enumerate(view.columns)},
        readers,
        tuple(ages),
        order,
        order == tuple(range(len(side_by_side))),
        _blocks(plan.views) if single is not None and not plan.computes else None,
        single,
        _windows(plan.views) if has_windows else {},
        _lists(state, plan, params) if plan.computes else None,
        any(group.long for group in groups),
        written,
    )


def _codec(stored: OnlineView) -> KeyCodec | UnknownKeys:
    if stored.number:
        return KeyCodec(stored.keys, stored.suffix)
    from featurestore.run.window_reading import UnknownKeys

    return UnknownKeys()


def _reader(view: ServedView) -> AnyReader:
    if not view.aggregates:
        return ViewReader.of(view)
    from featurestore.run.window_reading import WindowReader

    return WindowReader.of(view)


def _windows(views: Sequence[ServedView]) -> dict[bytes, Reading]:
    from featurestore.windows.gathering import Reading

    found: dict[bytes, tuple[OnlineView, dict[Aggregate, None]]] = {}
    for view in views:
        if view.aggregates and view.stored is not None:
            found.setdefault(view.stored.suffix, (view.stored, {}))[1].update(dict.fromkeys(view.aggregates))
    return {suffix: Reading.of(stored, aggregates) for suffix, (stored, aggregates) in found.items()}


def _lists(state: State, plan: ServingPlan, params: Mapping[str, Any]) -> OnLists | None:
    from featurestore.run.lists import OnLists

    session = state.online.context.session
    return OnLists(session, plan.computing, params) if OnLists.suits(plan.computing) else None


def _written(state: State, plan: ServingPlan) -> tuple[WrittenReader, ...]:
    if not any(one.rows.stored for one in plan.written):
        return ()
    from featurestore.run.written import written_readers

    return tuple(one for one in written_readers(state.online.context.session, plan) if one.reader.decoder is not None)


def _blocks(views: Sequence[ServedView]) -> Blocks | None:
    stored = [
        (view.stored, view.fields)
        for view in views
        if view.stored is not None and not (view.timeless or view.aggregates)
    ]
    return Blocks.of(stored) if len(stored) == len(views) else None


def _groups(views: Sequence[ServedView]) -> tuple[Group, ...]:
    found: dict[Any, list[tuple[int, OnlineView]]] = {}
    for place, view in enumerate(views):
        if view.stored is not None:
            names = tuple(name for name, _ in view.keys)
            types = tuple(text for _, text in view.stored.keys)
            found.setdefault((names, types), []).append((place, view.stored))
    return tuple(
        Group(
            names,
            _codec(members[0][1]),
            tuple(place for place, _ in members),
            tuple(stored.suffix for _, stored in members),
            bool(members[0][1].number) and may_be_digests(members[0][1].keys),
        )
        for (names, _), members in found.items()
    )
