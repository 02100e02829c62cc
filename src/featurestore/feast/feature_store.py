"""Feast's ``FeatureStore``: its methods and signatures, over a store of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import featurestore
from featurestore.errors import RegistrationError, closest
from featurestore.feast._refusal import NEVER, left_undone, not_supported, require_unset
from featurestore.feast._registry import Registry
from featurestore.feast._serving import Instant, Serving, wanted
from featurestore.feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from featurestore.feast.infra.offline_stores.offline_store import RetrievalJob
from featurestore.feast.project import Project
from featurestore.feast.repo_config import RepoConfig
from featurestore.feast.saved_dataset import SavedDataset

__all__ = ["FeatureStore", "Planned"]

Tags = Mapping[str, str] | None

_CLOSED: Mapping[str, tuple[str, str]] = {
    "precompute_feature_service": (NEVER, "leave it out: all views of a service are read at once"),
    "update_online_store": (NEVER, "write_to_online_store(view, df) with the new rows"),
    **dict.fromkeys(
        ("serve_ui", "serve_registry", "serve_offline", "serve_transformations"),
        (NEVER, "share the repository, the registry (PostgreSQL) and the files; every client reads them"),
    ),
    **dict.fromkeys(
        ("retrieve_online_documents", "retrieve_online_documents_v2", "openai_search"),
        (NEVER, "search vectors in a vector database"),
    ),
    **dict.fromkeys(
        ("write_logged_features", "validate_logged_features"),
        (NEVER, "log what you serve where you serve it"),
    ),
    **dict.fromkeys(
        ("get_validation_reference", "list_validation_references"),
        (NEVER, "compare saved datasets: store.get_saved_dataset(name).to_df()"),
    ),
    **dict.fromkeys(
        ("get_permission", "list_permissions"), (NEVER, "give rights where files, registry and stores are")
    ),
    **dict.fromkeys(
        ("get_label_view", "list_label_views"),
        (NEVER, "declare labels as a FeatureView, or keep them in a file"),
    ),
    **dict.fromkeys(
        ("enable_feature_view", "disable_feature_view", "set_feature_view_state"),
        (NEVER, "apply the view, or delete_feature_view(name)"),
    ),
    "list_feature_view_versions": (NEVER, "store.store.registry_log() lists every version of the project"),
    **dict.fromkeys(
        ("get_project", "list_projects", "delete_project"),
        (NEVER, "a store is of one project, store.project; teardown() empties it"),
    ),
    "retrieve_dataset_data": (NEVER, "store.get_saved_dataset(name).to_df().head(10)"),
    "create_dataset_from_retrieval": (NEVER, "store.create_saved_dataset(job, name, storage)"),
}
"""Methods of Feast's that are not here: why, and what to do instead."""


class Planned(NamedTuple):
    """What an apply would change, in the shape of Feast's answer."""

    registry_diff: Any
    """Ours: ``.changes``, and ``str`` of it tells them."""
    infra_diff: tuple[()] = ()
    """Nothing: stores make their tables when they are written."""
    infra: None = None


