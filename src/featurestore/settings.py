"""Settings: what a project's ``feature_store.yaml`` and the environment say, and what users change while they work.

A value comes from the environment (``FEATURESTORE_OFFLINE_STORE__TYPE``), else from the file, else it is a default;
every one knows which. ``${NAME}`` in the file is an environment variable, ``${NAME:-text}`` one that may be missing.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from featurestore.errors import ConfigurationError, FeatureStoreWarning, UnknownNameError, closest
from featurestore.instants import MAX_CLOCK_SKEW, to_duration

__all__ = ["FILE_NAME", "Config", "Settings", "find_settings", "load_settings", "settings_of"]

FILE_NAME = "feature_store.yaml"


_KEYS = (
    "project",
    "project_description",
    "provider",
    "registry",
    "online_store",
    "offline_store",
    "memory_limit",
    "max_clock_skew",
    "batch_engine",
    "auth",
    "feature_server",
    "entity_key_serialization_version",
    "coerce_tz_aware",
    "materialization",
    "openlineage",
    "mlflow",
    "data_quality_monitoring",
    "embedding_model",
    "flags",
)
"""Keys at the top of the file. Those that only Feast acts on are accepted, so that its files can be read."""

_REGISTRY_KEYS = (
    "path",
    "registry_type",
    "registry_store_type",
    "type",
    "url",
    "schema",
    "cache_ttl_seconds",
    "cache_mode",
    "s3_additional_kwargs",
    "purge_feast_metadata",
    "enable_online_feature_view_versioning",
    "mcp",
)
_ENGINES = {"file": "polars", "dask": "polars"}
"""Names of Feast's for engines that read local files, and ours for the same."""

_PREFIX = "FEATURESTORE_"
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}")
_PROJECT = re.compile(r"[A-Za-z0-9_][\w-]*", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)


@dataclass(slots=True)
class Config:
    """How a store behaves; change it by assignment.

    Example:
        >>> Config(interactive=True)
        Config(interactive=True)
    """

    interactive: bool = False
    """Whether defining a feature again replaces it. For notebooks; otherwise a second definition is an error."""

    def __setattr__(self, name: str, value: object) -> None:
        known = [field.name for field in fields(self)]
        if name not in known:
            raise UnknownNameError.among("setting", name, known)
        object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class Settings:
    """What is configured for one project. Without a file: a project in the memory of this process.

    Attributes:
        project: its name.
        folder: the repository's folder, absolute; relative paths are looked up from here.
        file: the file that was read, if one was.
        provider: kept for Feast's files; ``"local"``.
        registry: where declarations are kept: a path, a URL, or keys such as ``path``; ``None`` where nothing is said.
        engine: name of the engine for training datasets: ``"polars"``, ``"duckdb"``, or another package's.
        online_store: what is said of the online store, such as ``type``.
        memory_limit: bytes that a join may use; ``None``: a share of what is free.
        max_clock_skew: how far ahead of the clock pushed rows may be dated.
        values: everything that was said, as plain data.

    Example:
        >>> settings = settings_of({"project": "taxi", "offline_store": {"type": "dask"}})
        >>> settings.engine, settings.origin("project"), settings.origin("provider")
        ('polars', 'argument', 'default')
    """

    project: str = "default"
    folder: Path = field(default_factory=Path.cwd)
    file: Path | None = None
    provider: str = "local"
    registry: str | Mapping[str, Any] | None = field(default=None, repr=False)
    engine: str = "polars"
    online_store: Mapping[str, Any] = field(default_factory=dict, repr=False)
    memory_limit: int | None = None
    max_clock_skew: timedelta = MAX_CLOCK_SKEW
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Where each value that is no default came from, by dotted name."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a dotted name, such as ``"online_store.type"``, as it was said."""
        value: Any = self.values
        for part in name.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return default
            value = value[part]
        return value

    def origin(self, name: str) -> str:
        """Return where the value of a dotted name came from.

        Returns:
            Such as ``"feature_store.yaml:3"``, ``"the environment variable FEATURESTORE_PROJECT"``, ``"argument"``
            or ``"default"``.
        """
        return self.origins.get(name, "default")


# ---- finding and reading -----------------------------------------------------------------------------------------


