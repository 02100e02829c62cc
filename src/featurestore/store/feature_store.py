"""The class that users hold: the sides of a store as one."""

from __future__ import annotations

from os import PathLike
from typing import Self

from featurestore.declare.collector import Collector, collected
from featurestore.instants import Clock, SystemClock
from featurestore.run.session import Session
from featurestore.settings import Config, Settings, load_settings
from featurestore.store.opening import open_registry
from featurestore.store.verifying import Verifying

__all__ = ["FeatureStore"]


class FeatureStore(Verifying):
    """A store over registered functions and declared views.

    The default one is ``featurestore.fs``; the functions of the module are its methods. Without arguments the project
    lives in memory, and works the same.

    Args:
        repo_path: folder of a repository, with its ``feature_store.yaml``.
        config: settings, in the place of those in the file.
        fs_yaml_file: the file, if it is elsewhere or has another name.
        clock: where now comes from; the machine's clock by default.

    Attributes:
        config: what users change while they work, such as ``config.interactive``.
        settings: what the file says; ``None`` where there is none.

    Raises:
        ConfigurationError: a file that is not there, or says what cannot be.
    """

    def __init__(
        self,
        repo_path: str | PathLike[str] | None = None,
        *,
        config: Settings | None = None,
        fs_yaml_file: str | PathLike[str] | None = None,
        clock: Clock | None = None,
        _collector: Collector | None = None,
    ) -> None:
        self.config = Config()
        self.clock = clock or SystemClock()
        self.settings = _settings(repo_path, config, fs_yaml_file)
        self.project = self.settings.project if self.settings else "default"
        self.registry = open_registry(_place(self.settings), self.project, self.base, clock=self.clock)
        base = self.base if self.settings else None
        self._session = Session(_collector if _collector is not None else collected, self.clock, base)
        self._code = {}
        self._loaded = None
        self._readers = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<FeatureStore of project {self.project!r}, {len(self._session.collector)} registered functions>"


def _settings(
    repo_path: str | PathLike[str] | None, config: Settings | None, file: str | PathLike[str] | None
) -> Settings | None:
    if config is not None or (repo_path is None and file is None):
        return config
    return load_settings(repo_path, file=file)


def _place(settings: Settings | None) -> object:
    """Return where the registry is: in memory where there is neither a file nor a word about it."""
    if settings is None or (settings.registry is None and settings.file is None):
        return {"registry_type": "memory"}
    return settings.registry
