"""Feast's ``RepoConfig``: the settings of a repository, written in Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import featurestore

__all__ = ["RegistryConfig", "RepoConfig", "StoreConfig", "load_repo_config"]


class _Section(Mapping[str, Any]):
    """Keys of a part of ``feature_store.yaml``, to be had as attributes too."""

    defaults: ClassVar[Mapping[str, Any]] = {}
    absent: ClassVar[frozenset[str]] = frozenset()
    """Keys that are ``None`` as attributes where nobody gave them."""

    def __init__(self, **values: Any) -> None:
        self._values = {**self.defaults, **values}

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("_values", {})
        if name in values:
            return values[name]
        if name in self.absent:
            return None
        raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {', '.join(values) or 'nothing'}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._values)})"  # Names only: values may be passwords.


class RegistryConfig(_Section):
    """Where the registry is: ``registry_type`` and ``path``.

    Example:
        >>> RegistryConfig(path="data/registry.db").path
        'data/registry.db'
    """


class StoreConfig(_Section):
    """An online or an offline store: ``type``, and what that takes."""


class RepoConfig(_Section):
    """What ``feature_store.yaml`` says, with the keys of the file.

    Example:
        >>> RepoConfig(project="taxi", provider="local", registry="data/registry.db").project
        'taxi'
    """

    defaults: ClassVar[Mapping[str, Any]] = {"provider": "local"}
    absent: ClassVar[frozenset[str]] = frozenset(
        {"online_store", "offline_store", "batch_engine", "registry", "repo_path", "flags", "auth", "feature_server"}
        | {"entity_key_serialization_version"}
    )

    def settings(self, repo_path: str | PathLike[str] | None = None) -> Any:
        """Return the settings of ours that this means; relative paths are looked up from ``repo_path``.

        Raises:
            ConfigurationError: a value that cannot be used.

        Warns:
            FeatureStoreWarning: a key that means nothing.
        """
        given = {name: value for name, value in self.items() if name != "repo_path"}
        folder = repo_path if repo_path is not None else self.get("repo_path")
        return featurestore.settings_of(_plain(given), folder=folder)


def load_repo_config(repo_path: str | PathLike[str], fs_yaml_file: str | PathLike[str] | None = None) -> RepoConfig:
    """Return what a repository's ``feature_store.yaml`` says, with variables of the environment put in.

    Args:
        repo_path: its folder.
        fs_yaml_file: the file, if it is elsewhere.

    Raises:
        ConfigurationError: no file, no YAML, a value that cannot be used, or a variable that is not set.
    """
    settings = featurestore.load_settings(repo_path, file=fs_yaml_file)
    return RepoConfig(**{**settings.values, "repo_path": settings.folder})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return str(value) if isinstance(value, Path) else value
