"""Options of the PostgreSQL online store, its URL, and what the driver's errors are called here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from featurestore.errors import ConfigurationError, FeatureStoreError, StoreUnavailableError, UnsupportedValueError
from featurestore.online._options import refuse_unknown

__all__ = ["redacted", "translation", "url_of"]

_FEAST_OPTIONS = {
    "sslmode": "sslmode",
    "sslkey_path": "sslkey",
    "sslcert_path": "sslcert",
    "sslrootcert_path": "sslrootcert",
    "keepalives_idle": "keepalives_idle",
}
"""Feast's names of what is a parameter of the URL, and the URL's."""

_IDLE_OPTIONS = ("min_conn", "conn_type")
"""Options of Feast that ask for nothing here: connections are opened when they are needed, and then kept."""

_OPTIONS = (
    *("url", "host", "port", "database", "db_schema", "schema", "user", "password", "max_conn", "timeout"),
    *_FEAST_OPTIONS,
    *_IDLE_OPTIONS,
)


def url_of(options: Mapping[str, Any]) -> str:
    """Return the URL that options give, in one piece or in Feast's parts.

    Raises:
        ConfigurationError: an option that means nothing, or both.
    """
    refuse_unknown(options, _OPTIONS, what="postgres")
    if "url" not in options:
        return _url_of(options)
    if both := options.keys() & {"host", "port", "database", "user", "password", *_FEAST_OPTIONS}:
        raise ConfigurationError(
            "the online store in PostgreSQL has a URL and options that are parts of one",
            found=f"url, {', '.join(sorted(both))}",
            expected="either",
            fix="write them into the URL, or remove it",
        )
    return str(options["url"])


def _url_of(options: Mapping[str, Any]) -> str:
    """Return the URL that Feast's options mean.

    Example:
        >>> _url_of(
        ...     {"host": "db", "port": 5433, "database": "shop", "user": "me", "password": "a b", "sslmode": "require"}
        ... )
        'postgresql://me:a%20b@/shop?host=db&port=5433&sslmode=require'
    """
    user, password = (quote(str(options.get(name, "")), safe="") for name in ("user", "password"))
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    names = {"host": "host", "port": "port", **_FEAST_OPTIONS}
    parameters = {name: options[option] for option, name in names.items() if options.get(option) is not None}
    query = f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""
    return f"postgresql://{login}/{quote(str(options.get('database', '')), safe='')}{query}"


_PASSWORD = re.compile(r"(?i)(?<=//)([^@/?:\s]*):[^@/?\s]*(?=@)|(password\s*=\s*)(?:'(?:\\.|[^'])*'|[^&\s]*)")


def redacted(url: str) -> str:
    """Return ``url`` with stars for passwords.

    Example:
        >>> redacted("postgresql://me:secret@host/db"), redacted("host=h password='a b' user=me")
        ('postgresql://me:***@host/db', 'host=h password=*** user=me')
    """
    return _PASSWORD.sub(lambda found: f"{found[1]}:***" if found[1] is not None else f"{found[2]}***", url)


def translation(error: Any, where: str) -> FeatureStoreError:
    """Return the driver's error as one of ours."""
    import psycopg

    found = f"{type(error).__name__}: {str(error).strip()}"
    if isinstance(error, psycopg.errors.ProgramLimitExceeded):
        return UnsupportedValueError(
            f"a row is beyond {where}", found=found, expected="values of up to a megabyte", fix="store fewer features"
        )
    # Class 25: the server became one that only reads, as after a failover.
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or (error.sqlstate or "")[:2] == "25":
        return StoreUnavailableError(
            f"{where} does not answer",
            found=found,
            expected="a PostgreSQL server that takes this user, within the time limit",
            fix="check the URL and that the server runs; try again if it is busy",
        )
    return ConfigurationError(
        f"{where} refuses",
        found=found,
        expected="a role with USAGE and CREATE on the schema, and a table that the store made",
        fix="grant them: GRANT USAGE, CREATE ON SCHEMA ... TO ...",
    )
