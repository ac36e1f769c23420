"""A fit in a common subspace as a fit of the coordinates along its directions, for MCMC.

Given the directions and the rest, all else is a mixture of the coordinates, so that MCMC of this
mixture is that of the model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sklearn.base import clone

from bayesmix.core.rows import Frame
from bayesmix.em.result import FitResult
from bayesmix.posterior.subject import log_volume, rows_of_fit


def along_directions(estimator: Any, X: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Return the fit and data (n, q) along the directions of a common subspace, others unchanged.

    Raises ``InvalidInputError`` if X is not the data of the fit, and an error if values are
    missing.
    """
    result: FitResult = estimator.result_
    frame = result.mixture.frame
    if frame.rest is None:
        return estimator, X
    source: Any = rows_of_fit(estimator, X, sample_weight)
    q, family = frame.n_directions, result.family.inside_subspace  # type: ignore[attr-defined]
    # Log densities of the coordinates are those of the data without units and the rest.
    volume = log_volume(result, source)
    inside = replace(
        result,
        family=family,
        mixture=replace(result.mixture, frame=Frame.identity(q)),
        objective=result.objective + volume,
        log_likelihood=result.log_likelihood + volume,
        n_features=q,
        columns=tuple(f"direction {d + 1}" for d in range(q)),
    )
    by = "family" if "family" in estimator.get_params(deep=False) else "covariance_type"
    along = clone(estimator).set_params(**{by: family if by == "family" else family.structure.name})
    along._adopt(inside)
    return along, frame.apply(source.in_memory().rows.values)
