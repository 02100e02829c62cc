"""Whether serving answers what training would say, from the command line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from featurestore.cli.asking import listed
from featurestore.cli.output import json_option, print_json, print_rows

if TYPE_CHECKING:
    from featurestore.cli.app import Project

__all__ = ["COMMANDS"]


@click.command(epilog="Example: featurestore skew --sample 200 --tolerance 0.01")
@click.option("-v", "--views", metavar="VIEW", multiple=True, help="Only these views; repeatable, or with commas.")
@click.option("--sample", default=1000, show_default=True, type=click.IntRange(min=1), help="Entities of each view.")
@click.option(
    "--tolerance",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Part of a view's entities that may be unequal, from 0 to 1.",
)
@click.option("--seed", type=int, help="Draw the same entities again.")
@json_option
@click.pass_obj
def skew(
    project: Project, /, *, views: tuple[str, ...], sample: int, tolerance: float, seed: int | None, as_json: bool
) -> None:
    """Compare what serving answers now with what training would say of now, for random entities.

    Exits with 1 where more than the tolerance of a view's entities are missing, stale or differ. In a pipe: view,
    entities, equal, differing, missing, stale.
    """
    report = project.store().skew(listed(views) or None, sample=sample, seed=seed)
    if as_json:
        print_json(report)
    else:
        columns = ["VIEW", "ENTITIES", "EQUAL", "DIFFERING", "MISSING", "STALE"]
        print_rows(
            columns, [(one.view, one.sampled, one.equal, one.differing, one.missing, one.stale) for one in report.views]
        )
        for one in report.views:
            for example in one.examples:
                keys = ", ".join(f"{name}={value!r}" for name, value in example.keys.items())
                click.echo(
                    f"{one.view} {keys}: {example.feature} {example.found}: training {example.offline!r} "
                    f"({example.offline_status}, {example.offline_time}), serving {example.online!r} "
                    f"({example.online_status}, {example.online_time})",
                    err=True,
                )
    if not report.within(tolerance):
        sys.exit(1)


COMMANDS: dict[str, click.Command] = {"skew": skew}
