"""Split conformal prediction: fit to some observations, calibrate a region on the others.

Everything learned from data (parameters, K, default priors) uses the first part only, so
calibration and new observations are exchangeable (Papadopoulos et al. 2002; Lei, Robins & Wasserman
2013).
"""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import clone

from bayesmix.assess.fit_evidence import fitted_mixture
from bayesmix.assess.stability import to_refit
from bayesmix.core.procedures import features_read, last_step
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.device_arrays import host
from bayesmix.observation.instrument import refuse_measured
from bayesmix.posterior.bands import checked_level
from bayesmix.posterior.density import density_of
from bayesmix.posterior.regions import DensityRegion, Scores, check_enough, region_of
from bayesmix.selection.pipelines import fit_weighted
from bayesmix.selection.scores import n_rows_of, rows_of
from bayesmix.sources.dask_workers import collected
from bayesmix.sources.memory import is_collection, is_source
from bayesmix.sources.room import few_enough
from bayesmix.sources.sample_weights import row_weights


def conformal_region(
    model: Any,
    X: Any,
    level: float = 0.9,
    calibration_size: Any = 0.3,
    sample_weight: Any = None,
    random_state: Any = None,
) -> DensityRegion:
    """Fit a model to part of the data, and calibrate its highest-density region on the rest.

    On average over data sets, the region covers a new observation with a probability between
    ``level`` and ``level`` + 1 / (n + 1), n being the number of calibration observations (without
    ties), even if the model is wrong. Coverage varies between calibration sets;
    ``coverage_interval`` of the result returns its range.

    Parameters
    ----------
    model : estimator, pipeline or search
        Model to clone and fit to the first part; a search repeats the choice of K. For a pipeline
        the density is that of the transformed data.
    X : array, frame or source (n, D)
        Exchangeable observations, which are split at random. For time series or grouped data, fit
        to one part yourself and pass the other to ``density_region``.
    level : float, default=0.9
    calibration_size : float or int, default=0.3
        Fraction or number of calibration observations.
    sample_weight : array (n,), optional
        Sample weights, used in both parts. All repetitions of an observation are in the same part.
    random_state : None, int, RandomState or Generator
        Seed of the split, and of a model without one.

    Returns
    -------
    DensityRegion
        The region; its ``model`` is the fitted model.

    Raises
    ------
    InvalidInputError
        If there are too few calibration observations for the level.

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
    X = host(X)
    if is_collection(X):
        X, sample_weight = collected(X, sample_weight, 1), None
    if is_source(X):
        refuse_measured(X)
        few_enough(X, 1)
    n_rows = n_rows_of(X)
    if sample_weight is not None:
        sample_weight = row_weights(sample_weight, n_rows)
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
    scores = Scores.of(density.score_samples(features_read(fitted, rows)), weights)
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
    """Return the fitted density, and the pipeline it belongs to, if any."""
    best = getattr(fitted, "best_estimator_", fitted)
    estimator, _ = fitted_mixture(fitted, X)
    if best is not estimator:
        return best, True
    return density_of(estimator.result_, getattr(estimator, "feature_names_in_", None)), False


def _size(value: Any, n_rows: int) -> int:
    """Return the number of calibration observations; at least two remain for the fit."""
    flag = isinstance(value, (bool, np.bool_))
    if isinstance(value, Integral) and not flag:
        number = int(value)
    elif isinstance(value, Real) and not flag and 0.0 < float(value) < 1.0:
        number = round(float(value) * n_rows)
    else:
        number = 0
    if not 1 <= number <= n_rows - 2:
        raise InvalidInputError(
            "calibration_size must be a fraction between 0 and 1, or a number of samples up to "
            f"{n_rows - 2}, got {value!r}"
        )
    return number


def _some(weights: Array | None, rows: Integers) -> Array | None:
    return None if weights is None else weights[rows]
