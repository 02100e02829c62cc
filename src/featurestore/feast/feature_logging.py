"""Feast's settings of logging what was served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from featurestore.feast.infra.offline_stores.file_source import FileLoggingDestination

__all__ = ["FileLoggingDestination", "LoggingConfig"]


@dataclass(frozen=True, slots=True)
class LoggingConfig:
    """How served features would be logged. It can be written down; a service warns that nothing is logged."""

    destination: Any
    sample_rate: float = 1.0
