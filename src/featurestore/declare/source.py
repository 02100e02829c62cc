"""Where data comes from: files, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from featurestore.errors import RegistrationError

__all__ = ["FileSource"]

_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".ndjson": "json",
    ".jsonl": "json",
}


@dataclass(frozen=True, slots=True)
class FileSource:
    """Files of one table: a path, or a glob of paths, under a name that SQL features can use.

    Example:
        >>> FileSource("data/events.parquet").name
        'events'
    """

    path: str
    name: str = ""
    description: str = ""
    owner: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        path = PurePath(self.path)
        object.__setattr__(self, "path", str(self.path))
        object.__setattr__(self, "name", self.name or path.stem)
        if path.suffix.lower() not in _FORMATS:
            raise RegistrationError(
                f"source {self.name!r} has files of an unknown format",
                found=repr(self.path),
                expected=f"a name ending in {', '.join(_FORMATS)}",
            )

    @property
    def format(self) -> str:
        """``parquet``, ``csv`` or ``json``, by the ending of the path."""
        return _FORMATS[PurePath(self.path).suffix.lower()]
