from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import featurestore as fs
from featurestore import Entity, FeatureView, Field, FileSource, PushSource, types
from featurestore.declare.collector import Collector
from featurestore.engines.polars import PolarsEngine
from featurestore.errors import FrameError, MissingColumnError, ParameterError, StoreUnavailableError, UnknownNameError
from featurestore.log.parquet import EventLog
from featurestore.online.base import Merge, Row
from featurestore.online.memory import MemoryOnlineStore
from featurestore.planning.retrieval import Known
from featurestore.registry.memory import MemoryRegistry
from featurestore.repository.names import AnyFeature
from featurestore.rows.keys import KeyCodec
from featurestore.rows.records import Decoder, head_of
from featurestore.run import pushing
from featurestore.run.history import AVAILABLE
from featurestore.run.online import Online, online_views
from featurestore.run.pushing import push, write_to_online_store
from featurestore.run.session import Session
from featurestore.run.training import Context, Request, get_historical_features


def may(day: int, hour: int = 0) -> datetime:
    return datetime(2024, 5, day, hour, tzinfo=UTC)


class Watch:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.at = may(10)

    def now(self) -> datetime:
        return self.at


SOURCE = PushSource("clicks", FileSource("visits.parquet", timestamp_field="at", created_timestamp_column="made"))
VIEW = FeatureView("visits", SOURCE, [Field("n", types.Int32), Field("rate", types.Float32)], entities=["user"])
ROW: dict[str, Any] = {"user": 1, "at": may(9), "n": 11, "rate": 0.5}


def opened(
    folder: Path, *views: FeatureView, functions: Sequence[AnyFeature] = (), store: MemoryOnlineStore | None = None
) -> Online:
    """The parts of a store whose source has a row of user 1 on the first of May."""
    pl.DataFrame(
        {"user": [1], "at": [may(1)], "made": [may(1)], "n": [10], "rate": [0.25]},
        schema_overrides={"user": pl.Int32, "n": pl.Int32, "rate": pl.Float32},
    ).write_parquet(folder / "visits.parquet")
    watch, log = Watch(), EventLog(folder / "log")
    known = Known({view.name: view for view in views or (VIEW,)}, tuple(functions))
    context = Context(Session(Collector(), watch), known, {}, folder, PolarsEngine(), folder, log=log)
    return Online(context, MemoryRegistry(), store or MemoryOnlineStore(), log, watch)


@pytest.fixture
def online(tmp_path: Path) -> Online:
    return opened(tmp_path)


def served(online: Online, *entity: Any, view: str = "visits") -> dict[str, Any] | None:
    """What is stored for an entity."""
    views = online_views(online.registry)
    if view not in views:
        return None
    key = KeyCodec(views[view].keys, views[view].suffix).encode(entity)
    assert key is not None
    (record,) = online.store.get([key])
    names = views[view].layout.names
    return None if record is None else dict(zip(names, Decoder(views[view], names).row(record)[0], strict=True))


def trained(online: Online, labels: Mapping[str, Any], view: Any = VIEW) -> pl.DataFrame:
    return get_historical_features(online.context, Request(pl.DataFrame(labels), view)).to_polars()


def logged(online: Online, view: str = "visits") -> int:
    return sum(pl.read_parquet(file).height for file in online.log.files(view))


# ---- where rows go ----------------------------------------------------------------------------------------------


def test_a_pushed_row_is_served_at_once_and_seen_in_training_from_now_on(online: Online) -> None:
    result = push(online, "clicks", [ROW])
    assert (result.rows, result.views) == (1, (pushing.PushedView("visits", logged=1, written=1, late=0),))
    assert served(online, 1) == {"n": 11, "rate": 0.5}
    tick = timedelta(microseconds=1)
    labels = {"user": [1, 1], "event_timestamp": [may(10) - tick, may(10)]}
    assert trained(online, labels)["n"].to_list() == [10, 11]


