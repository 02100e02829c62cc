"""The verifying side of a store: whether every way to compute a value gives the same, and what one value is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from featurestore.declare.feature import Feature
from featurestore.errors import MissingDependencyError, ParameterError, RegistrationError
from featurestore.repository.documents import ObjectKind
from featurestore.store.ingesting import Streaming

if TYPE_CHECKING:
    from datetime import date, datetime

    import polars as pl

    from featurestore.engines.base import Engine
    from featurestore.planning.applying import Plan
    from featurestore.repository.repository import Repository
    from featurestore.run.training import Context
    from featurestore.verification.explanations import Explanation
    from featurestore.verification.report import Verification
    from featurestore.verification.verifying import Progress

__all__ = ["Verifying"]

_ENGINES = ("polars", "duckdb")


class Verifying(Streaming):
    """What a store proves of itself."""

    def verify(
        self,
        views: Any = None,
        data: Any = None,
        *,
        labels: int = 120,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> Verification:
        """Compute features in every way that there is, and compare the values to the last bit.

        Labels are drawn where mistakes show: on the edges of windows and ttls, at events, a microsecond beside them,
        of entities that have rows, of unknown ones and of none. Each feature is then computed by the slow reference
        (plain Python, a row at a time; functions of computed features row by row on its values), by each engine, and
        by the online path: the rows are brought in random order and batches, pushed and materialized, to a store in
        memory with a simulated clock, and read at each label's time. Nothing of the project is changed.

        Of sources with many rows it takes whole histories of random entities, at most 800 rows.

        Args:
            views: references, views and registered functions; by default everything that the project has.
            data: rows of the view, in the place of those of its source: a frame of any kind. With several views a
                mapping of names to frames.
            labels: how many are drawn for each view.
            seed: draws the same rows, labels and replay again.
            progress: called with the view that is looked at, how many are done, and how many there are.

        Returns:
            A report: ``.ok``, ``.views``, ``.differences`` with the smallest failing case of each, ``.to_dict()``,
            ``.raise_if_different()``. It prints as a summary.

        Raises:
            UnknownNameError: nothing bears a name; suggests the nearest.
            ParameterError: a view that was named and cannot be verified; says why. Also rows that nothing takes.
            ConfigurationError: a source that cannot be read.

        Example:
            >>> from datetime import datetime
            >>> import featurestore as fs
            >>> import polars as pl
            >>> store = fs.FeatureStore()
            >>> @store.register_feature(
            ...     name="docs.spent", entity="user", timestamp="at", aggregates=[fs.agg.sum("amount", "1h")]
            ... )
            ... def spent() -> pl.DataFrame:
            ...     at = [datetime(2024, 5, 1, 10, minute) for minute in (0, 30, 45)]
            ...     return pl.DataFrame({"user": [1, 1, 2], "at": at, "amount": [0.1, 0.2, 5.0]})
            >>> store.verify(spent, labels=20, seed=1).ok
            True
        """
        from featurestore.verification.verifying import Look, verify

        wanted = views if views is None or isinstance(views, list | tuple) else [views]
        with self.active():
            context = self._online().context
            look = Look(_engines(context.engine), self.clock.now(), labels, data=_frames(wanted, data, context))
            return verify(context, wanted, look if seed is None else replace(look, seed=seed), progress)

    def verify_plan(
        self, plan: Plan, *, labels: int = 120, seed: int | None = None, progress: Progress | None = None
    ) -> Verification:
        """Verify what a plan adds or changes as it would be once the plan is in force, and what is computed with it.

        Arguments and answer as of `verify`; what cannot be verified is said in the report.
        """
        from featurestore.planning.retrieval import Known
        from featurestore.verification.verifying import Look, verify

        after = plan.after
        functions = tuple(found for name in after.names(ObjectKind.FUNCTION) if (found := _function(after, name)))
        with self.active():
            context = replace(
                self._online().context, known=Known(after.views, functions, after.entities, after.services)
            )
            look = Look(_engines(context.engine), self.clock.now(), labels, among=_changed(plan))
            return verify(context, None, look if seed is None else replace(look, seed=seed), progress)

    def explain_value(
        self, feature: Any, keys: Mapping[str, Any] | None = None, *, at: datetime | date | str | None = None
    ) -> Explanation:
        """Return what one value is made of: the rows that count, some that do not and why, the code, the arithmetic.

        The value is computed from these rows by the slow reference, and held against what training answers.

        Args:
            feature: one feature: ``"view:feature"``, a column function or its name, an on-demand view of one feature.
            keys: the join keys, and what the feature takes from the request.
            at: the time, UTC where naive; now by default. As-of functions are handed a time with a zone only if it has
                one.

        Returns:
            The explanation: ``.value``, ``.events``, ``.others``, ``.arithmetic``, ``.inputs``, ``.ok``,
            ``.to_dict()``, ``.raise_if_different()``. It prints as a text.

        Raises:
            UnknownNameError: nothing bears the name; suggests the nearest.
            ParameterError: several features, one that has no value at a time, or keys that it does not take or that
                are of another type.
            MissingColumnError: a key is missing.
            ConfigurationError: a source that cannot be read.

        Example:
            >>> from datetime import datetime
            >>> import featurestore as fs
            >>> import polars as pl
            >>> store = fs.FeatureStore()
            >>> @store.register_feature(
            ...     name="docs.paid", entity="user", timestamp="at", aggregates=[fs.agg.sum("amount", "1h")]
            ... )
            ... def paid() -> pl.DataFrame:
            ...     at = [datetime(2024, 5, 1, 10, minute) for minute in (0, 30)]
            ...     return pl.DataFrame({"user": [1, 1], "at": at, "amount": [0.1, 0.2]})
            >>> found = store.explain_value("docs.paid:amount_sum_1h", {"user": 1}, at="2024-05-01T10:45")
            >>> print(found.value, found.arithmetic[0])
            0.30000000000000004 sum of amount over 1h: 0.1 + 0.2
        """
        from featurestore.instants import to_instant
        from featurestore.run.materializing import is_naive
        from featurestore.verification.cells import explain_value

        if keys is not None and not isinstance(keys, Mapping):
            raise ParameterError(
                "the keys are no mapping",
                found=f"{keys!r} of type {type(keys).__name__}",
                expected="a value for each join key, by its name",
                fix="fs.explain_value(feature, {'driver_id': 1001})",
            )
        with self.active():
            context = self._online().context
            moment = self.clock.now() if at is None else to_instant(at)
            return explain_value(context, feature, dict(keys or {}), moment, _Codes(self), naive=is_naive(at))

    def _require_verified(self, plan: Plan) -> None:
        self.verify_plan(plan).raise_if_different()


class _Codes(Mapping[str, tuple[str, str, str]]):
    """By the identity of what has code: the function and where it is, its fingerprint now, and when it was applied."""

    def __init__(self, store: Verifying) -> None:
        self._store = store

    def __getitem__(self, name: str) -> tuple[str, str, str]:
        store = self._store
        documents = store.repository.documents
        kind = ObjectKind.FUNCTION if name in documents[ObjectKind.FUNCTION] else ObjectKind.ON_DEMAND
        applied = str(documents[kind].get(name, {}).get("fingerprint", ""))
        known = store._online().context.known
        feature = next((one for one in known.functions if one.qualified_name == name), None)
        if feature is not None:
            where = f"{feature.qualified_name} at {feature.declaration.file}:{feature.declaration.line}"
            return where, store._session.codes.of(feature).digest, applied
        if name not in documents[ObjectKind.ON_DEMAND]:
            raise KeyError(name)
        return str(documents[ObjectKind.ON_DEMAND][name]["function"]), applied, applied

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _function(repository: Repository, name: str) -> Feature[..., Any] | None:
    try:
        return repository.function(name)
    except RegistrationError:  # Its code is not here: whoever applies it says so.
        return None


def _changed(plan: Plan) -> frozenset[str] | None:
    """Return the names of what is new or changed; ``None`` where sources or entities change, which others share."""
    made = [change for change in plan.changes if change.action != "remove"]
    shared = (ObjectKind.SOURCE, ObjectKind.ENTITY)
    if any(change.kind in shared and change.action != "add" for change in made):
        return None
    return frozenset(change.name for change in made)


def _frames(wanted: Any, data: Any, context: Context) -> dict[str, pl.DataFrame]:
    """Return rows by the identity of their view."""
    from featurestore.planning.retrieval import asked_for
    from featurestore.run.incoming import frame_of
    from featurestore.run.online import identity

    if data is None:
        return {}
    by_name = data if isinstance(data, Mapping) and wanted is not None and len(wanted) > 1 else None
    if by_name is None:
        if wanted is None or len(wanted) != 1:
            raise ParameterError(
                "nothing says whose rows these are",
                found=f"data for {'all views' if wanted is None else f'{len(wanted)} views'}",
                expected="one view, or a mapping of views' names to frames",
                fix="fs.verify(view, data)",
            )
        (one, *_) = asked_for(wanted, context.known)
        return {identity(one.view): frame_of(data)}
    return {identity(asked_for(name, context.known)[0].view): frame_of(rows) for name, rows in by_name.items()}


def _engines(own: Engine) -> tuple[Engine, ...]:
    """Return an engine of each kind that is installed, the project's own among them."""
    from featurestore.store.engines import open_engine

    found = {own.name: own}
    for name in _ENGINES:
        try:
            found.setdefault(name, open_engine(name))
        except MissingDependencyError:
            continue
    return tuple(found[name] for name in sorted(found, key=lambda name: (name not in _ENGINES, name != "polars", name)))
