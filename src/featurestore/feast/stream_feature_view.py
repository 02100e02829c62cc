"""Feast's ``StreamFeatureView``: a view on a stream, and perhaps a transformation of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import featurestore
from featurestore.feast._refusal import STREAMS, not_supported, require_unset
from featurestore.feast._translation import translates
from featurestore.feast.aggregation import aggregates_of
from featurestore.feast.feature_view import FeatureView

__all__ = ["StreamFeatureView", "stream_feature_view"]

_PUSH = "transform the rows where they arise and push them: FeatureView(source=PushSource(...))"


@translates(featurestore.FeatureView)
def StreamFeatureView(  # noqa: N802  # Feast's name, of a class there.
    name: str,
    *,
    udf: Callable[..., Any] | None = None,
    feature_transformation: Any = None,
    aggregations: Any = None,
    timestamp_field: str = "",
    enable_tiling: bool = False,
    tiling_hop_size: Any = None,
    udf_string: str = "",
    **options: Any,
) -> featurestore.FeatureView:
    """Return a view on a stream; transformations are not supported.

    Args:
        name: the view's.
        udf: not supported.
        feature_transformation: not supported.
        aggregations: `Aggregation`s of the stream's columns over windows of time: they are then the view's features.
        timestamp_field: decides nothing: the source has it.
        enable_tiling: decides nothing: values are exact.
        tiling_hop_size: the same.
        udf_string: decides nothing.
        options: as of `FeatureView`.
    """
    del timestamp_field, enable_tiling, tiling_hop_size, udf_string
    what = f"stream feature view {name!r}"
    require_unset(what, instead=_PUSH, why=STREAMS, udf=udf, feature_transformation=feature_transformation)
    return FeatureView(name, **aggregates_of(what, aggregations or (), options))


def stream_feature_view(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Refuse to make a view of a function: what to do instead is in the error."""
    raise not_supported(f"@stream_feature_view of {options.get('name') or 'a function'}", instead=_PUSH, why=STREAMS)
