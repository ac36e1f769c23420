"""The fitted mixture behind what a user gives, and rows as that mixture reads them."""

from __future__ import annotations

from typing import Any

from bayesmix.errors import InvalidInputError
from bayesmix.protocols import Source
from bayesmix.selection.pipelines import last_step, steps_before
from bayesmix.workflow.result import FitResult


def fitted_mixture(model: Any, X: Any) -> tuple[Any, Any]:
    """The fitted estimator (of a search the best, of a pipeline the last), and rows as it has them.

    Of a pipeline the rows, where there are any, are transformed by the steps before the last.
    """
    best = getattr(model, "best_estimator_", model)
    estimator = last_step(best)
    if not isinstance(getattr(estimator, "result_", None), FitResult):
        raise InvalidInputError(
            "model must be a fitted mixture of bayesmix, a pipeline that ends in one, or a fitted "
            f"search, got {type(model).__name__}: call fit first"
        )
    estimator.result_.refuse_noise("this analysis")
    steps = steps_before(best)
    return estimator, X if steps is None or X is None else steps.transform(X)


def checked_rows(estimator: Any, X: Any, sample_weight: Any) -> Source:
    """Rows with as many columns as were fitted, and their weights; rows of weight 0 are no rows."""
    source: Source = estimator._rows(X, sample_weight)
    return source.present()


def seen_rows(estimator: Any, X: Any, sample_weight: Any) -> Source:
    """The same; of a fit with ``missing="use"`` they may have gaps."""
    source: Source = estimator._seen(X, sample_weight)
    return source.present()
