"""On-demand feature views: features computed from other features and from the request."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from featurestore.declare.entity import Field
from featurestore.declare.naming import require_name
from featurestore.declare.source import RequestSource
from featurestore.declare.view import FeatureView, Projection
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

    @property
    def requests(self) -> tuple[RequestSource, ...]:
        """What it takes from the request."""
        return tuple(source for source in self.sources if isinstance(source, RequestSource))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function as it was written."""
        return self.function(*args, **kwargs)


def on_demand_feature_view(
    *,
    sources: Sequence[Input],
    schema: Sequence[Field],
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
        schema: the features that it returns.
        name: the function's by default.
        mode: what the function computes with: ``"python"``, ``"pandas"`` or ``"polars"``.
        singleton: whether a python function gets and returns one row instead of lists.
        write_to_online_store: recorded for tools that read it. The features are computed at the request either way,
            from the stored rows, so that they are never those of an older version of the function.
        description: one line; the docstring's first by default.
        tags: by name.
        owner: who answers for it.

    Raises:
        RegistrationError: an unknown mode, no schema or no sources, ``singleton`` in another mode than python.

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
    if not schema or not sources:
        raise RegistrationError(
            "an on-demand feature view needs sources and a schema",
            found=f"{len(sources)} sources, {len(schema)} features",
            expected="at least one of each",
        )

    if singleton and mode != "python":
        raise RegistrationError(
            "only a python function can get one row at a time",
            found=f"singleton=True with mode={mode!r}",
            expected='mode="python"',
            fix="leave singleton= out: the function gets a frame",
        )

    def declare(function: Callable[..., Any]) -> OnDemandFeatureView:
        chosen = name or function.__name__
        require_name("on-demand feature view", chosen)
        return OnDemandFeatureView(
            name=chosen,
            function=function,
            schema=tuple(schema),
            sources=tuple(sources),
            mode=mode,
            singleton=singleton,
            write_to_online_store=write_to_online_store,
            description=description or (inspect.getdoc(function) or "").partition("\n")[0],
            tags=tuple((tags or {}).items()),
            owner=owner,
        )

    return declare
