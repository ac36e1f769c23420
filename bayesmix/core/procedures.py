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


def last_step(model: Any) -> Any:
    """Return the mixture: an estimator itself, or the last step of a pipeline."""
    return model.steps[-1][1] if hasattr(model, "steps") else model


def takes_sequences(model: Any) -> bool:
    """Whether the order of samples matters to a model, or to the model of a search."""
    return noun_of(model) == "state"


def noun_of(model: Any) -> str:
    """Return what a component of a model, or of a search, is called: a state in sequences."""
    return getattr(last_step(getattr(model, "estimator", model)), "noun", "component")


class FittedMixture(Procedure, Protocol):
    """An estimator, or a pipeline that ends in one, whose density is a mixture."""

    @property
    def predict_proba(self) -> Callable[[UserRows], Array]:
        """Method that returns probabilities of the components (n, K)."""
