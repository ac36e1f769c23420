"""Split conformal prediction: fit on some of the rows, calibrate a region on the others.

The fit, the choice of K and every prior that is resolved from data see the first part alone, so
that calibration rows and new rows are exchangeable (Papadopoulos et al. 2002; Lei, Robins &
Wasserman 2013).
"""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import clone

from bayesmix.assess.stability import to_refit
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.posterior.bands import checked_level
from bayesmix.posterior.density import density_of
from bayesmix.posterior.regions import DensityRegion, Scores, check_enough, region_of, repetitions
from bayesmix.selection.candidates import fit_weighted, last_step
from bayesmix.selection.fit_evidence import fitted_mixture
from bayesmix.selection.scores import n_rows_of, rows_of
from bayesmix.sources.border import few_enough, is_collection, is_source
from bayesmix.sources.dask_workers import collected


def conformal_region(
    model: Any,
    X: Any,
    level: float = 0.9,
    calibration_size: Any = 0.3,
    sample_weight: Any = None,
    random_state: Any = None,
) -> DensityRegion:
    """Fit to some of the rows, and calibrate the region of highest density on the others.

    On average over sets of rows, the region holds at least the share ``level`` of new rows that
    come as these did, and no more than 1 / (n + 1) above it for n calibration rows without ties:
    whatever the model, right or wrong. For one set of calibration rows coverage varies;
    ``coverage_interval`` of the result says by how much.

    Parameters
    ----------
    model : estimator, pipeline or search
        Cloned, and fitted to the first part; of a search all of it, the choice of K included. Of a
        pipeline the density is that of transformed rows.
    X : array, frame or source (n, D)
        Rows in any order that says nothing: they are split at random. Rows of a time series, or in
        groups, are not exchangeable; fit to some, and give the others to ``density_region``.
    level : float, default=0.9
    calibration_size : float or int, default=0.3
        The share of the rows to calibrate on, or how many.
    sample_weight : array (n,), optional
        How often each row counts, in the fit and in the calibration. A row goes to one of the two
        with all of its repetitions.
    random_state : None, int, RandomState or Generator
        Of the split, and of a model that has none of its own.

    Returns
    -------
    DensityRegion
        With what was fitted as its ``model``.

    Raises
    ------
    InvalidInputError
        Where the calibration rows are too few for the level.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> search = bm.MixtureSearch(n_components=(1, 2, 3), random_state=0)
    >>> region = bm.conformal_region(search, X, level=0.9, random_state=0)
    >>> region.model.best_params_
    {'n_components': 2}
    >>> region.n_calibration
    82.0
    """
    seed = root_seed(random_state)
    if is_collection(X):
        X, sample_weight = collected(X, sample_weight, 1), None
    if is_source(X):
        few_enough(X, 1)
    n_rows = n_rows_of(X)
    if sample_weight is not None:
        sample_weight = repetitions(sample_weight, n_rows)
    order = stream(seed, Purpose.FOLD, 0).permutation(n_rows)
    n_calibration = _size(calibration_size, n_rows)
    calibration, training = np.sort(order[:n_calibration]), np.sort(order[n_calibration:])
    rows = rows_of(X, calibration)
    weights = rows.in_memory().weights if is_source(rows) else _some(sample_weight, calibration)
    # Before a long fit, not after it.
    counted = n_calibration if weights is None else float(weights.sum())
    check_enough("calibration", counted, checked_level(level))
    fitted = _fitted(model, rows_of(X, training), _some(sample_weight, training), seed)
    density, transformed = _density_of(fitted, rows)
    scores = Scores.of(density.score_samples(rows), weights)
    region = region_of(density, level, scores, calibrated=True)
    return replace(region, model=fitted, transformed=transformed)


def _fitted(model: Any, X: Any, sample_weight: Any, seed: int) -> Any:
    if not hasattr(model, "fit"):
        raise InvalidInputError(
            "model must be a mixture estimator of bayesmix, a pipeline that ends in one, or a "
            f"search, got {type(model).__name__}"
        )
    if hasattr(last_step(model), "_model"):
        return fit_weighted(to_refit(model, seed, 1), X, sample_weight)
    copy = clone(model)
    if copy.get_params(deep=False).get("random_state", 0) is None:
        copy.set_params(random_state=seed)
    return fit_weighted(copy, X, sample_weight)


def _density_of(fitted: Any, X: Any) -> tuple[Any, bool]:
    """The fitted density, detached from what was fitted; of a pipeline itself, and that it is."""
    best = getattr(fitted, "best_estimator_", fitted)
    estimator, _ = fitted_mixture(fitted, X)
    if best is not estimator:
        return best, True
    return density_of(estimator.result_, getattr(estimator, "feature_names_in_", None)), False


def _size(value: Any, n_rows: int) -> int:
    """How many rows to calibrate on; two at least are left to fit."""
    flag = isinstance(value, (bool, np.bool_))
    if isinstance(value, Integral) and not flag:
        number = int(value)
    elif isinstance(value, Real) and not flag and 0.0 < float(value) < 1.0:
        number = round(float(value) * n_rows)
    else:
        number = 0
    if not 1 <= number <= n_rows - 2:
        raise InvalidInputError(
            f"calibration_size must be a share above 0 and below 1, or a number of rows up to "
            f"{n_rows - 2}, got {value!r}"
        )
    return number


def _some(weights: Array | None, rows: Integers) -> Array | None:
    return None if weights is None else weights[rows]
