"""SQL text as a feature's result: run by DuckDB over registered sources and features."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from featurestore.errors import ColumnClashError, FrameError, MissingDependencyError, UnknownNameError
from featurestore.frames import convert
from featurestore.repository.names import find
from featurestore.run.running import running

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from featurestore.declare.source import FileSource
    from featurestore.run.session import Session

__all__ = ["provide_source", "run_sql", "tables_of"]


def run_sql(session: Session, text: str) -> duckdb.DuckDBPyRelation:
    """Return the result of ``text``. Tables in it are sources by name and features by short or full name (in quotes).

    Features are called as they would be by Python code: with the parameters that ``with_params`` hands on.

    Raises:
        UnknownNameError: a table that is neither.
        FrameError: text that DuckDB refuses; says why.
    """
    library = _duckdb()
    connection: duckdb.DuckDBPyConnection = library.connect()
    try:
        connection.execute("SET TimeZone = 'UTC'")  # What is naive is UTC, wherever the machine stands.
        for name in sorted(tables_of(connection, text)):
            _provide(session, connection, name)
        relation: duckdb.DuckDBPyRelation = connection.sql(text)
    except library.Error as error:
        raise FrameError(
            "DuckDB refuses the SQL of a feature",
            found=f"{error}\nin: {text}",
            expected="one SELECT over sources and features",
            fix=f"tables there: {', '.join(_tables(session)) or 'none'}",
        ) from error
    return relation


def tables_of(connection: duckdb.DuckDBPyConnection, text: str) -> set[str]:
    """Return the tables that ``text`` reads; DuckDB's own list of them stumbles over joins of tables not there yet.

    Raises:
        FrameError: text that is no SELECT.
    """
    ((answer,),) = connection.execute("select json_serialize_sql(?)", [text]).fetchall()
    tree = json.loads(answer)
    if tree["error"]:
        raise FrameError(
            "DuckDB refuses the SQL",
            found=f"{tree['error_message']}\nin: {text}",
            expected="one SELECT over sources and features",
        )
    return set(_tables_below(tree, frozenset()))


def _tables_below(node: Any, named: frozenset[str]) -> Iterator[str]:
    """Yield the tables in a part of the syntax tree, where the common table expressions ``named`` are known."""
    if isinstance(node, list):
        for each in node:
            yield from _tables_below(each, named)
    if not isinstance(node, dict):
        return
    if node.get("cte_name"):  # a recursive one may name itself
        named |= {node["cte_name"].lower()}
    for each in (node.get("cte_map") or {}).get("map", ()):
        yield from _tables_below(each["value"], named)
        named |= {each["key"].lower()}
    if node.get("type") == "BASE_TABLE" and (name := _name_of(node)).lower() not in named:
        yield name
    for key, each in node.items():
        if key != "cte_map":
            yield from _tables_below(each, named)


def _name_of(node: Mapping[str, Any]) -> str:
    name = ".".join(part for key in ("catalog_name", "schema_name", "table_name") if (part := node.get(key)))
    if name != node["table_name"]:
        raise FrameError(
            f"SQL names a table with dots: {name}",
            found=name,
            expected="one word, or a full name in quotes",
            fix=f'write "{name}" in double quotes',
        )
    return name


def _provide(session: Session, connection: duckdb.DuckDBPyConnection, name: str) -> None:
    source = session.collector.sources.get(name)
    if source is not None:
        _note(session, name)
        provide_source(connection, name, source, session.base)
        return
    try:
        feature = find(name, session.collector)
    except UnknownNameError as error:
        raise UnknownNameError.among("source or feature", name, _tables(session)) from error
    value: Any = feature()
    table = run_sql(session, value) if isinstance(value, str) else value
    connection.register(name, convert(table, "arrow", name=feature.name, key=feature.entity))


def _note(session: Session, source: str) -> None:
    """Remember that the call in progress read a source: its result is stale once that is declared otherwise."""
    call = running()
    if call is not None:
        call.note_calls([session.source_input(source)])


def provide_source(connection: duckdb.DuckDBPyConnection, name: str, source: FileSource, base: Path) -> None:
    """Let SQL read ``source`` as ``name``: the rows, columns and times that it means everywhere else too.

    Raises:
        ColumnClashError: columns that SQL cannot tell from each other.
    """
    # These load Polars.
    from featurestore.run.sources import in_utc, open_source
    from featurestore.run.unreadable import reading

    opened = open_source(source, base)
    _require_names_for_sql(source, [source.field_mapping.get(column, column) for column in opened.schema])
    if opened.files and not source.field_mapping and source.timezone is None:
        connection.read_parquet(list(opened.files), hive_partitioning=False).create_view(name)
        return
    with reading(source):
        connection.register(name, in_utc(source, opened).rename(dict(source.field_mapping)).collect().to_arrow())


def _require_names_for_sql(source: FileSource, columns: Sequence[str]) -> None:
    folded = [column.casefold() for column in columns]
    alike = [column for column in columns if folded.count(column.casefold()) > 1]
    if alike:
        raise ColumnClashError(
            f"SQL cannot tell columns of source {source.name!r} from each other",
            found=", ".join(alike),
            expected="names that differ in more than upper and lower case",
            fix="give one another name: FileSource(..., field_mapping={...})",
        )


def _tables(session: Session) -> Iterable[str]:
    return sorted({*session.collector.sources, *(feature.name for feature in session.collector)})


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise MissingDependencyError.for_extra("duckdb", "duckdb", purpose="SQL text as a feature") from error
    return duckdb
