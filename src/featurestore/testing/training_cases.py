"""Generated point-in-time joins: small, and full of the things that go wrong. For Hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from featurestore.declare import aggregates as agg
from featurestore.declare.aggregates import Aggregate
from featurestore.engines.survey import survey
from featurestore.planning.scans import Scan
from featurestore.planning.training import Selected, Survey, TrainingPlan, ViewJoin, plan_training
from featurestore.testing.reference import instant
from featurestore.windows.kernel import columns_of

__all__ = ["Case", "aggregates", "cases"]

NEW_YORK = "America/New_York"
TIME = "at"
ID = "id"

_WINTER = 1_730_613_600_000_000_000
"""2024-11-03 06:00 UTC in nanoseconds: New York's clocks go from 02:00 back to 01:00."""
_SUMMER = 1_710_054_000_000_000_000
"""2024-03-10 07:00 UTC in nanoseconds: New York's clocks go from 02:00 on to 03:00."""
_WIDE = 0
"""Where times are years apart."""
_STEPS = (-3_600_000_000_000, -1_000_000, -1_000, -1, 0, 1, 999, 1_000, 1_001, 1_000_000, 3_600_000_000_000)
_FAR = tuple(
    years * 365 * 86_400_000_000_000 + step for years in (-60, 0, 60) for step in (-1_000, 0, 1_000, 1_000_000_000)
)
"""Steps so wide that a time and a key do not fit one number together."""
_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000}
_WEST = 5 * 3_600_000_000_000
_DAY = 86_400_000_000_000
_MOST_FIELDS = 3
_WINDOWS = (None, "1us", "2us", "1ms", "1s", "1h", "1h1us", "30000d")
_OF_ANY = (
    *("count", "time_since_last", "count_null", "count_distinct", "min", "max", "mode", "lag"),
    *("first", "last", "first_n", "last_n", "top_k", "bottom_k"),
)
_OF_NUMBERS = ("sum", "mean", "var", "std", "ewma", "slope", "sum")
_TTLS = (None, 0, 1, 2, 1_000, 3_600_000_000, 3_600_000_001)

_KEYS: tuple[tuple[tuple[pl.DataType, pl.DataType], tuple[object, ...]], ...] = (
    ((pl.Int64(), pl.Int64()), (None, 1, 2, 3, -(2**63), 2**63 - 1)),
    ((pl.Int64(), pl.Int32()), (None, 0, 1, 2**31 - 2)),
    ((pl.Int64(), pl.Int64()), (None, 0, 1, 2**31 - 2)),
    ((pl.UInt64(), pl.Int64()), (None, 1, 2, 3)),
    ((pl.UInt64(), pl.UInt64()), (None, 1, 2, 2**64 - 1)),
    ((pl.Float64(), pl.Int64()), (None, 1, 2, 3)),
    ((pl.Float64(), pl.Float64()), (None, 0.0, -0.0, 1.5, float("nan"))),
    ((pl.String(), pl.String()), (None, "a", "b", "")),
    ((pl.Categorical(), pl.String()), (None, "a", "b", "c")),
    ((pl.Boolean(), pl.Boolean()), (None, True, False)),
    ((pl.Date(), pl.Date()), (None, date(2024, 1, 1), date(2024, 1, 2))),
    ((pl.Datetime("ms"), pl.Datetime("us", "UTC")), (None, datetime(2024, 1, 1), datetime(2024, 1, 2))),
)
_FIELDS: tuple[tuple[pl.DataType, tuple[object, ...]], ...] = (
    (pl.Int64(), (None, 0, 1, -1)),
    (pl.UInt8(), (None, 0, 255)),
    (pl.Float64(), (None, 0.0, -0.0, 1.5, float("nan"), float("-inf"))),
    (pl.Float32(), (None, 0.5, -0.0)),
    (pl.String(), (None, "", "a", "b", "é")),
    (pl.Categorical(), (None, "b", "a")),
    (pl.Boolean(), (None, True, False)),
    (pl.Binary(), (None, b"", b"\x00", b"\xff")),
    (pl.Date(), (None, date(1969, 12, 31), date(2024, 1, 1))),
    (pl.Duration("us"), (None, timedelta(0), timedelta(microseconds=-1))),
    (pl.Datetime("us", NEW_YORK), (None, datetime(2024, 1, 1), datetime(1969, 12, 31))),
    (pl.List(pl.Int64()), (None, [], [1], [1, None], [1, 0])),
    (pl.Struct({"x": pl.Int64()}), ({"x": None}, {"x": 1})),
)


