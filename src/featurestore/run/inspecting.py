"""Declarations held against their sources at apply: what is not there is said before anybody relies on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from featurestore.declare.entity import Field
from featurestore.declare.source import FileSource
from featurestore.declare.view import FeatureView
from featurestore.errors import FeatureStoreError, RegistrationError, UnknownNameError, closest
from featurestore.repository.collect import Draft
from featurestore.repository.documents import SOURCE_VALIDATION, Document, ObjectKind, encode
from featurestore.repository.repository import Repository
from featurestore.repository.validate import problems, raise_problems

if TYPE_CHECKING:
    import polars as pl

    from featurestore.run.text_files import Types

__all__ = ["check_view", "completed"]

_MAP = "correct the name, or map one with field_mapping="


def completed(draft: Draft, before: Repository, base: Path, *, look: bool = True) -> Repository:
    """Return the repository of ``draft`` with the features of views that declare none, after a look at the sources.

    Only views that differ from those of ``before``, in themselves, their source or their entities, are held against
    their sources, and those that nobody held against them yet.

    Args:
        draft: what is to be applied.
        before: what is in force.
        base: the folder from which relative paths are looked up.
        look: whether to look at sources at all. Without, a view that declares no features keeps those that it had,
            and what is new or differs is noted as not looked at, for the next time.

    Raises:
        RegistrationError: declarations that cannot stand, columns that are not there or of another type; names all
            that is wrong. Another error where a source cannot be read and nothing else is wrong.
    """
    inspection = _Inspection(base)
    found: dict[str, Document] = {}
    for view in _to_inspect(draft.repository, before):
        schema = inspection.schema_of(view) if look else None
        inspection.problems.extend(_aggregate_problems(view, schema))
        if schema is not None:
            inspection.problems.extend(_problems(view, schema))
            found[view.name] = encode(view if view.schema else _with_schema(view, schema))
    repository = _with_views(draft.repository, found if look else _unseen(draft.repository, before))
    raise_problems([*draft.problems, *problems(repository), *inspection.problems])
    return repository


def check_view(view: FeatureView, base: Path) -> None:
    """Hold a view that is in force against its source as that is now, looked up from ``base``.

    Raises:
        RegistrationError: columns that are not there or of another type; names all that is wrong. Another error where
            the source cannot be read.
    """
    inspection = _Inspection(base)
    schema = inspection.schema_of(view)
    wrong = [] if schema is None else [*_aggregate_problems(view, schema), *_problems(view, schema)]
    raise_problems([*inspection.problems, *wrong])


def _with_views(repository: Repository, found: dict[str, Document]) -> Repository:
    if not found:
        return repository
    views = {**repository.documents[ObjectKind.VIEW], **found}
    return repository.with_documents({**repository.documents, ObjectKind.VIEW: views})


def _unseen(repository: Repository, before: Repository) -> dict[str, Document]:
    """Return how the views on files are in force where nobody looks at these: as before, or noted as not looked at."""
    found = {}
    sources, known = repository.documents[ObjectKind.SOURCE], before.documents[ObjectKind.VIEW]
    for name, document in repository.documents[ObjectKind.VIEW].items():
        former = known.get(name, {})
        unsaid = {SOURCE_VALIDATION} if "schema" in document else {SOURCE_VALIDATION, "schema"}
        same = document == {part: value for part, value in former.items() if part not in unsaid}
        if same and _is_on_same(document, repository, before):
            found[name] = former
        elif any(sources.get(each, {}).get("type") == "file" for each in _sources_of(document, sources)):
            found[name] = {**document, SOURCE_VALIDATION: "skipped"}
    return found


class _Inspection:
    """The schemas of sources, each looked at once, and what was wrong with them."""

    def __init__(self, base: Path) -> None:
        self.problems: list[FeatureStoreError] = []
        self._base = base
        self._known: dict[tuple[object, ...], pl.Schema | None] = {}

    def schema_of(self, view: FeatureView) -> pl.Schema | None:
        """Return the columns of a view's source; ``None`` where it has none yet, or cannot be read."""
        source = view.source if isinstance(view.source, FileSource) else view.source.batch_source
        if source is None:
            return None
        from featurestore.run.text_files import declared_types

        types = declared_types(view, {}) if source.format in {"csv", "ndjson"} else {}
        identity = (repr(source), tuple(types.items()))
        if identity not in self._known:
            self._known[identity] = self._inspect(source, types)
        return self._known[identity]

    def _inspect(self, source: FileSource, types: Types) -> pl.Schema | None:
        from featurestore.run.sources import inspect_source

        try:
            return inspect_source(source, self._base, types)
        except FeatureStoreError as error:
            self.problems.append(error)
            return None


def _to_inspect(repository: Repository, before: Repository) -> Iterator[FeatureView]:
    known = before.documents[ObjectKind.VIEW]
    for name, document in sorted(repository.documents[ObjectKind.VIEW].items()):
        if known.get(name) != document or not _is_on_same(document, repository, before):
            with suppress(UnknownNameError):  # Of an entity that is not there; validation says so.
                yield repository.feature_view(name)