class FeatureStore(Serving):
    """A store over the repository at ``repo_path``, with the methods that Feast's has.

    Where Feast loses rows, changes their order or ignores a ttl, this does not: see the guide for moving.

    Args:
        repo_path: its folder, with a ``feature_store.yaml``; the current one by default.
        config: settings, in the place of the file.
        fs_yaml_file: the file, if it is elsewhere.
        embedding_provider: not supported.

    Attributes:
        store: the store of ours that does the work, and does more.

    Raises:
        ConfigurationError: no settings, or some that cannot be.
    """

    def __init__(
        self,
        repo_path: str | PathLike[str] | None = None,
        config: RepoConfig | None = None,
        fs_yaml_file: str | PathLike[str] | None = None,
        embedding_provider: Any = None,
    ) -> None:
        require_unset(
            "FeatureStore()", instead="compute embeddings in a feature function", embedding_provider=embedding_provider
        )
        if repo_path is None and fs_yaml_file is None and config is None:
            repo_path = Path.cwd()
        self.store = featurestore.FeatureStore(
            repo_path, config=None if config is None else config.settings(repo_path), fs_yaml_file=fs_yaml_file
        )
        self._readers = {}

    def __repr__(self) -> str:
        return f"<FeatureStore of project {self.project!r}>"

    def __getattr__(self, name: str) -> Any:
        if name in _CLOSED:
            return partial(_refuse, name)
        near = closest(name, [*_CLOSED, *(each for each in dir(type(self)) if not each.startswith("_"))])
        raise AttributeError(f"FeatureStore has no {name!r}" + (f"; did you mean {near!r}?" if near else ""))

    # ---- the project ---------------------------------------------------------------------------------------------

    @property
    def project(self) -> str:
        """The project's name."""
        return self.store.project

    @property
    def registry(self) -> Any:
        """Where the project's declarations are kept, with Feast's methods of listing and looking up."""
        return Registry(self)

    @property
    def repo_path(self) -> Path:
        """The repository's folder."""
        return self._base

    @property
    def provider(self) -> str:
        """The provider that the settings name. It decides nothing."""
        return str(self.config.get("provider", "local"))

    @property
    def config(self) -> RepoConfig:
        """The settings, with the keys of the file."""
        settings = self.store.settings
        return RepoConfig(**({} if settings is None else settings.values))

    def apply(
        self,
        objects: Any,
        objects_to_delete: Any = None,
        partial: bool = True,
        skip_feature_view_validation: bool = False,
        no_promote: bool = False,
    ) -> Any:
        """Put declarations into force: all of them, or none.

        Args:
            objects: one, or several.
            objects_to_delete: those that are to go; looked at with ``partial=False`` only, as in Feast.
            partial: whether nothing is to go. What is named nowhere stays either way.
            skip_feature_view_validation: accepted, and warned of.
            no_promote: not supported.

        Returns:
            What changed.

        Raises:
            RegistrationError: declarations that cannot stand; names all that is wrong, and nothing was written.
        """
        _require_whole(skip_feature_view_validation=skip_feature_view_validation, no_promote=no_promote)
        gone = self._ours(objects_to_delete or ())
        left_undone("apply() with partial=True", instead="partial=False", objects_to_delete=partial and gone)
        return self.store.apply(self._ours(objects), objects_to_delete=() if partial else gone)

    def plan(
        self, desired_repo_contents: Any, skip_feature_view_validation: bool = False, no_promote: bool = False
    ) -> Planned:
        """Return what would change if ``desired_repo_contents`` were the whole project.

        Args:
            desired_repo_contents: declarations, or an object with lists of them such as ``.feature_views``.
            skip_feature_view_validation: accepted, and warned of.
            no_promote: not supported.
        """
        _require_whole(skip_feature_view_validation=skip_feature_view_validation, no_promote=no_promote)
        return Planned(self.store.plan(self._ours(_contents(desired_repo_contents)), partial=False))

    def teardown(self) -> None:
        """Take every declaration out of force, and remove what the project has online and in the log of pushes.

        ``store.store.rollback(version)`` brings the declarations back, and materializing their values.
        """
        self.store.teardown()

    def refresh_registry(self) -> None:
        """See what others have applied meanwhile."""
        self.store.refresh_registry()

    def version(self) -> str:
        """Return the version of featurestore."""
        return featurestore.__version__

    # ---- what is in force ----------------------------------------------------------------------------------------

    def list_entities(self, allow_cache: bool = False, tags: Tags = None) -> list[Any]:
        """Return the entities, by name; those that have all of ``tags``. What is listed is always in force."""
        return self._listed(self.store.list_entities, tags, allow_cache=allow_cache)

    def list_feature_views(self, allow_cache: bool = False, tags: Tags = None) -> list[Any]:
        """Return the feature views; the other arguments are those of `list_entities`."""
        return self._listed(self.store.list_feature_views, tags, allow_cache=allow_cache)

    def list_batch_feature_views(self, allow_cache: bool = False, tags: Tags = None) -> list[Any]:
        """Return the views on files."""
        views = self.list_feature_views(allow_cache, tags)
        return [view for view in views if not _is_stream(view)]

    def list_stream_feature_views(self, allow_cache: bool = False, tags: Tags = None) -> list[Any]:
        """Return the views on streams."""
        return [view for view in self.list_feature_views(allow_cache, tags) if _is_stream(view)]

    def list_all_feature_views(self, allow_cache: bool = False, tags: Tags = None) -> list[Any]:
        """Return the views and the on-demand views."""
        return [*self.list_feature_views(allow_cache, tags), *self.list_on_demand_feature_views(allow_cache, tags)]

    def list_on_demand_feature_views(self, allow_cache: bool = False, tags: Tags = None) -> list[Any]:
        """Return the on-demand views."""
        return self._listed(self.store.list_on_demand_feature_views, tags, allow_cache=allow_cache)

    def list_data_sources(self, allow_cache: bool = False, tags: Tags = None) -> list[Any]:
        """Return the sources."""
        return self._listed(self.store.list_data_sources, tags, allow_cache=allow_cache)

    def list_feature_services(self, tags: Tags = None) -> list[Any]:
        """Return the services."""
        return list(self.store.list_feature_services(tags))

    def get_entity(self, name: str, allow_registry_cache: bool = False) -> Any:
        """Return an entity. Raises `UnknownNameError`, as Feast's ``EntityNotFoundException`` is called here."""
        self._fresh(allow_cache=allow_registry_cache)
        return self.store.get_entity(getattr(name, "name", name))  # A view's ``entities`` are entities here.

    def get_feature_view(self, name: str, allow_registry_cache: bool = False) -> Any:
        """Return a view. Raises `UnknownNameError`."""
        self._fresh(allow_cache=allow_registry_cache)
        return self.store.get_feature_view(name)

    def get_stream_feature_view(self, name: str, allow_registry_cache: bool = False) -> Any:
        """Return a view on a stream. Raises `UnknownNameError`."""
        return self.get_feature_view(name, allow_registry_cache)

    def get_on_demand_feature_view(self, name: str, allow_registry_cache: bool = False) -> Any:
        """Return an on-demand view. Raises `UnknownNameError`."""
        self._fresh(allow_cache=allow_registry_cache)
        return self.store.get_on_demand_feature_view(name)

    def get_feature_service(self, name: str, allow_cache: bool = False) -> Any:
        """Return a service. Raises `UnknownNameError`."""
        self._fresh(allow_cache=allow_cache)
        return self.store.get_feature_service(name)

    def get_data_source(self, name: str) -> Any:
        """Return a source, by name or path. Raises `UnknownNameError`."""
        self._fresh(allow_cache=False)
        return self.store.get_data_source(name)

    def delete_feature_view(self, name: str) -> None:
        """Take a view out of force. Raises `UnknownNameError`, and `RegistrationError` where a service needs it."""
        self.store.apply([], objects_to_delete=[self.get_feature_view(name)])

    def delete_feature_service(self, name: str) -> None:
        """Take a service out of force. Raises `UnknownNameError`."""
        self.store.apply([], objects_to_delete=[self.get_feature_service(name)])

    # ---- training datasets ---------------------------------------------------------------------------------------

    def get_historical_features(  # noqa: PLR0917  # Feast's signature.
        self,
        entity_df: Any = None,
        features: Any = None,
        full_feature_names: bool = False,
        start_date: Instant | None = None,
        end_date: Instant | None = None,
        filter_by_created_timestamp: bool = False,
        feature_refs: Sequence[str] | None = None,
    ) -> RetrievalJob:
        """Return a training dataset: the labels, each with what was known of its features at its time.

        Args:
            entity_df: the labels: a frame, the path of a file, or SQL text over declared sources; or ``None``.
            features: ``"view:feature"`` references, or a feature service.
            full_feature_names: name columns ``<view>__<feature>``.
            start_date: where there are no labels: the rows of the views from here on.
            end_date: the latest of them.
            filter_by_created_timestamp: not supported; sources say ``available_at=`` instead.
            feature_refs: ``features``, in an older spelling.

        Raises:
            UnknownNameError: a view or feature that does not exist; suggests the nearest.
            ParameterError: no features.
        """
        require_unset(
            "get_historical_features()",
            instead="featurestore.FileSource(..., available_at='created') hides rows until they were known",
            filter_by_created_timestamp=filter_by_created_timestamp,
        )
        asked = wanted("get_historical_features()", features, feature_refs)
        job = self.store.get_historical_features(
            entity_df, asked, full_feature_names, start_date=start_date, end_date=end_date
        )
        return RetrievalJob(job, self._base, full_feature_names)

    def create_saved_dataset(  # noqa: PLR0917  # Feast's signature.
        self,
        from_: RetrievalJob,
        name: str,
        storage: SavedDatasetFileStorage,
        tags: Tags = None,
        feature_service: Any = None,
        allow_overwrite: bool = False,
    ) -> SavedDataset:
        """Write a training dataset to a file, and save it under a name: a new version where the name exists.

        Args:
            from_: what `get_historical_features` gave.
            name: of the dataset.
            storage: the file.
            tags: by name; kept as long as the answer is.
            feature_service: decides nothing.
            allow_overwrite: whether the file may be replaced. Versions under the name never are.

        Raises:
            SavedDatasetLocationAlreadyExists: a file is there.
        """
        del feature_service
        from_.persist(storage, allow_overwrite=allow_overwrite)
        return SavedDataset(from_.job.persist(name), storage, dict(tags or {}))

    def get_saved_dataset(self, name: str) -> SavedDataset:
        """Return the newest version of a saved dataset. Raises `UnknownNameError`."""
        return SavedDataset(self.store.get_saved_dataset(name))

    def list_saved_datasets(self, allow_cache: bool = False, tags: Tags = None) -> list[SavedDataset]:
        """Return the newest version of each saved dataset, by name.

        Args:
            allow_cache: decides nothing.
            tags: not supported.
        """
        del allow_cache
        require_unset("list_saved_datasets()", instead="choose by name", tags=tags)
        newest = {dataset.name: dataset for dataset in self.store.list_saved_datasets()}
        return [SavedDataset(dataset) for dataset in newest.values()]

    # ---- how -----------------------------------------------------------------------------------------------------

    @property
    def _base(self) -> Path:
        return Path(self.store.base)

    def _listed(self, find: Any, tags: Tags, *, allow_cache: bool) -> list[Any]:
        self._fresh(allow_cache=allow_cache)
        return list(find(tags))

    def _ours(self, objects: Any) -> list[Any]:
        several = list(objects) if isinstance(objects, Iterable) and not isinstance(objects, str) else [objects]
        for project in (each for each in several if isinstance(each, Project)):
            if project.name != self.project:
                raise RegistrationError(
                    "a declaration of another project",
                    found=f"Project({project.name!r})",
                    expected=f"the project {self.project!r} of feature_store.yaml",
                    fix="give each project a folder and a feature_store.yaml of its own",
                )
        return [each for each in several if not isinstance(each, Project)]


def _refuse(name: str, *_: Any, **__: Any) -> NoReturn:
    why, instead = _CLOSED[name]
    raise not_supported(f"{name}()", instead=instead, why=why)


def _require_whole(*, skip_feature_view_validation: bool, no_promote: bool) -> None:
    left_undone(
        "apply()",
        instead="mend what the validation finds: it names all of it at once",
        skip_feature_view_validation=skip_feature_view_validation,
    )
    require_unset("apply()", instead="look at plan() first, and apply when it shall count", no_promote=no_promote)


def _contents(desired: Any) -> list[Any]:
    kinds = ("data_sources", "entities", "feature_views", "on_demand_feature_views", "stream_feature_views")
    if not hasattr(desired, "feature_views"):
        return list(desired)
    return [each for kind in (*kinds, "feature_services") for each in getattr(desired, kind, ())]


def _is_stream(view: Any) -> bool:
    source = getattr(view, "source", None)
    return isinstance(source, featurestore.KafkaSource | featurestore.PushSource)
