"""Streams into the store from the command line."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featurestore.cli.output import json_option, print_json, print_rows

if TYPE_CHECKING:
    from featurestore import FeatureStore
    from featurestore.cli.app import Project

__all__ = ["COMMANDS"]

_SECONDS = 10.0
"""Between two lines about how it goes."""


@click.command(epilog="Example: featurestore ingest driver_hourly_stats --from-beginning")
@click.argument("views", metavar="VIEW...", nargs=-1, required=True)
@click.option("--from-beginning", is_flag=True, help="Where a partition was never read, begin with its first message.")
@click.option("--once", is_flag=True, help="End when nothing is left to read.")
@click.option("--skip-missing", is_flag=True, help="Go on where the broker removed messages before they were read.")
@click.option("--batch", type=click.IntRange(min=1), default=1000, show_default=True, help="Messages written together.")
@click.option("--group", default="", help="Consumer group; by default of project and source.")
@click.option(
    "--dead-letters",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for messages that cannot be taken; by default below .featurestore/dead-letters.",
)
@click.option(
    "--client-options",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of lines NAME=VALUE for the broker's client, such as passwords.",
)
@json_option
@click.pass_obj
def ingest(
    project: Project, /, *, views: tuple[str, ...], as_json: bool, client_options: Path | None, **options: Any
) -> None:
    """Read the streams of views, or streams by name, into the event log and the online store.

    All views of a stream get its messages, each once, whoever is killed and whenever. SIGTERM and Ctrl-C end it after
    the batch that is under way; started again, it goes on from there. In a pipe: source, messages, bad ones, batches,
    messages left.
    """
    store = project.store()
    options["options"] = _properties(client_options)
    with _until_stopped() as stop:
        done = _ingest(store, views, stop, options)
    if as_json:
        print_json(done)
        return
    columns = ["SOURCE", "MESSAGES", "BAD", "BATCHES", "LAG"]
    print_rows(columns, [(each.source, each.messages, each.bad, each.batches, each.lag) for each in done])


def _ingest(store: FeatureStore, views: tuple[str, ...], stop: threading.Event, options: dict[str, Any]) -> list[Any]:
    """Read each source in a thread of its own; where one fails, all end."""
    names = store.stream_sources(views)
    done: dict[str, Any] = {}
    failed: list[BaseException] = []

    def read(name: str) -> None:
        try:
            done[name] = store.ingest(name, stop=stop.is_set, on_progress=_telling(), **options)
        except BaseException as error:  # noqa: BLE001  Raised by the main thread.
            failed.append(error)
            stop.set()

    threads = [threading.Thread(target=read, args=(name,), name=f"ingest-{name}") for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # A join without end would keep signals waiting.
            thread.join(0.2)
    if failed:
        raise failed[0]
    return [done[name] for name in names]


@contextlib.contextmanager
def _until_stopped() -> Iterator[threading.Event]:
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _telling() -> Callable[[Any], None]:
    """Say now and then how it goes, on standard error where that is a terminal."""
    import time

    told = time.monotonic()

    def tell(done: Any) -> None:
        nonlocal told
        if sys.stderr.isatty() and time.monotonic() - told >= _SECONDS:
            told = time.monotonic()
            lag = "" if done.lag is None else f", {done.lag} left"
            click.echo(f"{done.source}: {done.messages} messages, {done.bad} bad{lag}", err=True)

    return tell


def _properties(file: Path | None) -> dict[str, str] | None:
    if file is None:
        return None
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


COMMANDS: dict[str, click.Command] = {"ingest": ingest}
