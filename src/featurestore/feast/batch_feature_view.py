"""Feast's ``BatchFeatureView``: a view, and perhaps a transformation before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import featurestore
from featurestore.feast._refusal import not_supported, require_unset
from featurestore.feast._translation import translates
from featurestore.feast.aggregation import aggregates_of
from featurestore.feast.feature_view import FeatureView

__all__ = ["BatchFeatureView", "batch_feature_view"]

_FUNCTION = "make it a registered function: @fs.register_feature(entity='driver_id', timestamp='event_timestamp')"


@translates(featurestore.FeatureView)
def BatchFeatureView(  # noqa: N802  # Feast's name, of a class there.
    name: str,
    *,
    udf: Callable[..., Any] | None = None,
    feature_transformation: Any = None,
    aggregations: Any = None,
    batch_engine: Any = None,
    udf_string: str = "",
    **options: Any,
) -> featurestore.FeatureView:
    """Return a view; one with a transformation is not supported, as registered functions are what does that here.

    Args:
        name: the view's.
        udf: not supported.
        feature_transformation: not supported.
        aggregations: `Aggregation`s of the source's columns over windows of time: they are then the view's features.
        batch_engine: decides nothing without a transformation.
        udf_string: decides nothing.
        options: as of `FeatureView`.
    """
    del batch_engine, udf_string
    what = f"batch feature view {name!r}"
    require_unset(what, instead=_FUNCTION, udf=udf, feature_transformation=feature_transformation)
    return FeatureView(name, **aggregates_of(what, aggregations or (), options))


def batch_feature_view(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Refuse to make a view of a function: what to do instead is in the error."""
    raise not_supported(f"@batch_feature_view of {options.get('name') or 'a function'}", instead=_FUNCTION)
