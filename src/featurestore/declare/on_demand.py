"""On-demand feature views: features computed from other features and from the request."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from featurestore.declare.brief import brief
from featurestore.declare.entity import Field, fields_of
from featurestore.declare.naming import require_name
from featurestore.declare.source import RequestSource
from featurestore.declare.view import FeatureView, Projection
from featurestore.dtypes import AnyType
from featurestore.errors import RegistrationError

if TYPE_CHECKING:
    from featurestore.declare.feature import Feature

__all__ = ["OnDemandFeatureView", "on_demand_feature_view"]

Mode = Literal["python", "pandas", "polars"]
_MODES = ("python", "pandas", "polars")
Input: TypeAlias = "FeatureView | Projection | OnDemandFeatureView | Feature[..., Any] | RequestSource"
"""What an on-demand view may compute with."""


@dataclass(frozen=True, slots=True)
class OnDemandFeatureView:
    """Features that ``function`` computes from the features of ``sources`` and from fields of the request."""

    name: str
    function: Callable[..., Any]
    schema: tuple[Field, ...]
    sources: tuple[Input, ...]
    mode: Mode = "pandas"
    singleton: bool = False
    write_to_online_store: bool = False
    description: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    owner: str = ""

    __repr__ = brief

    @property
    def requests(self) -> tuple[RequestSource, ...]:
        """What it takes from the request."""
        return tuple(source for source in self.sources if isinstance(source, RequestSource))

    @property
    def source_request_sources(self) -> dict[str, RequestSource]:
        """`requests` by name."""
        return {source.name: source for source in self.requests}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function as it was written."""
        return self.function(*args, **kwargs)


def on_demand_feature_view(
    *,
    sources: Sequence[Input],
    schema: Sequence[Field] | Mapping[str, AnyType],
    name: str | None = None,
    mode: Mode = "pandas",
    singleton: bool = False,
    write_to_online_store: bool = False,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    owner: str = "",
) -> Callable[[Callable[..., Any]], OnDemandFeatureView]:
    """Make an on-demand feature view of a function.

    Args:
        sources: whose columns the function gets: views, projections, registered functions, other on-demand views, and
            `RequestSource`s for fields of the request.
        schema: the features that it returns, or ``{name: type}``.
        name: the function's by default.
        mode: what the function computes with: ``"python"``, ``"pandas"`` or ``"polars"``.
        singleton: whether a python function gets and returns one row instead of lists.
        write_to_online_store: whether the features are computed when rows of the sources are pushed or materialized,
            and reads answer what is kept. Of other rows than those, or by other code, nothing is answered: it is
            computed at the read then, with the same value.
        description: one line; the docstring's first by default.
        tags: by name.
        owner: who answers for it.

    Raises:
        RegistrationError: an unknown mode, no schema or no sources, ``singleton`` in another mode than python, or
            ``write_to_online_store`` of what stored rows of one entity alone do not say.

    Example:
        >>> from featurestore import Field, types
        >>> request = RequestSource("trip", [Field("km", types.Float64)])
        >>> @on_demand_feature_view(
        ...     sources=[request], schema=[Field("miles", types.Float64)], mode="python", singleton=True
        ... )
        ... def in_miles(row):
        ...     return {"miles": None if row["km"] is None else row["km"] / 1.609344}
        >>> in_miles({"km": None})
        {'miles': None}
    """
    if mode not in _MODES:
        raise RegistrationError("no such mode", found=repr(mode), expected=", ".join(_MODES))
    fields = fields_of(schema)
    if not fields or not sources:
        raise RegistrationError(
            "an on-demand feature view needs sources and a schema",
            found=f"{len(sources)} sources, {len(fields)} features",
            expected="at least one of each",
        )

    if singleton and mode != "python":
        raise RegistrationError(
            "only a python function can get one row at a time",
            found=f"singleton=True with mode={mode!r}",
            expected='mode="python"',
            fix="leave singleton= out: the function gets a frame",
        )

    if write_to_online_store:
        _require_stored(name or "", sources, fields)

    def declare(function: Callable[..., Any]) -> OnDemandFeatureView:
        chosen = name or function.__name__
        require_name("on-demand feature view", chosen)
        return OnDemandFeatureView(
            name=chosen,
            function=function,
            schema=tuple(fields),
            sources=tuple(sources),
            mode=mode,
            singleton=singleton,
            write_to_online_store=write_to_online_store,
            description=description or (inspect.getdoc(function) or "").partition("\n")[0],
            tags=tuple((tags or {}).items()),
            owner=owner,
        )

    return declare


# ---- what can be computed before it is asked for -----------------------------------------------------------------

_UNTYPED = ("Decimal", "Json", "Map", "Uuid")
"""Types of which values are kept in several ways, so that reading one back need not give the same."""


def _require_stored(name: str, sources: Sequence[Input], schema: Sequence[Field]) -> None:
    """Refuse to keep features that rows of one entity do not decide, or of which the values would not come back."""
    leaves = [leaf for source in sources for leaf in _leaves(source)]
    for leaf in leaves:
        why = _unfit(leaf)
        if why is not None:
            raise _unkept(name, *why)
    entities = dict.fromkeys(_entity(leaf) for leaf in leaves)
    if len(entities) > 1:
        found = "sources of " + " and of ".join(", ".join(keys) or "no entity" for keys, _ in entities)
        raise _unkept(name, found, "sources of one entity, by the same keys")
    for field in schema:
        if any(each in str(field.dtype) for each in _UNTYPED):
            raise _unkept(name, f"feature {field.name!r} of type {field.dtype}", "features of types that say all")


def _leaves(source: Input) -> list[Input]:
    """Return what a source is computed with, at any depth; itself, where it is not computed."""
    if isinstance(source, OnDemandFeatureView):
        return [leaf for each in source.sources for leaf in _leaves(each)]
    return [source]


def _unfit(source: Input) -> tuple[str, str] | None:
    if isinstance(source, RequestSource):
        names = ", ".join(field.name for field in source.schema)
        return f"fields of the request: {names}", "sources whose rows are stored"
    view = source.view if isinstance(source, Projection) else source
    declared = view if isinstance(view, FeatureView | OnDemandFeatureView) else view.declaration
    if not getattr(declared, "online", True):
        return f"view {view.name!r} with online=False", "sources whose rows are stored"
    if getattr(declared, "aggregates", ()):
        return f"window view {view.name!r}, whose values move with the clock", "sources whose rows are stored"
    if not isinstance(view, FeatureView | OnDemandFeatureView) and not view.entity:
        return f"function {view.name!r}, which has no rows of its own", "sources whose rows are stored"
    return None


def _entity(source: Input) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    renamed = source.join_key_map if isinstance(source, Projection) else ()
    view = source.view if isinstance(source, Projection) else source
    if isinstance(view, FeatureView):
        keys = [key for each in view.entities for key in ((each,) if isinstance(each, str) else each.join_keys)]
        return tuple(sorted(keys)), tuple(renamed)
    return tuple(sorted(getattr(view, "entity", ()) or ())), tuple(renamed)


def _unkept(name: str, found: str, expected: str) -> RegistrationError:
    return RegistrationError(
        f"features of on-demand feature view {name!r} cannot be computed when rows are written",
        found=found,
        expected=expected,
        fix="leave write_to_online_store= out: they are computed at the request, with the same values",
    )
