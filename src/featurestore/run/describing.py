"""One feature, described from everything that the store knows of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from featurestore.declare.feature import Declaration
from featurestore.declare.registering import module_of
from featurestore.materializer.base import Materialization
from featurestore.repository.descriptions import Description
from featurestore.repository.lineage import lineage_of
from featurestore.repository.names import AnyFeature
from featurestore.repository.parameters import shown
from featurestore.run.freshness import is_fresh
from featurestore.run.session import Session

__all__ = ["describe"]


def describe(session: Session, feature: AnyFeature) -> Description:
    """Return the description of ``feature``; reads the records of its materializer, and no data."""
    code = session.codes.of(feature)
    materializer = session.decorators.materializer(feature)
    records = materializer.list_materializations(feature) if materializer else ()
    declaration = feature.declaration
    return Description(
        name=feature.name,
        qualified_name=feature.qualified_name,
        kind=str(feature.kind),
        entity=feature.entity,
        params=tuple(map(str, feature.params)),
        metadata=feature.metadata,
        schema=_schema(session, feature, records),
        lineage=lineage_of(feature.qualified_name, session.calls()),
        fingerprint=code.digest,
        helpers=_named(feature, code.helpers),
        constants=_named(feature, code.constants),
        opaque=_named(feature, code.opaque),
        materializations=tuple(_line(session, record) for record in records),
        file=declaration.file,
        line=declaration.line,
        options=tuple(_options(declaration)),
    )


def _named(feature: AnyFeature, names: Iterable[str]) -> tuple[str, ...]:
    """Return names in a script as the names of its features are: by the file, and not by ``__main__``."""
    if feature.declaration.interactive:
        return tuple(names)
    module = module_of(feature.fn)
    return tuple(
        f"{module}.{name.removeprefix('__main__.')}" if name.startswith("__main__.") else name for name in names
    )


def _options(declaration: Declaration) -> Iterator[str]:
    for name in ("value_type", "ttl", "every", "max_age", "timestamp", "created", "available_at", "event_id"):
        value = getattr(declaration, name)
        if value is not None:
            yield f"{name}: {str(value).removesuffix(', 0:00:00')}"
    if declaration.timeless:
        yield "timeless"
    if declaration.aggregates:
        from featurestore.windows.measures import is_folded

        reading = [each.name for each in declaration.aggregates if not is_folded(each)]
        if reading:
            yield f"online, all events of the window are read for: {', '.join(reading)}"


def _schema(session: Session, feature: AnyFeature, records: tuple[Materialization, ...]) -> Mapping[str, str]:
    if feature.declaration.aggregates:
        return {each.name: str(each) for each in feature.declaration.aggregates}
    if feature.declaration.schema:
        return {name: _type_name(dtype) for name, dtype in feature.declaration.schema.items()}
    newest = max(records, key=lambda record: record.created, default=None)
    return newest.schema if newest is not None else session.schemas.get(feature.qualified_name, {})


def _type_name(dtype: Any) -> str:
    return dtype.__name__ if isinstance(dtype, type) else str(dtype)


def _line(session: Session, record: Materialization) -> str:
    stale = "" if is_fresh(session, record) else "  (stale)"
    rows = "1 row" if record.rows == 1 else f"{record.rows:,} rows"
    return f"{shown(record.params)}: {rows}, stored {record.created:%Y-%m-%d %H:%M:%S} UTC{stale}"
