"""What is asked for, said to every command in the same way: features, what stands beside them, and names in lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

__all__ = ["column_options", "features_option", "listed"]

_Command = Callable[..., Any]


def features_option(command: _Command) -> _Command:
    """Give a command the option ``--features``."""
    return click.option(
        "-f",
        "--features",
        metavar="REFERENCE",
        multiple=True,
        required=True,
        help="view:feature, view:*, a view, a function or a feature service; repeatable, or with commas.",
    )(command)


def column_options(command: _Command) -> _Command:
    """Give a command the options that say how columns are called, and what stands beside the features."""
    options = (
        click.option("--full-feature-names", is_flag=True, help="Name columns <view>__<feature>."),
        click.option("--event-timestamps", is_flag=True, help="Add the event time that each view's values came from."),
        click.option("--statuses", is_flag=True, help="Add why a value is null."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def listed(given: Iterable[str]) -> list[str]:
    """Return the names that an option was given: it is repeatable, and takes several with commas.

    Example:
        >>> listed(["clicks, orders", "users"])
        ['clicks', 'orders', 'users']
    """
    return [name.strip() for group in given for name in group.split(",") if name.strip()]
