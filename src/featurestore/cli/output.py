"""What commands print: tables for people, tab-separated lines for pipes, JSON for programs."""

from __future__ import annotations

import base64
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from os import PathLike
from typing import Any

import click

__all__ = ["as_json", "duration", "json_option", "plain", "print_json", "print_rows"]


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def print_json(value: object) -> None:
    """Print ``value`` as JSON."""
    click.echo(as_json(value))


def as_json(value: object) -> str:
    """Return ``value`` as JSON; what JSON does not know is text, and as in the server's answers null or Base64.

    Example:
        >>> print(as_json([float("inf"), b"hi"]))
        [
          null,
          "aGk="
        ]
    """
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[object]], *, header: bool = False) -> None:
    """Print a table on a terminal, else lines of tab-separated values; these with a header only if it is asked for."""
    if sys.stdout.isatty():
        _print_table(columns, rows)
        return
    for row in (columns, *rows) if header else rows:
        click.echo("\t".join(_text(value).replace("\t", " ").replace("\n", " ") for value in row))


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_short(value)) for value in row))
    Console().print(table)


def _short(value: object) -> str:
    """Return what people read: times to the second, as tables of times are wide enough."""
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else _text(value)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, tuple | list):
        return ", ".join(map(_text, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_text(each)}" if each else str(key) for key, each in value.items())
    return duration(value) if isinstance(value, timedelta) else str(value)


def duration(value: timedelta) -> str:
    """Return a length of time as it is written in declarations.

    Example:
        >>> duration(timedelta(days=1, hours=12))
        '1d12h'
    """
    rest, parts = value // timedelta(microseconds=1), []
    for unit, micros in (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("us", 1)):
        count, rest = divmod(rest, micros)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def plain(value: Any) -> Any:
    """Return a declaration, or any value, as plain data: bytes as Base64, NaN and infinities as ``None``.

    Example:
        >>> from featurestore import Entity
        >>> plain(Entity("driver", owner="ops"))
        {'name': 'driver', 'join_keys': ['driver'], 'owner': 'ops'}
    """
    match value:
        case float():
            return value if math.isfinite(value) else None
        case None | bool() | int() | str():
            return value
        case bytes():
            return base64.b64encode(value).decode()
        case timedelta():
            return duration(value)
        case datetime() | date():
            return value.isoformat()
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case tuple() | list() | set() | frozenset():
            return [plain(each) for each in value]
        case PathLike():
            return str(value)
    if is_dataclass(value) and not isinstance(value, type) and not type(value).__module__.endswith(".dtypes"):
        said = {each.name: getattr(value, each.name) for each in fields(value) if not each.name.startswith("_")}
        return {name: plain(each) for name, each in said.items() if each not in (None, "", (), {}, [])}
    return getattr(value, "__qualname__", None) or str(value)
