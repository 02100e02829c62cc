"""Small projects of users, written to files and run, with a stand-in for a registered feature."""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from featurestore.repository.fingerprint import Fingerprint, Fingerprints
from featurestore.repository.source import Sources


class Feature:
    def __init__(self, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.qualified_name = f"features.{fn.__name__}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.fn(*args, **kwargs)


def register_feature(fn: Callable[..., Any] | None = None, **options: Any) -> Any:
    return Feature if fn is None else Feature(fn)


def is_feature(value: object) -> TypeGuard[Feature]:
    return isinstance(value, Feature)


def fingerprints() -> Fingerprints[Feature]:
    return Fingerprints(is_feature, Sources())


class Project:
    """A folder of modules, each of which is run when it is asked for."""

    _numbers = itertools.count()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known = fingerprints()

    def write(self, text: str, name: str | None = None) -> Path:
        file = self.folder / f"{name or f'module_{next(self._numbers)}'}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def run(self, text: str, name: str | None = None) -> ModuleType:
        file = self.write(text, name)
        module = ModuleType(file.stem)
        vars(module).update(__file__=str(file), register_feature=register_feature)
        sys.modules[file.stem] = module
        exec(compile(text, str(file), "exec", dont_inherit=True), vars(module))
        return module

    def fingerprint(self, text: str) -> Fingerprint[Feature]:
        return fingerprints().of(self.feature(text))

    def feature(self, text: str) -> Feature:
        module = self.run(text)
        value = vars(module)["f"]
        return value if isinstance(value, Feature) else Feature(value)

    def digest(self, text: str) -> str:
        return self.fingerprint(text).digest
