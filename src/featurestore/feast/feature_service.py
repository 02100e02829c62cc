"""Feast's ``FeatureService``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import featurestore
from featurestore.feast._refusal import left_undone
from featurestore.feast._translation import translates

__all__ = ["FeatureService"]


@translates(featurestore.FeatureService)
def FeatureService(  # noqa: N802  # Feast's name, of a class there.
    name: str,
    features: Sequence[Any],
    *,
    tags: Mapping[str, str] | None = None,
    description: str = "",
    owner: str = "",
    logging_config: Any = None,
    precompute_online: bool = False,
) -> featurestore.FeatureService:
    """Return the features that one model needs, under one name.

    Args:
        name: such as ``"driver_activity_v1"``.
        features: views, projections of views (``view[["a", "b"]]``) and on-demand views.
        tags: by name.
        description: one line.
        owner: who answers for it.
        logging_config: accepted, and warned of: served features are not logged.
        precompute_online: accepted, and warned of.
    """
    what = f"feature service {name!r}"
    left_undone(what, instead="log what you serve where you serve it", logging_config=logging_config)
    left_undone(
        what,
        instead="leave it out: one read answers for a service, whatever the number of views",
        precompute_online=precompute_online,
    )
    return featurestore.FeatureService(name, features, tags=tags, description=description, owner=owner)
