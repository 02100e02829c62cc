"""Random calls of an online store, and what they do to a dictionary."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featurestore.online.base import Merge, OnlineStore, Row
from featurestore.testing.online_writers import greatest, replace

__all__ = ["for_each_sequence_of_calls"]

_VIEWS = (b"\0\0", b"\0\1", b"\xff\0")
# Few, so that calls meet; among them beginnings of one another, and such as end like a view.
_ENTITIES = (b"a", b"ab", b"\0", b"\0\0", b"\0\0\1", b"\xff", b"'", b"x" * 509)
_KEYS = st.builds(bytes.__add__, st.sampled_from(_ENTITIES), st.sampled_from(_VIEWS))
_VALUES = st.one_of(st.binary(max_size=8), st.just(b"large" * 2_000))


def _first(old: bytes | None, new: bytes) -> bytes | None:
    return new if old is None else old


def _both(old: bytes | None, new: bytes) -> bytes:
    return (old or b"") + new


def _never(_old: bytes | None, _new: bytes) -> None:
    return None


_MERGES: tuple[Merge, ...] = (greatest, _both, replace, _first, _never)


@dataclass(frozen=True, slots=True)
class _Put:
    rows: list[Row]
    merge: Merge


@dataclass(frozen=True, slots=True)
class _Get:
    keys: list[bytes]


@dataclass(frozen=True, slots=True)
class _Delete:
    keys: list[bytes]


@dataclass(frozen=True, slots=True)
class _Drop:
    view: bytes


@dataclass(frozen=True, slots=True)
class _Scan:
    view: bytes | None
    batch: int


@dataclass(frozen=True, slots=True)
class _Close:
    compact: bool = field(default=False)


_CALLS = st.lists(
    st.one_of(
        st.builds(
            _Put,
            st.lists(st.tuples(_KEYS, _VALUES), max_size=6, unique_by=lambda row: row[0]),
            st.sampled_from(_MERGES),
        ),
        st.builds(_Get, st.lists(_KEYS, max_size=6)),
        st.builds(_Delete, st.lists(_KEYS, max_size=4, unique=True)),
        st.builds(_Drop, st.sampled_from(_VIEWS)),
        st.builds(_Scan, st.sampled_from([None, *_VIEWS]), st.sampled_from([1, 2, 3, 100])),
        st.builds(_Close, st.booleans()),
    ),
    max_size=12,
)


def for_each_sequence_of_calls(store: OnlineStore, *, examples: int) -> None:
    """Try random calls on a store and on a dictionary, from empty, and compare every answer."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(_CALLS)
    def check(calls: list[object]) -> None:
        for view in _VIEWS:
            store.drop(view)
        model: dict[bytes, bytes] = {}
        for call in calls:
            _compare(store, model, call)
        _compare(store, model, _Scan(None, 3))

    check()


def _compare(store: OnlineStore, model: dict[bytes, bytes], call: object) -> None:
    match call:
        case _Put(rows, merge):
            least, most = _put(model, rows, merge)
            assert least <= store.put(rows, merge) <= most
        case _Get(keys):
            assert store.get(keys) == [model.get(key) for key in keys]
        case _Delete(keys):
            assert store.delete(keys) == sum(model.pop(key, None) is not None for key in keys)
        case _Drop(view):
            store.drop(view)
            for key in [key for key in model if key.endswith(view)]:
                del model[key]
        case _Scan(view, batch):
            found = [row for rows in store.scan(view, batch=batch) for row in rows]
            assert sorted(found) == sorted(row for row in model.items() if view is None or row[0].endswith(view))
        case _Close(compact):
            if compact:
                store.compact()
            store.close()
        case _:
            raise AssertionError(call)


def _put(model: dict[bytes, bytes], rows: list[Row], merge: Merge) -> tuple[int, int]:
    """Put rows in the model; return how many a store may say that it wrote, as an equal value may be written or not."""
    least = most = 0
    for key, new in rows:
        old = model.get(key)
        merged = merge(old, new)
        if merged is not None:
            model[key] = merged
            least, most = least + (merged != old), most + 1
    return least, most
