"""The registry's history: what was applied when, what lay between two versions, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from featurestore.cli.output import json_option, print_json, print_rows
from featurestore.cli.project import report, show_changes

if TYPE_CHECKING:
    from featurestore.cli.app import Project

__all__ = ["COMMANDS"]


@click.group(epilog="Example: featurestore registry diff 1 2")
def registry() -> None:
    """Look at the history of the project, and go back in it."""


@registry.command(epilog="Example: featurestore registry log --json")
@json_option
@click.pass_obj
def log(project: Project, *, as_json: bool) -> None:
    """Show every commit, newest first: version, hash, time (UTC), author and message."""
    commits = project.store().registry_log()
    if as_json:
        print_json(commits)
        return
    columns = ("VERSION", "HASH", "COMMITTED AT", "AUTHOR", "MESSAGE")
    times = [f"{each.committed_at:%Y-%m-%d %H:%M:%S}" for each in commits]
    rows = (
        (each.version, each.hash[:12], at, each.author, each.message) for each, at in zip(commits, times, strict=True)
    )
    print_rows(columns, rows)


@registry.command(epilog="Example: featurestore registry diff 1 2")
@click.argument("a")
@click.argument("b")
@json_option
@click.pass_obj
def diff(project: Project, *, a: str, b: str, as_json: bool) -> None:
    """Show what turned A into B: versions, hashes, or beginnings of hashes."""
    changes = project.store().registry_diff(a, b)
    if as_json:
        print_json([change.to_dict() for change in changes])
        return
    show_changes(changes)
    if not changes:
        click.echo("No differences.")


@registry.command(epilog="Example: featurestore registry rollback 3 --dry-run")
@click.argument("version")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@json_option
@click.pass_obj
def rollback(project: Project, *, version: str, dry_run: bool, as_json: bool) -> None:
    """Put an old VERSION into force again, as a new commit. Nothing of the history is lost."""
    report(project.store().rollback(version, dry_run=dry_run), as_json=as_json, done=not dry_run)


COMMANDS: dict[str, click.Command] = {"registry": registry}
