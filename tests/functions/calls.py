"""A count of calls that is no plain data: a list in its place would count as the code of the feature that fills it."""

from __future__ import annotations

import threading
from typing import Any

from featurestore import FeatureStore


class Calls:
    """How often a feature's function ran."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.number = 0

    def note(self) -> int:
        """Count one, and return how many there were."""
        with self._lock:
            self.number += 1
            return self.number


def counted(fs: FeatureStore, name: str = "tests.f") -> tuple[Any, Calls]:
    """Register a feature of two parameters that counts how often it runs."""
    calls = Calls()

    def f(when: Any, app: str = "myapp") -> dict[int, str]:
        calls.note()
        return {1: f"{app} {when}"}

    return fs.register_feature(name=name, entity="id")(f), calls
