"""SQL text as a feature's result: run by DuckDB over registered sources and features."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from featurestore.declare.source import FileSource
from featurestore.errors import FrameError, MissingDependencyError, UnknownNameError
from featurestore.frames import convert
from featurestore.repository.names import find

if TYPE_CHECKING:
    import duckdb

    from featurestore.run.session import Session

__all__ = ["run_sql"]


def run_sql(session: Session, text: str) -> duckdb.DuckDBPyRelation:
    """Return the result of ``text``. Tables in it are sources by name and features by short or full name.

    Features are called as they would be by Python code: with the parameters that ``with_params`` hands on.

    Raises:
        UnknownNameError: a table that is neither.
        FrameError: text that DuckDB refuses; says why.
    """
    library = _duckdb()
    connection: duckdb.DuckDBPyConnection = library.connect()
    try:
        for name in sorted(connection.get_table_names(text, qualified=True)):
            _provide(session, connection, name.replace('"', ""))
        relation: duckdb.DuckDBPyRelation = connection.sql(text)
    except library.Error as error:
        raise FrameError(
            "DuckDB refuses the SQL of a feature",
            found=f"{error}\nin: {text}",
            expected="one SELECT over sources and features",
            fix=f"tables there: {', '.join(_tables(session)) or 'none'}",
        ) from error
    return relation


def _provide(session: Session, connection: duckdb.DuckDBPyConnection, name: str) -> None:
    source = session.collector.sources.get(name)
    if source is not None:
        _read(connection, source).create_view(name)
        return
    try:
        feature = find(name, session.collector)
    except UnknownNameError as error:
        raise UnknownNameError.among("source or feature", name, _tables(session)) from error
    value: Any = feature()
    table = run_sql(session, value) if isinstance(value, str) else value
    connection.register(name, convert(table, "arrow", name=feature.name, key=feature.entity))


def _read(connection: duckdb.DuckDBPyConnection, source: FileSource) -> duckdb.DuckDBPyRelation:
    match source.format:
        case "parquet":
            return connection.read_parquet(source.path)
        case "csv":
            return connection.read_csv(source.path)
        case "ndjson":
            return connection.read_json(source.path)
    raise FrameError(
        f"SQL features cannot read source {source.name!r}",
        found=f"format {source.format}",
        expected="Parquet, CSV or NDJSON files",
    )


def _tables(session: Session) -> Iterable[str]:
    return sorted({*session.collector.sources, *(feature.name for feature in session.collector)})


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise MissingDependencyError.for_extra("duckdb", "duckdb", purpose="SQL text as a feature") from error
    return duckdb
