"""The class that users hold: the sides of a store as one."""

from __future__ import annotations

from featurestore.declare.collector import Collector, collected
from featurestore.instants import Clock, SystemClock
from featurestore.run.session import Session
from featurestore.settings import Config
from featurestore.store.retrieval import Retrieval

__all__ = ["FeatureStore"]


class FeatureStore(Retrieval):
    """A store over registered functions and declared views.

    The default one is ``featurestore.fs``; the functions of the module are its methods.

    Args:
        clock: where now comes from; the machine's clock by default.

    Attributes:
        config: what users change while they work, such as ``config.interactive``.
    """

    def __init__(self, *, clock: Clock | None = None, _collector: Collector | None = None) -> None:
        self.config = Config()
        self._session = Session(_collector if _collector is not None else collected, clock or SystemClock())

    def __repr__(self) -> str:
        return f"<FeatureStore of {len(self._session.collector)} features>"
