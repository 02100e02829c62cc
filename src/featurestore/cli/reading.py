"""Online reads from the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from featurestore.cli.asking import column_options, features_option, listed
from featurestore.cli.output import json_option, print_json, print_rows
from featurestore.errors import ParameterError

if TYPE_CHECKING:
    from featurestore.cli.app import Project

__all__ = ["COMMANDS"]

_TRUTH = {"true": True, "false": False}


@click.command(
    "get-online-features",
    epilog="Example: featurestore get-online-features -e driver_id=1001 -e driver_id=1002 -f driver_hourly_stats",
)
@click.option(
    "-e",
    "--entities",
    metavar="COLUMN=VALUE",
    multiple=True,
    help="A join key, or what an on-demand view takes, and its value; once more for every further row.",
)
@features_option
@column_options
@json_option
@click.pass_obj
def get_online_features(
    project: Project,
    /,
    *,
    entities: tuple[str, ...],
    features: tuple[str, ...],
    full_feature_names: bool,
    event_timestamps: bool,
    statuses: bool,
    as_json: bool,
) -> None:
    """Read the newest values of features, as a service would: a row for every value of each column.

    In a pipe: a line for each row, with the columns' names before them.
    """
    reader = project.store().online_reader(listed(features), full_feature_names)
    response = reader.read(_typed(_columns(entities), dict(_types(reader.plan))))
    rows = response.to_rows(event_timestamps, statuses)
    if as_json:
        print_json(rows)
    else:
        columns = list(response.to_dict(event_timestamps, statuses))
        print_rows(columns, [list(row.values()) for row in rows], header=True)


def _columns(pairs: Sequence[str]) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is no COLUMN=VALUE, such as driver_id=1001", param_hint="--entities")
        columns.setdefault(name.strip(), []).append(value)
    return columns


def _types(plan: Any) -> Iterator[tuple[str, str]]:
    """Yield the columns of the request whose types are known, and these."""
    yield from ((name, str(declared)) for name, declared in plan.requested.items())
    for view in plan.views:
        stored = dict(view.stored.keys) if view.stored is not None else {}
        yield from ((column, stored[key]) for column, key in view.keys if key in stored)


def _typed(columns: Mapping[str, Sequence[str]], types: Mapping[str, str]) -> dict[str, list[Any]]:
    return {name: [_value(name, text, types.get(name, "")) for text in texts] for name, texts in columns.items()}


def _value(name: str, text: str, kind: str) -> Any:
    try:
        if kind.startswith(("Int", "UInt")):
            return int(text)
        if kind.startswith(("Float", "Decimal")):
            return float(text)
        return _TRUTH[text.lower()] if kind.startswith("Bool") else text
    except (ValueError, KeyError) as error:
        raise ParameterError(
            f"{name!r} has values of another type", found=f"{name}={text}", expected=kind, fix=f"{name}=<{kind}>"
        ) from error


COMMANDS: dict[str, click.Command] = {"get-online-features": get_online_features}
