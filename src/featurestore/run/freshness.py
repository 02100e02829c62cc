"""Whether stored results are what their features would give now."""

from __future__ import annotations

import functools
from collections.abc import Callable

from featurestore.materializer.base import Materialization
from featurestore.repository.names import AnyFeature
from featurestore.run.session import Session

__all__ = ["freshness", "is_fresh"]


def is_fresh(session: Session, record: Materialization) -> bool:
    """Tell whether the code that made ``record``, all that was called included, is that of now, and its age fits."""
    return freshness(session)(record)


def freshness(session: Session, called: AnyFeature | None = None) -> Callable[[Materialization], bool]:
    """Return `is_fresh` as it answers at this moment, for many records: no feature's code is looked at twice.

    Args:
        session: the store's.
        called: the feature that the records are of, where one is called that was redefined meanwhile. By default
            the one that is registered now.
    """
    code_of = functools.cache(session.digest)
    now = session.clock.now()
    own = functools.cache(lambda name: code_of(name) if called is None else session.codes.of(called).digest)

    def is_fresh(record: Materialization) -> bool:
        feature = called or session.collector.get(record.feature_name)
        if feature is None or record.fingerprint != own(record.feature_name):
            return False
        if any(code_of(name) != known for name, known in record.inputs.items()):
            return False
        max_age = feature.declaration.max_age
        return max_age is None or now - record.created <= max_age

    return is_fresh
