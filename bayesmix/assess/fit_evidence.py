"""Log evidence and leave-one-out density of a fitted mixture.

The fitted mixture behind what a user gives, and rows as that mixture reads them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np

from bayesmix.core.procedures import last_step
from bayesmix.core.random import root_seed
from bayesmix.core.sources import Source
from bayesmix.em.refusals import (
    refuse_constraints,
    refuse_covariates,
    refuse_noise,
    refuse_order,
)
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.observation.instrument import refuse_measured
from bayesmix.posterior import evidence as importance
from bayesmix.posterior import leave_one_out as left_out
from bayesmix.posterior.evidence import BATCHES, Evidence, evidence_from_above, evidence_of
from bayesmix.posterior.leave_one_out import LeaveOneOut
from bayesmix.posterior.pareto import TRUSTED_UP_TO
from bayesmix.posterior.subject import refuse_regressions
from bayesmix.selection.pipelines import steps_before
from bayesmix.selection.scores import Score


def fitted_mixture(model: Any, X: Any) -> tuple[Any, Any]:
    """Return the fitted estimator (best of a search, last step of a pipeline) and its data.

    A search reads frames as it did in the fit. The data of a pipeline are transformed by the steps
    before the last.
    """
    best = getattr(model, "best_estimator_", model)
    estimator = last_step(best)
    if hasattr(estimator, "models_"):
        raise UnsupportedError(
            f"this analysis does not support a {type(estimator).__name__}: pass the mixture of a "
            "class, model.models_[name]"
        )
    if not isinstance(getattr(estimator, "result_", None), FitResult):
        raise InvalidInputError(
            "model must be a fitted mixture of bayesmix, a pipeline that ends in one, or a fitted "
            f"search, got {type(model).__name__}: call fit first"
        )
    refuse_noise(estimator.result_, "this analysis")
    refuse_regressions(estimator)
    if X is not None and (read := getattr(model, "_as_fitted", None)) is not None:
        X = read(X)
    steps = steps_before(best)
    return estimator, X if steps is None or X is None else steps.transform(X)


def checked_rows(estimator: Any, X: Any, sample_weight: Any) -> Source:
    """Return data with the columns of the fit, and weights; samples of weight 0 are dropped."""
    refuse_constraints(estimator.result_, "this analysis")
    source: Source = estimator._rows(X, sample_weight)
    refuse_measured(source)
    return source.present()


def seen_rows(estimator: Any, X: Any, sample_weight: Any) -> Source:
    """Return data with the columns of the fit, and weights; missing values may be allowed."""
    refuse_order(estimator.result_, "this analysis")
    refuse_covariates(estimator.result_, "this analysis")
    source: Source = estimator._seen(X, sample_weight)
    return source.present()


def log_evidence(
    model: Any,
    X: Any,
    n_draws: int = 1000,
    n_sweeps: Any = 400,
    sample_weight: Any = None,
    random_state: Any = 0,
) -> Evidence:
    """Estimate the log evidence of a variational fit, with a lower and an upper bound.

    The estimate is by importance sampling, or, if Pareto k exceeds 0.2, by bridge sampling from
    Gibbs draws (Meng & Wong 1996). If both fail it is NaN, and ``note`` has the reason. The lower
    bound is the ELBO; the upper bound has Monte Carlo error.

    Parameters
    ----------
    model : fitted mixture, pipeline or search
        Estimates need Dirichlet weights, no pruning and at most 20 components.
    X : array, frame or source (n, D)
        The data of the fit.
    n_draws : int, default=1000
        Number of draws for the importance-sampling estimate.
    n_sweeps : int, default=400
        Gibbs sweeps for the upper bound; 0 omits it.
    sample_weight : array (n,), optional
    random_state : None, int, RandomState or Generator, default=0

    Returns
    -------
    Evidence

    Raises
    ------
    ValueError
        If X is not the data of the fit.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> search = bm.select(X, n_components=2, covariance_type="full")
    >>> found = bm.log_evidence(search, X)
    >>> found.lower < found.estimate < found.upper
    True
    """
    estimator, rows = fitted_mixture(model, X)
    source = checked_rows(estimator, rows, sample_weight)
    result, seed = estimator.result_, root_seed(random_state)
    if not isinstance(n_sweeps, Integral) or (n_sweeps != 0 and int(n_sweeps) < BATCHES):
        raise InvalidInputError(
            f"n_sweeps must be 0 or an integer of at least {BATCHES}, got {n_sweeps!r}"
        )
    estimate = importance.evidence_of(result, source, n_draws, seed)
    if not n_sweeps or importance.without_evidence(result):
        return estimate
    upper, error = evidence_from_above(result, source, int(n_sweeps), seed)
    return replace(estimate, upper=upper, upper_error=error)


def leave_one_out(
    model: Any, X: Any, n_draws: int = 1000, sample_weight: Any = None, random_state: Any = 0
) -> LeaveOneOut:
    """Estimate the leave-one-out log density of each sample, without refitting.

    Parameters
    ----------
    model : fitted variational mixture, pipeline or search
    X : array, frame or source (n, D)
        The data of the fit.
    n_draws : int, default=1000
    sample_weight : array (n,), optional
        Sample weights; one repetition of a sample is left out at a time.
    random_state : None, int, RandomState or Generator, default=0

    Returns
    -------
    LeaveOneOut
        It has a Pareto k for each sample, and the number of unreliable values in ``note``.

    Raises
    ------
    ValueError
        If the fit has no posterior, or X is not the data of the fit.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> search = bm.select(X, n_components=2, covariance_type="full")
    >>> bm.leave_one_out(search, X).values.shape
    (272,)
    """
    estimator, rows = fitted_mixture(model, X)
    source = checked_rows(estimator, rows, sample_weight)
    return left_out.leave_one_out(estimator.result_, source, n_draws, root_seed(random_state))


N_DRAWS = 1000
# Share of observations whose leave-one-out density may be unreliable.
MOST_DOUBTFUL = 0.01


def evidence(result: FitResult, source: Source) -> Score:
    """Return the log evidence by importance or bridge sampling, with standard error and Pareto k.

    Draws from q, symmetrised over relabellings, are weighted by p(X, θ) / q(θ). The expected
    logarithm of the estimate is a lower bound that is at least the ELBO. If Pareto k exceeds 0.2, q
    misses much of the posterior, and bridge sampling from Gibbs draws is used instead, as the note
    says. Like the exact evidence, the estimate depends on the prior.
    """
    estimate = evidence_of(result, source, N_DRAWS, result.seed)
    return Score(estimate.estimate, estimate.standard_error, estimate.note, estimate.pareto_k)


def leave_one_out_score(result: FitResult, source: Source) -> Score:
    """Return the leave-one-out log predictive density of a variational fit, by importance sampling.

    For prediction, without refitting: draws from q weighted by p(X, θ) / (q(θ) p(x_n | θ)),
    Pareto-smoothed (Vehtari et al. 2017; Magnusson et al. 2019 for approximations). It chooses too
    many clusters. NaN if Pareto k exceeds 0.7 for more than one sample in a hundred.
    """
    estimate = left_out.leave_one_out(result, source, seed=result.seed)
    worst = float(np.max(estimate.pareto_k)) if len(estimate.pareto_k) else math.nan
    if np.mean(~(estimate.pareto_k <= TRUSTED_UP_TO)) > MOST_DOUBTFUL:
        return Score(math.nan, math.nan, estimate.note, worst)
    return Score(estimate.total, estimate.standard_error, estimate.note, worst)


OF_DRAWS = {"evidence": evidence, "loo": leave_one_out_score}