@dataclass(frozen=True, slots=True)
class Times:
    """A column of times: what a frame holds, and the instants that it stands for."""

    frame: pl.Series
    truth: list[int | None]
    """UTC microseconds."""


@dataclass(frozen=True, slots=True)
class Source:
    """Rows as a frame, and as the reference takes them."""

    scan: Scan
    frame: pl.DataFrame
    rows: list[dict[str, object]]
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One join, for an engine as a plan and for the reference as rows."""

    labels: pl.DataFrame
    label_rows: list[dict[str, object]]
    views: tuple[ViewJoin, ...]
    sources: dict[str, Source]
    surveyed: bool
    partitions: int
    in_files: bool
    """Whether the sources are Parquet files; frames if not."""
    order: tuple[str, ...] = field(default=())
    conditions: dict[str, Callable[[Mapping[str, object]], bool]] = field(default_factory=dict)
    """What each condition of an aggregate says of a row."""

    def plan(self, folder: Path) -> TrainingPlan:
        """Return the plan; files are written to ``folder``."""
        views = tuple(replace(view, scan=self._opened(view.scan, folder)) for view in self.views)
        known = survey(self.labels, TIME, views) if self.surveyed else Survey(self.labels.height)
        plan = plan_training(self.labels, TIME, views, known, order=self.order)
        return replace(plan, partitions=self.partitions)

    def _opened(self, scan: Scan, folder: Path) -> Scan:
        frame = self.sources[scan.source].frame
        if not self.in_files:
            return replace(scan, open=frame.lazy)
        path = folder / f"{scan.source}.parquet"
        frame.write_parquet(path, row_group_size=3)
        return replace(scan, open=lambda: pl.scan_parquet(path), files=(str(path),))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a join of one to three views, some of which share a source."""
    keys = draw(st.lists(st.sampled_from(_KEYS), max_size=2))
    base = draw(st.sampled_from((_WINTER, _SUMMER, -5_000_000, _WIDE)))
    sources = [draw(_sources(f"s{index}", keys, base)) for index in range(draw(st.integers(1, 2)))]
    labels, label_rows = draw(_labels(keys, base))
    views = [
        draw(_views(f"v{index}", draw(st.sampled_from(sources)), len(keys))) for index in range(draw(st.integers(1, 3)))
    ]
    outputs = [output for view in views for output in view.outputs]
    return Case(
        labels,
        label_rows,
        tuple(views),
        {source.scan.source: source for source in sources},
        surveyed=draw(st.booleans()),
        partitions=draw(st.sampled_from((1, 1, 3))),
        in_files=draw(st.booleans()),
        order=tuple(draw(st.permutations(outputs))),
        conditions={f"f{index} IS NOT NULL": _has_value(f"f{index}") for index in range(_MOST_FIELDS)},
    )


def _has_value(name: str) -> Callable[[Mapping[str, object]], bool]:
    return lambda row: row[name] is not None


@st.composite
def _labels(
    draw: st.DrawFn, keys: Sequence[tuple[tuple[pl.DataType, pl.DataType], tuple[object, ...]]], base: int
) -> tuple[pl.DataFrame, list[dict[str, object]]]:
    height = draw(st.integers(0, 8))
    times = draw(_times(height, base, local=None, up=False))
    columns = {TIME: times.frame}
    for index, ((dtype, _), pool) in enumerate(keys):
        for name in (f"k{index}", f"other{index}"):
            columns[name] = draw(_column(name, dtype, pool, height))
    frame = pl.DataFrame(columns).with_columns(pl.int_range(pl.len()).alias("extra"))
    return frame, _rows(frame, {TIME: times.truth})


