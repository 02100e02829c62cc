"""One value and all that it is made of, as a value that prints itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from featurestore.errors import VerificationError
from featurestore.verification.report import shown

__all__ = ["ExplainedEvent", "Explanation"]


@dataclass(frozen=True, slots=True)
class ExplainedEvent:
    """A row of a source, and whether it counts."""

    values: Mapping[str, Any]
    """Keys, times, and the columns that the feature is made of."""
    counted: bool
    why: str
    """What it is in the value, or why it is not in it."""

    def __str__(self) -> str:
        values = ", ".join(f"{name}={shown(value)}" for name, value in self.values.items())
        return f"{values}  ({self.why})"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a feature is what it is, of one entity at one time; see `FeatureStore.explain_value`."""

    feature: str
    """Such as ``view:feature``."""
    kind: str
    keys: Mapping[str, Any]
    """What it was asked for: join keys, and fields of the request."""
    at: datetime
    value: Any
    """Computed from the events below, by the slow reference."""
    answered: Any
    """What training answers with the project's engine. Where the two differ, `ok` is false."""
    ok: bool
    status: str
    arithmetic: tuple[str, ...]
    """How the value comes of the events or inputs."""
    events: tuple[ExplainedEvent, ...]
    """The rows that count, in their order."""
    others: tuple[ExplainedEvent, ...]
    """Some of the rows that do not."""
    left_out: Mapping[str, int]
    """How many rows of the entity do not count, by reason."""
    source: str
    """Where the rows are."""
    code: str
    """The function, and where it is; nothing where no code is involved."""
    fingerprint: str
    """Of its code, now."""
    registered: str
    """Of its code, when it was applied; nothing where it was not."""
    inputs: tuple[Explanation, ...] = ()
    """What it is computed with, explained."""

    def raise_if_different(self) -> None:
        """Raise where training answers another value than that of the events.

        Raises:
            VerificationError: shows both.
        """
        if not self.ok:
            raise VerificationError(
                f"{self.feature} is another value in training than its events make",
                found=f"{self.answered!r} in training",
                expected=f"{self.value!r}: {'; '.join(self.arithmetic)}",
                fix="featurestore verify shows the smallest case; please report it",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "feature": self.feature,
            "kind": self.kind,
            "keys": dict(self.keys),
            "at": self.at,
            "value": self.value,
            "answered": self.answered,
            "ok": self.ok,
            "status": self.status,
            "arithmetic": list(self.arithmetic),
            "events": [{"values": dict(one.values), "why": one.why} for one in self.events],
            "others": [{"values": dict(one.values), "why": one.why} for one in self.others],
            "left_out": dict(self.left_out),
            "source": self.source,
            "code": self.code,
            "fingerprint": self.fingerprint,
            "registered": self.registered,
            "inputs": [one.to_dict() for one in self.inputs],
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def _lines(self) -> Iterator[str]:
        keys = ", ".join(f"{name}={shown(value)}" for name, value in self.keys.items())
        yield f"{self.feature} [{self.kind}] of {keys or 'everything'} at {self.at.isoformat()}"
        if not self.ok:
            yield f"  DIFFERS      training answers {shown(self.answered)}: see featurestore verify"
        yield f"  value        {shown(self.value)}  ({self.status})"
        yield from (
            f"  {'arithmetic' if number == 0 else '':<12} {line}" for number, line in enumerate(self.arithmetic)
        )
        yield from (f"  {'counted' if number == 0 else '':<12} {one}" for number, one in enumerate(self.events))
        yield from (f"  {'not counted' if number == 0 else '':<12} {one}" for number, one in enumerate(self.others))
        if sum(self.left_out.values()) > len(self.others):
            yield f"  left out     {', '.join(f'{why} ({count:,})' for why, count in self.left_out.items())}"
        if self.source:
            yield f"  source       {self.source}"
        if self.code:
            yield f"  code         {self.code}"
            yield f"  fingerprint  {self.fingerprint}  ({self._state})"
        for one in self.inputs:
            yield from (f"    {line}" for line in str(one).splitlines())

    @property
    def _state(self) -> str:
        if not self.registered:
            return "not applied"
        return "as applied" if self.registered == self.fingerprint else "CHANGED since applied"
