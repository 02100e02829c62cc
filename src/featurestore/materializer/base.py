"""The materializer port: where the results of functions live.

An adapter holds *materializations*: whole results, each with the record that says what it is. It implements four
methods, `put`, `entries`, `open` and `drop`, and inherits everything that users call. Frames reach an adapter in
normal form, a Polars DataFrame, and leave it as a Polars LazyFrame with exactly the same columns and types.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, lru_cache, update_wrapper
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, Literal, ParamSpec, TypeVar

from featurestore.declare import dispatch
from featurestore.errors import ConfigurationError, ParameterError, closest
from featurestore.instants import to_instant
from featurestore.repository import parameters

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ROW", "Materialization", "Materializations", "Materializer"]

P = ParamSpec("P")
R = TypeVar("R")

ROW = "__row__"
"""Name of the column that keeps the order of a result's rows where the adapter stores them in another one."""


@dataclass(frozen=True)  # no slots: what a lookup asks of every record again and again is worked out once
class Materialization:
    """One stored result of a feature: what it is of, and what made it.

    Its identity is the feature's qualified name, the parameters and the fingerprint of the code.
    """

    feature_name: str
    """Qualified name of the feature."""
    params: Mapping[str, object]
    """Every parameter that the result depends on, defaults included; instants in UTC, naive where they came naive."""
    fingerprint: str = field(default="", repr=False)
    """Digest of the code that made the result."""
    inputs: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Features that were called, and sources that SQL read (``source:name``), while it was made, each with its digest
    then."""
    inherited: Mapping[str, object] = field(default_factory=dict, repr=False)
    """Parameters that features called while it was made took from ``with_params``, not having got them by hand."""
    defaulted: tuple[str, ...] = field(default=(), repr=False)
    """Parameters that such features got neither by hand nor from ``with_params``."""
    created: datetime = field(default=datetime.min, repr=False)
    """When it was stored, aware, in UTC."""
    rows: int = field(default=0, repr=False)
    """Number of rows."""
    key: tuple[str, ...] = field(default=(), repr=False)
    """Columns of the declared entity: what an adapter sorts or indexes by. Empty where none was declared."""
    shape: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What is needed to hand the result back in the form in which the function returned it. JSON data."""
    schema: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Column names with the names of their types, for people."""

    def __hash__(self) -> int:
        # Not by the identity, which tells parameters apart that Python calls equal, such as 1 and 1.0.
        return hash((self.feature_name, frozenset(self.params), self.fingerprint, self.created))

    @cached_property
    def identity(self) -> str:
        """32 hex digits for feature, parameters and fingerprint; safe in names of files and tables."""
        return parameters.digest({"feature": self.feature_name, "params": self.params_digest, "code": self.fingerprint})

    @cached_property
    def params_digest(self) -> str:
        """32 hex digits for all parameters together."""
        return parameters.digest(self.params)

    @cached_property
    def param_digests(self) -> Mapping[str, str]:
        """The like for each parameter."""
        return parameters.digest_each(self.params)

    def to_json(self) -> str:
        """Return the record as text from which `from_json` makes an equal one."""
        data = {
            "feature_name": self.feature_name,
            "params": parameters.encode(self.params),
            "fingerprint": self.fingerprint,
            "inputs": dict(self.inputs),
            "inherited": parameters.encode(self.inherited),
            "defaulted": list(self.defaulted),
            "created": self.created.isoformat(),
            "rows": self.rows,
            "key": list(self.key),
            "shape": dict(self.shape),
            "schema": dict(self.schema),
        }
        return json.dumps(data)

    @classmethod
    def from_json(cls, text: str) -> Materialization:
        """Return the record that `to_json` wrote; of the same text, the same record."""
        return _read(text)

    def stored(self, *, created: datetime, rows: int) -> Materialization:
        """Return the same record with when it was stored and how many rows it has."""
        return replace(self, created=created, rows=rows)


class Materializations(tuple[Materialization, ...]):
    """Records as a tuple that prints one a line, and in notebooks as a table; of very many only both ends.

    Example:
        >>> Materializations([Materialization("f", {"n": 1}), Materialization("f", {"n": 2})])
        (Materialization(feature_name='f', params={'n': 1}),
         Materialization(feature_name='f', params={'n': 2}))
    """

    __slots__ = ()

    def __repr__(self) -> str:
        if len(self) < 2:
            return super().__repr__()
        lines = [repr(record) for record in self]
        left_out = len(lines) - 2 * _SHOWN
        if left_out > 0:
            lines[_SHOWN:-_SHOWN] = [f"... {left_out:,} more"]
        return f"({f',{chr(10)} '.join(lines)})"

    def _repr_html_(self) -> str:
        row, cell = "<tr>{}</tr>".format, "<td style='text-align:left'>{}</td>".format
        shown = [row("".join(cell(escape(text)) for text in _cells(record))) for record in self]
        left_out = len(shown) - 2 * _SHOWN
        if left_out > 0:
            shown[_SHOWN:-_SHOWN] = [row(cell(f"... {left_out:,} more"))]
        head = "".join(f"<th style='text-align:left'>{title}</th>" for title in _TITLES)
        return f"<table><tr>{head}</tr>{''.join(shown)}</table>"


_SHOWN = 30
"""Records at either end that are printed of a long listing."""
_TITLES = ("feature", "parameters", "rows", "stored (UTC)")


def _cells(record: Materialization) -> tuple[str, ...]:
    stored = f"{record.created:%Y-%m-%d %H:%M:%S}"
    return (record.feature_name, parameters.shown(record.params), f"{record.rows:,}", stored)


class Materializer(ABC):
    """Keeps results of features, and is the decorator that answers calls from them.

    Args:
        on_miss: what a call does when no fresh result is stored: ``"compute"`` runs the function,
            ``"materialize"`` runs it and stores the result.
        on_stale: what a call does when a result by other code is stored: ``"recompute"`` treats it as missing,
            ``"error"`` raises `StaleMaterializationError`. A stale result is never served.
    """

    def __init__(
        self,
        *,
        on_miss: Literal["compute", "materialize"] = "compute",
        on_stale: Literal["recompute", "error"] = "recompute",
    ) -> None:
        _require_choice("on_miss", on_miss, ("compute", "materialize"))
        _require_choice("on_stale", on_stale, ("recompute", "error"))
        self.on_miss = on_miss
        self.on_stale = on_stale

    keeps_order: ClassVar[bool] = False
    """Whether `open` gives the rows in the order in which `put` got them, filtered or not."""

    # ---- the port: what an adapter implements ------------------------------------------------------------------

    @abstractmethod
    def put(self, record: Materialization, frame: pl.DataFrame) -> None:
        """Store ``frame`` as the result that ``record`` describes, replacing one of the same identity.

        Atomic: whatever happens meanwhile, readers see the old result or the new one, whole; a retry after any
        failure succeeds; of two writers at once one whole result stays. Columns, types, nulls and, together with
        the column ``__row__`` where there is one, the order of rows survive exactly.

        Raises:
            UnsupportedValueError: a column whose type or content cannot be kept; names it. Nothing is stored then.
        """

    @abstractmethod
    def entries(self, feature_name: str | None = None) -> tuple[Materialization, ...]:
        """Return the records of one feature (``None``: of all), in any order; an unknown feature has none."""

    def find(self, feature_name: str, params: Mapping[str, object]) -> tuple[Materialization, ...]:
        """Return the records of one feature with exactly these parameters, by whatever code, newest first.

        An adapter with an index over parameters overrides this; the answer is the same.
        """
        wanted = parameters.digest(params)
        found = [entry for entry in self.entries(feature_name) if entry.params_digest == wanted]
        return tuple(sorted(found, key=lambda entry: entry.created, reverse=True))

    @abstractmethod
    def open(self, record: Materialization) -> pl.LazyFrame:
        """Return the stored result, unread: filters and projections on it reach the back end.

        Rows come in any order, unless the adapter declares `keeps_order`. After a replacement between opening and
        reading, the old result or the new one is read, whole; where the new one has other columns, reading may fail
        instead, as a lazy frame cannot change its columns.

        Raises:
            NotMaterializedError: nothing of this identity is stored.
        """

    @abstractmethod
    def drop(self, record: Materialization) -> None:
        """Remove the result of this identity and its record; none is a no-op. Atomic like `put`."""

    # ---- what users call ---------------------------------------------------------------------------------------

    def decorator(self, function: Callable[P, R]) -> Callable[P, R]:
        """Wrap ``function`` so that calls are answered from here where a fresh result with the same parameters is.

        Made for ``fs.add_decorator(materializer.decorator)``; works on a single feature as ``@`` too.
        """

        def answered(*args: P.args, **kwargs: P.kwargs) -> R:
            return dispatch.current().answer(self, function, args, kwargs)  # type: ignore[no-any-return]  # Untyped beyond here.

        return update_wrapper(answered, function)

    def materialize(self, feature: Any, *, force: bool = True, **params: Any) -> Materialization:
        """Compute ``feature`` with ``params`` and store the result, past its own cache.

        Args:
            feature: a registered function or its name.
            force: ``False`` leaves a fresh result as it is.
            **params: the feature's parameters; missing ones take their defaults.

        Returns:
            The record of what was stored.

        Raises:
            ParameterError: a missing, unknown or unidentifiable parameter.
            UnsupportedValueError: a result that this back end cannot hold.
        """
        return dispatch.current().store_result(self, feature, params, force=force)  # type: ignore[no-any-return]  # Untyped beyond here.

    def materialize_range(self, feature: Any, *, progress: bool = True, **params: Any) -> Materializations:
        """Backfill: materialize each point of the grids among ``params`` (`every`, lists) that has no fresh result.

        Every point is stored on its own, so an interrupted backfill goes on where it stopped when called again.

        Returns:
            The records of all points, those that were there already included, in the grid's order.
        """
        return dispatch.current().materialize_range(self, feature, params, progress=progress)  # type: ignore[no-any-return]  # Untyped beyond here.

    def list_materializations(self, feature: Any = None) -> Materializations:
        """Return what is stored of ``feature`` (``None``: of all), ordered by name, parameters and age."""
        name = None if feature is None else dispatch.current().resolve(feature).qualified_name
        return Materializations(sorted(self.entries(name), key=_listing_order))

    def scan(self, feature: Any, **params: Any) -> pl.LazyFrame:
        """Return the stored result of ``feature`` with ``params`` as a LazyFrame, whatever the function returns.

        ``Last()`` and the other resolvers choose among what is stored of this feature here.

        Raises:
            NotMaterializedError: no fresh result is stored; says what is.
        """
        return dispatch.current().scan(self, feature, params)  # type: ignore[no-any-return]  # Untyped beyond here.

    def delete(self, feature: Any, *, dry_run: bool = False, **params: Any) -> Materializations:
        """Remove the results of ``feature`` whose parameters include ``params`` (none given: all of them).

        Args:
            dry_run: only tell what would be removed.

        Returns:
            The records of what was, or would be, removed.

        Raises:
            ParameterError: a parameter that no result of it has.
        """
        stored = self.list_materializations(feature)
        _require_known(stored, params)
        doomed = Materializations(entry for entry in stored if _includes(entry, params))
        return self._remove(doomed, dry_run=dry_run)

    def prune(
        self,
        feature: Any = None,
        *,
        keep_last: int | None = None,
        older_than: str | timedelta | datetime | None = None,
        dry_run: bool = False,
    ) -> Materializations:
        """Remove old results of ``feature`` (``None``: of every feature).

        Args:
            keep_last: how many to keep of each feature, the newest by its parameters; stale ones go first.
            older_than: remove only what was stored longer ago than this duration, or before this instant.
            dry_run: only tell what would be removed.

        Returns:
            The records of what was, or would be, removed. With both limits only what both of them give up.

        Raises:
            ConfigurationError: neither limit given, or a negative number.
        """
        from featurestore.materializer.pruning import expendable

        store = dispatch.current()
        doomed = expendable(
            self.list_materializations(feature), keep_last=keep_last, older_than=older_than, is_fresh=store.is_fresh
        )
        return self._remove(Materializations(doomed), dry_run=dry_run)

    def _remove(self, doomed: Materializations, *, dry_run: bool) -> Materializations:
        if not dry_run:
            for entry in doomed:
                self.drop(entry)
        return doomed


@lru_cache(maxsize=16_384)
def _read(text: str) -> Materialization:
    data = json.loads(text)
    data["params"] = parameters.decode(data["params"])
    data["inherited"] = parameters.decode(data.get("inherited", {}))
    data["defaulted"] = tuple(data.get("defaulted", ()))
    data["created"] = to_instant(data["created"])
    data["key"] = tuple(data["key"])
    return Materialization(**data)


def _listing_order(entry: Materialization) -> tuple[str, str, datetime]:
    return (entry.feature_name, json.dumps(parameters.encode(entry.params)), entry.created)


def _require_known(stored: Iterable[Materialization], params: Mapping[str, object]) -> None:
    known = {name for entry in stored for name in entry.params}
    for name in params.keys() - known if known else ():
        near = closest(name, known)
        raise ParameterError(
            f"no stored result has a parameter {name!r}",
            found=name,
            expected=", ".join(sorted(known)),
            fix=f"did you mean {near!r}?" if near else "leave it out",
        )


def _includes(entry: Materialization, params: Mapping[str, object]) -> bool:
    return all(name in entry.params and parameters.same(entry.params[name], params[name]) for name in params)


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"no such {name}", found=repr(value), expected=" or ".join(map(repr, choices)))
