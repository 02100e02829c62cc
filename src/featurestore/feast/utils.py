"""What code written for Feast imports from its module of this name, which is why ours has it."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["make_tzaware"]


def _utc_now() -> datetime:
    """Return the time now, in UTC."""
    return datetime.now(UTC)


def make_tzaware(t: datetime) -> datetime:
    """Return ``t`` with a time zone: UTC where it has none.

    Example:
        >>> make_tzaware(datetime(2024, 5, 1)).isoformat()
        '2024-05-01T00:00:00+00:00'
    """
    return t.replace(tzinfo=UTC) if t.tzinfo is None else t
