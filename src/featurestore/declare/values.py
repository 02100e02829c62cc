"""What values a feature may have: said once where it is declared, checked later as a quality rule."""

from __future__ import annotations

from dataclasses import dataclass

from featurestore.errors import RegistrationError

__all__ = ["Categorical", "Numeric", "ValueType"]


@dataclass(frozen=True, slots=True)
class Numeric:
    """A number between ``min`` and ``max``, both included; ``None`` leaves a side open.

    Example:
        >>> Numeric(min=0, max=120)
        Numeric(min=0, max=120)
    """

    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise RegistrationError(
                "a numeric value type allows nothing", found=f"min {self.min}, max {self.max}", expected="min <= max"
            )


@dataclass(frozen=True, slots=True, init=False)
class Categorical:
    """One of the given ``categories``.

    Example:
        >>> Categorical(["web", "shop"])
        Categorical(categories=('web', 'shop'))
    """

    categories: tuple[str, ...]

    def __init__(self, categories: list[str] | tuple[str, ...]) -> None:
        object.__setattr__(self, "categories", tuple(categories))


ValueType = Numeric | Categorical