def _is_on_same(view: Document, repository: Repository, before: Repository) -> bool:
    """Tell whether what a view is on is as before: its source, the history behind it, its entities."""
    sources = _sources_of(view, repository.documents[ObjectKind.SOURCE])
    parts = ((ObjectKind.SOURCE, sources), (ObjectKind.ENTITY, view.get("entities", ())))
    return all(
        repository.documents[kind].get(name) == before.documents[kind].get(name)
        for kind, names in parts
        for name in names
    )


def _sources_of(view: Document, sources: Mapping[str, Document]) -> tuple[str, str]:
    source: str = view["source"]
    return source, sources.get(source, {}).get("batch_source", source)


def _problems(view: FeatureView, schema: pl.Schema) -> Iterator[RegistrationError]:
    from featurestore.run.schemas import fits

    source = view.batch_source
    if source is not None and not source.timestamp_field:
        yield _timeless(view, source, schema)
    declared = {field.name: field.dtype for field in view.schema}
    for column in dict.fromkeys([*_keys(view), *declared]):
        if column not in schema:
            yield _missing(view, column, schema)
        elif column in declared and not fits(declared[column], schema[column]):
            yield RegistrationError(
                f"feature view {view.name!r} declares {column!r} with a type that its source does not have",
                found=f"{schema[column]} in source {_source_name(view)!r}",
                expected=str(declared[column]),
                fix="correct the type in schema=, or the data",
            )


def _aggregate_problems(view: FeatureView, schema: pl.Schema | None) -> Iterator[FeatureStoreError]:
    """Yield what is wrong with the aggregates of a view.

    Args:
        view: any declared view.
        schema: the columns of its source; ``None`` where nobody looked, or there is none but what is sent to it.
    """
    if not view.aggregates:
        return
    from featurestore.run.aggregated import Known, problems_of
    from featurestore.run.text_files import declared_types

    if schema is not None:
        known = Known(schema.names(), dict(schema), f"its source {_source_name(view)!r}", _MAP)
    elif view.batch_source is None and view.schema:
        types = {name: dtype for name, dtype in declared_types(view, {}).items() if dtype is not None}
        columns = [one.name for one in view.schema]
        known = Known(columns, types, "its schema, which says what is sent to it", "correct the name, or add a Field")
    else:
        known = Known(None, {})
    own = {*_keys(view), *_times(view)}
    yield from problems_of(f"feature view {view.name!r}", view.aggregates, view.event_id, own, known)


def _timeless(view: FeatureView, source: FileSource, schema: pl.Schema) -> RegistrationError:
    times = [column for column, dtype in schema.items() if dtype.is_temporal()]
    return RegistrationError(
        f"source {source.name!r} of feature view {view.name!r} does not say when its rows hold",
        found="no timestamp_field; columns of times: " + (", ".join(times) or "none"),
        expected="the column of the event timestamp",
        fix=f"FileSource({source.path!r}, timestamp_field={next(iter(times), 'event_timestamp')!r})",
    )


def _missing(view: FeatureView, column: str, columns: Iterable[str]) -> RegistrationError:
    names = list(columns)
    near = closest(column, names)
    what = "join key" if column in _keys(view) else "feature"
    return RegistrationError(
        f"the {what} {column!r} of feature view {view.name!r} is no column of its source {_source_name(view)!r}",
        found=", ".join(names),
        expected=column,
        fix=f"did you mean {near!r}?" if near else _MAP,
    )


def _with_schema(view: FeatureView, schema: pl.Schema) -> FeatureView:
    """Return the view with every column of its source that is neither key nor time as a feature."""
    from featurestore.run.schemas import dtype_of

    left_out = {*_keys(view), *_times(view)}
    found = {name: dtype_of(dtype) for name, dtype in schema.items() if name not in left_out}
    fields = [Field(name, dtype) for name, dtype in found.items() if dtype is not None]
    return FeatureView(
        view.name,
        view.source,
        fields,
        view.entities,
        view.ttl,
        online=view.online,
        offline=view.offline,
        description=view.description,
        tags=view.tags,
        owner=view.owner,
        aggregates=view.aggregates,
        event_id=view.event_id,
    )


def _keys(view: FeatureView) -> list[str]:
    return [key for entity in view.entities if not isinstance(entity, str) for key in entity.join_keys]


def _times(view: FeatureView) -> Iterator[str]:
    source = view.batch_source
    if source is None:
        yield getattr(view.source, "timestamp_field", "") or "event_timestamp"
        return
    for column in (source.timestamp_field, source.created_timestamp_column, source.available_at):
        if column:
            yield source.field_mapping.get(column, column)


def _source_name(view: FeatureView) -> str:
    source = view.source if isinstance(view.source, FileSource) else view.source.batch_source
    return source.name if source is not None else view.source.name
