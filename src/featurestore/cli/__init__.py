"""The command line: ``featurestore``. A thin layer over the public names of the package."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line with ``arguments``, by default those of the process, and exit with its status."""
    from featurestore.cli.app import app

    app(arguments, prog_name="featurestore")
