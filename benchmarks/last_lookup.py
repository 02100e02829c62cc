"""One user's newest values of two features, beside the same query written by hand.

    python benchmarks/last_lookup.py                    # 1M rows a feature, 30 days stored, PostgreSQL and Parquet
    python benchmarks/last_lookup.py --rows 100000 --days 2 --lookups 50

Ours is ``fs.with_params(when=fs.Last()).get_features(a, b).filter(pl.col("user_id") == x).collect()``. By hand one
finds the newest day that both features have, and joins that day's two tables for one user. In PostgreSQL that is two
statements, whose rows become a frame by its constructor (`by hand`) or by `pl.read_database`; `lazy` is what Polars
takes at least for a lazy join of two tables that are no files. In Parquet it is two `pl.scan_parquet` in a folder of
files named by day. All take turns, so that they meet the same machine, and their answers are compared. The last day
has all the rows, the days before it a thousandth of them.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import psycopg
from polars.io.plugins import register_io_source

import featurestore as fs
from featurestore.materializer.parquet import ParquetMaterializer
from featurestore.materializer.postgresql import PostgresMaterializer

BUDGET = 1.5
"""How many times the time by hand a lookup may take (DESIGN, section 8)."""
FIRST = datetime(2024, 3, 1)
SIZE = {"rows": 1_000_000, "days": 30}

Lookup = Callable[[int], pl.DataFrame]
Lookups = dict[str, Lookup]


def users(when: datetime) -> pl.Series:
    """Return the users known on a day: all of them on the last one."""
    is_last = when == FIRST + timedelta(days=SIZE["days"] - 1)
    return pl.Series("user_id", np.arange(SIZE["rows"] if is_last else SIZE["rows"] // 1000, dtype=np.int64))


@fs.register_feature(entity="user_id")
def favorites(when: datetime) -> pl.LazyFrame:
    """Favorites of a user."""
    return pl.LazyFrame(users(when)).with_columns(favorites=pl.col("user_id") % 97)


@fs.register_feature(entity="user_id")
def posts(when: datetime) -> pl.LazyFrame:
    """Posts of a user, and how long they are."""
    return pl.LazyFrame(users(when)).with_columns(posts=pl.col("user_id") % 89, length=pl.col("user_id") / 7)


FEATURES = (favorites, posts)


def ours(user: int) -> pl.DataFrame:
    """Look a user up through the feature store."""
    table = fs.with_params(when=fs.Last()).get_features(favorites, posts)
    answer: pl.DataFrame = table.filter(pl.col("user_id") == user).collect()
    return answer


def days() -> list[datetime]:
    """Return the days that are stored, in order."""
    return list(fs.every("1d", FIRST, FIRST + timedelta(days=SIZE["days"] - 1)))


# ---- PostgreSQL -----------------------------------------------------------------------------------------------------


@contextmanager
def in_postgresql(folder: Path) -> Iterator[Lookups]:
    """Store the features in PostgreSQL, in our way and by hand, and yield the lookups by hand."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.servers.postgres import running_postgres

    with (
        running_postgres(folder / "lock") as server,
        closing(psycopg.connect(server.url(), autocommit=True)) as own,
        closing(psycopg.connect(server.url(), autocommit=True)) as by_hand,
        stored_in(PostgresMaterializer(conn=own)),
    ):
        write_tables(by_hand)
        lookups = {"by hand": select, "read_database": read_database, "lazy": lazy}
        yield {name: partial(lookup, by_hand) for name, lookup in lookups.items()}


def write_tables(connection: psycopg.Connection) -> None:
    """Write a table a feature and day, and a table that lists them."""
    connection.execute("CREATE TABLE results (feature text, at timestamp, name text, PRIMARY KEY (feature, at))")
    for feature in FEATURES:
        for day in days():
            frame, name = feature.fn(day).collect(), f"{feature.name}_{day:%Y_%m_%d}"
            columns = ", ".join(
                f"{column} {'float8' if dtype.is_float() else 'bigint'}" for column, dtype in frame.schema.items()
            )
            connection.execute(f"CREATE TABLE {name} ({columns})")
            with connection.cursor().copy(f"COPY {name} FROM STDIN (FORMAT csv)") as copy:
                copy.write(frame.write_csv(include_header=False))
            connection.execute(f"CREATE INDEX ON {name} (user_id)")
            connection.execute(f"ANALYZE {name}")
            connection.execute("INSERT INTO results VALUES (%s, %s, %s)", [feature.name, day, name])


def select(connection: psycopg.Connection, user: int) -> pl.DataFrame:
    """Look a user up as one writes it by hand, with the types of the frame written down."""
    cursor = connection.execute(query(connection), [user, user])
    schema = {"user_id": pl.Int64, "favorites": pl.Int64, "posts": pl.Int64, "length": pl.Float64}
    return pl.DataFrame(cursor.fetchall(), schema, orient="row")


def read_database(connection: psycopg.Connection, user: int) -> pl.DataFrame:
    """Look a user up by hand in the way that Polars offers, which finds the types itself."""
    return pl.read_database(query(connection).replace("%s", str(user)), connection)


def lazy(connection: psycopg.Connection, user: int) -> pl.DataFrame:
    """Look a user up by hand in a lazy join of two sources, each of which reads one row."""
    favored, posted = newest(connection)
    left = source(connection, favored, {"user_id": pl.Int64(), "favorites": pl.Int64()}, user)
    right = source(connection, posted, {"user_id": pl.Int64(), "posts": pl.Int64(), "length": pl.Float64()}, user)
    joined = left.join(right, on="user_id", how="full", coalesce=True)
    return joined.filter(pl.col("user_id") == user).collect()


