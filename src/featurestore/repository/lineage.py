"""What depends on what: the features that a feature calls, and those that call it, all the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

__all__ = ["Edges", "Lineage", "lineage_of"]

Edges = Mapping[str, tuple[str, ...]]
"""Qualified names by qualified name."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """The place of one feature among the others.

    Attributes:
        feature: its qualified name.
        upstream: qualified names of all features that its values are made of, nearest first.
        downstream: qualified names of all features that are made of its values, nearest first.
    """

    feature: str
    upstream: tuple[str, ...]
    downstream: tuple[str, ...]
    calls: Edges
    """The direct calls among all these features."""

    def __repr__(self) -> str:
        above = list(_tree(self.feature, self.calls, "upstream"))
        below = list(_tree(self.feature, _reversed(self.calls), "downstream"))
        return "\n".join([self.feature, *above, *below])

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


def lineage_of(feature: str, calls: Edges) -> Lineage:
    """Return the lineage of ``feature`` in the graph of direct ``calls`` (caller to called).

    Example:
        >>> lineage_of("b", {"c": ("b",), "b": ("a",)})
        b
        upstream
        └── a
        downstream
        └── c
    """
    callers = _reversed(calls)
    upstream, downstream = _reach(feature, calls), _reach(feature, callers)
    members = {feature, *upstream, *downstream}
    among = {
        name: tuple(other for other in calls[name] if other in members)
        for name in sorted(members)
        if any(other in members for other in calls.get(name, ()))
    }
    return Lineage(feature, upstream, downstream, among)


def _reach(start: str, edges: Edges) -> tuple[str, ...]:
    """Return what can be reached from ``start``, breadth first."""
    found: dict[str, None] = {}
    level = [start]
    while level:
        level = [name for near in level for name in edges.get(near, ()) if name not in found and name != start]
        level = list(dict.fromkeys(level))
        found.update(dict.fromkeys(level))
    return tuple(found)


def _reversed(edges: Edges) -> dict[str, tuple[str, ...]]:
    callers: dict[str, list[str]] = {}
    for caller, called in edges.items():
        for name in called:
            callers.setdefault(name, []).append(caller)
    return {name: tuple(sorted(names)) for name, names in callers.items()}


def _tree(root: str, edges: Edges, title: str) -> Iterator[str]:
    if edges.get(root):
        yield title
        yield from _branches(root, edges, "", {root})


def _branches(name: str, edges: Edges, indent: str, shown: set[str]) -> Iterator[str]:
    """Yield a line for each branch below ``name``. What stands above already is not unfolded again."""
    children = edges.get(name, ())
    for child in children:
        last = child == children[-1]
        again = child in shown and bool(edges.get(child))
        yield f"{indent}{'└──' if last else '├──'} {child}{' (again)' if again else ''}"
        if not again:
            shown.add(child)
            yield from _branches(child, edges, indent + ("    " if last else "│   "), shown)
