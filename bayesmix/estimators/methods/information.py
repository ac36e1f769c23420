"""Information criteria of estimators, of the rows of the fit or of others."""

from __future__ import annotations

from typing import Any

from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.parallel import single_threaded_blas
from bayesmix.workflow.result import assess


def information(estimator: Any, criterion: Any, X: Any, sample_weight: Any) -> float:
    """-2 times a criterion in nats: scikit-learn's sign. None for X: of the fit itself."""
    result = estimator._fitted()
    if X is None:
        if result.n_rows == 0:
            raise InvalidInputError("this mixture was not fitted to rows: give X")
        if sample_weight is not None:
            raise InvalidInputError("sample_weight belongs to rows: give X as well")
        if result.stream is not None:
            name = criterion.__name__
            raise UnsupportedError(
                f"{name}() of a stream is not known: its rows went by, and of their likelihood "
                f"only a bound is known (lower_bound_): give rows, {name}(X); of all of them, add "
                "up score_samples batch by batch, and take result_.n_parameters, "
                f"{result.n_parameters}, into account"
            )
        sums = result.plug_in_sums
    else:
        source = estimator._seen(X, sample_weight)
        with single_threaded_blas():
            sums = assess(result.family, result.plug_in, source, result.log_volume)
    value: float = -2.0 * criterion(sums, result.n_parameters)
    return value