@st.composite
def _sources(
    draw: st.DrawFn,
    name: str,
    keys: Sequence[tuple[tuple[pl.DataType, pl.DataType], tuple[object, ...]]],
    base: int,
) -> Source:
    height = draw(st.integers(0, 12))
    local = draw(st.sampled_from((None, None, NEW_YORK)))
    stamps = [TIME, *(one for one in ("made", "known") if draw(st.booleans()))]
    times = {stamp: draw(_times(height, base, local=local, up=True)) for stamp in stamps}
    fields = draw(st.lists(st.sampled_from(_FIELDS), min_size=1, max_size=_MOST_FIELDS))
    columns = {stamp: one.frame for stamp, one in times.items()}
    columns |= {f"k{i}": draw(_column(f"k{i}", dtype, pool, height)) for i, ((_, dtype), pool) in enumerate(keys)}
    columns |= {f"f{i}": draw(_column(f"f{i}", dtype, pool, height)) for i, (dtype, pool) in enumerate(fields)}
    columns[ID] = draw(_column(ID, pl.String(), (None, "a", "b", "c"), height))
    frame = pl.DataFrame(columns)
    rows = _rows(frame, {stamp: one.truth for stamp, one in times.items()})
    renames = (("RAW", "f0"),) if draw(st.booleans()) else ()
    scan = Scan(
        name,
        frame.lazy,
        TIME,
        created="made" if "made" in times else None,
        available_at="known" if "known" in times else None,
        timezone=local,
        renames=renames,
    )
    stored = frame.rename({"f0": "RAW"}) if renames else frame
    return Source(scan, stored, rows, tuple(f"f{i}" for i in range(len(fields))))


@st.composite
def _views(draw: st.DrawFn, name: str, source: Source, keys: int) -> ViewJoin:
    used = draw(st.integers(0, keys))
    ours = draw(st.sampled_from(("k", "other")))
    pairs = tuple((f"{ours}{index}", f"k{index}") for index in range(used))
    if draw(st.booleans()):
        return draw(_window_views(name, source, pairs))
    asked = draw(st.lists(st.sampled_from(source.fields), min_size=1, max_size=3, unique=True))
    statuses = draw(st.booleans())
    return ViewJoin(
        name,
        source.scan,
        pairs,
        tuple(Selected(one, f"{name}__{one}", f"{name}__{one}__status" if statuses else None) for one in asked),
        fields=source.fields,
        ttl=draw(st.sampled_from(_TTLS)),
        event_timestamp=draw(st.sampled_from((None, f"{name}__time"))),
        snapshots=draw(st.sampled_from((None, None, _snapshots(source)))),
    )


@st.composite
def _window_views(draw: st.DrawFn, name: str, source: Source, pairs: tuple[tuple[str, str], ...]) -> ViewJoin:
    schema = dict(source.frame.schema)
    fields = {one: schema[one if one in schema else "RAW"] for one in source.fields}
    drawn = draw(st.lists(aggregates(fields), min_size=1, max_size=4))
    named = [replace(one, name=f"a{index}") for index, one in enumerate(drawn)]
    event_id = draw(st.sampled_from((None, None, ID)))
    columns = [column for one in named for column in columns_of(one)]
    statuses = draw(st.booleans())
    outputs = [(one.name, f"{name}__{one.name}") for one in named]
    return ViewJoin(
        name,
        source.scan,
        pairs,
        tuple(Selected(one, output, f"{output}__status" if statuses else None) for one, output in outputs),
        fields=(*source.fields, *([ID] if event_id else [])),
        aggregates=tuple(named),
        columns=tuple(dict.fromkeys([*columns, *([ID] if event_id else [])])),
        event_id=event_id,
        event_timestamp=draw(st.sampled_from((None, f"{name}__time"))),
    )


@st.composite
def aggregates(draw: st.DrawFn, fields: Mapping[str, pl.DataType]) -> Aggregate:
    """Draw an aggregate over one of ``fields``: any function that the type has, with any options."""
    column = draw(st.sampled_from(sorted(fields)))
    numeric = fields[column].is_numeric() or fields[column] == pl.Boolean
    function = draw(st.sampled_from([*_OF_ANY, *(_OF_NUMBERS if numeric else ())]))
    options = draw(_options(column, [one for one, dtype in fields.items() if dtype in (pl.String, pl.Categorical)]))
    if function == "lag":
        kinds = ("sum", "mean", "count", "min", "last", "first") if numeric else ("count", "max", "first")
        chosen = draw(st.sampled_from(kinds))
        calendar = draw(_calendars())
        options = {name: value for name, value in options.items() if name in ("where", "name", "by", "categories")}
        return agg.lag(column, draw(st.integers(1, 2)), function=chosen, **calendar, **options)
    window = draw(st.sampled_from(_WINDOWS))
    if draw(st.booleans()):
        calendar = draw(_calendars())
        window = None if window is None else calendar["every"] * draw(st.integers(1, 2))
        options |= calendar
    match function:
        case "count" | "time_since_last":
            return getattr(agg, function)(window, **options)  # type: ignore[no-any-return]  # Found by name.
        case "first_n" | "last_n" | "top_k" | "bottom_k":
            return getattr(agg, function)(column, draw(st.integers(1, 3)), window, **options)  # type: ignore[no-any-return]  # Found by name.
        case "ewma":
            return agg.ewma(column, draw(st.sampled_from(("1us", "1s", "1h"))), window, **options)
    return getattr(agg, function)(column, window, **options)  # type: ignore[no-any-return]  # Found by name.


