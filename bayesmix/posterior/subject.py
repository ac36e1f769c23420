"""Checks of the fit and data passed to samplers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from bayesmix.allocation.point import FreeWeights
from bayesmix.core.rows import Rows
from bayesmix.core.sources import Source
from bayesmix.em.refusals import (
    refuse_constraints,
    refuse_covariates,
    refuse_noise,
)
from bayesmix.em.result import FitResult, assess
from bayesmix.em.run import assessed
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.observation.instrument import refuse_measured
from bayesmix.posterior.posterior_draws import variational_estimator
from bayesmix.sources.memory import ArraySource

# Relative rounding below which a sample weight counts as a whole number.
WHOLE = 1e-9
WITHOUT_A_PRIOR = (
    "model must have weights with a prior, got type-II maximum likelihood: use "
    "weight_concentration_prior_type='dirichlet_distribution' or 'dirichlet_process'"
)
# Tolerance in nats per observation that covers data of the fit in single precision.
SAME_ROWS = 1e-3


def fitted_mixture(model: Any) -> Any:
    """Return the fitted estimator, or the best one of a search."""
    estimator = getattr(model, "best_estimator_", model)
    if not isinstance(getattr(estimator, "result_", None), FitResult):
        raise InvalidInputError(
            "model must be a fitted mixture of bayesmix or a fitted search, got "
            f"{type(model).__name__}: call fit first; for a pipeline, pass its last step and the "
            "transformed data"
        )
    refuse_noise(estimator.result_, "a sampler")
    return estimator


def variational_fit(model: Any) -> Any:
    """Return the fitted estimator, or raise unless it is variational."""
    estimator = fitted_mixture(model)
    result: FitResult = estimator.result_
    if not result.variational:
        raise InvalidInputError(
            "model must be a variational fit, which has a prior, got "
            f"{result.inference.name.replace('_', ' ')}: use {variational_estimator(result)}"
        )
    return estimator


def sampled_fit(model: Any) -> Any:
    """Return the variational estimator, or raise unless its weights have a prior."""
    estimator = variational_fit(model)
    if isinstance(estimator.result_.inference.weights_prior, FreeWeights):
        raise InvalidInputError(WITHOUT_A_PRIOR)
    return estimator


def refuse_regressions(estimator: Any, what: str = "this analysis") -> None:
    """Raise an error for a mixture of regressions, which has no density of X."""
    if estimator.noun == "regression":
        raise UnsupportedError(
            f"{what} does not support regressions: it needs a density of X, so use the model's "
            "summary(), coefficients() and plot()"
        )


def rows_of_fit(
    estimator: Any,
    X: Any,
    sample_weight: Any,
    n_jobs: int | None = 1,
    repeated: bool = False,
    gaps: bool = False,
    labels: bool = False,
    covariates: bool = False,
    sequences: Mapping[str, Any] | None = None,
    measured: bool = False,
    weighted_sequences: bool = False,
) -> Source:
    """Return the data as a source without samples of weight 0, or raise unless they are the fit's.

    ``repeated`` requires whole sample weights. ``gaps`` allows missing values if the fit had some,
    ``labels`` known labels and ``covariates`` all side information, which the source then has.
    ``sequences`` are ``lengths`` and ``groups``, by default those of the fit; None: not supported.
    ``measured`` allows errors of measurement, limits and rounding, ``weighted_sequences`` weights
    of sequences.
    """
    refuse_regressions(estimator)
    result = estimator.result_
    if not covariates:
        refuse_covariates(result, "this analysis")
    order = result.side.order if covariates else None
    if result.side.ordered and sequences is not None:
        if sample_weight is not None and not weighted_sequences:
            raise UnsupportedError("this analysis does not support weights of sequences")
        source: Source = _sequences(estimator, X, sample_weight, sequences).with_jobs(n_jobs)
        if source.summary.n_missing and not gaps:
            raise UnsupportedError(
                "this analysis does not support sequences with missing values: use bayesmix.gibbs"
            )
    else:
        if not (labels or covariates) or (result.side.begins is not None and order is None):
            refuse_constraints(result, "this analysis")
        for name, given in (sequences or {}).items():
            if given is not None:
                raise InvalidInputError(f"{name} needs a hidden Markov model: leave it out")
        rows = estimator._seen if gaps else estimator._rows
        source = rows(X, sample_weight).present().with_jobs(n_jobs)
        if isinstance(source, ArraySource) and source.shape[0] > result.n_rows:
            # A fit leaves out rows without any value.
            source = source.numbered(np.flatnonzero(~np.isnan(source.values).all(axis=1)))
    if repeated:
        fractions: list[float] = source.reduce(_fractions, 1)
        if fractions:
            raise InvalidInputError(
                "sample_weight must be whole numbers, which repeat samples, got "
                f"{fractions[0]:g}: leave it out, or resample the data with these weights"
            )
    if not measured:
        refuse_measured(source)
    check_shape("X", source, result)
    if order is not None:
        source = source.in_memory(order)
    if result.side:
        source = replace(source, side=result.side)  # type: ignore[type-var]  # in memory
    plug_in: Any = result.plug_in
    if result.side.covariates is not None:
        plug_in = replace(plug_in, weights=result.mixture.weights)
    if result.side.ordered:
        plug_in = replace(plug_in, weights=result.mixture.weights.averaged())
    here = (
        assess(result.family, plug_in, source, result.log_volume).log_likelihood
        / source.total_weight
    )
    own = result.log_likelihood / result.total_weight
    if not abs(here - own) <= SAME_ROWS:
        raise InvalidInputError(
            "X must hold the data of the fit, got other data: their mean log density is "
            f"{here:.4g} nats, but was {own:.4g} in the fit; for a pipeline, pass transformed data"
        )
    return source


def are_of_fit(estimator: Any, X: Any) -> bool:
    """Return whether data without weights are those of a fit, for analyses of its posterior."""
    try:
        rows_of_fit(estimator, X, None)
    except (InvalidInputError, UnsupportedError):
        return False
    return True


def _sequences(estimator: Any, X: Any, sample_weight: Any, sequences: Mapping[str, Any]) -> Source:
    """Return checked data, or raise unless ``lengths`` and ``groups`` are those of the fit."""
    side = estimator.result_.side
    begins = side.begins
    given = [name for name, value in sequences.items() if value is not None]
    known = sequences if given or sample_weight is None else {"lengths": side.group_sizes}
    source: Any = estimator._seen(X, sample_weight=sample_weight, **known)
    if given and not np.array_equal(source.side.begins, begins):
        raise InvalidInputError(f"{given[0]} must be those of the fit, got other sequences")
    return cast("Source", source)


def check_shape(name: str, source: Source, result: FitResult) -> None:
    """Raise unless the data have the shape and the total weight of those of the fit."""
    expected = (result.n_rows, result.n_features)
    same_weight = math.isclose(source.total_weight, result.total_weight, rel_tol=1e-9)
    remedy = "pass the sample_weight of the fit, divided by its mean if weight_type was 'sampling'"
    if source.shape != expected or not same_weight:
        raise InvalidInputError(
            f"{name} must hold the data of the fit, {expected} with a total weight of "
            f"{result.total_weight:g}, got {source.shape} with {source.total_weight:g}"
            + ("" if same_weight else f": {remedy}")
        )


def log_volume(result: FitResult, source: Source) -> float:
    """Return the log Jacobian that converts Σ w log p(x) to data units."""
    whole = source.total_weight * result.log_volume
    in_part = source.summary.n_missing and result.family.continuous
    if not in_part and result.mixture.frame.rest is None:
        return whole
    return whole - assessed(source, result.mixture).unseen_volume


def _fractions(rows: Rows) -> list[float]:
    """Return the first weight of a chunk that is not a whole number, if any."""
    weights = rows.weights_or_ones
    wrong = np.flatnonzero(np.abs(weights - np.rint(weights)) > WHOLE * weights)
    return [float(weight) for weight in weights[wrong[:1]]]
