"""The feature server, and the keys that open it, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featurestore.cli.output import json_option, plain, print_json, print_rows

if TYPE_CHECKING:
    from featurestore import ApiKey
    from featurestore.cli.app import Project

__all__ = ["COMMANDS"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _options(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command several options, in the order of its help."""

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


@click.command(
    context_settings={"help_option_names": ["--help"]},  # -h is the host, as in Feast.
    epilog="Example: featurestore serve --workers 2 --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem",
)
@_options(
    click.option("-h", "--host", default="127.0.0.1", show_default=True, help="Address to listen at."),
    click.option(
        "-p", "--port", type=click.IntRange(1, 65535), default=6566, show_default=True, help="Port to listen at."
    ),
    click.option(
        "-w", "--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes that answer."
    ),
    click.option("--tls-cert", type=_FILE, help="Certificate chain in PEM, for HTTPS."),
    click.option("--tls-key", type=_FILE, help="Its private key in PEM."),
    click.option("--jwt-key", type=_FILE, help="Accept tokens signed by this public key in PEM, or shared secret."),
    click.option("--jwks-url", help="Accept tokens signed by the keys that are published here."),
    click.option("--jwt-audience", help="What tokens must be meant for (aud)."),
    click.option("--jwt-issuer", help="Who must have issued tokens (iss)."),
    click.option("--insecure", is_flag=True, help="Listen beyond this machine though nobody is asked who they are."),
    click.option("--max-body", type=click.IntRange(1), help="Bytes of a request's body.  [default: 8388608]"),
    click.option("--max-rows", type=click.IntRange(1), help="Rows of a request.  [default: 10000]"),
    click.option("--timeout", type=click.FloatRange(0.001), help="Seconds of a request.  [default: 10]"),
    click.option(
        "--access-log/--no-access-log", default=False, help="Log every request, not only failures and changes."
    ),
    click.option("--reload", is_flag=True, help="Replace the workers when a file of the repository changes."),
)
@click.pass_obj
def serve(
    project: Project,
    /,
    **said: Any,
) -> None:
    """Answer reads and take pushes over HTTP, until SIGTERM or Ctrl-C. SIGHUP replaces the workers.

    Once the project has API keys (featurestore keys create), or with --jwt-key or --jwks-url, every request must say
    who sends it. The routes: /docs. Lines of the log are JSON, on standard error.
    """
    from featurestore import serve as run

    run(project.settings(), **said)


@click.group(epilog="Example: featurestore keys create --scope read:driver_stats --name dashboard")
def keys() -> None:
    """Make, list and revoke the API keys of the feature server."""


@keys.command(epilog="Example: featurestore keys create --scope read:driver_stats --expires 90d")
@click.option(
    "--scope",
    "scopes",
    metavar="SCOPE",
    multiple=True,
    required=True,
    help="read:VIEW, write:VIEW, read:*, write:*, metrics or admin; repeatable.",
)
@click.option("--name", default="", help="Whose it is.")
@click.option("--expires", metavar="DURATION", help="After how long it opens nothing, such as 90d; never by default.")
@json_option
@click.pass_obj
def create(project: Project, *, scopes: tuple[str, ...], name: str, expires: str | None, as_json: bool) -> None:
    """Make a key, and show it: this once, as only its hash is kept."""
    from featurestore import ApiKeys

    created = ApiKeys(project.store()).create(scopes, name=name, lifetime=expires)
    if as_json:
        print_json({"token": created.token, **_described(created.key)})
        return
    click.echo(created.token)
    click.echo(f"Key {created.key.id} is shown this once. Send it as: Authorization: Bearer <key>", err=True)


@keys.command("list", epilog="Example: featurestore keys list --json")
@json_option
@click.pass_obj
def list_(project: Project, *, as_json: bool) -> None:
    """Show the keys that open something, oldest first. What they are themselves is known to nobody here."""
    from featurestore import ApiKeys

    found = ApiKeys(project.store()).list()
    if as_json:
        print_json([_described(key) for key in found])
        return
    columns = ("ID", "NAME", "SCOPES", "CREATED AT", "EXPIRES AT")
    print_rows(columns, [tuple(_described(key).values()) for key in found])


@keys.command(epilog="Example: featurestore keys revoke 5f0c2a9b1d3e")
@click.argument("number", metavar="ID")
@json_option
@click.pass_obj
def revoke(project: Project, *, number: str, as_json: bool) -> None:
    """Take a key out of force; running servers notice within seconds."""
    from featurestore import ApiKeys

    revoked = ApiKeys(project.store()).revoke(number)
    if as_json:
        print_json(_described(revoked))
    else:
        click.echo(f"Revoked key {revoked.id}{f' of {revoked.name}' if revoked.name else ''}.")


def _described(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "created_at": plain(key.created_at),
        "expires_at": plain(key.expires_at),
    }


COMMANDS: dict[str, click.Command] = {"serve": serve, "keys": keys}
