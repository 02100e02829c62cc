"""On-demand feature views: features computed from other features and from the request."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from featurestore.declare.entity import Field
from featurestore.declare.naming import require_name
from featurestore.declare.source import RequestSource
from featurestore.declare.view import FeatureView, Projection
from featurestore.errors import RegistrationError

__all__ = ["OnDemandFeatureView", "on_demand_feature_view"]

Mode = Literal["python", "pandas", "polars"]
_MODES = ("python", "pandas", "polars")


@dataclass(frozen=True, slots=True)
class OnDemandFeatureView:
    """Features that ``function`` computes from the features of ``sources`` and from fields of the request."""

    name: str
    function: Callable[..., Any]
    schema: tuple[Field, ...]
    sources: tuple[FeatureView | Projection | RequestSource, ...]
    mode: Mode = "pandas"
    singleton: bool = False
    write_to_online_store: bool = False
    description: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    owner: str = ""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function as it was written."""
        return self.function(*args, **kwargs)


def on_demand_feature_view(
    *,
    sources: Sequence[FeatureView | Projection | RequestSource],
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
        sources: views, projections and `RequestSource`s whose columns the function gets.
        schema: the features that it returns.
        name: the function's by default.
        mode: what the function computes with: ``"python"``, ``"pandas"`` or ``"polars"``.
        singleton: whether a python function gets and returns one row instead of lists.
        write_to_online_store: whether it is computed when its sources are written, and stored.
        description: one line; the docstring's first by default.
        tags: by name.
        owner: who answers for it.

    Raises:
        RegistrationError: an unknown mode, no schema or no sources.
    """
    if mode not in _MODES:
        raise RegistrationError("no such mode", found=repr(mode), expected=", ".join(_MODES))
    if not schema or not sources:
        raise RegistrationError(
            "an on-demand feature view needs sources and a schema",
            found=f"{len(sources)} sources, {len(schema)} features",
            expected="at least one of each",
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
