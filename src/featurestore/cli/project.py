"""Making a project, and putting what it declares into force."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featurestore.cli.output import json_option, print_json

if TYPE_CHECKING:
    from featurestore.cli.app import Project

__all__ = ["COMMANDS", "report", "show_changes"]

_COLORS = {"+": "green", "-": "red", "~": "yellow"}
_CHANGES_PENDING = 2
_PLANNED = "Plan: {add} to add, {change} to change, {remove} to remove; {breaking} breaking."
_DONE = "Done: {add} added, {change} changed, {remove} removed; {breaking} breaking."


@click.command(epilog="Example: featurestore init shop && featurestore -c shop apply")
@click.argument("directory", metavar="[NAME]", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "-t",
    "--template",
    type=click.Choice(["local", "functions", "timeseries"]),
    default="local",
    show_default=True,
    help="local: declared views on files; functions: features as functions; timeseries: windows over daily sales.",
)
@click.pass_obj
def init(project: Project, directory: Path | None, template: str) -> None:
    """Make a project in the folder NAME, or the current one, that works as it is.

    Writes settings, declarations and an example's data. Files that are there already stay as they are.
    """
    from featurestore.cli.scaffold import make_project

    folder = (project.folder or Path()) / (directory or Path())
    for path, made in make_project(folder, template):
        click.echo(f"{'made' if made else 'kept'}  {path}")
    click.echo(f"\nNext:\n  featurestore -c {folder} plan\n  featurestore -c {folder} apply")


def _skipping(command: Callable[..., Any]) -> Callable[..., Any]:
    """Take options of Feast's that have no use here, so that scripts keep running."""
    for name in ("--skip-feature-view-validation", "--no-progress", "--no-promote"):
        option = click.option(name, is_flag=True, hidden=True, expose_value=False, callback=_without_use)
        command = option(command)
    skip = click.option(
        "--skip-source-validation",
        "skip_sources",
        is_flag=True,
        help="Look at no source: files, columns and types are not checked.",
    )
    allow = click.option(
        "--allow",
        metavar="NAME",
        multiple=True,
        help="A computed feature that may answer otherwise online than in training; repeatable.",
    )
    return skip(allow(command))


def _without_use(_ctx: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given and "skip" in parameter.opts[0]:
        click.echo(f"warning: {parameter.opts[0]} has no use here: only what changed is looked at", err=True)


@click.command(epilog="Example: featurestore plan --detailed-exitcode || echo 'not applied yet'")
@_skipping
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 where something would change, 0 where nothing.")
@json_option
@click.pass_context
def plan(
    ctx: click.Context, *, detailed_exitcode: bool, skip_sources: bool, allow: tuple[str, ...], as_json: bool
) -> None:
    """Show what apply would change: + added, ~ changed, - removed, and what breaks for those who use it."""
    changes = ctx.obj.store().plan_repository(look_at_sources=not skip_sources, allow=allow).changes
    report(changes, as_json=as_json, done=False)
    if detailed_exitcode and changes:
        ctx.exit(_CHANGES_PENDING)


@click.command(epilog="Example: featurestore -c shop apply -m 'ttl of a day'")
@_skipping
@click.option("-m", "--message", default="", help="Why, for the log of the registry.")
@click.option("--dry-run", is_flag=True, help="Change nothing; the same as plan.")
@click.option("--allow-breaking", is_flag=True, help="Let features that are online change their type.")
@click.option("--verify", is_flag=True, help="First compute what is new or changed in every way; refuse what differs.")
@json_option
@click.pass_obj
def apply(
    project: Project,
    *,
    message: str,
    dry_run: bool,
    allow_breaking: bool,
    verify: bool,
    skip_sources: bool,
    allow: tuple[str, ...],
    as_json: bool,
) -> None:
    """Put the declarations of the repository into force: all of them, or none.

    What the repository does not declare any more is removed. Applying twice changes nothing the second time.
    """
    store = project.store()
    made = store.plan_repository(look_at_sources=not skip_sources, allow=allow)
    if verify:
        from featurestore.cli.verifying import watched

        with watched() as progress:
            store.verify_plan(made, progress=progress).raise_if_different()
    if not dry_run:
        store.apply_plan(made, message=message, allow_breaking=allow_breaking)
    report(made.changes, as_json=as_json, done=not dry_run)


@click.command(epilog="Example: featurestore teardown --dry-run")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@json_option
@click.pass_obj
def teardown(project: Project, *, dry_run: bool, as_json: bool) -> None:
    """Take every declaration out of force. The history stays: see featurestore registry rollback."""
    report(project.store().teardown(dry_run=dry_run), as_json=as_json, done=not dry_run, reasons=False)


def report(changes: Iterable[Any], *, as_json: bool, done: bool, reasons: bool = True) -> None:
    """Print changes that were made, or with ``done=False`` would be; each with what it breaks, if ``reasons``."""
    listed = tuple(changes)
    if as_json:
        print_json({"done": done, **_counts(listed), "changes": [change.to_dict() for change in listed]})
        return
    show_changes(listed, reasons=reasons)
    if not listed:
        click.echo("No changes: what the repository declares is in force.")
        return
    click.echo("\n" + (_DONE if done else _PLANNED).format(**_counts(listed)))


def show_changes(changes: Iterable[Any], *, reasons: bool = True) -> None:
    """Print changes, the signs in colour where the terminal has colours; of what they break only with ``reasons``."""
    for change in changes:
        head, *rest = str(change).splitlines()
        click.secho(head, fg=_COLORS.get(head[0]))
        for line in rest if reasons else ():
            click.secho(line, fg="red" if line.strip().startswith("breaking:") else None)


def _counts(changes: Iterable[Any]) -> dict[str, int]:
    counts = {"add": 0, "change": 0, "remove": 0, "breaking": 0}
    for change in changes:
        counts["change" if change.action == "rename" else change.action] += 1
        counts["breaking"] += bool(change.breaking)
    return counts


COMMANDS: dict[str, click.Command] = {"init": init, "plan": plan, "apply": apply, "teardown": teardown}
