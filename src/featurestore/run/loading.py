"""A repository's Python files as modules: found by path, imported under the names that their author uses.

The folder of the repository is where imports start, as for a script that runs there: ``features/events.py`` is the
module ``features.events``, which is also the identity of the functions in it. A module that was imported before is used
as it is. Where another module has the name already (of a second repository, or of an installed package), the
repository's own takes its place while the repository is loaded, and gives it back afterwards. What
modules print meanwhile goes to the standard error: the standard output is for what was asked.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from featurestore.declare.collector import collected
from featurestore.declare.entity import Entity
from featurestore.declare.feature import Feature
from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.declare.source import FileSource, KafkaSource, PushSource, RedisStreamSource, RequestSource
from featurestore.declare.view import FeatureService, FeatureView
from featurestore.errors import FeatureStoreError, RegistrationError

__all__ = ["IGNORE_FILE", "Loaded", "load_modules", "load_repository", "python_files"]

IGNORE_FILE = ".feastignore"
"""Patterns of files that are not loaded, one a line, as Feast's repositories have them."""

_NEVER = ("setup.py", "conftest.py", "test_*.py", "*_test.py")
"""Files that do something else than declare features."""

_FOLDERS_NEVER = ("__pycache__", "node_modules", "site-packages", "tests")
_KINDS = (
    Entity,
    FeatureView,
    OnDemandFeatureView,
    FeatureService,
    Feature,
    FileSource,
    PushSource,
    KafkaSource,
    RedisStreamSource,
    RequestSource,
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the modules of a repository declare, each object once, in the order of files and lines."""

    objects: tuple[object, ...]
    files: tuple[Path, ...]


@dataclass(slots=True)
class _Load:
    """One repository as it was loaded last."""

    stamps: dict[Path, tuple[int, int]]
    modules: dict[str, ModuleType] = field(default_factory=dict)
    """Those that loading imported, by name; not those that were there before."""
    loaded: Loaded | None = None


_loads: dict[Path, _Load] = {}
_lock = threading.RLock()


def load_repository(folder: Path) -> Loaded:
    """Import the modules of the repository at ``folder`` and return what they declare.

    Every Python file counts, also in folders below, except tests, ``setup.py``, hidden folders, virtual environments
    and what ``.feastignore`` names. Files that changed since they were loaded are loaded anew.

    Raises:
        RegistrationError: a file that cannot be imported (says file and line), or one named like a module of Python.
    """
    home = folder.expanduser().resolve()
    files = python_files(home)
    stamps = {file: _stamp(file) for file in files}
    with _lock:
        last = _loads.get(home)
        if last is not None and last.stamps == stamps and last.loaded is not None:
            return last.loaded
        if last is not None:
            _forget(last)
        load = _Load(stamps)
        load.loaded = _loaded(home, files, load)
        _loads[home] = load
        return load.loaded


def load_modules(folder: Path, names: Iterable[str]) -> Loaded:
    """Import those modules of ``names`` that the repository at ``folder`` has, and return what they declare.

    Raises:
        RegistrationError: a file that cannot be imported; says file and line.
    """
    home = folder.expanduser().resolve()
    found = (_file_of(name, home) for name in dict.fromkeys(names))
    with _lock:
        return _loaded(home, tuple(file for file in found if file is not None), _Load({}))


def _file_of(name: str, home: Path) -> Path | None:
    place = home.joinpath(*name.split("."))
    files = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def python_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of a repository that are loaded, by path."""
    patterns = _patterns(folder)
    return tuple(sorted(_below(folder, folder, patterns)))


# ---- finding files -----------------------------------------------------------------------------------------------


def _below(folder: Path, home: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") or _is_ignored(path.relative_to(home).as_posix(), patterns):
            continue
        if path.is_dir():
            if path.name not in _FOLDERS_NEVER and not (path / "pyvenv.cfg").exists():
                yield from _below(path, home, patterns)
        elif path.suffix == ".py" and not any(fnmatch(path.name, pattern) for pattern in _NEVER):
            yield path


def _patterns(folder: Path) -> tuple[str, ...]:
    file = folder / IGNORE_FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    said = (line.partition("#")[0].strip().removeprefix("./").rstrip("/") for line in lines)
    return tuple(pattern for pattern in said if pattern)


def _is_ignored(path: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a pattern means a path. ``**/`` stands for any folders, also none."""
    return any(
        fnmatch(path, pattern) or (pattern.startswith("**/") and fnmatch(path, pattern[3:])) for pattern in patterns
    )


def _stamp(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_mtime_ns, found.st_size


# ---- importing ---------------------------------------------------------------------------------------------------


def _loaded(home: Path, files: tuple[Path, ...], load: _Load) -> Loaded:
    names = {_module_name(file, home): file for file in files}
    _refuse_names_of_python(names)
    with _importable(home, names, load), collected.isolated(), redirect_stdout(sys.stderr):
        modules = [_import(name, file, home) for name, file in names.items()]
        made, sources = tuple(collected), tuple(collected.sources.values())
    _hand_over(made, sources)
    own = {str(file) for file in files}
    features = [each for each in (*collected, *made) if _is_of(each, own)]
    objects = {id(each): each for each in (*_declared(modules), *features, *sources)}
    return Loaded(tuple(objects.values()), files)


def _module_name(file: Path, home: Path) -> str:
    parts = file.relative_to(home).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _refuse_names_of_python(names: dict[str, Path]) -> None:
    for name, file in names.items():
        if name.partition(".")[0] in sys.stdlib_module_names:
            raise RegistrationError(
                f"{file} hides a module of Python's own",
                found=name,
                expected="a name that Python has no module of",
                fix=f"rename it, or list it in {IGNORE_FILE}",
            )


@contextmanager
def _importable(home: Path, names: Iterable[str], load: _Load) -> Iterator[None]:
    """Let imports start in ``home``. After a failure all is as before; after success modules can still be imported."""
    tops = {name.partition(".")[0] for name in names}
    taken = {top for top in tops if _is_elsewhere(top, home)}
    before = dict(sys.modules)
    for name in before:
        if name.partition(".")[0] in taken:
            del sys.modules[name]
    sys.path.insert(0, str(home))
    importlib.invalidate_caches()
    sys.modules.update({top: _namespace(top, home) for top in taken if _is_namespace(home / top)})
    done = False
    try:
        yield
        done = True
    finally:
        sys.path.remove(str(home))
        new = {name: module for name, module in sys.modules.items() if before.get(name) is not module}
        own = {name: each for name, each in new.items() if name.partition(".")[0] in tops and _is_below(each, home)}
        for name in own:
            if not done or name.partition(".")[0] in taken:
                del sys.modules[name]
        sys.modules.update({name: module for name, module in before.items() if name.partition(".")[0] in taken})
    load.modules = own
    if str(home) not in sys.path:  # At the end, where it hides nothing: functions may import when they run.
        sys.path.append(str(home))


def _is_namespace(folder: Path) -> bool:
    return folder.is_dir() and not (folder / "__init__.py").exists()


def _namespace(top: str, home: Path) -> ModuleType:
    """Return the package of a folder without ``__init__.py``, which Python would pass over for one that has it."""
    spec = ModuleSpec(top, None, is_package=True)
    spec.submodule_search_locations = [str(home / top)]
    return importlib.util.module_from_spec(spec)


def _is_elsewhere(top: str, home: Path) -> bool:
    """Tell whether the name of a module means one outside the repository."""
    module = sys.modules.get(top)
    if module is not None:
        return not _is_below(module, home)
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    return not any(Path(place).resolve().is_relative_to(home) for place in places)


def _is_below(module: ModuleType, home: Path) -> bool:
    file = getattr(module, "__file__", None)
    places = [file] if file else list(getattr(module, "__path__", ()))
    return any(Path(place).resolve().is_relative_to(home) for place in places)


def _import(name: str, file: Path, home: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except FeatureStoreError as error:
        error.add_note(f"in {_place(error, file, home)}")
        raise
    except (Exception, SystemExit) as error:  # The user's code may raise anything.
        raise RegistrationError(
            f"{file} cannot be imported",
            found=f"{type(error).__name__} in {_place(error, file, home)}: {error}",
            expected="a module that only declares, and can be imported",
            fix=f"mend that line; or list the file in {home / IGNORE_FILE} if it declares no features",
        ) from error


def _place(error: BaseException, file: Path, home: Path) -> str:
    """Return the file and line of the repository where an error came from."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename.startswith(str(home))]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(file)


# ---- collecting --------------------------------------------------------------------------------------------------


def _declared(modules: Iterable[ModuleType]) -> Iterator[object]:
    for module in modules:
        yield from (value for value in tuple(vars(module).values()) if isinstance(value, _KINDS))


def _hand_over(features: Iterable[Feature[..., Any]], sources: Iterable[FileSource]) -> None:
    """Let the default store know what was declared; of two repositories that use one name, the first stays."""
    for feature in features:
        known = collected.get(feature.qualified_name)
        if known is None or known.declaration.file == feature.declaration.file:
            collected.add(feature, replace=True)
    for source in sources:
        collected.sources.setdefault(source.name, source)


def _is_of(feature: Feature[..., Any], files: set[str]) -> bool:
    return str(Path(feature.declaration.file).resolve()) in files


def _forget(load: _Load) -> None:
    """Undo a load: its modules, and the features in them, are made anew."""
    files = {str(file) for file in load.stamps}
    for name, module in load.modules.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]
    gone = {str(getattr(module, "__file__", "")) for module in load.modules.values()} & files
    for feature in tuple(collected):
        if _is_of(feature, gone):
            collected.remove(feature.qualified_name)