class PushMode(Enum):
    """As Feast has it."""

    ONLINE = 1
    OFFLINE = 2
    ONLINE_AND_OFFLINE = 3


@pytest.mark.parametrize(
    ("to", "is_online", "is_offline"),
    [
        ("both", True, True),
        ("online_and_offline", True, True),
        (PushMode.ONLINE_AND_OFFLINE, True, True),
        ("online", True, False),
        (PushMode.ONLINE, True, False),
        ("offline", False, True),
        (PushMode.OFFLINE, False, True),
    ],
)
def test_a_mode_says_where_rows_go_in_feasts_words_too(
    online: Online, to: Any, is_online: bool, is_offline: bool
) -> None:
    push(online, "clicks", [ROW], to=to)
    assert (served(online, 1) is not None, logged(online)) == (is_online, int(is_offline))


def test_a_mode_that_there_is_none_is_refused(online: Online) -> None:
    with pytest.raises(ParameterError, match=r"(?s)to='offine'.*'both', 'online' or 'offline'"):
        push(online, "clicks", [ROW], to="offine")


def test_all_views_of_a_push_source_get_the_rows_each_its_own_columns(tmp_path: Path) -> None:
    rates = FeatureView("rates", SOURCE, [Field("rate", types.Float32)], entities=["user"], online=False)
    online = opened(tmp_path, VIEW, rates)
    result = push(online, "clicks", [ROW])
    assert [(one.view, one.logged, one.written) for one in result.views] == [("visits", 1, 1), ("rates", 1, 0)]
    assert trained(online, {"user": [1], "event_timestamp": [may(11)]}, rates)["rate"].to_list() == [0.5]
    with pytest.raises(ParameterError, match="no view of 'rates' is online"):
        write_to_online_store(online, "rates", [ROW])


def test_a_view_takes_rows_by_its_own_name_or_as_an_object(online: Online) -> None:
    sources: list[Any] = ["visits", VIEW, SOURCE, "clicks"]
    for number, source in enumerate(sources):
        push(online, source, [ROW | {"n": number}], to="offline")
    assert logged(online) == 4


def test_an_unknown_source_suggests_the_nearest(online: Online) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'clicks'"):
        push(online, "click", [ROW])


def test_writing_to_the_online_store_leaves_the_log_alone(online: Online) -> None:
    write_to_online_store(online, "visits", pd.DataFrame([ROW]))
    assert served(online, 1) == {"n": 11, "rate": 0.5}
    assert logged(online) == 0


def test_a_function_that_returns_a_timeline_can_be_pushed_to(tmp_path: Path) -> None:
    store = fs.FeatureStore(_collector=Collector())

    @store.register_feature(entity="user", timestamp="at")
    def clicks_of() -> pl.DataFrame:
        return pl.DataFrame({"user": [1], "at": [may(1)], "n": [10]})

    @store.register_feature(entity="user")
    def country() -> dict[int, str]:
        return {1: "NL"}

    online = opened(tmp_path, functions=[clicks_of, country])
    push(online, "clicks_of", [ROW])
    assert served(online, 1, view=clicks_of.qualified_name) == {"n": 11}
    labels = {"user": [1, 1], "event_timestamp": [may(9), may(10)]}
    assert trained(online, labels, clicks_of)["n"].to_list() == [10, 11]
    with pytest.raises(ParameterError, match=r"nothing can be pushed to .*country"):
        push(online, "country", [ROW])


def test_a_view_without_entities_has_one_row(tmp_path: Path) -> None:
    everywhere = FeatureView("all", SOURCE, [Field("n", types.Int32)])
    online = opened(tmp_path, everywhere)
    push(online, "all", [ROW, ROW | {"at": may(9, 1), "n": 12}])
    assert served(online, view="all") == {"n": 12}


