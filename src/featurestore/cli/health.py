"""What is installed, how it is configured, and whether it works."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import click

from featurestore.cli.output import json_option, print_json, print_rows
from featurestore.errors import FeatureStoreError, FeatureStoreWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from featurestore.cli.app import Project

__all__ = ["COMMANDS"]

_SECRET = ("password", "secret", "token", "key_id", "access_key", "connection_string")


@click.command(epilog="Example: featurestore -c shop doctor")
@json_option
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Check configuration, registry, modules, sources, declarations and online store; say what to fix.

    Exits with 1 where something is wrong. Nothing is changed.
    """
    checks = list(_checks(ctx.obj))
    if as_json:
        print_json(checks)
    else:
        for each in checks:
            _show(each)
    if not all(each["ok"] for each in checks):
        ctx.exit(1)


def _checks(project: Project) -> Iterator[dict[str, Any]]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", FeatureStoreWarning)
        try:
            store = project.store()
        except FeatureStoreError as error:
            yield _check("configuration", f"{error.what}: {error.found}", error.fix or str(error.expected), ok=False)
            return
    settings = store.settings
    assert settings is not None
    yield _check("configuration", f"project {settings.project!r} of {settings.file}")
    for each in said:
        yield _check("configuration", str(each.message), "correct or remove the key", ok=False)
    for found in store.check():
        yield _check(found.subject, found.detail, found.fix, ok=found.ok)


def _check(subject: str, detail: str, fix: str = "", *, ok: bool = True) -> dict[str, Any]:
    return {"subject": subject, "ok": ok, "detail": detail, "fix": fix}


def _show(check: dict[str, Any]) -> None:
    mark = click.style("ok   ", fg="green") if check["ok"] else click.style("WRONG", fg="red", bold=True)
    click.echo(f"{mark} {check['subject']}: {check['detail']}")
    if check["fix"]:
        click.echo(f"      fix: {check['fix']}")


@click.command(epilog="Example: featurestore configuration --json")
@json_option
@click.pass_obj
def configuration(project: Project, *, as_json: bool) -> None:
    """Show every setting and where it came from. Values that look secret are not shown."""
    settings = project.settings()
    defaults = {"provider": settings.provider, "offline_store.type": settings.engine}
    said = dict(_leaves(settings.values))
    rows = [(name, _masked(name, value), settings.origin(name)) for name, value in sorted({**defaults, **said}.items())]
    if as_json:
        print_json({name: {"value": value, "origin": origin} for name, value, origin in rows})
    else:
        print_rows(("SETTING", "VALUE", "FROM"), rows)


def _leaves(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _masked(name: str, value: object) -> object:
    text = str(value)
    if any(word in name.lower() for word in _SECRET):
        return "***"
    if "://" in text and "@" in text:
        scheme, _, rest = text.partition("://")
        user, _, place = rest.rpartition("@")
        return f"{scheme}://{user.partition(':')[0]}:***@{place}" if ":" in user else text
    return value


@click.command(epilog="Example: featurestore version --json")
@json_option
def version(*, as_json: bool) -> None:
    """Show the version."""
    from featurestore import __version__

    if as_json:
        print_json({"featurestore": __version__})
    else:
        click.echo(f"featurestore {__version__}")


COMMANDS: dict[str, click.Command] = {"doctor": doctor, "configuration": configuration, "version": version}
