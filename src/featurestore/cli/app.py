"""The command group: global options, commands that load when they are run, and errors as messages."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featurestore.errors import FeatureStoreError, FeatureStoreWarning, UnknownNameError, closest

if TYPE_CHECKING:
    from featurestore import FeatureStore, Settings

__all__ = ["Project", "app"]

_COMMANDS = {
    "init": ("project", "Make a project that works as it is."),
    "plan": ("project", "Show what apply would change."),
    "apply": ("project", "Put the declarations of the repository into force."),
    "teardown": ("project", "Take every declaration out of force."),
    "entities": ("listing", "List and describe entities."),
    "feature-views": ("listing", "List and describe feature views."),
    "on-demand-feature-views": ("listing", "List and describe on-demand feature views."),
    "feature-services": ("listing", "List and describe feature services."),
    "data-sources": ("listing", "List and describe data sources."),
    "features": ("listing", "List and describe features."),
    "get-historical-features": ("training", "Make a training dataset for labels."),
    "explain": ("training", "Show how a training dataset would be made."),
    "materialize": ("online", "Publish a range of time to the online store."),
    "materialize-incremental": ("online", "Publish what the online store lacks."),
    "compact": ("online", "Merge the event log, and remove what is left over."),
    "get-online-features": ("reading", "Read the newest values of features."),
    "ingest": ("ingest", "Read streams into the event log and the online store."),
    "skew": ("skew", "Compare what serving answers with what training would say."),
    "verify": ("verifying", "Compute features in every way, and compare to the last bit."),
    "explain-value": ("verifying", "Show the rows, code and arithmetic behind one value."),
    "serve": ("serving", "Answer reads and take pushes over HTTP."),
    "keys": ("serving", "Make, list and revoke the API keys of the feature server."),
    "registry": ("history", "Look at the history of the project, and go back in it."),
    "doctor": ("health", "Check configuration, modules, sources and stores."),
    "configuration": ("health", "Show every setting and where it came from."),
    "version": ("health", "Show the version."),
}
"""Every command, the module that it is in, and its line of help: so that help loads none of them."""


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
"""What a disk, or the place that the output goes to, says when it takes nothing more."""


@dataclass(slots=True)
class Project:
    """The repository that a command is for, as the global options name it."""

    folder: Path | None
    file: Path | None

    def settings(self) -> Settings:
        """Return its settings: of the folder that was named, else of the current one or one above it."""
        from featurestore import load_settings

        return load_settings(self.folder, file=self.file, above=self.folder is None)

    def store(self) -> FeatureStore:
        """Return its store."""
        from featurestore import FeatureStore

        return FeatureStore(config=self.settings())

    def hint(self) -> str:
        """Return what to do first where nothing of the project was ever applied; else nothing."""
        try:
            store = self.store()
            return (
                "" if store.registry_log() else f"nothing of project {store.project!r} is applied: featurestore apply"
            )
        except FeatureStoreError:
            return ""


class _Lazy(click.Group):
    """A group that imports a command when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  As click calls it.
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  As above.
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"featurestore.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = module.COMMANDS[cmd_name]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(error.message + _instead_of(args[0]), ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  As above.
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("once", FeatureStoreWarning)
            warnings.showwarning = _show_warning  # type: ignore[assignment]  # It takes what it does not use as *_.
            try:
                return super().invoke(ctx)
            except FeatureStoreError as error:
                if ctx.params.get("log_level") == "debug":
                    raise
                _show_error(error)
                if isinstance(error, UnknownNameError) and isinstance(ctx.obj, Project) and (hint := ctx.obj.hint()):
                    click.echo(f"note: {hint}", err=True)
                ctx.exit(1)
            except OSError as error:
                if error.errno not in _FULL or ctx.params.get("log_level") == "debug":
                    raise
                _leave_output(error)
                ctx.exit(1)


def _leave_output(error: OSError) -> None:
    """Say that there is no room; and let Python, as it ends, write elsewhere what is left of the output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    click.echo(f"{click.style('error:', fg='red', bold=True)} cannot be written: {error}", err=True)


def _instead_of(name: str) -> str:
    """Return what to do in the place of a command that is not there; nothing where nobody knows."""
    from featurestore.cli.feast_commands import INSTEAD

    if name in INSTEAD:
        return f" It is Feast's; here: {INSTEAD[name]}."
    near = closest(name, _COMMANDS)
    return f" Did you mean {near!r}?" if near else ""


def _show_error(error: FeatureStoreError) -> None:
    notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error}{notes}", err=True)


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
    place = "" if issubclass(category, FeatureStoreWarning) else f"{filename}:{lineno}: {category.__name__}: "
    click.echo(f"{click.style('warning:', fg='yellow')} {place}{message}", err=True)


def _version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from featurestore import __version__

        click.echo(f"featurestore {__version__}")
        ctx.exit()


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: featurestore init shop && featurestore -c shop apply",
)
@click.option(
    "-c",
    "--chdir",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the repository; by default the current one, or the nearest above it with a feature_store.yaml.",
)
@click.option(
    "-f",
    "--feature-store-yaml",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="FEATURESTORE_FEATURE_STORE_YAML",
    help="Settings file, if it is elsewhere or has another name.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="warning",
    show_default=True,
    help="How much is told; debug shows the traceback of an error.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.pass_context
def app(ctx: click.Context, folder: Path | None, file: Path | None, log_level: str) -> None:
    """A feature store that starts as a decorator on a function you already have."""
    logging.basicConfig(level=log_level.upper())
    ctx.obj = Project(folder, file)
