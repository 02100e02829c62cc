"""Declarations as plain data, and back: the one place that knows how each kind of them is written down.

What is empty is left out, so that a later option of a declaration changes no document, and no hash, that lacks it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime, timedelta
from enum import Enum, StrEnum
from pathlib import PurePath
from typing import Any, TypeAlias

from featurestore import dtypes
from featurestore.declare.aggregates import Aggregate
from featurestore.declare.entity import Entity, Field
from featurestore.declare.feature import Feature
from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.declare.source import FileSource, KafkaSource, PushSource, RedisStreamSource, RequestSource
from featurestore.declare.values import Categorical, Numeric
from featurestore.declare.view import FeatureService, FeatureView, Projection
from featurestore.errors import RegistrationError
from featurestore.instants import duration_text, to_duration

__all__ = [
    "SOURCE_VALIDATION",
    "AnySource",
    "Document",
    "Key",
    "ObjectKind",
    "code_path",
    "decode_aggregates",
    "decode_dtype",
    "decode_entity",
    "decode_fields",
    "decode_source",
    "digest_of",
    "encode",
    "plain_text",
    "source_key",
]

Document: TypeAlias = dict[str, Any]
"""Plain data: text, numbers, lists and mappings."""
AnySource: TypeAlias = FileSource | PushSource | KafkaSource | RedisStreamSource | RequestSource

SOURCE_VALIDATION = "source_validation"
"""Part of a view's document: ``"skipped"`` until the view is held against its source."""

_SOURCE_TYPES: dict[str, type[AnySource]] = {
    "file": FileSource,
    "kafka": KafkaSource,
    "push": PushSource,
    "redis_stream": RedisStreamSource,
    "request": RequestSource,
}
_SOURCE_TYPE_NAMES = {cls: name for name, cls in _SOURCE_TYPES.items()}


class ObjectKind(StrEnum):
    """What is declared. The value is the name of its part of the document."""

    ENTITY = "entities"
    SOURCE = "data_sources"
    VIEW = "feature_views"
    ON_DEMAND = "on_demand_feature_views"
    FUNCTION = "functions"
    SERVICE = "feature_services"

    @property
    def label(self) -> str:
        """What people call one of them."""
        return _LABELS[self]


Key: TypeAlias = tuple[ObjectKind, str]
"""What something is declared as: its kind and its name."""

_LABELS = {
    ObjectKind.ENTITY: "entity",
    ObjectKind.SOURCE: "data source",
    ObjectKind.VIEW: "feature view",
    ObjectKind.ON_DEMAND: "on-demand feature view",
    ObjectKind.FUNCTION: "function",
    ObjectKind.SERVICE: "feature service",
}


def plain_text(document: object) -> str:
    """Return the canonical JSON text of plain data: equal data give equal text."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(text: str) -> str:
    """Return the SHA-256 of a document's text, as 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def source_key(source: AnySource) -> str:
    """Return the name that a repository knows ``source`` by: its own, or the path where none was given.

    Files of different folders often bear the same name, and a glob has none to speak of.

    Example:
        >>> source_key(FileSource("a/stats.parquet", timestamp_field="at"))
        'a/stats.parquet'
        >>> source_key(FileSource("a/stats.parquet", "stats_a", timestamp_field="at"))
        'stats_a'
    """
    return source.key if isinstance(source, FileSource) else source.name


def code_path(function: Callable[..., Any]) -> str:
    """Return where ``function`` is found again: ``module:qualified.name``."""
    module = function.__module__
    if module == "__main__":  # What runs as a script today is imported by its name tomorrow.
        main = sys.modules["__main__"]
        spec = getattr(main, "__spec__", None)
        module = spec.name.removesuffix(".__main__") if spec else PurePath(getattr(main, "__file__", module)).stem
    return f"{module}:{function.__qualname__}"


# ---- writing -----------------------------------------------------------------------------------------------------


