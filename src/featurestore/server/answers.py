"""Answers to reads as bytes: Feast's columns, rows, and Arrow streams.

What JSON does not have is written so: NaN and infinities as null (their status is ``PRESENT``), integers in full,
however long, decimals as text, times as ISO 8601 (UTC with ``Z``), durations as ISO 8601 (``PT1.5S``), bytes as Base64.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from featurestore import OnlineResponse

__all__ = ["arrow_stream", "encode", "feast_columns", "feast_head", "rows"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Column(msgspec.Struct, gc=False):
    """One column of Feast's answers."""

    values: Sequence[Any]
    statuses: msgspec.Raw
    event_timestamps: msgspec.Raw


_encoder = msgspec.json.Encoder(enc_hook=str)
encode = _encoder.encode
"""Any value as JSON."""


def feast_head(names: Iterable[str]) -> bytes:
    """Return how an answer with these columns begins."""
    return b'{"metadata":{"feature_names":' + encode(list(names)) + b'},"results":'


def feast_columns(head: bytes, response: OnlineResponse, keys: Mapping[str, Sequence[Any]]) -> bytes:
    """Return Feast's answer: join keys, then features, each with values, statuses and event timestamps.

    Args:
        head: as `feast_head` returns it.
        response: what was read.
        keys: the columns of the request.
    """
    plan, height = response.plan, len(response)
    present, none = _repeated("PRESENT", height), _repeated("1970-01-01T00:00:00Z", height)
    columns = [_Column(keys[name], present, none) for name in plan.join_keys]
    if plan.computes:
        return head + encode([*columns, *_computed(response, present, none)]) + b"}"
    found: dict[str, _Column] = {}
    known: Mapping[str, Sequence[str]] = {}
    for view, read in zip(plan.views, response.stored(), strict=True):
        stamps = _stamps(read.stamps)
        for name, values in zip(view.columns, read.columns, strict=True):
            if None not in values:
                found[name] = _Column(values, present, stamps)
                continue
            known = known or response.statuses
            found[name] = _Column(values, msgspec.Raw(encode(known[name])), stamps)
    columns += [found[name] for name in plan.features]
    return head + encode(columns) + b"}"


def _computed(response: OnlineResponse, present: msgspec.Raw, none: msgspec.Raw) -> Iterable[_Column]:
    """Yield the columns of an answer of which some were computed: these have a status and no time."""
    values, statuses = response.to_dict(), response.statuses
    reads = zip(response.plan.views, response.stored(), strict=True)
    stamps = {name: read.stamps for view, read in reads for name in view.columns}
    for name in response.plan.features:
        column = values[name]
        known = statuses.get(name) or ["PRESENT" if value is not None else "NULL_VALUE" for value in column]
        said = present if None not in column else msgspec.Raw(encode(known))
        yield _Column(column, said, _stamps(stamps[name]) if name in stamps else none)


@lru_cache(1024)
def _repeated(text: str, count: int) -> msgspec.Raw:
    return msgspec.Raw(encode([text] * count))


def _stamps(stamps: Sequence[int | None]) -> msgspec.Raw:
    return msgspec.Raw(encode([_EPOCH if stamp is None else _EPOCH + timedelta(0, 0, stamp) for stamp in stamps]))


def rows(response: OnlineResponse, *, statuses: bool, event_timestamps: bool) -> bytes:
    """Return an answer in rows: keys and features of each, and beside them what was asked for."""
    parts = [b'{"rows":', encode(response.to_rows())]
    if statuses:
        parts += [b',"statuses":', encode(_by_row(response.statuses, len(response)))]
    if event_timestamps:
        parts += [b',"event_timestamps":', encode(_by_row(response.event_timestamps, len(response)))]
    return b"".join([*parts, b"}"])


def _by_row(columns: Mapping[str, Sequence[Any]], height: int) -> list[dict[str, Any]]:
    if not columns:
        return [{} for _ in range(height)]
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def arrow_stream(response: OnlineResponse, *, statuses: bool, event_timestamps: bool) -> bytes:
    """Return an answer as an Arrow stream, in which every value has its type and nothing is lost."""
    import polars as pl

    buffer = io.BytesIO()
    frame = response.to_polars(include_event_timestamps=event_timestamps, include_statuses=statuses)
    frame.write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()
