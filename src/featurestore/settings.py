"""Settings of a store that users change while they work."""

from __future__ import annotations

from dataclasses import dataclass, fields

from featurestore.errors import UnknownNameError

__all__ = ["Config"]


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
