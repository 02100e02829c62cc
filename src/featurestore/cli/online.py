"""Publishing to the online store from the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from featurestore.cli.asking import listed
from featurestore.cli.output import json_option, print_json, print_rows

if TYPE_CHECKING:
    from featurestore.cli.app import Project

__all__ = ["COMMANDS"]

_FIRST = "1970-01-01"
"""Before every row."""
Progress = Callable[[str, int, "int | None"], object]


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that both have."""
    views = click.option(
        "-v",
        "--views",
        metavar="VIEW",
        multiple=True,
        help="Only these feature views or functions; repeatable, or with commas. By default all that can be online.",
    )
    dry_run = click.option("--dry-run", is_flag=True, help="Only say what would be read, and write nothing.")
    return views(dry_run(json_option(command)))


@click.command(epilog="Example: featurestore materialize 2026-11-01 2026-11-20 -v driver_hourly_stats")
@click.argument("start", required=False)
@click.argument("end", required=False)
@click.option(
    "--disable-event-timestamp",
    "everything",
    is_flag=True,
    help="Without START and END: everything up to now. Rows keep their own event times.",
)
@_options
@click.pass_obj
def materialize(
    project: Project,
    /,
    *,
    start: str | None,
    end: str | None,
    everything: bool,
    views: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Publish a range of time to the online store: the newest row of each key, from START to END.

    Times are ISO 8601, UTC where naive; a date alone is its midnight. What was published of that range before is
    replaced by what the sources have now. In a pipe: view, first and last instant, rows read, keys written, seconds.
    """
    store = project.store()
    if everything:
        start, end = _FIRST, end or datetime.now(UTC).isoformat()
    if start is None or end is None:
        raise click.UsageError(f"Missing argument '{'START' if start is None else 'END'}'.")
    with _progress() as progress:
        done = store.materialize(start, end, listed(views) or None, dry_run=dry_run, progress=progress)
    _print(done, dry_run=dry_run, as_json=as_json)


@click.command("materialize-incremental", epilog="Example: featurestore materialize-incremental")
@click.argument("end", required=False)
@_options
@click.pass_obj
def materialize_incremental(
    project: Project, /, *, end: str | None, views: tuple[str, ...], dry_run: bool, as_json: bool
) -> None:
    """Publish what the online store lacks up to END, by default up to now.

    The first time that is everything from the earliest row on, afterwards what was not published yet.
    """
    store = project.store()
    with _progress() as progress:
        done = store.materialize_incremental(end, listed(views) or None, dry_run=dry_run, progress=progress)
    _print(done, dry_run=dry_run, as_json=as_json)


@click.command(epilog="Example: featurestore compact --dry-run")
@click.option("--dry-run", is_flag=True, help="Only say what would be done, and change nothing.")
@json_option
@click.pass_obj
def compact(project: Project, /, *, dry_run: bool, as_json: bool) -> None:
    """Merge the event log of pushes, remove what views that are gone have left, and give space back.

    In a pipe: view, whether it is gone, online rows removed, files of the event log merged, entities of which events
    that no window reaches any more were taken away.
    """
    done = project.store().compact(dry_run=dry_run)
    if as_json:
        print_json(done)
        return
    rows = [(each.view, "gone" if each.removed else "", each.rows, each.files, each.swept) for each in done]
    print_rows(["VIEW", "", "ROWS REMOVED", "FILES MERGED", "ENTITIES SWEPT"], rows)


def _print(done: Sequence[Any], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    columns = ["VIEW", "FROM", "TO", "ROWS", *([] if dry_run else ["KEYS WRITTEN", "SECONDS"])]
    print_rows(columns, [_row(each)[: len(columns)] for each in done])


def _row(one: Any) -> tuple[object, ...]:
    start = "nothing missing" if one.start is None else one.start
    return one.view, start, one.end, one.rows, one.keys, f"{one.seconds:.2f}"


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """Show rows, their rate and the time left, view by view, on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.completed:,.0f} rows, {task.fields[rate]:,.0f} rows/s")
    columns = (TextColumn("{task.description}"), BarColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, Any] = {}

        def show(view: str, rows: int, total: int | None) -> None:
            if view not in tasks:
                tasks[view] = bar.add_task(view, total=total, rate=0.0)
            elapsed = bar.tasks[bar.task_ids.index(tasks[view])].elapsed or 0.0
            bar.update(tasks[view], completed=rows, rate=rows / elapsed if elapsed else 0.0)

        yield show


COMMANDS: dict[str, click.Command] = {
    "compact": compact,
    "materialize": materialize,
    "materialize-incremental": materialize_incremental,
}
