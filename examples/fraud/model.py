"""A small classifier, so that the example needs nothing but NumPy; take the library that you like instead."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Model:
    """A logistic regression over standardised columns; a value that is missing counts as the average."""

    features: list[str]
    mean: list[float]
    scale: list[float]
    weights: list[float]
    """One a feature, and the intercept."""

    @classmethod
    def fit(cls, features: list[str], rows: Floats, outcome: Floats, *, steps: int = 12, ridge: float = 1.0) -> Self:
        """Return the model of greatest likelihood, found by Newton's method."""
        mean = np.nanmean(rows, axis=0)
        scale = np.nanstd(rows, axis=0)
        scale[scale == 0] = 1.0
        design = _design(rows, mean, scale)
        weights = np.zeros(design.shape[1])
        penalty = ridge * np.eye(weights.size)
        for _ in range(steps):
            chance = _sigmoid(design @ weights)
            curvature = (design.T * (chance * (1 - chance))) @ design + penalty
            weights += np.linalg.solve(curvature, design.T @ (outcome - chance) - ridge * weights)
        return cls(features, mean.tolist(), scale.tolist(), weights.tolist())

    def predict(self, rows: Floats) -> Floats:
        """Return the chance of fraud of every row; columns in the order of `features`."""
        return _sigmoid(_design(rows, np.array(self.mean), np.array(self.scale)) @ np.array(self.weights))

    def save(self, path: Path) -> None:
        """Write the model as JSON, with the names of its features."""
        path.write_text(json.dumps(asdict(self), indent=2))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the model that `save` wrote."""
        return cls(**json.loads(path.read_text()))


def auc(outcome: Floats, score: Floats) -> float:
    """Return the chance that a fraud scores higher than a payment that is none; a tie counts half."""
    _, group, size = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(size) - (size - 1) / 2)[group]
    frauds = outcome.sum()
    return float((rank[outcome == 1].sum() - frauds * (frauds + 1) / 2) / (frauds * (outcome.size - frauds)))


def _design(rows: Floats, mean: Floats, scale: Floats) -> Floats:
    standard = np.nan_to_num((rows - mean) / scale)
    return np.hstack([standard, np.ones((len(rows), 1))])


def _sigmoid(logit: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
