"""The fitted mixture behind what a user gives, and rows as that mixture reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from bayesmix.errors import InvalidInputError
from bayesmix.selection.folds import last_step
from bayesmix.sources import ArraySource
from bayesmix.workflow.result import FitResult


def fitted_mixture(model: Any, X: Any) -> tuple[Any, Any]:
    """The fitted estimator (of a search the best, of a pipeline the last), and rows as it has them.

    Of a pipeline the rows are transformed by the steps before the last.
    """
    best = getattr(model, "best_estimator_", model)
    estimator = last_step(best)
    if not isinstance(getattr(estimator, "result_", None), FitResult):
        raise InvalidInputError(
            "model must be a fitted mixture of bayesmix, a pipeline that ends in one, or a fitted "
            f"search, got {type(model).__name__}: call fit first"
        )
    for _, step in getattr(best, "steps", ())[:-1]:
        if step is not None and step != "passthrough":
            X = step.transform(X)
    return estimator, X


def checked_rows(estimator: Any, X: Any, sample_weight: Any) -> ArraySource:
    """Rows with as many columns as were fitted, and their weights; rows of weight 0 are no rows."""
    if isinstance(X, ArraySource):
        if sample_weight is not None or X.shape[1] != estimator.n_features_in_:
            estimator.score(X, sample_weight=sample_weight)
        source = X
    else:
        try:
            values = validate_data(estimator, X, reset=False, dtype=[np.float64, np.float32])
            source = ArraySource(values, _weights(sample_weight, len(values)), estimator.n_jobs)
        except (TypeError, ValueError):
            # It refuses the same rows and weights, in the words of this package.
            estimator.score(X, sample_weight=sample_weight)
            raise
    if source.weights is not None and not source.weights.all():
        source = source.subset(np.flatnonzero(source.weights))
    return source


def _weights(sample_weight: Any, n_rows: int) -> Any:
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight, dtype=np.float64)
    fine = weights.shape == (n_rows,) and bool(np.isfinite(weights).all() and (weights >= 0).all())
    if not (fine and weights.any()):
        raise InvalidInputError(
            f"sample_weight must be {n_rows} numbers of at least 0, not all of them 0"
        )
    return weights
