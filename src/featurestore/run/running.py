"""Calls in progress: who calls whom, which parameters are there to be inherited, and which results are known of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from featurestore.errors import FeatureStoreError
from featurestore.materializer.base import Materialization, Materializer
from featurestore.repository.names import AnyFeature

__all__ = ["Listed", "Running", "evaluate", "given", "giving", "listed", "listing", "running"]

Listed = Mapping[tuple[Materializer, str], tuple[Materialization, ...]]
"""What materializers have of features, by qualified name."""


_NONE: Mapping[str, Any] = {}
_WITHIN = "raised within feature "


class Running:
    """One call of a feature, while it runs. Made at every call, so its making is kept short.

    Attributes:
        feature: the feature that is called.
        parent: the call within which it is called.
        for_table: whether a table is wanted: a retrieval asks, not user code, so a feature in SQL answers with rows.
        called: qualified names of the features that were called while it ran, at any depth.
        inherited: parameters that calls below took from ``with_params`` because they were not passed by hand.
        defaulted: parameters that calls below got neither by hand nor from ``with_params``.
        code: identity of the feature's code when the call began: one that is redefined meanwhile gives a stale result.
        past: the materializer that wants the result computed, and must not answer it.
        frameless: whether the function itself returned something else than a frame.
    """

    __slots__ = ("called", "code", "defaulted", "feature", "for_table", "frameless", "inherited", "parent", "past")

    def __init__(self, feature: AnyFeature, parent: Running | None, *, for_table: bool = False) -> None:
        self.feature = feature
        self.parent = parent
        self.for_table = for_table
        self.called: frozenset[str] = frozenset()
        self.inherited: Mapping[str, Any] = {}
        self.defaulted: frozenset[str] = frozenset()
        self.code = ""
        self.past: object = None
        self.frameless = False

    def note_calls(
        self, names: Iterable[str], inherited: Mapping[str, Any] = _NONE, defaulted: Iterable[str] = ()
    ) -> None:
        """Remember that features were called below, here and all the way up.

        What they inherited matters up to the retrieval whose parameters it was: further up these were given by hand.
        """
        call: Running | None = self
        while call is not None:
            call.called = call.called.union(names)
            if inherited:
                call.inherited = {**call.inherited, **inherited}
            if defaulted:
                call.defaulted = call.defaulted.union(defaulted)
            if call.for_table:
                inherited, defaulted = _NONE, ()
            call = call.parent


_running: ContextVar[Running | None] = ContextVar("featurestore_running", default=None)
_given: ContextVar[Mapping[str, Any] | None] = ContextVar("featurestore_given", default=None)

running: Callable[[], Running | None] = _running.get
"""Return the innermost call in progress."""


def given() -> Mapping[str, Any]:
    """Return the parameters of the ``with_params`` that is being evaluated."""
    return _given.get() or {}


@contextmanager
def giving(params: Mapping[str, Any]) -> Iterator[None]:
    """Let features that are called meanwhile inherit ``params``."""
    token = _given.set(params)
    try:
        yield
    finally:
        _given.reset(token)


_listed: ContextVar[Listed | None] = ContextVar("featurestore_listed", default=None)


def listed(materializer: Materializer, feature: AnyFeature) -> tuple[Materialization, ...]:
    """Return what was found of ``feature`` when resolvers such as ``Last()`` asked, if they did."""
    known = _listed.get()
    return known.get((materializer, feature.qualified_name), ()) if known else ()


@contextmanager
def listing(known: Listed) -> Iterator[None]:
    """Let calls that are answered meanwhile rest on the records by which their parameters were resolved."""
    token = _listed.set(known)
    try:
        yield
    finally:
        _listed.reset(token)


def evaluate(call: Running, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Run ``function`` as the innermost call in progress."""
    token = _running.set(call)
    try:
        return function(*args, **kwargs)
    except Exception as error:  # Whatever a function of a user raises.
        _tell(error, call.feature)
        raise
    finally:
        _running.reset(token)


def _tell(error: Exception, feature: AnyFeature) -> None:
    """Note the innermost feature in which an error of somebody else's code was raised. Ours say what they are about."""
    noted = any(note.startswith(_WITHIN) for note in getattr(error, "__notes__", ()))
    if not noted and not isinstance(error, FeatureStoreError):
        declared = feature.declaration
        error.add_note(f"{_WITHIN}{feature.qualified_name} ({declared.file}:{declared.line})")