def find_settings(folder: str | os.PathLike[str], *, above: bool = False) -> Path:
    """Return the settings file of the repository at ``folder``: in it, or in a folder ``feature_repo`` in it.

    Args:
        folder: where to look.
        above: whether to go on in the folders above, as for a command that was typed somewhere in a repository.

    Raises:
        ConfigurationError: there is none.
    """
    start = Path(folder).expanduser().absolute()
    for place in (start, *(start.parents if above else ())):
        for file in (place / FILE_NAME, place / "feature_repo" / FILE_NAME):
            if file.is_file():
                return file
    raise ConfigurationError(
        f"no {FILE_NAME} at {start}",
        found="no such folder" if not start.is_dir() else "a folder without one",
        expected="the folder of a repository" + (", or a folder below it" if above else ""),
        fix="go there, or name it (featurestore -c FOLDER); featurestore init makes a new one",
    )


def load_settings(
    repo_path: str | os.PathLike[str] | None = None,
    *,
    file: str | os.PathLike[str] | None = None,
    above: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings of a repository.

    Args:
        repo_path: its folder; that of ``file`` by default, else the current one.
        file: the settings file; ``feature_store.yaml`` in the folder by default.
        above: whether to look in the folders above too.
        environ: the environment; that of the process by default.

    Raises:
        ConfigurationError: no file, no YAML, a value that cannot be used, or a variable that is not set.

    Warns:
        FeatureStoreWarning: a key that means nothing, with the nearest that does.
    """
    chosen = (
        Path(file).expanduser().absolute() if file is not None else find_settings(repo_path or Path.cwd(), above=above)
    )
    folder = Path(repo_path).expanduser().absolute() if file is not None and repo_path is not None else chosen.parent
    variables = os.environ if environ is None else environ
    values, origins = _read(chosen)
    expanded = _expanded(values, variables, origins, chosen)
    for name, variable in _from_environment(variables):
        _put(expanded, name.split("."), variables[variable])
        origins[name] = f"the environment variable {variable}"
    return settings_of(expanded, folder=folder, file=chosen, origins=origins)


def settings_of(
    values: Mapping[str, Any],
    *,
    folder: str | os.PathLike[str] | None = None,
    file: Path | None = None,
    origins: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings that ``values`` say, with the keys of the file.

    Raises:
        ConfigurationError: a value that cannot be used.

    Warns:
        FeatureStoreWarning: a key that means nothing, with the nearest that does.
    """
    known_origins = dict.fromkeys(_leaves(values), "argument") if origins is None else dict(origins)
    base = Path.cwd() if folder is None else Path(folder).expanduser().absolute()
    _warn_of_unknown(values, known_origins)
    offline = _section(values, "offline_store")
    limit = offline.get("memory_limit", values.get("memory_limit"))
    engine = _text(offline, "type", "offline_store.type", "polars")
    return Settings(
        project=_project(values, file),
        folder=base,
        file=file,
        provider=_text(values, "provider", "provider", "local"),
        registry=_registry(values),
        engine=_ENGINES.get(engine, engine),
        online_store=MappingProxyType(dict(_section(values, "online_store"))),
        memory_limit=None if limit is None else _bytes(limit),
        max_clock_skew=_skew(values),
        values=MappingProxyType(dict(values)),
        origins=MappingProxyType(known_origins),
    )


def _read(file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of a file, and the line of each by dotted name."""
    import yaml

    try:
        text = file.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read", found=str(error), expected="a settings file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{file} is no YAML", found=str(error), expected="lines such as 'project: taxi'"
        ) from error
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"{file} says nothing", found=repr(values)[:60], expected="keys and values", fix="add 'project: <name>'"
        )
    return values, {name: f"{file.name}:{line}" for name, line in _lines(node, file)}


def _lines(node: Any, file: Path, prefix: str = "") -> Iterator[tuple[str, int]]:
    seen: set[str] = set()
    for key, value in node.value if node.id == "mapping" else ():
        name, line = f"{prefix}{key.value}", key.start_mark.line + 1
        if name in seen:
            raise ConfigurationError(
                f"{file}:{line} says {name} a second time", found=name, expected="each key once", fix="remove one"
            )
        seen.add(name)
        yield name, line
        yield from _lines(value, file, f"{name}.")


# ---- the environment ---------------------------------------------------------------------------------------------


def _expanded(values: Any, variables: Mapping[str, str], origins: Mapping[str, str], file: Path, name: str = "") -> Any:
    """Return ``values`` with the variables in their texts replaced."""
    if isinstance(values, dict):
        return {
            key: _expanded(value, variables, origins, file, f"{name}.{key}".lstrip("."))
            for key, value in values.items()
        }
    if isinstance(values, list):
        return [_expanded(each, variables, origins, file, name) for each in values]
    if not isinstance(values, str):
        return values

    def value_of(match: re.Match[str]) -> str:
        found = variables.get(match["name"], match["default"])
        if found is None:
            raise ConfigurationError(
                f"the environment variable {match['name']} is not set",
                found=f"{name}: {values} ({origins.get(name, file.name)})",
                expected=f"a value for {match['name']}",
                fix=f"export {match['name']}=..., or write ${{{match['name']}:-a default}}",
            )
        return found

    return _VARIABLE.sub(value_of, values)


def _from_environment(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield dotted names and the variables that say their values: two underscores stand for the dot."""
    for variable in sorted(variables):
        name = variable.removeprefix(_PREFIX).lower().replace("__", ".")
        if variable.startswith(_PREFIX) and name.partition(".")[0] in _KEYS:
            yield name, variable


def _put(values: dict[str, Any], parts: list[str], value: str) -> None:
    for part in parts[:-1]:
        inner = values.get(part)
        # A text stands for the path or the type of what it names; what is said of it stays.
        values[part] = dict(inner) if isinstance(inner, dict) else {} if inner is None else {_SHORT[part]: inner}
        values = values[part]
    values[parts[-1]] = value


_SHORT = {"registry": "path", "online_store": "type", "offline_store": "type"}
"""What a section means that is only a text."""


# ---- values ------------------------------------------------------------------------------------------------------


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = values.get(name)
    if value is None:
        return {}
    if isinstance(value, str):
        return {_SHORT[name]: value}
    if isinstance(value, Mapping):
        return value
    raise ConfigurationError(
        f"{name} cannot be used", found=repr(value), expected=f"a text, or keys such as {_SHORT[name]}"
    )


def _text(values: Mapping[str, Any], key: str, name: str, default: str) -> str:
    value = values.get(key, default)
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} cannot be used", found=repr(value), expected="a text")
    return value


def _project(values: Mapping[str, Any], file: Path | None) -> str:
    name = values.get("project")
    if not isinstance(name, str) or not _PROJECT.fullmatch(name):
        raise ConfigurationError(
            f"{file or 'the configuration'} names no project",
            found=repr(name),
            expected="letters, digits and underscores",
            fix="add a line such as 'project: taxi'",
        )
    return name


def _registry(values: Mapping[str, Any]) -> str | Mapping[str, Any] | None:
    section = _section(values, "registry")
    path = section.get("path", "")
    scheme = path.partition("://")[0].partition("+")[0] if isinstance(path, str) and "://" in path else ""
    ours = section.get("registry_type", "file") in {"file", "sql", "sqlite", "postgres", "postgresql"}
    if not isinstance(path, str) or (ours and scheme not in {"", "file", "sqlite", "postgres", "postgresql"}):
        raise ConfigurationError(
            "registry.path cannot be used",
            found=_without_password(path) if isinstance(path, str) else repr(path),
            expected="the path of a file, sqlite:///path or postgresql://user@host/database",
            fix="keep the registry in a file or in PostgreSQL: object stores have no atomic commit here",
        )
    return values.get("registry")


def _bytes(value: object) -> int:
    """Return a number of bytes: a number, or text such as ``"512MB"`` or ``"2GiB"``."""
    match = _SIZE.fullmatch(str(value).strip()) if isinstance(value, int | str) else None
    if match is None or isinstance(value, bool):
        raise ConfigurationError("memory_limit cannot be used", found=repr(value), expected="such as '512MB' or '2GiB'")
    factor = (1024 if match[3] else 1000) ** " KMGT".index(match[2].upper() or " ")
    return int(float(match[1]) * factor)


def _skew(values: Mapping[str, Any]) -> timedelta:
    value = values.get("max_clock_skew")
    try:
        return MAX_CLOCK_SKEW if value is None else to_duration(value)
    except ConfigurationError as error:
        raise ConfigurationError(
            "max_clock_skew cannot be used", found=repr(value), expected="a length of time such as '5m' or '30s'"
        ) from error


def _warn_of_unknown(values: Mapping[str, Any], origins: Mapping[str, str]) -> None:
    registry = values.get("registry")
    inner = registry if isinstance(registry, Mapping) else {}
    _warn([str(key) for key in values], _KEYS, origins)
    _warn([f"registry.{key}" for key in inner], [f"registry.{key}" for key in _REGISTRY_KEYS], origins)


def _warn(names: Iterable[str], known: Iterable[str], origins: Mapping[str, str]) -> None:
    for name in names:
        if name not in known:
            near = closest(name, known)
            hint = f"; did you mean {near!r}?" if near else ""
            place = origins.get(name, "argument")
            warnings.warn(f"{place}: the key {name!r} means nothing here{hint}", FeatureStoreWarning, stacklevel=5)


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None:
        return url
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{place}"))