def source(connection: psycopg.Connection, table: str, schema: dict[str, pl.DataType], user: int) -> pl.LazyFrame:
    """Return the row of a user, unread."""

    def read(columns: list[str] | None, *_: object) -> Iterator[pl.DataFrame]:
        rows = connection.execute(f"SELECT * FROM {table} WHERE user_id = %s", [user]).fetchall()
        yield pl.DataFrame(rows, schema, orient="row").select(columns or list(schema))

    return register_io_source(read, schema=schema)


def query(connection: psycopg.Connection) -> str:
    """Return the query of one user on the newest day that both features have."""
    favored, posted = newest(connection)
    return (
        "SELECT user_id, favorites, posts, length FROM"
        f" (SELECT * FROM {favored} WHERE user_id = %s) a FULL JOIN"
        f" (SELECT * FROM {posted} WHERE user_id = %s) b USING (user_id)"
    )


def newest(connection: psycopg.Connection) -> tuple[str, str]:
    """Return the tables of the newest day that both features have."""
    found: tuple[str, str] | None = connection.execute(
        "SELECT a.name, b.name FROM results a JOIN results b USING (at)"
        " WHERE a.feature = 'favorites' AND b.feature = 'posts' ORDER BY at DESC LIMIT 1"
    ).fetchone()
    assert found is not None
    return found


# ---- Parquet --------------------------------------------------------------------------------------------------------


@contextmanager
def in_parquet(folder: Path) -> Iterator[Lookups]:
    """Store the features in Parquet files, in our way and by hand, and yield the lookup by hand."""
    with stored_in(ParquetMaterializer(folder / "ours")):
        for feature in FEATURES:
            (folder / feature.name).mkdir()
            for day in days():
                feature.fn(day).collect().write_parquet(
                    folder / feature.name / f"{day:%F}.parquet", row_group_size=65_536
                )
        yield {"by hand": partial(read, folder)}


def read(folder: Path, user: int) -> pl.DataFrame:
    """Look a user up as one writes it by hand: the newest file that both folders have."""
    favored, posted = folder / "favorites", folder / "posts"
    newest = max({file.name for file in favored.iterdir()} & {file.name for file in posted.iterdir()})
    left, right = pl.scan_parquet(favored / newest), pl.scan_parquet(posted / newest)
    joined = left.join(right, on="user_id", how="full", coalesce=True)
    return joined.filter(pl.col("user_id") == user).collect()


# ---- side by side ---------------------------------------------------------------------------------------------------


@contextmanager
def stored_in(materializer: fs.Materializer) -> Iterator[None]:
    """Materialize both features, each day, and let calls be answered from there meanwhile."""
    for feature in FEATURES:
        materializer.materialize_range(feature, when=days(), progress=False)
    fs.add_decorator(materializer.decorator)
    try:
        yield
    finally:
        fs.remove_decorator(materializer.decorator)


@dataclass(frozen=True)
class Times:
    """How long each lookup took, in seconds."""

    values: list[float]

    @property
    def median(self) -> float:
        """The time that half of them stayed below."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        p99 = statistics.quantiles(self.values, n=100)[98]
        return f"p50 {self.median * 1e6:>7,.0f} us   p99 {p99 * 1e6:>7,.0f} us"


def side_by_side(by_hand: Lookups, lookups: int) -> dict[str, Times]:
    """Let all look up the same users in turn, after a few to warm up."""
    chosen = [int(user) for user in np.random.default_rng(7).integers(0, SIZE["rows"], lookups)]
    contestants = {**by_hand, "ours": ours}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for user in chosen[:20]:
        expected = ours(user)
        for name, lookup in by_hand.items():
            assert lookup(user).equals(expected), (name, user)
    for user in chosen:
        for name, lookup in contestants.items():
            begun = time.perf_counter()
            lookup(user)
            seconds[name].append(time.perf_counter() - begun)
    return {name: Times(values) for name, values in seconds.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=SIZE["rows"])
    parser.add_argument("--days", type=int, default=SIZE["days"])
    parser.add_argument("--lookups", type=int, default=500)
    parser.add_argument("--only", choices=STORES)
    parser.add_argument("--profile", action="store_true", help="show which functions ours spends its time in")
    options = parser.parse_args()
    SIZE.update(rows=options.rows, days=options.days)
    print(f"one user, {len(FEATURES)} features of {options.rows:,} rows, {options.days} days, {options.lookups} times")
    for name in [options.only] if options.only else STORES:
        with tempfile.TemporaryDirectory() as folder, STORES[name](Path(folder)) as by_hand:
            show(name, side_by_side(by_hand, options.lookups))
            if options.profile:
                profile(options.lookups)


def show(store: str, times: dict[str, Times]) -> None:
    """Print the lines of one store."""
    hand = times["by hand"].median
    for name, each in times.items():
        print(
            f"  {store:<10}  {name:<13}  {each}   {each.median / hand:5.2f}x{f' (budget {BUDGET}x)' * (name == 'ours')}"
        )


STORES = {"postgresql": in_postgresql, "parquet": in_parquet}


def profile(lookups: int) -> None:
    """Print which functions the lookups spend their time in."""
    profiler = cProfile.Profile()
    profiler.runcall(lambda: [ours(user) for user in range(lookups)])
    pstats.Stats(profiler).sort_stats("cumulative").print_stats(60)


if __name__ == "__main__":
    main()
