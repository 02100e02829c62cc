"""Whether a project could work: its registry, its modules and its sources, each tried and told about."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from featurestore.declare.source import FileSource
from featurestore.declare.view import FeatureView
from featurestore.errors import FeatureStoreError

__all__ = ["Check", "check", "check_source", "file_sources"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was tried, and what came of it.

    Attributes:
        subject: such as ``"source driver_stats"``.
        detail: what was found.
        fix: what to do; empty where all is well.
        ok: whether all is well.
    """

    subject: str
    detail: str
    fix: str = ""
    ok: bool = True


def check(subject: str, attempt: Callable[[], str]) -> Check:
    """Return what came of ``attempt``, which says what it found, or raises an error of the package.

    Example:
        >>> check("registry", lambda: "version 3").detail
        'version 3'
    """
    try:
        return Check(subject, attempt())
    except FeatureStoreError as error:
        found = "" if error.found is None else f": {error.found}"
        fix = error.fix or (f"expected: {error.expected}" if error.expected is not None else "")
        return Check(subject, " ".join(f"{error.what}{found}".split()), fix, ok=False)


def check_source(source: FileSource, base: Path, views: Iterable[FeatureView] = ()) -> Check:
    """Return whether ``source`` can be read, looked up from ``base``, and has its time columns.

    Args:
        source: what is looked at.
        base: the folder from which its path is looked up.
        views: those in force; whether it has the keys and features of such as read it is tried too.
    """

    def attempt() -> str:
        from featurestore.run.inspecting import check_view
        from featurestore.run.sources import inspect_source

        schema = inspect_source(source, base)
        for view in views:
            if view.batch_source == source:
                check_view(view, base)
        return f"{source.format} with {len(schema)} columns at {source.path}"

    return check(f"source {source.name}", attempt)


def file_sources(objects: Iterable[object]) -> tuple[FileSource, ...]:
    """Return the file sources among ``objects`` and behind their views and pushes, each once, by name."""
    found: dict[str, FileSource] = {}
    for each in objects:
        source = getattr(each, "source", each)
        source = getattr(source, "batch_source", source)
        if isinstance(source, FileSource):
            found.setdefault(repr(source), source)
    return tuple(sorted(found.values(), key=lambda source: source.name))