@st.composite
def _options(draw: st.DrawFn, column: str, texts: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {"offset": draw(st.sampled_from((None, None, "1us", "1s", "1h")))}
    if draw(st.integers(0, 3)) == 0:
        options |= {"where": f"{column} IS NOT NULL", "name": "conditional"}
    is_sorted: bool = draw(st.booleans())
    if texts and is_sorted:
        options |= {"by": draw(st.sampled_from(list(texts))), "categories": ["a", "é"]}
    return options


def _calendars() -> st.SearchStrategy[dict[str, Any]]:
    days = st.builds(
        lambda days, tz: {"every": timedelta(days=days), "tz": tz},
        st.sampled_from((1, 7)),
        st.sampled_from(("UTC", NEW_YORK)),
    )
    return st.one_of(days, st.just({"every": timedelta(hours=1)}))


def _snapshots(source: Source) -> tuple[int, ...]:
    stamps = {row[TIME] for row in source.rows}
    return tuple(sorted(stamp for stamp in stamps if isinstance(stamp, int)))


@st.composite
def _times(draw: st.DrawFn, height: int, base: int, *, local: str | None, up: bool) -> Times:
    """Draw times; ``local``: naive ones, of that zone."""
    near = _FAR if base == _WIDE else _STEPS
    steps = draw(st.lists(st.sampled_from((None, *near)), min_size=height, max_size=height))
    kind = draw(st.sampled_from(("ns", "us", "us", "ms", "date")))
    size = _DAY if kind == "date" else _UNITS[kind]
    nanos = [None if step is None else (base + step) // size * size for step in steps]
    if local is not None and kind != "date":
        # As a local time, so that the repeated hour and the gap lie in the middle of what is drawn.
        nanos = [None if nano is None else nano - _WEST for nano in nanos]
    dtype = pl.Date() if kind == "date" else pl.Datetime(kind)  # type: ignore[arg-type]  # The unit is a literal there.
    series = pl.Series(TIME, nanos, dtype=pl.Int64).cast(pl.Datetime("ns")).cast(dtype)
    if local is not None:
        whole = series.cast(pl.Datetime("us")).to_list()
        return Times(series, [_local(stamp, nano, local) for stamp, nano in zip(whole, nanos, strict=True)])
    if kind != "date":
        zone = draw(st.sampled_from((None, "UTC", NEW_YORK)))
        series = series if zone is None else series.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    return Times(series, [None if nano is None else -(-nano // 1000) if up else nano // 1000 for nano in nanos])


def _local(stamp: object, nano: int | None, zone: str) -> int | None:
    """Return the instant of a local time, of which ``nano`` may say more than ``stamp``, rounded up."""
    found = instant(stamp, zone=zone)
    return None if found is None or nano is None else found + (nano % 1000 > 0)


@st.composite
def _column(draw: st.DrawFn, name: str, dtype: pl.DataType, pool: Sequence[object], height: int) -> pl.Series:
    values = draw(st.lists(st.sampled_from(pool), min_size=height, max_size=height))
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        naive = pl.Series(name, values, dtype=pl.Datetime(dtype.time_unit))
        return naive.dt.replace_time_zone("UTC").dt.convert_time_zone(dtype.time_zone)
    return pl.Series(name, values, dtype=dtype)


def _rows(frame: pl.DataFrame, times: Mapping[str, Sequence[int | None]]) -> list[dict[str, object]]:
    rows = [{name: _plain(value) for name, value in row.items()} for row in frame.rows(named=True)]
    return [row | {name: truth[index] for name, truth in times.items()} for index, row in enumerate(rows)]


def _plain(value: object) -> object:
    # Keys compare as instants, whichever zone the column has.
    return value.replace(tzinfo=None) - (value.utcoffset() or timedelta(0)) if isinstance(value, datetime) else value