def encode(declared: object, fingerprint: str = "") -> Document:
    """Return ``declared`` as plain data, without its name.

    Args:
        declared: an entity, source, view, on-demand view, service or registered function.
        fingerprint: the identity of its code, for those that have code.
    """
    match declared:
        case FeatureView():
            names = [_name_of(each) for each in declared.entities]
            return _document(declared, {"source": source_key(declared.source), "entities": names}, skip=("name",))
        case OnDemandFeatureView():
            own: Document = {
                "function": code_path(declared.function),
                "fingerprint": fingerprint,
                "sources": [_selection(source) for source in declared.sources],
                "tags": dict(declared.tags),
            }
            return _document(declared, own, skip=("name",))
        case FeatureService():
            return _document(declared, {"features": [_selection(each) for each in declared.features]}, skip=("name",))
        case FileSource() | PushSource() | KafkaSource() | RedisStreamSource() | RequestSource():
            return _source(declared, fingerprint)
        case Feature():
            return _feature(declared, fingerprint)
        case Entity():
            return _document(declared, {}, skip=("name",))
    raise _not_declarable(declared)


def _source(source: AnySource, fingerprint: str) -> Document:
    own: Document = {"type": _SOURCE_TYPE_NAMES[type(source)]}
    if not isinstance(source, FileSource | RequestSource) and source.batch_source is not None:
        own["batch_source"] = source_key(source.batch_source)
    if isinstance(source, KafkaSource | RedisStreamSource) and source.transformation is not None:
        own |= {"transformation": code_path(source.transformation), "fingerprint": fingerprint}
    return _document(source, own, skip=("name", "_is_named"))


def _feature(feature: Feature[..., Any], fingerprint: str) -> Document:
    declaration = feature.declaration
    metadata = declaration.metadata
    own: Document = {
        "params": [_param(param) for param in declaration.params],
        "schema": {name: _type_text(dtype) for name, dtype in (declaration.schema or {}).items()},
        "summary": metadata.summary,
        "owner": metadata.owner,
        "status": metadata.status,
        "tags": dict(metadata.tags),
        "function": code_path(feature.fn),
        "fingerprint": fingerprint,
    }
    skip = ("qualified_name", "metadata", "file", "line", "interactive")
    return _document(declaration, own, skip=skip)


def _document(declared: Any, own: Document, *, skip: Sequence[str]) -> Document:
    """Return the fields of a dataclass by name, ``own`` winning, without what is empty."""
    document = {
        field.name: _plain(getattr(declared, field.name))
        for field in fields(declared)
        if field.name not in own and field.name not in skip
    }
    return {name: value for name, value in (document | own).items() if not _is_empty(value)}


def _is_empty(value: object) -> bool:
    return value is None or value is False or value in ("", [], {})


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case Enum():
            return str(value)
        case str():
            return value
        case timedelta():
            return duration_text(value)
        case dtypes.DType() | dtypes.Array() | dtypes.Set() | dtypes.Struct():
            return encode_dtype(value)
        case Field():
            return _document(value, {}, skip=())
        case Aggregate():
            return _aggregate(value)
        case Numeric() | Categorical():
            return {"type": type(value).__name__, **_document(value, {}, skip=())}
        case Mapping():
            return {str(name): _plain(each) for name, each in value.items()}
        case tuple() | list():
            return [_plain(each) for each in value]
    return str(value)


def _aggregate(aggregate: Aggregate) -> Document:
    """Return what was said of an aggregate; a default is not written."""
    defaults = {each.name: each.default for each in fields(Aggregate)}
    said = {name: getattr(aggregate, name) for name in defaults}
    return {name: _plain(value) for name, value in said.items() if value is not None and value != defaults[name]}


def _param(param: Any) -> Document:
    document: Document = {"name": param.name}
    if param.annotation:
        document["annotation"] = param.annotation
    if not param.required:
        # For people only; what a default is worth is in the fingerprint. Objects may print their address.
        known = isinstance(param.default, bool | int | float | str | date | datetime | timedelta | None)
        document["default"] = repr(param.default) if known else f"<{type(param.default).__name__}>"
    return document


