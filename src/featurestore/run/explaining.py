"""The plan of a training dataset, told, and what of it is known before it runs."""

from __future__ import annotations

from featurestore.engines.base import Engine
from featurestore.engines.survey import survey
from featurestore.planning import explain as planned
from featurestore.planning.retrieval import Retrieval
from featurestore.planning.training import TrainingPlan

__all__ = ["explain", "label_range", "labels_at_once"]

_VALUE = 16
"""Bytes that a value of the answer is taken to need."""
_SLICES = 8
"""Parts of the memory allowed, of which the answer may take one."""


def label_range(plan: TrainingPlan) -> tuple[int, int] | None:
    """Return the earliest and latest time among the labels in UTC microseconds; ``None`` if none has one."""
    known = survey(plan.labels, plan.timestamp, ())
    return None if known.earliest is None or known.latest is None else (known.earliest, known.latest)


def labels_at_once(plan: TrainingPlan) -> int:
    """Return how many labels may be answered at once so that the answer takes a small part of the memory allowed."""
    if plan.memory_limit is None:
        return max(plan.labels.height, 1)
    width = _VALUE * (len(plan.labels.columns) + len(plan.outputs))
    return max(plan.memory_limit // (_SLICES * width), 1000)


def explain(plan: TrainingPlan, engine: Engine, retrieval: Retrieval) -> str:
    """Return what ``engine`` will do, in the order in which it is done."""
    within = engine.within_memory(plan) if plan.partitions > 1 else ""
    return planned.explain(plan, engine=engine.name, within_memory=within, steps=retrieval.computing.steps)
