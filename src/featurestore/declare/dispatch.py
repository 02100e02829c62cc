"""Where a call of a registered function goes: to the store that is active.

Declarations know no store. They know this small contract, and the store that is active fills it: a context variable
holds it, and the default store stands in where nothing was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from featurestore.declare.feature import Feature

__all__ = ["Dispatcher", "active", "current", "install"]


class Dispatcher(Protocol):
    """What a store does for declarations and materializers."""

    def call(self, feature: Feature[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Answer a call of ``feature``: from a store where a materializer has it, else by running it."""
        ...

    def answer(
        self, materializer: Any, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Answer a call of ``function`` from ``materializer``, running the function where nothing fresh is stored."""
        ...

    def store_result(self, materializer: Any, feature: Any, params: Mapping[str, Any], *, force: bool) -> Any:
        """Compute ``feature`` with ``params``, past its own cache, and store the result in ``materializer``."""
        ...

    def materialize_range(self, materializer: Any, feature: Any, params: Mapping[str, Any], *, progress: bool) -> Any:
        """Materialize every point of the grids among ``params`` that has no fresh result yet."""
        ...

    def scan(self, materializer: Any, feature: Any, params: Mapping[str, Any]) -> Any:
        """Return the stored result as a Polars LazyFrame."""
        ...

    def resolve(self, feature: Any) -> Feature[..., Any]:
        """Return the feature that a function or a name means."""
        ...

    def dependencies(self, feature: Any) -> tuple[str, ...]:
        """Return the qualified names of the features that ``feature`` calls directly."""
        ...

    def is_fresh(self, materialization: Any) -> bool:
        """Tell whether the feature's code is still the code that made ``materialization``."""
        ...


active: ContextVar[Dispatcher | None] = ContextVar("featurestore_active_store", default=None)
_default: list[Callable[[], Dispatcher]] = []


def install(default: Callable[[], Dispatcher]) -> None:
    """Let ``default`` give the store that answers where none was made active."""
    _default[:] = [default]


def current() -> Dispatcher:
    """Return the active store, else the default one."""
    return active.get() or _default[0]()
