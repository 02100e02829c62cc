"""Feast's on-demand feature views, made by decorator or by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import featurestore
from featurestore.errors import RegistrationError
from featurestore.feast._refusal import STREAMS, left_undone, require_unset
from featurestore.feast._translation import one_spelling, translates
from featurestore.feast.transformation.python_transformation import PythonTransformation

__all__ = ["OnDemandFeatureView", "on_demand_feature_view"]


def on_demand_feature_view(
    *,
    name: str | None = None,
    entities: Sequence[Any] | None = None,
    schema: Sequence[featurestore.Field] | None = None,
    sources: Sequence[Any] | None = None,
    input_schema: Any = None,
    aggregations: Any = None,
    mode: Any = "pandas",
    description: str = "",
    tags: Mapping[str, str] | None = None,
    owner: str = "",
    org: str = "",
    write_to_online_store: bool = False,
    singleton: bool = False,
    track_metrics: bool = False,
    explode: bool = False,
    version: str = "latest",
    features: Sequence[featurestore.Field] | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> Callable[[Callable[..., Any]], featurestore.OnDemandFeatureView]:
    """Make an on-demand feature view of a function.

    Args:
        name: the function's by default.
        entities: decides nothing: those of the sources count.
        schema: the features that it returns.
        sources: views, projections and `RequestSource`s whose columns the function gets.
        input_schema: not supported.
        aggregations: not supported.
        mode: ``"pandas"`` or ``"python"``; ``"polars"`` besides.
        description: one line; the docstring's first by default.
        tags: by name.
        owner: who answers for it.
        org: accepted, and warned of.
        write_to_online_store: whether the features are computed when rows are pushed or materialized. Where rows of
            one entity do not decide them, as those with fields of the request, it is passed over, with a warning.
        singleton: whether a python function gets and returns one row instead of lists.
        track_metrics: accepted, and warned of.
        explode: not supported.
        version: ``"latest"``; others are not supported.
        features: ``schema``, in an older spelling.
        inputs: ``{name: source}`` for ``sources``, in an older spelling.

    Raises:
        RegistrationError: no schema, no sources, an unknown mode.
        NotSupportedError: an option that has no counterpart; says what to do instead.

    Example:
        >>> from featurestore.feast import Field, RequestSource
        >>> from featurestore.feast.types import Int64
        >>> request = RequestSource(name="request", schema=[Field(name="val", dtype=Int64)])
        >>> @on_demand_feature_view(sources=[request], schema=[Field(name="twice", dtype=Int64)])
        ... def doubled(inputs):
        ...     return inputs[["val"]].rename(columns={"val": "twice"}) * 2
        >>> doubled.name
        'doubled'
    """
    del entities
    what = f"on-demand feature view {name or ''!r}"
    require_unset(what, instead="declare a RequestSource among its sources", input_schema=input_schema)
    require_unset(what, instead="aggregate before, in a view", why=STREAMS, aggregations=aggregations)
    require_unset(what, instead="return one row for every row", explode=explode)
    require_unset(what, instead="leave it out: every apply is kept", version="" if version == "latest" else version)
    left_undone(what, instead="put it into tags={'org': ...}", org=org)
    left_undone(what, instead="leave it out", track_metrics=track_metrics)
    chosen = one_spelling(what, schema=list(schema or ()) or None, features=list(features or ()) or None)
    given = one_spelling(what, sources=list(sources or ()) or None, inputs=list((inputs or {}).values()) or None)
    declare = partial(
        featurestore.on_demand_feature_view,
        sources=given or (),
        schema=chosen or (),
        name=name,
        mode=getattr(mode, "value", mode),
        singleton=singleton,
        description=description,
        tags=tags,
        owner=owner,
    )
    if not write_to_online_store:
        return declare()
    try:
        return declare(write_to_online_store=True)
    except RegistrationError as error:
        declared = declare()  # Whatever else is wrong raises here.
        left_undone(what, instead=f"leave it out: it has {error.found}", write_to_online_store=True)
        return declared


@translates(featurestore.OnDemandFeatureView)
def OnDemandFeatureView(  # noqa: N802  # Feast's name, of a class there.
    name: str,
    *,
    udf: Callable[..., Any] | None = None,
    feature_transformation: Any = None,
    udf_string: str = "",
    **options: Any,
) -> featurestore.OnDemandFeatureView:
    """Return an on-demand view of the function ``udf``.

    Args:
        name: such as ``"transformed"``.
        udf: the function; that of ``feature_transformation`` by default.
        feature_transformation: something with a ``udf``, such as a `PandasTransformation`; a `PythonTransformation` is
            of mode ``"python"`` unless ``mode=`` is given.
        udf_string: decides nothing: the function's own source counts.
        options: as of `on_demand_feature_view`.

    Raises:
        RegistrationError: no function.
    """
    del udf_string
    function = udf or getattr(feature_transformation, "udf", None)
    if isinstance(feature_transformation, PythonTransformation):
        options.setdefault("mode", "python")
    if function is None:
        raise RegistrationError(
            f"on-demand feature view {name!r} has no function",
            found="no udf=",
            expected="the function that computes it",
        )
    return on_demand_feature_view(name=name, **options)(function)
