"""A registry in PostgreSQL 14 or newer, for teams: several machines, one state."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from featurestore.errors import MissingDependencyError, StoreUnavailableError
from featurestore.instants import Clock, to_micros
from featurestore.registry.base import (
    Commit,
    Registry,
    Snapshot,
    author_of_commits,
    commit_named,
    document_moved_on,
    moved_on,
)
from featurestore.repository.documents import digest_of

if TYPE_CHECKING:
    from typing import LiteralString

    import psycopg

__all__ = ["PostgresRegistry"]

_LAYOUT_LOCK = 7_305_802_417
"""Key of the advisory lock under which the tables are made: any number that is always the same."""

_LAYOUT: tuple[LiteralString, ...] = (
    "CREATE SCHEMA IF NOT EXISTS {schema}",
    "CREATE TABLE IF NOT EXISTS {repositories} (hash text PRIMARY KEY, document text NOT NULL)",
    """CREATE TABLE IF NOT EXISTS {commits} (
        project text NOT NULL, version bigint NOT NULL, hash text NOT NULL REFERENCES {repositories} (hash),
        committed_at bigint NOT NULL, author text NOT NULL, message text NOT NULL, PRIMARY KEY (project, version))""",
    """CREATE TABLE IF NOT EXISTS {documents} (
        project text NOT NULL, key text NOT NULL, value text NOT NULL, PRIMARY KEY (project, key))""",
)
_COMMIT: LiteralString = "SELECT version, hash, committed_at, author, message FROM {commits} WHERE project = %s"
_SNAPSHOT: LiteralString = """SELECT version, hash, committed_at, author, message, document
    FROM {commits} JOIN {repositories} USING (hash) WHERE project = %s"""
_VALUE: LiteralString = "SELECT value FROM {documents} WHERE project = %s AND key = %s"


class PostgresRegistry(Registry):
    """Keeps a project's repositories in three tables of a PostgreSQL schema, made by the first commit.

    Args:
        url: such as ``postgresql://user@host/database``; a driver's name after a plus is left out.
        project: whose repositories; several projects can share one schema.
        schema: for the tables.
        clock: dates the commits.

    Example:
        >>> PostgresRegistry("postgresql+psycopg://me:secret@localhost/shop", "shop")
        PostgresRegistry('postgresql://me:***@localhost/shop', 'shop')
    """

    def __init__(
        self, url: str, project: str = "default", *, schema: str = "featurestore", clock: Clock | None = None
    ) -> None:
        super().__init__(project, clock=clock)
        self.url = re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", url)
        self.schema = schema

    def __repr__(self) -> str:
        return f"PostgresRegistry({_without_password(self.url)!r}, {self.project!r})"

    # ---- the repository ------------------------------------------------------------------------------------------

    def load(self) -> Snapshot | None:
        rows = self._read(_SNAPSHOT + " ORDER BY version DESC LIMIT 1", self.project)
        return Snapshot.of_row(rows[0]) if rows else None

    def commit(self, document: str, *, expected: str | None, message: str = "", author: str | None = None) -> Snapshot:
        digest, now = digest_of(document), self.clock.now()
        who = author_of_commits() if author is None else author
        with self._writing() as run:
            rows = run(_COMMIT + " ORDER BY version DESC LIMIT 1", self.project)
            last = Commit.of_row(rows[0]) if rows else None
            if (last.hash if last else None) != expected:
                raise moved_on(self.project, expected, last)
            version = last.version + 1 if last else 1
            run("INSERT INTO {repositories} VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING 1", digest, document)
            # Whoever writes the next version first has it; the others wait for its end, and then write nothing.
            insert: LiteralString = "INSERT INTO {commits} VALUES (%s, %s, %s, %s, %s, %s) "
            row = (self.project, version, digest, to_micros(now), who, message)
            if not run(insert + "ON CONFLICT DO NOTHING RETURNING version", *row):
                winner = run(_COMMIT + " ORDER BY version DESC LIMIT 1", self.project)[0]
                raise moved_on(self.project, expected, Commit.of_row(winner))
        return Snapshot(version, digest, now, who, message, document)

    def log(self) -> tuple[Commit, ...]:
        return tuple(map(Commit.of_row, self._read(_COMMIT + " ORDER BY version DESC", self.project)))

    def at(self, which: int | str) -> Snapshot:
        version = commit_named(which, self.log()).version
        return Snapshot.of_row(self._read(_SNAPSHOT + " AND version = %s", self.project, version)[0])

    # ---- documents beside it -------------------------------------------------------------------------------------

    def get(self, key: str) -> str | None:
        rows = self._read(_VALUE, self.project, key)
        return rows[0][0] if rows else None

    def put(self, key: str, value: str | None, *, expected: str | None) -> None:
        with self._writing() as run:
            if not self._swapped(run, key, value, expected):
                found = run(_VALUE, self.project, key)
                raise document_moved_on(key, expected, found[0][0] if found else None)

    def _swapped(self, run: _Run, key: str, value: str | None, expected: str | None) -> bool:
        if expected is None and value is None:
            return not run(_VALUE, self.project, key)
        if expected is None:
            insert: LiteralString = "INSERT INTO {documents} VALUES (%s, %s, %s) ON CONFLICT DO NOTHING RETURNING 1"
            return bool(run(insert, self.project, key, value))
        where: LiteralString = " WHERE project = %s AND key = %s AND value = %s RETURNING 1"
        if value is None:
            return bool(run("DELETE FROM {documents}" + where, self.project, key, expected))
        return bool(run("UPDATE {documents} SET value = %s" + where, value, self.project, key, expected))

    def keys(self, prefix: str = "") -> tuple[str, ...]:
        query: LiteralString = "SELECT key FROM {documents} WHERE project = %s AND starts_with(key, %s)"
        return tuple(sorted(row[0] for row in self._read(query, self.project, prefix)))

    # ---- connections ---------------------------------------------------------------------------------------------

    def _read(self, query: LiteralString, *values: Any) -> list[Any]:
        from psycopg import errors

        try:
            with self._connected() as connection:
                return self._run(connection, query, *values)
        except (errors.UndefinedTable, errors.InvalidSchemaName):  # Nothing was written yet: reading makes no tables.
            return []

    @contextmanager
    def _writing(self) -> Iterator[_Run]:
        """Yield what runs statements within one transaction; committed at the end, if all went well."""
        with self._connected() as connection:
            self._make_tables(connection)
            yield lambda query, *values: self._run(connection, query, *values)

    def _make_tables(self, connection: psycopg.Connection[Any]) -> None:
        there = connection.execute("SELECT to_regclass(%s)", (self._quoted("documents", connection),)).fetchone()
        if there != (None,):
            return
        # Locked, as two sessions that make one schema at once get in each other's way in spite of IF NOT EXISTS.
        connection.execute("SELECT pg_advisory_lock(%s)", (_LAYOUT_LOCK,))
        try:
            for statement in _LAYOUT:
                self._run(connection, statement)
            connection.commit()
        finally:
            connection.rollback()
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LAYOUT_LOCK,))
            connection.commit()

    def _quoted(self, table: str, connection: psycopg.Connection[Any]) -> str:
        from psycopg import sql

        return sql.Identifier(self.schema, table).as_string(connection)

    def _run(self, connection: psycopg.Connection[Any], query: LiteralString, *values: Any) -> list[Any]:
        from psycopg import sql

        schema = self.schema.replace("%", "%%")  # The driver takes a percent sign for a placeholder, quoted or not.
        tables = {name: sql.Identifier(schema, name) for name in ("repositories", "commits", "documents")}
        cursor = connection.execute(sql.SQL(query).format(schema=sql.Identifier(schema), **tables), values)
        return cursor.fetchall() if cursor.description else []

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            import psycopg
        except ImportError as error:
            raise MissingDependencyError.for_extra("psycopg", "postgres", purpose="the PostgreSQL registry") from error
        try:
            with psycopg.connect(self.url) as connection:
                yield connection
        except psycopg.OperationalError as error:
            raise StoreUnavailableError(
                f"the registry at {_without_password(self.url)} does not answer",
                found=str(error).strip(),
                expected="a PostgreSQL server that takes this user",
                fix="check the URL and that the server runs",
            ) from error


if TYPE_CHECKING:
    from typing import Protocol

    class _Run(Protocol):
        def __call__(self, query: LiteralString, *values: Any) -> list[Any]: ...


def _without_password(url: str) -> str:
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@", 1) if password else url
