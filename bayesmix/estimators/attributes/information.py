"""Information criteria of fitted estimators."""

from __future__ import annotations

from typing import Any

from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.posterior.predictive_sums import density_sums
from bayesmix.selection import scores


def information(estimator: Any, name: str, X: Any, covariates: Any = None, **beside: Any) -> float:
    """Return -2 times a criterion, by its name, by default for the training data.

    ``beside`` has arguments that belong to X: sample weights, or the lengths or groups of its
    sequences.
    """
    result, criterion = estimator._fitted(), getattr(scores, name)
    if X is None:
        if result.n_rows == 0:
            raise InvalidInputError("this mixture was not fitted to data: pass X")
        for argument, given in (beside | {"covariates": covariates}).items():
            if given is not None:
                raise InvalidInputError(f"{argument} needs data: pass X as well")
        if result.stream is not None:
            raise UnsupportedError(
                f"{name}() of a stream is unknown, because its data are not kept; lower_bound_ "
                f"bounds the likelihood. Pass data, {name}(X), or add up score_samples over all "
                f"batches and use result_.n_parameters, {result.n_parameters}."
            )
        sums = result.plug_in_sums
    else:
        source = estimator._at_covariates(estimator._seen(X, **beside), covariates)
        sums = density_sums(result, source)
    return -2.0 * criterion(sums, result.n_parameters)
