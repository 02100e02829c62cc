"""The workspace side of a store: the files of its repository, and whether everything that it needs is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurestore.declare.feature import Feature
from featurestore.declare.view import FeatureView
from featurestore.errors import ConfigurationError
from featurestore.repository.collect import code_of, key_of
from featurestore.repository.documents import Key, ObjectKind, code_path
from featurestore.repository.repository import Repository
from featurestore.store.retrieval import Retrieval

if TYPE_CHECKING:
    from featurestore.planning.applying import Plan
    from featurestore.run.checking import Check
    from featurestore.settings import Settings

__all__ = ["Workspace"]


class Workspace(Retrieval):
    """What a store does with the folder of its repository."""

    settings: Settings | None
    _complete: Repository | None = None
    """What is in force, with the code of the repository's own modules; so that they are looked for once."""

    def load_declarations(self) -> tuple[object, ...]:
        """Import the repository's modules, and return what they declare.

        Every Python file in the repository's folder and below counts, except tests and what ``.feastignore`` names.
        Modules have the names that their author uses, counted from the folder.

        Raises:
            RegistrationError: a file that cannot be imported; says file and line.
            ConfigurationError: the store has no folder, as it was made without a configuration file.
        """
        from featurestore.run.loading import load_repository

        if self.settings is None:
            raise ConfigurationError(
                "the store has no repository of files",
                found="a project in memory",
                expected="a folder with feature_store.yaml",
                fix="FeatureStore(repo_path=...), or apply the declarations themselves",
            )
        return load_repository(self.settings.folder).objects

    @property
    def repository(self) -> Repository:
        """All declarations in force, as they were when the store first looked or was told to look again."""
        found = super().repository
        if found is not self._complete:
            missing = {key: path for key, path in _code_paths(found) if key not in self._code}
            if missing and self.settings is not None and self.settings.file is not None:
                self._code.update(_code_of(self.settings.folder, missing))
                found = found.with_code(self._code)
                self._loaded = found, None if self._loaded is None else self._loaded[1]
            self._complete = found
        return found

    def plan_repository(self, *, look_at_sources: bool = True, allow: Iterable[str] = ()) -> Plan:
        """Return what applying the whole repository of files would change, removals included; see `apply_plan`.

        With ``look_at_sources=False`` no source is read: for where they cannot be reached. ``allow`` names computed
        features whose values may differ between training and online.

        Raises:
            RegistrationError: a file that cannot be imported, or declarations that cannot stand.
        """
        return self.plan(self.load_declarations(), partial=False, look_at_sources=look_at_sources, allow=allow)

    def check(self) -> tuple[Check, ...]:
        """Try all that the project needs: registry, modules, sources, online store, and what was not applied yet."""
        return tuple(self._checks())

    def _checks(self) -> Iterator[Check]:
        from featurestore.run.checking import check, check_source, file_sources

        declared: tuple[object, ...] = ()
        views: tuple[FeatureView, ...] = ()

        def registry() -> str:
            nonlocal views
            views = tuple(self._newest()[0].objects(ObjectKind.VIEW))  # Without the modules, which may be broken.
            return self._registry_state()

        def modules() -> str:
            nonlocal declared
            declared = self.load_declarations()
            return f"{len(declared)} declarations"

        kept, loaded = check("registry", registry), check("modules", modules)
        sources = [check_source(source, self.base, views) for source in file_sources(declared)]
        yield from (kept, loaded, *sources)
        if all(each.ok for each in (kept, loaded, *sources)):  # Else it would only say the same again.
            yield check("declarations", self._difference)

    def _registry_state(self) -> str:
        found = self.registry.load()
        return "nothing applied yet" if found is None else f"version {found.version} of {found.committed_at:%Y-%m-%d}"

    def _difference(self) -> str:
        made = self.plan_repository().changes
        return f"{len(made)} changes to apply" if made else "applied"


_PARTS = {ObjectKind.FUNCTION: "function", ObjectKind.ON_DEMAND: "function", ObjectKind.SOURCE: "transformation"}


def _code_paths(repository: Repository) -> Iterator[tuple[Key, str]]:
    """Yield where the code of the functions, the on-demand views and the streams of ``repository`` is."""
    for kind, part in _PARTS.items():
        for name, document in repository.documents[kind].items():
            if part in document:
                yield (kind, name), document[part]


def _code_of(folder: Path, paths: Mapping[Key, str]) -> Iterator[tuple[Key, Any]]:
    """Yield the code of declarations, as far as the modules of the repository at ``folder`` have it."""
    from featurestore.run.loading import load_modules

    by_key, by_path = {}, {}
    for each in load_modules(folder, (path.partition(":")[0] for path in paths.values())).objects:
        function = code_of(each)
        if function is not None:
            found = each if isinstance(each, Feature) else function
            by_key[key_of(each)] = by_path[code_path(function)] = found
    for key, path in paths.items():
        live = by_key.get(key, by_path.get(path))  # The latter of what has another name since.
        if live is not None:
            yield key, live
