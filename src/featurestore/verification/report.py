"""What a verification found, as values that print themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from html import escape
from typing import Any

from featurestore.errors import FeatureStoreError, VerificationError

__all__ = ["Difference", "Event", "Raised", "Verification", "ViewVerification", "bare", "shown"]

_SHOWN_EVENTS = 8
"""Events of a difference that are printed; `to_dict` has all."""


@dataclass(frozen=True, slots=True)
class Raised:
    """In the place of a value: the error that came instead."""

    error: str

    @classmethod
    def by(cls, error: BaseException) -> Raised:
        """Return what stands for ``error``: its class and first line, and of ours what was found."""
        found = f": {error.found}" if isinstance(error, FeatureStoreError) and error.found else ""
        return cls(f"{type(error).__name__}: {error}".partition("\n")[0] + found.partition("\n")[0])

    def __repr__(self) -> str:
        return f"<raised {self.error}>"


@dataclass(frozen=True, slots=True)
class Event:
    """A row of a source that a difference needs."""

    view: str
    values: Mapping[str, Any]
    """Keys, times, and the columns that the feature is made of."""
    brought: str = ""
    """How it came online: pushed or materialized, and when."""

    def __str__(self) -> str:
        values = ", ".join(f"{name}={shown(value)}" for name, value in self.values.items())
        return f"{values}{f'  ({self.brought})' if self.brought else ''}"


@dataclass(frozen=True, slots=True)
class Difference:
    """One feature of one label whose value depends on who computes it, with the fewest events for which it does."""

    view: str
    feature: str
    label: Mapping[str, Any]
    """Keys, fields of the request, and ``event_timestamp``."""
    expected: Any
    """What the slow reference says."""
    answers: Mapping[str, Any]
    """What each path says: the engines by name, and ``online``."""
    events: tuple[Event, ...]
    labels: int
    """How many of the labels were drawn for which it differs in these paths."""
    paths: tuple[str, ...]
    """Those that do not say what is expected."""

    def __str__(self) -> str:
        label = ", ".join(f"{name}={shown(value)}" for name, value in self.label.items())
        where = f"in {', '.join(self.paths)} for {self.labels} labels"
        lines = [
            f"{self.view}:{self.feature} differs {where}; the smallest case:",
            f"  label     {label}",
            *(f"  event     {event}" for event in self.events[:_SHOWN_EVENTS]),
            *([f"  ... and {len(self.events) - _SHOWN_EVENTS} events more"] * (len(self.events) > _SHOWN_EVENTS)),
            *(["  event     none"] * (not self.events)),
            f"  expected  {shown(self.expected)}",
            *(f"  {path:<9} {shown(value)}" for path, value in self.answers.items()),
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "view": self.view,
            "feature": self.feature,
            "label": dict(self.label),
            "expected": _plain(self.expected),
            "answers": {path: _plain(value) for path, value in self.answers.items()},
            "events": [{"view": one.view, "values": dict(one.values), "brought": one.brought} for one in self.events],
            "labels": self.labels,
            "paths": list(self.paths),
        }


@dataclass(frozen=True, slots=True)
class ViewVerification:
    """What was looked at of one view or computed feature, and what differs."""

    view: str
    kind: str
    labels: int = 0
    events: int = 0
    """Rows of its sources that were brought."""
    keys: int = 0
    """Entities that these are about."""
    values: int = 0
    """Values that were held against the reference, statuses and event timestamps included."""
    paths: tuple[str, ...] = ()
    sampled: bool = False
    """Whether the sources have more rows than were looked at."""
    skipped: str = ""
    """Why nothing, or not everything, could be looked at."""
    seconds: float = 0.0
    differences: tuple[Difference, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def __str__(self) -> str:
        if not self.paths:
            return f"{self.view} [{self.kind}]: not verified: {self.skipped}"
        sample = " (a sample)" if self.sampled else ""
        found = "equal" if self.ok else f"{len(self.differences)} features differ"
        note = f"; {self.skipped}" if self.skipped else ""
        return (
            f"{self.view} [{self.kind}]: {found}: {self.values:,} values of {self.labels:,} labels over "
            f"{self.events:,} events of {self.keys:,} keys{sample}, {', '.join(self.paths)}{note}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "view": self.view,
            "kind": self.kind,
            "ok": self.ok,
            "labels": self.labels,
            "events": self.events,
            "keys": self.keys,
            "values": self.values,
            "paths": list(self.paths),
            "sampled": self.sampled,
            "skipped": self.skipped,
            "seconds": self.seconds,
            "differences": [each.to_dict() for each in self.differences],
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found; see `FeatureStore.verify`. Prints as a summary, in notebooks as a table."""

    at: datetime
    seed: int
    """Draws the same labels and the same replay again."""
    views: tuple[ViewVerification, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing differs in what was looked at."""
        return all(each.ok for each in self.views)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """All that differs."""
        return tuple(one for each in self.views for one in each.differences)

    def raise_if_different(self) -> None:
        """Raise where anything differs.

        Raises:
            VerificationError: names the views, and shows the first case.
        """
        if self.ok:
            return
        views = ", ".join(each.view for each in self.views if not each.ok)
        raise VerificationError(
            f"values of {views} depend on who computes them",
            found=str(self.differences[0]),
            expected="the value of the slow reference in every engine and online, to the last bit",
            fix=f"featurestore verify --seed {self.seed} shows all cases; a function must depend on its own row only, "
            "and else this is a bug of featurestore: please report the case",
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        views = [each.to_dict() for each in self.views]
        return {"ok": self.ok, "at": self.at, "seed": self.seed, "views": views}

    def __str__(self) -> str:
        return "\n".join([*map(str, self.views), *(f"\n{each}" for each in self.differences)]) or "nothing to verify"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='text-align:left'>{name}</th>" for name in _COLUMNS)
        rows = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in cells) + "</tr>"
            for cells in self._rows()
        )
        cases = "".join(f"<pre>{escape(str(each))}</pre>" for each in self.differences)
        return f"<table><tr>{head}</tr>{rows}</table>{cases}"

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for each in self.views:
            found = "equal" if each.ok and each.paths else "not verified" if each.ok else "differs"
            counts = (f"{each.values:,}", f"{each.labels:,}", f"{each.events:,}", f"{each.keys:,}")
            yield (each.view, each.kind, found, *counts, ", ".join(each.paths), each.skipped)


_COLUMNS = ("view", "kind", "found", "values", "labels", "events", "keys", "paths", "note")


def shown(value: Any) -> str:
    """Return a value as text; times and days in ISO 8601."""
    return value.isoformat() if isinstance(value, date) else repr(value)


def _plain(value: Any) -> Any:
    return repr(value) if isinstance(value, Raised) else value


def bare(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a row under the names that a user knows: the time of an as-of result is its ``when``."""
    return {name.removeprefix("__fs_"): value for name, value in values.items()}
