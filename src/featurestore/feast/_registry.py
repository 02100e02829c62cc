"""Feast's registry as its users read it: the listing and looking up of the store, for a project that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurestore.errors import RegistrationError
from featurestore.feast._refusal import not_supported

if TYPE_CHECKING:
    from featurestore.feast.feature_store import FeatureStore

__all__ = ["Registry"]

_LOOKUPS = frozenset(
    [f"list_{kind}" for kind in ("entities", "data_sources", "feature_views", "feature_services", "saved_datasets")]
    + [f"list_{kind}_feature_views" for kind in ("all", "batch", "on_demand", "stream")]
    + [f"get_{kind}" for kind in ("entity", "data_source", "feature_view", "feature_service", "saved_dataset")]
    + ["get_on_demand_feature_view", "get_stream_feature_view", "delete_feature_view", "delete_feature_service"]
)
_WRITES = ("apply_", "delete_", "update_")


class Registry:
    """What is in force, by Feast's methods: ``registry.list_feature_views(project="shop")``, and all of ours.

    A store is of one project, so ``project`` may be left out, and names no other.
    """

    def __init__(self, store: FeatureStore) -> None:
        self._store = store

    def __repr__(self) -> str:
        return repr(self._store.store.registry)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in _LOOKUPS:
            return lambda *args, **options: self._asked(name, args, options)
        if name.startswith(_WRITES):
            raise not_supported(
                f"registry.{name}()", instead="store.apply(objects), or apply(objects_to_delete=..., partial=False)"
            )
        ours = self._store.store.registry
        return getattr(ours, name) if hasattr(ours, name) else getattr(self._store, name)

    def get_any_feature_view(self, name: str, project: str = "", allow_cache: bool = False) -> Any:
        """Return a view or an on-demand view. Raises `UnknownNameError`."""
        of_demand = {view.name for view in self._asked("list_on_demand_feature_views", (), {"project": project})}
        kind = "on_demand_feature_view" if name in of_demand else "feature_view"
        return self._asked(f"get_{kind}", (name,), {"project": project, "allow_cache": allow_cache})

    def refresh(self, project: str | None = None) -> None:
        """See what others have applied meanwhile."""
        self._require_project(project)
        self._store.refresh_registry()

    def _asked(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        looks_up = not name.startswith("list_")
        # Feast's order: name, project, allow_cache to look up; project, allow_cache, tags to list.
        named = dict(zip(("name", "project", "allow_cache") if looks_up else ("project", "allow_cache", "tags"), args))  # noqa: B905  A shorter call.
        given = {**named, **options}
        self._require_project(given.pop("project", None))
        if not given.pop("allow_cache", False):
            self._store.refresh_registry()
        given.pop("commit", None)
        return getattr(self._store, name)(**given)

    def _require_project(self, project: str | None) -> None:
        if project and project != self._store.project:
            raise RegistrationError(
                "a store is of one project",
                found=f"project={project!r}",
                expected=repr(self._store.project),
                fix="FeatureStore(repo_path=...) of that project",
            )
