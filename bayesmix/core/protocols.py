"""Estimators as criteria and folds see them: what fits, and what has a density."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from bayesmix.numerics.arrays import Array

# Data of the user: an array, a frame, a list or a source.
UserRows: TypeAlias = Any


# Parameters of an estimator by name.
Parameters: TypeAlias = dict[str, Any]


class Procedure(Protocol):
    """An estimator in scikit-learn's sense with a density: a mixture, pipeline or search."""

    @property
    def fit(self) -> Callable[..., object]:
        """Method ``fit(X, y=None, ...)``, which returns the estimator."""

    @property
    def score_samples(self) -> Callable[[UserRows], Array]:
        """Method that returns the log density (n,) in nats."""


class FittedMixture(Procedure, Protocol):
    """An estimator, or a pipeline that ends in one, whose density is a mixture."""

    @property
    def predict_proba(self) -> Callable[[UserRows], Array]:
        """Method that returns probabilities of the components (n, K)."""
