"""Criteria of a search that need draws from the posterior."""

from __future__ import annotations

import math

import numpy as np

from bayesmix.core.sources import Source
from bayesmix.em.result import FitResult
from bayesmix.posterior.evidence import evidence_of
from bayesmix.posterior.leave_one_out import leave_one_out
from bayesmix.posterior.pareto import TRUSTED_UP_TO
from bayesmix.selection.scores import Score

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
    estimate = leave_one_out(result, source, seed=result.seed)
    worst = float(np.max(estimate.pareto_k)) if len(estimate.pareto_k) else math.nan
    if np.mean(~(estimate.pareto_k <= TRUSTED_UP_TO)) > MOST_DOUBTFUL:
        return Score(math.nan, math.nan, estimate.note, worst)
    return Score(estimate.total, estimate.standard_error, estimate.note, worst)


OF_DRAWS = {"evidence": evidence, "loo": leave_one_out_score}
