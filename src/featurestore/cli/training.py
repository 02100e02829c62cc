"""Training datasets from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featurestore.cli.asking import column_options, features_option, listed
from featurestore.cli.datasets import SUFFIXES, as_csv, write
from featurestore.cli.output import json_option, print_json, print_rows
from featurestore.errors import ParameterError

if TYPE_CHECKING:
    import polars as pl

    from featurestore import FeatureStore
    from featurestore.cli.app import Project

__all__ = ["COMMANDS"]

_SHOWN = 50


def _request(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say what is asked for."""
    options: list[Callable[..., Any]] = [
        click.option(
            "-d",
            "--labels",
            "--dataframe",
            metavar="FILE|JSON|SQL",
            help="The labels: a Parquet, CSV, NDJSON or Arrow file, columns or rows in JSON, or SQL over sources.",
        ),
        features_option,
        click.option("-s", "--start-date", help="Without labels: the earliest time, ISO 8601, UTC where naive."),
        click.option("-e", "--end-date", help="Without labels: the latest time."),
        click.option("--every", metavar="STEP", help="Without labels: a row for every key at every step, such as 1d."),
        column_options,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    "get-historical-features",
    epilog="Example: featurestore get-historical-features -d labels.csv -f driver_hourly_stats -o training.parquet",
)
@_request
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write: .parquet, .csv, .ndjson or .arrow.",
)
@json_option
@click.pass_obj
def get_historical_features(project: Project, /, *, output: Path | None, as_json: bool, **request: Any) -> None:
    """Make a training dataset: the labels, each with what was known of the features at its time.

    One row comes out for every row that goes in, in the same order. Prints CSV where the output is no terminal: lists
    and structs as JSON in it, bytes as Base64.
    """
    if output is not None and output.suffix not in SUFFIXES:
        raise click.BadParameter(f"{output.name} ends in none of {', '.join(SUFFIXES)}", param_hint="--output")
    job = _job(project.store(), **request)
    if output is not None:
        write(job, output)
        click.echo(f"wrote {output}", err=True)
        return
    frame = job.to_polars()
    if as_json:
        print_json(frame.to_dicts())
    elif sys.stdout.isatty():
        print_rows(frame.columns, frame.head(_SHOWN).rows())
        if len(frame) > _SHOWN:
            click.echo(f"... and {len(frame) - _SHOWN} more rows; write them all with --output")
    else:
        click.echo(as_csv(frame), nl=False)


@click.command(epilog="Example: featurestore explain -d labels.csv -f driver_hourly_stats:conv_rate")
@_request
@click.pass_obj
def explain(project: Project, /, **request: Any) -> None:
    """Show how a training dataset would be made: scans, filters, order of joins, estimated rows and memory."""
    click.echo(_job(project.store(), **request).explain())


def _job(store: FeatureStore, *, labels: str | None, features: tuple[str, ...], **options: Any) -> Any:
    return store.get_historical_features(_labels(labels), listed(features), **options)


def _labels(text: str | None) -> Any:
    """Return labels as the store takes them. Files are looked up from where the command was typed."""
    if text is None:
        return None
    if text.lstrip().startswith(("{", "[")):
        return _from_json(text)
    path = Path(text).expanduser()
    return path.absolute() if path.exists() or len(text.split()) == 1 else text


def _from_json(text: str) -> pl.DataFrame:
    import polars as pl

    try:
        return pl.DataFrame(json.loads(text), infer_schema_length=None)
    except (json.JSONDecodeError, pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise ParameterError(
            "the labels are no table in JSON",
            found=str(error),
            expected='{"driver_id": [1001], "event_timestamp": ["2026-11-01T10:00:00Z"]}, or a list of rows',
        ) from error


COMMANDS: dict[str, click.Command] = {"get-historical-features": get_historical_features, "explain": explain}
