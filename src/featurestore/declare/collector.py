"""The process-wide collector: every registered feature, under its qualified name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from featurestore.declare.feature import Feature
from featurestore.declare.source import FileSource
from featurestore.errors import DuplicateNameError

__all__ = ["Collector", "collected"]

AnyFeature = Feature[..., Any]


class Collector:
    """Features by qualified name, in the order of registration. Names are unique unless one may be replaced."""

    def __init__(self) -> None:
        self._features: dict[str, AnyFeature] = {}
        self.sources: dict[str, FileSource] = {}
        """Sources by name."""

    def __iter__(self) -> Iterator[AnyFeature]:
        return iter(tuple(self._features.values()))

    def __len__(self) -> int:
        return len(self._features)

    def get(self, qualified_name: str) -> AnyFeature | None:
        """Return the feature of this qualified name, or ``None``."""
        return self._features.get(qualified_name)

    def add(self, feature: AnyFeature, *, replace: bool = False) -> None:
        """Add ``feature``; with ``replace`` it takes the place of one of the same qualified name.

        Raises:
            DuplicateNameError: the name is taken, by other code or from another place.
        """
        known = self._features.get(feature.qualified_name)
        if known is not None and not replace and not _is_same_code(known, feature):
            raise DuplicateNameError(
                f"feature {feature.qualified_name!r} is registered already",
                found=_place(feature),
                expected=f"one definition, the one at {_place(known)}",
                fix="rename one of them, or pass name=; in a notebook set fs.config.interactive = True to replace it",
            )
        self._features[feature.qualified_name] = feature

    def add_source(self, source: FileSource) -> None:
        """Add ``source``; one of the same name that is equal is a no-op.

        Raises:
            DuplicateNameError: another source has the name.
        """
        known = self.sources.setdefault(source.name, source)
        if known != source:
            raise DuplicateNameError(
                f"source {source.name!r} is registered already",
                found=source.path,
                expected=known.path,
                fix="give one of them another name=",
            )

    def remove(self, qualified_name: str) -> None:
        """Forget a feature; an unknown one is a no-op."""
        self._features.pop(qualified_name, None)

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Begin empty, and restore what was here at the end: for tests."""
        saved = self._features, self.sources
        self._features, self.sources = {}, {}
        try:
            yield
        finally:
            self._features, self.sources = saved


collected = Collector()
"""What every module of this process has registered."""


def _is_same_code(known: AnyFeature, new: AnyFeature) -> bool:
    """A script that runs as ``__main__`` and is imported by name registers the same code twice."""
    modules = {known.fn.__module__, new.fn.__module__}
    return "__main__" in modules and len(modules) == 2 and _place(known) == _place(new)


def _place(feature: AnyFeature) -> str:
    return f"{feature.declaration.file}:{feature.declaration.line}"