def _selection(selected: object) -> Document:
    match selected:
        case Projection():
            own: Document = {"view": selected.view.name}
            if selected.features is not None:
                own["features"] = list(selected.features)
            if selected.alias:
                own["alias"] = selected.alias
            if selected.join_key_map:
                own["join_key_map"] = [list(pair) for pair in selected.join_key_map]
            return own
        case FeatureView() | OnDemandFeatureView():
            return {"view": selected.name}
        case RequestSource():
            return {"request": selected.name}
        case Feature():
            return {"function": selected.qualified_name}
    raise _not_declarable(selected)


def _name_of(entity: Entity | str) -> str:
    return entity if isinstance(entity, str) else entity.name


def _type_text(dtype: object) -> str:
    return dtype.__name__ if isinstance(dtype, type) else str(dtype)


def encode_dtype(dtype: dtypes.AnyType) -> Any:
    """Return ``dtype`` as plain data."""
    match dtype:
        case dtypes.Array(item):
            return {"array": encode_dtype(item)}
        case dtypes.Set(item):
            return {"set": encode_dtype(item)}
        case dtypes.Struct():
            return {"struct": [[name, encode_dtype(part)] for name, part in dtype.fields]}
    return dtype.name


def _not_declarable(value: object) -> RegistrationError:
    return RegistrationError(
        "not something that can be applied",
        found=f"{value!r} of type {type(value).__name__}",
        expected="entities, sources, feature views, on-demand feature views, feature services, registered functions",
        fix="decorate it with @fs.register_feature" if callable(value) else None,
    )


# ---- reading -----------------------------------------------------------------------------------------------------


def decode_dtype(document: Any) -> dtypes.AnyType:
    """Return the type that `encode_dtype` wrote."""
    match document:
        case {"array": item}:
            return dtypes.Array(decode_dtype(item))
        case {"set": item}:
            return dtypes.Set(decode_dtype(item))
        case {"struct": parts}:
            return dtypes.Struct({name: decode_dtype(part) for name, part in parts})
    return dtypes.named(document)


def decode_fields(documents: Sequence[Document]) -> list[Field]:
    """Return the features of a view's schema."""
    return [Field(**{**each, "dtype": decode_dtype(each["dtype"])}) for each in documents]


def decode_aggregates(documents: Sequence[Document]) -> list[Aggregate]:
    """Return the aggregates of a view."""
    return [_decoded_aggregate(each) for each in documents]


def _decoded_aggregate(document: Document) -> Aggregate:
    lengths = {name: to_duration(document[name]) for name in _LENGTHS if name in document}
    options = {"column": None, "window": None, **document, **lengths}
    return Aggregate(**{**options, "categories": tuple(document.get("categories", ()))})


_LENGTHS = ("window", "offset", "half_life", "every")
"""Parts of an aggregate that are durations."""


def decode_entity(name: str, document: Document) -> Entity:
    """Return the entity ``name``."""
    options = dict(document)
    if "value_type" in options:
        options["value_type"] = decode_dtype(options["value_type"])
    return Entity(name, **options)


def decode_source(
    key: str, document: Document, source: Callable[[str], Any], code: Callable[[Key, str], Callable[..., Any]]
) -> AnySource:
    """Return the source that a repository knows as ``key``; ``source`` finds the other ones, ``code`` its function."""
    options = dict(document)
    options.pop("fingerprint", None)
    if "transformation" in options:
        options["transformation"] = code((ObjectKind.SOURCE, key), options["transformation"])
    cls = _SOURCE_TYPES[options.pop("type")]
    if "batch_source" in options:
        options["batch_source"] = source(options["batch_source"])
    if "schema" in options:
        options["schema"] = decode_fields(options["schema"])
    if cls is FileSource:
        options["file_format"] = options.pop("format")
        if key == options["path"]:
            return FileSource(**options)
    return cls(key, **options) if cls is not FileSource else FileSource(name=key, **options)