def test_a_view_that_is_only_pushed_to_learns_its_columns_from_the_first_rows(tmp_path: Path) -> None:
    bare = FeatureView("bare", PushSource("p"), entities=["user"])
    online = opened(tmp_path, bare)
    push(online, "p", [{"user": "a", "event_timestamp": may(9), "n": 1}])
    push(online, "p", [{"user": "b", "event_timestamp": may(9), "n": 2.0}])
    assert served(online, "b", view="bare") == {"n": 2}
    labels = {"user": ["a", "b"], "event_timestamp": [may(11)] * 2}
    assert trained(online, labels, bare).to_dict(as_series=False)["n"] == [1, 2]


# ---- what a row may look like -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame([ROW]),
        pl.LazyFrame([ROW]),
        pd.DataFrame([ROW]),
        pl.DataFrame([ROW]).to_arrow(),
        {name: [value] for name, value in ROW.items()},
        [ROW | {"at": "2024-05-09T02:00:00+02:00"}],
        [ROW | {"at": may(9).replace(tzinfo=None), "n": 11.0, "ignored": object}],
    ],
    ids=["polars", "lazy", "pandas", "arrow", "lists", "text", "naive"],
)
def test_rows_come_in_any_form_and_get_the_types_of_the_history(online: Online, frame: Any) -> None:
    if isinstance(frame, list):
        frame = [{name: value for name, value in row.items() if value is not object} for row in frame]
    push(online, "clicks", frame)
    assert served(online, 1) == {"n": 11, "rate": 0.5}
    answer = trained(online, {"user": [1], "event_timestamp": [may(10)]})
    assert (answer["n"].to_list(), answer.schema["n"], answer.schema["rate"]) == ([11], pl.Int32(), pl.Float32())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"user": None}, r"(?s)row 1 of .*'visits' is about nobody.*None in join key 'user'"),
        ({"user": 1.5}, r"(?s)row 1 of .* has a value in column 'user'.*1\.5"),
        ({"n": 2**40}, r"(?s)row 1 of .* has a value in column 'n'.*1099511627776.*Int32"),
        ({"n": 0.5}, r"(?s)row 1 of .* has a value in column 'n'.*0\.5"),
        ({"rate": 1e300}, r"(?s)row 1 of .* has a value in column 'rate'.*1e\+300.*Float32"),
        ({"at": None}, r"(?s)row 1 of .* does not say when it holds.*null in 'at'"),
        (
            {"at": may(10) + timedelta(minutes=5, microseconds=1)},
            r"(?s)row 1 of .* is dated ahead.*at 2024-05-10T00:05",
        ),
        ({"available_at": may(11)}, r"(?s)row 1 of .* is dated ahead.*available_at 2024-05-11"),
    ],
)
def test_a_row_that_cannot_stand_is_named_and_nothing_is_written(
    online: Online, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(FrameError, match=says):
        push(online, "clicks", [ROW | {"available_at": None}, ROW | {"available_at": None} | change])
    assert (logged(online), served(online, 1)) == (0, None)


@pytest.mark.parametrize("name", ["user", "at", "n", "rate"])
def test_a_column_that_is_missing_is_named_and_nothing_is_written(online: Online, name: str) -> None:
    with pytest.raises(MissingColumnError, match=f"no column '{name}' in the rows pushed to 'visits'"):
        push(online, "clicks", [{column: value for column, value in ROW.items() if column != name}])
    assert logged(online) == 0


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ([ROW | {"n": "eleven"}], r"(?s)column 'n' .* is of another kind.*String.*Int32"),
        ([ROW | {"at": "yesterday"}], r"(?s)row 0 of .* time that cannot be read.*'yesterday' in 'at'"),
        ([ROW | {"at": 5}], r"(?s)column 'at' .* holds no times"),
        ([ROW, 5], r"(?s)no rows.*a list with a int"),
        ({"user": [1, 2], "n": [1]}, r"(?s)do not make a table"),
        (5, r"(?s)no rows.*int"),
    ],
)
def test_what_are_no_rows_of_the_view_is_refused(online: Online, frame: Any, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        push(online, "clicks", frame)
    assert logged(online) == 0


def test_a_refusal_by_one_view_keeps_the_rows_from_all(tmp_path: Path) -> None:
    other = FeatureView("other", PushSource("clicks"), [Field("more", types.Int64)], entities=["user"])
    online = opened(tmp_path, VIEW, other)
    with pytest.raises(MissingColumnError, match="no column 'more' in the rows pushed to 'other'"):
        push(online, "clicks", [ROW])
    assert (logged(online), served(online, 1)) == (0, None)


def test_a_row_a_little_ahead_is_taken(online: Online) -> None:
    push(online, "clicks", [ROW | {"at": may(10) + timedelta(minutes=5)}])
    assert served(online, 1) == {"n": 11, "rate": 0.5}


def test_a_row_that_says_since_when_it_is_known_is_seen_from_then_on(online: Online) -> None:
    push(online, "clicks", [ROW | {"available_at": may(9, 12)}, ROW | {"user": 2, "available_at": None}])
    labels = {"user": [1, 1, 2, 2], "event_timestamp": [may(9, 11), may(9, 12), may(9, 12), may(10)]}
    assert trained(online, labels)["n"].to_list() == [10, 11, None, 11]


# ---- order ------------------------------------------------------------------------------------------------------


def test_a_late_row_is_kept_and_does_not_replace_a_newer_one(online: Online) -> None:
    push(online, "clicks", [ROW])
    (view,) = push(online, "clicks", [ROW | {"at": may(8), "n": 9}]).views
    assert (view.logged, view.written, view.late) == (1, 0, 1)
    assert served(online, 1) == {"n": 11, "rate": 0.5}


def test_of_rows_of_one_key_the_greatest_is_served(online: Online) -> None:
    rows = [ROW | {"n": 1}, ROW | {"n": 3}, ROW | {"n": 2}, ROW | {"at": may(8), "n": 9}]
    (view,) = push(online, "clicks", rows).views
    assert (view.logged, view.written) == (4, 1)
    assert served(online, 1) == {"n": 3, "rate": 0.5}


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "user": st.sampled_from([1, 2, 3]),
            "at": st.sampled_from([may(8), may(9)]),
            "made": st.sampled_from([None, may(8), may(9)]),
            "n": st.sampled_from([None, 1, 2]),
            "rate": st.sampled_from([None, 0.0, -0.0, float("nan"), 1.5]),
        }
    ),
    min_size=1,
    max_size=8,
)


