"""Whether every way to compute a value gives the same, and what one value is made of, from the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from featurestore.cli.output import json_option, print_json, print_rows

if TYPE_CHECKING:
    from featurestore.cli.app import Project

__all__ = ["COMMANDS", "report", "watched"]

_COLUMNS = ("VIEW", "KIND", "FOUND", "VALUES", "LABELS", "EVENTS", "KEYS", "PATHS", "NOTE")


@click.command(epilog="Example: featurestore verify driver_hourly_stats --labels 500 --seed 7")
@click.argument("views", metavar="[VIEW]...", nargs=-1)
@click.option(
    "--labels", default=120, show_default=True, type=click.IntRange(min=1), help="Labels that are drawn for each view."
)
@click.option("--seed", type=int, help="Draw the same rows, labels and replay again; the output says which it was.")
@json_option
@click.pass_obj
def verify(project: Project, /, *, views: tuple[str, ...], labels: int, seed: int | None, as_json: bool) -> None:
    """Compute features in every way that there is, and compare the values to the last bit.

    Labels are drawn from the project's own data: on the edges of windows and ttls, at events and a microsecond beside
    them. Each feature is computed by a slow reference, by each engine, and by replaying the rows in random order
    through the online path, in memory. VIEW is a view, a function or a service; without one everything is verified.
    Nothing of the project is changed.

    Exits with 1 where anything differs, and shows the smallest case: events, label, expected, what each path says. In
    a pipe: view, kind, found, values, labels, events, keys, paths, note.
    """
    with watched() as progress:
        found = project.store().verify(list(views) or None, labels=labels, seed=seed, progress=progress)
    report(found, as_json=as_json)
    if not found.ok:
        sys.exit(1)


@contextmanager
def watched() -> Iterator[Any]:
    """Give what shows on a terminal which view is looked at; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("verify", total=None)
        yield lambda view, done, total: bar.update(task, description=f"verify {view}", completed=done, total=total)


def report(found: Any, *, as_json: bool) -> None:
    """Print what a verification found: a line for each view, then the smallest failing cases to standard error."""
    if as_json:
        print_json(found.to_dict())
        return
    print_rows(_COLUMNS, [_row(each) for each in found.views])
    for each in found.differences:
        click.echo(f"\n{each}", err=True)
    if not found.ok:
        click.echo(f"\ndraw the same again: --seed {found.seed}", err=True)


def _row(one: Any) -> tuple[object, ...]:
    state = "not verified" if not one.paths else "equal" if one.ok else "differs"
    sample = "a sample of the rows" if one.sampled else ""
    note = "; ".join(text for text in (sample, one.skipped) if text)
    return one.view, one.kind, state, one.values, one.labels, one.events, one.keys, ",".join(one.paths), note


@click.command(
    "explain-value",
    epilog="Example: featurestore explain-value driver_hourly_stats:conv_rate --key driver_id=1001 --at 2026-11-01",
)
@click.argument("feature")
@click.option(
    "-k",
    "--key",
    "keys",
    metavar="COLUMN=VALUE",
    multiple=True,
    help="A join key, or what the feature takes from the request; repeatable.",
)
@click.option("--at", metavar="TIME", help="ISO 8601, UTC where it has no offset; now by default.")
@json_option
@click.pass_obj
def explain_value(project: Project, /, *, feature: str, keys: tuple[str, ...], at: str | None, as_json: bool) -> None:
    """Show what one value is made of: rows that count, rows that do not and why, code, and arithmetic.

    FEATURE is view:feature, or a column function. The value is computed from these rows by a slow reference, and held
    against what training answers; exits with 1 where the two differ.
    """
    found = project.store().explain_value(feature, _pairs(keys), at=at)
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo(str(found))
    if not found.ok:
        sys.exit(1)


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        column, equals, value = text.partition("=")
        name = column.strip()
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is no COLUMN=VALUE, such as driver_id=1001", param_hint="--key")
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice: one value is explained at a time", param_hint="--key")
        found[name] = value
    return found


COMMANDS: dict[str, click.Command] = {"verify": verify, "explain-value": explain_value}
