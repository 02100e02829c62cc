"""The point-in-time join as SQL for DuckDB: which row, and what it carries, for each label.

Every relation has normal columns: keys ``k0``, ``k1``..., ``event``, and as far as there are such ``created``,
``available``, and ``t0``, ``t1``... that sort in the canonical order; and ``p0``, ``p1``..., which are carried along.
Times are integers. No name of a user's column gets here, so there is nothing to quote.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Relation", "selection"]


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows as a SELECT of normal columns."""

    select: str
    keys: int
    tie_columns: int
    carried: int
    created: bool
    available: bool

    @property
    def key_names(self) -> list[str]:
        """The key columns."""
        return [f"k{index}" for index in range(self.keys)]

    @property
    def order(self) -> list[str]:
        """What orders rows of equal key and event timestamp."""
        return [*(["created"] if self.created else []), *(f"t{index}" for index in range(self.tie_columns))]

    @property
    def carried_names(self) -> list[str]:
        """The columns that are carried along."""
        return [f"p{index}" for index in range(self.carried)]


def selection(relation: Relation) -> str:
    """Return the query for ``label, found, event, p0, ...`` over ``labels(label, at, k0, ...)``, in label order."""
    return _late(relation) if relation.available else _prompt(relation)


def _prompt(relation: Relation) -> str:
    """Find the time of each label's row by keys and times alone; fetch, and put in order, only rows of such times."""
    group = [*relation.key_names, "event"]
    greatest = _window([f"source.{name}" for name in group], [f"{name} DESC NULLS LAST" for name in relation.order])
    label_keys = "".join(f"labels.{key} AS {key}, " for key in relation.key_names)
    return f"""
        WITH times AS (
            SELECT {", ".join(group)} FROM ({relation.select})
        ), placed AS MATERIALIZED (
            SELECT labels.label, {label_keys}times.event FROM {_asof(relation, "times", "event")}
        ), wanted AS (
            SELECT DISTINCT {", ".join(group)} FROM placed WHERE event IS NOT NULL
        ), best AS (
            SELECT source.* FROM ({relation.select}) source JOIN wanted ON {_equal(group, "source", "wanted")}
            QUALIFY row_number() OVER {greatest} = 1
        )
        SELECT {_answer(relation, "best", label="placed")}
        FROM placed LEFT JOIN best ON {_equal(group, "placed", "best")} ORDER BY placed.label
    """


def _equal(names: list[str], left: str, right: str) -> str:
    return " AND ".join(f"{left}.{name} = {right}.{name}" for name in names)


def _late(relation: Relation) -> str:
    """Rank the rows of a key; at each time at which one becomes visible, the greatest rank so far counts."""
    keys = relation.key_names
    ranking = _window(keys, ["event", *(f"{name} NULLS FIRST" for name in relation.order)])
    so_far = _window(keys, ["visible", "rank"], frame="ROWS UNBOUNDED PRECEDING")
    group = ", ".join([*keys, "visible"])
    back = " AND ".join(["placed.rank = ranked.rank", *(f"labels_{key} = ranked.{key}" for key in keys)])
    label_keys = "".join(f", labels.{key} AS labels_{key}" for key in keys)
    return f"""
        WITH ranked AS MATERIALIZED (
            SELECT *, greatest(event, available) AS visible, row_number() OVER {ranking} AS rank
            FROM ({relation.select}) WHERE available IS NOT NULL
        ), running AS (
            SELECT {group}, max(rank) OVER {so_far} AS rank FROM ranked
        ), newest AS (
            SELECT {group}, max(rank) AS rank FROM running GROUP BY {group}
        ), placed AS (
            SELECT labels.label, newest.rank{label_keys} FROM {_asof(relation, "newest", "visible")}
        )
        SELECT {_answer(relation, "ranked", label="placed")} FROM placed LEFT JOIN ranked ON {back} ORDER BY label
    """


def _asof(relation: Relation, right: str, time: str) -> str:
    equal = [f"labels.{key} = {right}.{key}" for key in relation.key_names]
    return f"labels ASOF LEFT JOIN {right} ON {' AND '.join([*equal, f'labels.at >= {right}.{time}'])}"


def _answer(relation: Relation, right: str, *, label: str) -> str:
    carried = [f"{right}.{name}" for name in relation.carried_names]
    found = f"{right}.event IS NOT NULL AS found"
    return ", ".join([f"{label}.label AS label", found, f"{right}.event AS event", *carried])


def _window(partition: list[str], order: list[str], *, frame: str = "") -> str:
    by = f"PARTITION BY {', '.join(partition)} " if partition else ""
    ordered = f"ORDER BY {', '.join(order)} " if order else ""
    return f"({by}{ordered}{frame})"