@given(rows=ROWS, seed=st.integers(0, 99))
def test_whatever_the_order_repetition_and_grouping_of_rows_the_content_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], seed: int
) -> None:
    chance = random.Random(seed)
    one, other = opened(tmp_path_factory.mktemp("one")), opened(tmp_path_factory.mktemp("other"))
    push(one, "clicks", _typed(rows), to="online")
    again = chance.sample(rows, len(rows)) + chance.choices(rows, k=3)
    while again:
        size = chance.randint(1, len(again))
        push(other, "clicks", _typed(again[:size]), to="online")
        again = again[size:]
    # What differs is when they came; all that is served is the same.
    assert _content(one) == _content(other)


def _typed(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    times = dict.fromkeys(("at", "made"), pl.Datetime("us", "UTC"))
    return pl.DataFrame(rows, schema_overrides={"n": pl.Int32, "rate": pl.Float32, **times})


def _content(online: Online) -> list[Row]:
    return sorted(row for some in online.store.scan() for row in some)


# ---- repetition -------------------------------------------------------------------------------------------------


def test_a_push_that_is_repeated_under_its_key_adds_nothing(online: Online) -> None:
    first = push(online, "clicks", [ROW], idempotency_key="monday")
    online.clock.at = may(11)  # type: ignore[attr-defined]  # Of the test's clock.
    before = _content(online)
    second = push(online, "clicks", [ROW], idempotency_key="monday")
    assert (first.views[0].logged, second.views[0].logged) == (1, 0)
    assert (logged(online), _content(online)) == (1, before)
    online.log.compact("visits")
    assert push(online, "clicks", [ROW], idempotency_key="monday").views[0].logged == 0


def test_a_key_that_was_used_for_other_rows_is_refused_and_nothing_is_written(online: Online) -> None:
    push(online, "clicks", [ROW], idempotency_key="monday")
    with pytest.raises(ParameterError, match="'monday' was used for other rows"):
        push(online, "clicks", [ROW | {"n": 12}], idempotency_key="monday")
    assert logged(online) == 1
    assert served(online, 1) == {"n": 11, "rate": 0.5}


def test_without_a_key_every_push_is_one_of_its_own(online: Online) -> None:
    keys = {push(online, "clicks", [ROW]).idempotency_key for _ in range(3)}
    assert (len(keys), logged(online)) == (3, 3)


# ---- failures ---------------------------------------------------------------------------------------------------


class Failing(MemoryOnlineStore):
    """Does not answer any more after some rows."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def put(self, rows: Sequence[Row], merge: Merge, *, lifetime: timedelta | None = None) -> int:
        written = super().put(rows[: self.left], merge, lifetime=lifetime)
        self.left -= min(self.left, len(rows))
        if self.left == 0:
            raise StoreUnavailableError("the store does not answer", found="nothing", expected="an answer")
        return written


@pytest.mark.parametrize("after", [0, 1, 5, 10, 17, 24])
def test_a_push_that_fails_half_way_says_what_was_written_and_is_completed_by_repeating_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(pushing, "_BATCH", 5)
    rows = [ROW | {"user": user} for user in range(25)]
    store = Failing(after)
    online = opened(tmp_path, store=store)
    whole = after // 5 * 5 if after % 5 else max(after - 5, 0)
    with pytest.raises(StoreUnavailableError) as error:
        push(online, "clicks", rows, idempotency_key="monday")
    text = str(error.value)
    assert "the event log of 'visits' has all 25 rows" in text
    assert (f"'visits' has {whole} of 25 entities online, up to row {whole - 1}" in text) is (whole > 0)
    assert "the store does not answer" in text
    assert "idempotency_key='monday'" in text
    assert all(served(online, user) is not None for user in range(whole))
    store.left = 1000
    (view,) = push(online, "clicks", rows, idempotency_key="monday").views
    assert (view.logged, view.written + view.late) == (0, 25)
    assert logged(online) == 25
    assert all(served(online, user) is not None for user in range(25))


def test_a_log_that_cannot_be_written_stops_the_push_before_it_is_online(online: Online) -> None:
    online.log.folder.write_text("in the way")
    with pytest.raises(StoreUnavailableError, match=r"(?s)cut off at the event log.*nothing was written before"):
        push(online, "clicks", [ROW])
    assert served(online, 1) is None


# ---- entities ---------------------------------------------------------------------------------------------------


def test_long_keys_are_told_apart(tmp_path: Path) -> None:
    bare = FeatureView("bare", PushSource("p"), [Field("n", types.Int64)], [Entity("user", value_type=types.String)])
    online = opened(tmp_path, bare)
    names = [letter * 600 for letter in "ab"]
    push(online, "p", [{"user": name, "event_timestamp": may(9), "n": n} for n, name in enumerate(names)])
    assert [served(online, name, view="bare") for name in names] == [{"n": 0}, {"n": 1}]


def test_pushed_rows_are_marked_and_carry_the_time_from_which_they_are_known(online: Online) -> None:
    push(online, "clicks", [ROW])
    ((_, record),) = _content(online)
    head = head_of(record)
    (stamp,) = pl.read_parquet(online.log.files("visits")[0])[AVAILABLE].dt.epoch("us")
    assert (head.pushed, head.run, head.visible) == (True, 0, stamp)
