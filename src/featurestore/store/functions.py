"""The function side of a store: registering, calling, joining, decorating and materializing functions."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Never, ParamSpec, Self, TypeVar, overload

from featurestore.declare import dispatch
from featurestore.declare.aggregates import Aggregate
from featurestore.declare.feature import Feature
from featurestore.declare.registering import Options, feature_of
from featurestore.declare.source import FileSource
from featurestore.declare.values import ValueType
from featurestore.errors import FeatureStoreWarning
from featurestore.planning.calls import require_named, require_no_params
from featurestore.planning.resolving import require_instances
from featurestore.repository.clocks import clock_calls
from featurestore.repository.descriptions import Description, FeatureList
from featurestore.repository.lineage import Lineage, lineage_of
from featurestore.repository.names import find
from featurestore.run import backfill, calling, columns, describing, results, retrieving
from featurestore.run.freshness import is_fresh
from featurestore.run.session import Session
from featurestore.settings import Config

if TYPE_CHECKING:
    from featurestore.materializer.base import Materialization, Materializations, Materializer
    from featurestore.run.jobs import RetrievalJob

__all__ = ["Functions", "Params"]

P = ParamSpec("P")
R = TypeVar("R")
As = Literal["pandas", "polars", "lazy", "arrow", "duckdb", "ibis", "spark"]


class Functions(ABC):
    """What a store does with registered functions."""

    config: Config
    _session: Session

    @abstractmethod
    def _historical(self, params: Mapping[str, Any], **options: Any) -> RetrievalJob:
        """Return a training dataset of ``params``. The retrieval side has it."""

    # ---- declaring -----------------------------------------------------------------------------------------------

    @overload
    def register_feature(self, function: Callable[P, R], /, **options: Any) -> Feature[P, R]: ...

    @overload
    def register_feature(
        self,
        /,
        *,
        name: str | None = None,
        entity: str | Sequence[str] | None = None,
        ttl: str | timedelta | None = None,
        every: str | timedelta | None = None,
        max_age: str | timedelta | None = None,
        timestamp: str | None = None,
        created: str | None = None,
        available_at: str | None = None,
        aggregates: Sequence[Aggregate] | None = None,
        event_id: str | None = None,
        timeless: bool = False,
        inputs: str | Sequence[str] | None = None,
        owner: str | None = None,
        tags: Sequence[str] | Mapping[str, str] | None = None,
        status: str | None = None,
        description: str | None = None,
        schema: Mapping[str, Any] | None = None,
        value_type: ValueType | None = None,
    ) -> Callable[[Callable[P, R]], Feature[P, R]]: ...

    def register_feature(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Make a feature of a function. The function works as before.

        Args:
            function: the function; left out where options are given.
            name: another short name than the function's, or with dots the whole qualified name.
            entity: join key column, or columns.
            ttl: how long a value holds (``"7d"`` or a timedelta).
            every: grid on which an as-of feature is computed for training and serving.
            max_age: how old a stored result may get before it counts as missing.
            timestamp: column of the event timestamp, for a function whose rows each say when they hold from.
            created: column that decides between rows of equal key and event timestamp: the later one counts.
            available_at: column that says when a row became known; before that no label sees it.
            aggregates: what is computed over windows of time of the rows, as events: see `featurestore.agg`.
            event_id: with aggregates, the column that says which rows are one event: the first that was known counts.
            timeless: whether a table that knows no time may be joined to labels of any time.
            inputs: for a column function, the columns that its parameters get, in their order.
            owner: who answers for it; the docstring's ``Owner:`` or ``Maintainer:`` by default.
            tags: words, or a mapping of tags; the docstring's ``Tags:`` by default.
            status: such as ``"stable"``; the docstring's ``Status:`` by default.
            description: one line; the docstring's first by default.
            schema: the feature columns with their types.
            value_type: `Numeric` or `Categorical`: what values it may have.

        Returns:
            The feature: callable as the function was, with ``qualified_name``, ``params``, ``metadata`` and more.

        Raises:
            DuplicateNameError: the name is taken and ``config.interactive`` is off.
            RegistrationError: no plain function, or an option that cannot be.

        Warns:
            FeatureStoreWarning: the function reads the clock instead of taking ``when``.

        Example:
            >>> import featurestore as fs
            >>> @fs.register_feature(entity="user_id", name="docs.n_logins")
            ... def n_logins() -> dict[int, int]:
            ...     "Number of logins of a user."
            ...     return {1: 3, 2: 5}
            >>> n_logins()
            {1: 3, 2: 5}
            >>> n_logins.metadata.summary
            'Number of logins of a user.'
        """
        chosen = Options.of(options)
        if function is not None:
            return self._register(function, chosen)
        return lambda decorated: self._register(decorated, chosen)

    def _register(self, function: Callable[..., Any], options: Options) -> Feature[..., Any]:
        feature = feature_of(function, options)
        if feature.declaration.aggregates:
            from featurestore.run.aggregated import require_aggregates

            require_aggregates(feature)
        self._session.collector.add(feature, replace=self.config.interactive)
        for reading in clock_calls(feature.fn):
            warnings.warn(
                f"{feature.qualified_name} reads the clock ({reading}): its values change without its code or "
                "parameters changing. Take the instant as a parameter called when.",
                FeatureStoreWarning,
                stacklevel=3,
            )
        return feature

    def register_source(self, source: FileSource) -> FileSource:
        """Make ``source`` known under its name, to features written in SQL.

        Raises:
            DuplicateNameError: another source has the name.
        """
        self._session.collector.add_source(source)
        return source

    # ---- retrieving ----------------------------------------------------------------------------------------------

    def with_params(self, *wrong: Never, **params: Any) -> Params:
        """Return an asker that hands ``params`` to the features that name them.

        Example:
            >>> import featurestore as fs
            >>> @fs.register_feature(entity="id", name="docs.above")
            ... def above(limit: int) -> dict[int, bool]:
            ...     return {n: n > limit for n in (1, 2)}
            >>> fs.with_params(limit=1).get_features(above, as_="polars").rows()
            [(1, False), (2, True)]

        Raises:
            ParameterError: ``Last`` where ``Last()`` is meant.
        """
        require_named(wrong)
        require_instances(params)
        return Params(self, params)

    def get_features(
        self, *features: Any, full_feature_names: bool = False, as_: As | None = None, **wrong: Never
    ) -> Any:
        """Return the table of several features: one row a key, one column a feature.

        Args:
            *features: registered functions, their names (full, or short where unique), or ``"name:column"``.
            full_feature_names: name the columns ``<feature>__<column>``.
            as_: the kind of table; by default that of the features where all are of one kind, else a Polars LazyFrame.

        Returns:
            The tables joined full outer on the declared entity, or on the columns that all have in common and that
            are no features. Lazy where the features are: filters on it reach what is below.

        Raises:
            UnknownNameError: a name that no feature bears.
            ParameterError: a required parameter is missing.
            JoinError: no common key; shows each schema. ColumnClashError: two columns of one name.
        """
        require_no_params(wrong)
        return self.with_params().get_features(*features, full_feature_names=full_feature_names, as_=as_)

    def add_features(self, frame: Any, *features: Any) -> Any:
        """Return ``frame`` with a new column for each of the column functions ``features``.

        Parameters that name a column of the frame, or another of the functions, get it; a lone parameter that names
        none gets the frame.

        Args:
            frame: pandas or Polars, eager or lazy (others are converted to and fro); it is not changed.
            *features: registered functions or their names, in any order.

        Raises:
            MissingColumnError: a parameter that is neither a column nor a value nor has a default.
            FrameError: a function returned no column, or one of another length.
        """
        return self.with_params().add_features(frame, *features)

    # ---- decorating and materializing ----------------------------------------------------------------------------

    def add_decorator(self, decorator: Callable[..., Any], prefix: str = "") -> None:
        """Put ``decorator`` around features, from outside their code: any Python decorator, or a materializer's.

        Decorators apply in the order of adding: the last one added is the outermost. Of materializers only the one
        with the most specific prefix serves a feature. What was added after it is around its answers; what was added
        before it is in what it stores, and is no part of the identity of results: add decorators that change values
        after the materializer.

        Args:
            decorator: takes a function and returns one, or ``materializer.decorator``.
            prefix: the features it is for: those of a module or package, or a single one; all by default.

        Raises:
            RegistrationError: not a decorator. `FrameError` when a call meets one that returns no frame.
        """
        self._session.decorators.add(decorator, prefix)

    def remove_decorator(self, decorator: Callable[..., Any], prefix: str | None = None) -> None:
        """Undo `add_decorator`: for ``prefix``, or wherever ``decorator`` was added.

        Raises:
            UnknownNameError: it was not added.
        """
        self._session.decorators.remove(decorator, prefix)

    # ---- the catalogue -------------------------------------------------------------------------------------------

    def features(self) -> FeatureList:
        """Return the registered features, by qualified name. Prints as a table, in notebooks too."""
        return FeatureList.of(self._session.collector)

    def describe(self, feature: Any) -> Description:
        """Return all that is known of ``feature``: docs, parameters, schema, lineage, code, materializations.

        Raises:
            UnknownNameError: no such feature; suggests the nearest.
        """
        return describing.describe(self._session, self.resolve(feature))

    def lineage(self, feature: Any) -> Lineage:
        """Return what ``feature`` is made of and what is made of it, recursively: as written, and as seen running."""
        return lineage_of(self.resolve(feature).qualified_name, self._session.calls())

    # ---- what declarations and materializers ask for (declare.dispatch.Dispatcher) ------------------------------

    @contextmanager
    def active(self) -> Iterator[Self]:
        """Let this store answer the calls of registered functions meanwhile, instead of the default one."""
        token = dispatch.active.set(self)
        try:
            yield self
        finally:
            dispatch.active.reset(token)

    def resolve(self, feature: Any) -> Feature[..., Any]:
        """Return the feature that a function or a name means."""
        return find(feature, self._session.collector)

    def dependencies(self, feature: Feature[..., Any]) -> tuple[str, ...]:
        """Return the qualified names of the features that ``feature`` calls directly."""
        return self._session.dependencies(feature)

    def call(self, feature: Feature[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Answer a call of ``feature``."""
        return calling.call(self._session, feature, args, kwargs)

    def answer(
        self, materializer: Materializer, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Answer a call of ``function`` from ``materializer``, running it where nothing fresh is stored."""
        return results.answer(self._session, materializer, function, args, kwargs)

    def store_result(
        self, materializer: Materializer, feature: Any, params: Mapping[str, Any], *, force: bool
    ) -> Materialization:
        """Compute ``feature`` past its own cache and store the result in ``materializer``."""
        return results.materialize(self._session, materializer, self.resolve(feature), params, force=force)

    def materialize_range(
        self, materializer: Materializer, feature: Any, params: Mapping[str, Any], *, progress: bool
    ) -> Materializations:
        """Materialize every point of the grids among ``params`` that has no fresh result yet."""
        return backfill.materialize_range(self._session, materializer, self.resolve(feature), params, progress=progress)

    def scan(self, materializer: Materializer, feature: Any, params: Mapping[str, Any]) -> Any:
        """Return a stored result as a Polars LazyFrame."""
        return results.scan(self._session, materializer, self.resolve(feature), params)

    def is_fresh(self, materialization: Materialization) -> bool:
        """Tell whether ``materialization`` was made by the code that its feature has now, and is not too old."""
        return is_fresh(self._session, materialization)


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters that wait for the features that take them: what ``with_params`` returns."""

    _store: Functions = field(repr=False)
    params: Mapping[str, Any]

    def get_features(
        self, *features: Any, full_feature_names: bool = False, as_: As | None = None, **wrong: Never
    ) -> Any:
        """Return the table of several features, as the store's `get_features` does."""
        require_no_params(wrong)
        with self._store.active():
            return retrieving.get_features(
                self._store._session, features, self.params, full_feature_names=full_feature_names, as_=as_
            )

    def add_features(self, frame: Any, *features: Any) -> Any:
        """Return ``frame`` with new columns, as the store's `add_features` does."""
        chosen = [self._store.resolve(feature) for feature in features]
        with self._store.active():
            return columns.add_features(self._store._session, frame, chosen, self.params)

    def get_historical_features(
        self, entity_df: Any = None, features: Any = (), full_feature_names: bool = False, **options: Any
    ) -> RetrievalJob:
        """Return a training dataset, as the store's `get_historical_features` does; a label column of a name wins."""
        chosen = {"entity_df": entity_df, "features": features, "full_feature_names": full_feature_names}
        return self._store._historical(self.params, **chosen, **options)
