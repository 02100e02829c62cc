"""Feast's ``FeatureView``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import featurestore
from featurestore.errors import RegistrationError
from featurestore.feast._refusal import left_undone, not_supported, require_unset
from featurestore.feast._translation import one_spelling, translates

__all__ = ["FeatureView"]


@translates(featurestore.FeatureView)
def FeatureView(  # noqa: N802  # Feast's name, of a class there.
    name: str,
    *,
    source: Any = None,
    sink_source: Any = None,
    schema: Sequence[featurestore.Field] | None = None,
    entities: Sequence[featurestore.Entity | str] | None = None,
    ttl: Any = timedelta(0),
    online: bool = True,
    offline: bool = False,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    owner: str = "",
    org: str = "",
    mode: Any = None,
    enable_validation: bool = False,
    version: str = "latest",
    enabled: bool = True,
    features: Sequence[featurestore.Field] | None = None,
    batch_source: Any = None,
    stream_source: Any = None,
    input: Any = None,  # noqa: A002  # Feast's old name.
    aggregates: Any = None,
) -> featurestore.FeatureView:
    """Return features that come from one source and share entity, time and ttl.

    Args:
        name: such as ``"driver_hourly_stats"``.
        source: a `FileSource`, or a `PushSource` or `KafkaSource` over one.
        sink_source: not supported, as views do not feed views here.
        schema: the features; taken from the source where it is not given.
        entities: entities or their names.
        ttl: how long a value holds; 0 and ``None`` for no limit. Applied online as well.
        online: whether it can be materialized to the online store.
        offline: whether pushes are kept in the offline log.
        description: one line.
        tags: by name.
        owner: who answers for it.
        org: accepted, and warned of.
        mode: decides nothing without a function.
        enable_validation: accepted, and warned of.
        version: ``"latest"``; others are not supported.
        enabled: a view that is not is not supported.
        features: ``schema``, in an older spelling.
        batch_source: ``source``, in an older spelling.
        stream_source: a `PushSource` or `KafkaSource`, whose history is ``batch_source``, in an older spelling.
        input: ``source``, in an older spelling.
        aggregates: those of `featurestore.agg`, which Feast does not have here.

    Raises:
        RegistrationError: no source, or two spellings of one thing that differ.
        NotSupportedError: an option that would give other values than Feast's; says what to do instead.

    Example:
        >>> from featurestore.feast import Feature, FileSource, ValueType
        >>> view = FeatureView(
        ...     name="driver_hourly_stats",
        ...     entities=["driver_id"],
        ...     features=[Feature(name="conv_rate", dtype=ValueType.FLOAT)],
        ...     batch_source=FileSource(path="stats.parquet", event_timestamp_column="event_timestamp"),
        ... )
        >>> str(view.schema[0])
        'conv_rate: Float32'
    """
    del mode
    what = f"feature view {name!r}"
    _refuse(what, sink_source, version, enabled=enabled)
    left_undone(what, instead="put it into tags={'org': ...}", org=org)
    left_undone(what, instead="sources are checked by every apply", enable_validation=enable_validation)
    return featurestore.FeatureView(
        name,
        _source(what, one_spelling(what, source=source, batch_source=batch_source, input=input), stream_source),
        one_spelling(what, schema=list(schema or ()) or None, features=list(features or ()) or None),
        entities,
        _duration(ttl),
        online=online,
        offline=offline,
        description=description,
        tags=tags,
        owner=owner,
        aggregates=aggregates,
    )


def _refuse(what: str, sink_source: Any, version: str, *, enabled: bool) -> None:
    require_unset(
        what,
        instead="write a registered function that calls another one: that is how features derive",
        sink_source=sink_source,
    )
    require_unset(
        what,
        instead="leave it out: every apply is kept, see `featurestore registry log` and `rollback`",
        version="" if version == "latest" else version,
    )
    if not enabled:
        raise not_supported(f"enabled=False of {what}", instead="take the view out of the repository")


def _source(what: str, source: Any, stream_source: Any) -> Any:
    if stream_source is not None:
        source = stream_source if source is None else replace(stream_source, batch_source=source)
    if source is None:
        raise RegistrationError(
            f"{what} has no source", found="no source=", expected="a FileSource, PushSource or KafkaSource"
        )
    if isinstance(source, featurestore.FeatureView | list | tuple):
        raise not_supported(
            f"a view as the source of {what}",
            instead="write a registered function that calls another one: that is how features derive",
        )
    return source


def _duration(ttl: Any) -> Any:
    # Old repositories hand over a protobuf Duration, which knows its own way out.
    return ttl.ToTimedelta() if hasattr(ttl, "ToTimedelta") else ttl
