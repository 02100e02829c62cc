"""The project side of a store: what is declared, applied, listed and rolled back."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from featurestore.declare.entity import Entity
from featurestore.declare.feature import Feature
from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.declare.source import FileSource
from featurestore.declare.view import FeatureService, FeatureView
from featurestore.errors import FeatureStoreWarning, RegistrationError, UnknownNameError
from featurestore.planning.applying import Plan, computes, desired, summary
from featurestore.repository.changes import Change, changes
from featurestore.repository.documents import AnySource, Key, ObjectKind
from featurestore.repository.listing import ListedFeature, features_of, tagged
from featurestore.repository.repository import Repository
from featurestore.run import applying, inspecting
from featurestore.run.loading import load_repository
from featurestore.settings import Settings
from featurestore.store.functions import Functions

if TYPE_CHECKING:
    from featurestore.registry.base import Commit, Registry

__all__ = ["Project"]

Tags: TypeAlias = Mapping[str, str] | None
View: TypeAlias = FeatureView | Feature[..., Any]


class Project(Functions):
    """What a store does with a whole repository of declarations.

    Attributes:
        project: the project's name.
        registry: where its repositories are.
    """

    project: str
    settings: Settings | None
    registry: Registry
    _code: dict[Key, Any]
    _loaded: tuple[Repository, str | None] | None

    # ---- applying ------------------------------------------------------------------------------------------------

    def apply(
        self,
        objects: object,
        *,
        objects_to_delete: object = (),
        partial: bool = True,
        dry_run: bool = False,
        message: str = "",
        allow_breaking: bool = False,
        allow: Iterable[str] = (),
        verify: bool = False,
    ) -> tuple[Change, ...]:
        """Put declarations into force: all of them, or none.

        Views bring their sources and entities along, services their views. Sources of what is new or changed are
        looked at first: files, columns and types must be there. Features that are computed (on-demand views, column
        functions) and new or changed are tried on sampled rows: what they answer must not depend on which rows stand
        beside each other, as it would be one value in training and another online.

        Args:
            objects: an entity, source, view, on-demand view, service or registered function, or several.
            objects_to_delete: declarations, or their names, that are to go.
            partial: whether what was not given stays; if not, ``objects`` are the whole project.
            dry_run: only return what would change.
            message: for the log; a count of the changes by default.
            allow_breaking: whether a feature that is online may change its type. Rows of the old type then read as
                null until they are materialized anew.
            allow: names of computed features that may answer otherwise for a row by itself than among others.
            verify: whether what is new or changed is verified before anything is written: computed in every way that
                there is, as `verify` does.

        Returns:
            What changed; nothing where all was in force already. ``str`` of a change tells it, ``breaking`` says what
            breaks for those who use it.

        Raises:
            RegistrationError: declarations that cannot stand, a new type of a feature that is online, or a computed
                feature whose values in training and online would differ; names all that is wrong, and nothing was
                written.
            VerificationError: values depend on who computes them; nothing was written.
            ConflictError: somebody else changed the same names meanwhile; says what, and nothing was written.
            ConfigurationError: a source that cannot be read.

        Example:
            >>> import featurestore as fs
            >>> store = fs.FeatureStore()
            >>> print(*store.apply(fs.Entity("driver", join_keys=["driver_id"])))
            + entity driver
            >>> store.get_entity("driver").join_keys
            ('driver_id',)
        """
        plan = self.plan(objects, objects_to_delete=objects_to_delete, partial=partial, allow=allow)
        if verify:
            self._require_verified(plan)
        if not dry_run:
            self.apply_plan(plan, message=message, allow_breaking=allow_breaking)
        return plan.changes

    @abstractmethod
    def _require_verified(self, plan: Plan) -> None:
        """Refuse a plan with which values would depend on who computes them. The verifying side has it."""

    def plan(
        self,
        objects: object,
        *,
        objects_to_delete: object = (),
        partial: bool = True,
        look_at_sources: bool = True,
        allow: Iterable[str] = (),
    ) -> Plan:
        """Return what `apply` would change, without changing it. Raises as `apply` does.

        With ``look_at_sources=False`` no source is read: for where they cannot be reached.
        """
        before, expected = self._newest()
        after = desired(
            before, _several(objects), delete=_several(objects_to_delete), partial=partial, codes=self._session.codes
        )
        whole = inspecting.completed(after, before, self.base, look=look_at_sources)
        if computes(whole, before):
            from featurestore.run.agreeing import check_agreement

            with self.active():
                check_agreement(self._session, whole, before, self.base, allow=tuple(allow), look=look_at_sources)
        return Plan(before, whole, expected, partial)

    def apply_plan(self, plan: Plan, *, message: str = "", allow_breaking: bool = False) -> None:
        """Put a plan into force, if what it changes is still what it was when it was made.

        Raises:
            RegistrationError: a feature that is online changes its type, and ``allow_breaking`` is off.
            ConflictError: somebody else changed the same names meanwhile; says what, and nothing was written.
        """
        if not allow_breaking:
            applying.check_types(self.registry, plan)
        self._code.update(plan.after.code)
        applying.commit_plan(self.registry, plan, message=message)
        self.refresh_registry()
        self._follow_up(plan.changes)

    def teardown(self, *, dry_run: bool = False) -> tuple[Change, ...]:
        """Take every declaration out of force. The history stays, so that `rollback` brings them back.

        Returns:
            What is, or with ``dry_run`` would be, removed.
        """
        before, expected = self._newest()
        plan = Plan(before, Repository(self.project), expected, partial=False)
        if not dry_run:
            self.apply_plan(plan, message=f"teardown: {summary(plan.changes)}")
        return plan.changes

    # ---- history -------------------------------------------------------------------------------------------------

    def registry_log(self) -> tuple[Commit, ...]:
        """Return every commit of the project, newest first: version, hash, time, author and message."""
        return self.registry.log()

    def registry_diff(self, a: int | str, b: int | str) -> tuple[Change, ...]:
        """Return what turned version ``a`` into version ``b``; hashes and their beginnings do as well.

        Raises:
            UnknownNameError: there is no such version.
        """
        old, new = (Repository.from_json(self.registry.at(which).document) for which in (a, b))
        return changes(old, new)

    def rollback(self, version: int | str, *, dry_run: bool = False) -> tuple[Change, ...]:
        """Put an old version in force again, as a new commit; nothing of the history is lost.

        Returns:
            What changes by it.

        Raises:
            UnknownNameError: there is no such version.
            ConflictError: somebody else committed meanwhile.
        """
        made = applying.restored(self.registry, version, dry_run=dry_run)
        self.refresh_registry()
        if not dry_run:
            self._follow_up(made)
        return made

    def _follow_up(self, made: Iterable[Change]) -> None:
        """Bring what is online in line with changes that are in force by now. The online side has it."""

    # ---- what is in force ----------------------------------------------------------------------------------------

    @property
    def base(self) -> Path:
        """The folder from which relative paths are looked up: the repository's, else the one that one is in now."""
        return self.settings.folder if self.settings is not None else Path.cwd()

    @property
    def repository(self) -> Repository:
        """All declarations in force, as they were when the store first looked or was told to look again."""
        loaded = self._loaded  # Once: another thread may apply meanwhile.
        if loaded is None:
            loaded = self._loaded = self._newest()
        return loaded[0]

    def refresh_registry(self) -> None:
        """See what others have applied meanwhile."""
        self._loaded = None

    def get_entity(self, name: str) -> Entity:
        """Return an entity. Raises `UnknownNameError`."""
        return self.repository.entity(name)

    def get_data_source(self, name: str) -> AnySource:
        """Return a source, by name or path. Raises `UnknownNameError`."""
        return self.repository.source(name)

    def get_feature_view(self, name: str) -> View:
        """Return a feature view, or the registered function that is one. Raises `UnknownNameError`."""
        if name in self.repository.documents[ObjectKind.VIEW]:
            return self.repository.feature_view(name)
        functions = {called: each for each in self._timelines() for called in (each.name, each.qualified_name)}
        if name in functions:
            return functions[name]
        known = {*self.repository.names(ObjectKind.VIEW), *functions}
        raise UnknownNameError.among("feature view called", name, known, fix="declare it and apply")

    def get_on_demand_feature_view(self, name: str) -> OnDemandFeatureView:
        """Return an on-demand view. Raises `UnknownNameError`."""
        return self.repository.on_demand_feature_view(name)

    def get_feature_service(self, name: str) -> FeatureService:
        """Return a service. Raises `UnknownNameError`."""
        return self.repository.feature_service(name)

    def list_entities(self, tags: Tags = None) -> tuple[Entity, ...]:
        """Return the entities, by name; those that have all of ``tags``."""
        return tagged(self.repository.objects(ObjectKind.ENTITY), tags)

    def list_data_sources(self, tags: Tags = None) -> tuple[AnySource, ...]:
        """Return the sources, by name; those that have all of ``tags``."""
        return tagged(self.repository.objects(ObjectKind.SOURCE), tags)

    def list_feature_views(self, tags: Tags = None) -> tuple[View, ...]:
        """Return the feature views, and the registered functions that are such, by name; those with all ``tags``."""
        views: list[View] = [*self.repository.objects(ObjectKind.VIEW), *self._timelines()]
        return tagged(sorted(views, key=lambda view: view.name), tags)

    def list_on_demand_feature_views(self, tags: Tags = None) -> tuple[OnDemandFeatureView, ...]:
        """Return the on-demand views, by name; those that have all of ``tags``."""
        return tagged(self.repository.objects(ObjectKind.ON_DEMAND), tags)

    def list_feature_services(self, tags: Tags = None) -> tuple[FeatureService, ...]:
        """Return the services, by name; those that have all of ``tags``."""
        return tagged(self.repository.objects(ObjectKind.SERVICE), tags)

    def list_features(self, tags: Tags = None) -> tuple[ListedFeature, ...]:
        """Return every feature of every view, on-demand view and registered function; those with all ``tags``."""
        views = [
            *self.repository.objects(ObjectKind.VIEW),
            *self.repository.objects(ObjectKind.ON_DEMAND),
            *self._functions(),
        ]
        from featurestore.run.aggregated import types_of

        ordered = sorted(views, key=lambda view: view.name)
        listed = (each for view in ordered for each in features_of(view, types_of(view)))
        return tagged(listed, tags)

    # ---- what the other sides ask for ----------------------------------------------------------------------------

    def _newest(self) -> tuple[Repository, str | None]:
        repository, digest = applying.in_force(self.registry)
        return repository.with_code(self._code), digest

    def _functions(self) -> tuple[Feature[..., Any], ...]:
        """Return the functions that were applied; of the default store, all that are registered too."""
        applied = {each.qualified_name: each for each in self._applied_functions()}
        registered = {each.qualified_name: each for each in self._session.collector} if self.settings is None else {}
        return tuple((applied | registered).values())

    def _applied_functions(self) -> Iterator[Feature[..., Any]]:
        """Yield those whose code is found; where it is not, the repository's files are loaded first."""
        names = self.repository.names(ObjectKind.FUNCTION)
        found = {name: self._function(name) for name in names}
        if self.settings is not None and not all(found.values()):
            with suppress(RegistrationError):  # Of a file that does not load; what it has is missed below.
                load_repository(self.settings.folder)
            found = {name: self._function(name) for name in names}
        for name, function in found.items():
            if function is not None:
                yield function
            else:
                warnings.warn(
                    f"the code of function {name!r} is not found, so it is left out; import its module, or apply again",
                    FeatureStoreWarning,
                    stacklevel=4,
                )

    def _function(self, name: str) -> Feature[..., Any] | None:
        try:
            return self.repository.function(name)
        except RegistrationError:
            return None

    def _timelines(self) -> Iterator[Feature[..., Any]]:
        return (each for each in self._functions() if each.kind.has_times)

    def _file_sources(self) -> dict[str, FileSource]:
        """Return the sources that SQL text may name: those in force, and those that were registered."""
        applied = self.repository.objects(ObjectKind.SOURCE)
        return {each.name: each for each in applied if isinstance(each, FileSource)} | self._session.collector.sources


def _several(objects: object) -> list[object]:
    is_many = isinstance(objects, Iterable) and not isinstance(objects, str)
    return list(objects) if is_many else [objects]  # type: ignore[call-overload]  # Narrowed by the line above.
