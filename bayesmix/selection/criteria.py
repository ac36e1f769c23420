"""Every criterion in one record: its name, its label, the question it answers, and its function.

What a variational fit says of the evidence for its number of components.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.core.rows import Rows
from bayesmix.core.sources import Source
from bayesmix.em.result import DensitySums, FitResult
from bayesmix.errors import InvalidInputError, UndefinedError, UnsupportedError
from bayesmix.selection import scores
from bayesmix.selection.scores import Score, ScoreFunction

if TYPE_CHECKING:
    from bayesmix.posterior.evidence import Bridge, Evidence


# A component with less than this share of a row is empty; empty ones coincide with the prior.
EMPTY = 1e-3
COINCIDING = 1e-6
N_DRAWS = 1000
# Share of the rows whose leave-one-out density may be in doubt.
MOST_DOUBTFUL = 0.01
# Sweeps left out and sweeps kept of a bridge's chains: more where the few leave an error as large
# as this, in nats. Chains that disagree by half a nat say nothing.
CHAINS = 4
SWEEPS = ((100, 400), (500, 1000))
SMALL_ERROR = 0.2
LARGEST_ERROR = 0.5


def why_no_probabilities(result: FitResult) -> UnsupportedError | None:
    """Why this fit has no evidence for its number of components, as the error to raise, or None.

    K is compared under one symmetric Dirichlet prior with α0 >= 1 for all K, without pruning;
    otherwise components stay empty, and what a fit tells of is the number of occupied ones.
    """
    if not result.variational:
        return UndefinedError(
            "a maximum likelihood or maximum a posteriori fit has no evidence: use "
            "BayesianGaussianMixture, as in bayesmix.select(X, criterion='elbo_log_k')"
        )
    weights = getattr(result.inference, "weights", None)
    if not isinstance(weights, DirichletPrior):
        return UndefinedError(
            "stick-breaking and type-II weights leave components empty and give no probabilities "
            "over their number: look at the number of occupied components (n_components_ of a "
            "pruned fit), or use weight_concentration_prior_type='dirichlet_distribution'"
        )
    if weights.concentration < 1.0:
        return UndefinedError(
            f"weight_concentration_prior={weights.concentration:g} is below 1 and leaves "
            "components empty: look at the number of occupied components, or give 1 or more"
        )
    if result.n_components != result.requested_components:
        return UndefinedError(
            "a pruned fit has another number of components than its prior: use prune=False"
        )
    return None


def log_relabellings(result: FitResult) -> float:
    """log(K! / ∏ m_j!), m_j the sizes of groups of coinciding components (all empty: one group).

    Components that known labels name have no relabellings and do not count. A mode of the posterior
    has that many copies, of which a variational fit covers one, so that bound + this approximates
    the log evidence. Only an approximation: modes overlap, and the sum has exceeded the exact
    evidence by up to 1.8 nats. NaN where it does not apply: pruned fits, sparse (α0 < 1),
    stick-breaking or type-II weights.
    """
    if why_no_probabilities(result) is not None:
        return math.nan
    free = ~result.side.named(result.n_components)
    groups = [int(np.sum(free & (result.counts < EMPTY)))]
    left = list(np.flatnonzero(free & (result.counts >= EMPTY)))
    totals = result.posterior.components.expected_totals
    counts = result.counts
    while left:
        first = left.pop(0)
        twins = [
            k
            for k in left
            if abs(counts[k] - counts[first]) < COINCIDING * counts[first]
            and np.abs(totals[k] - totals[first]).max() < COINCIDING
        ]
        left = [k for k in left if k not in twins]
        groups.append(1 + len(twins))
    return float(gammaln(free.sum() + 1) - sum(gammaln(size + 1) for size in groups))


def evidence(result: FitResult, source: Source) -> Score:
    """Log evidence by importance weights or a bridge, with its standard error and Pareto k.

    For how many components made the rows, under a prior that is meant. Draws from q, symmetrised
    over relabellings, weighted by p(X, θ) / q(θ): their expected logarithm is a lower bound too, at
    least the ELBO's. Where Pareto k is above 0.2, q misses much of the posterior, and the evidence
    is estimated by bridge sampling from Gibbs draws, which the note says. It depends on the prior
    as the exact evidence does.
    """
    found = evidence_of(result, source, N_DRAWS, result.seed)
    return Score(found.estimate, found.standard_error, found.note, found.pareto_k)


def evidence_of(result: FitResult, source: Source, n_draws: int, seed: int) -> Evidence:
    """By importance weights that are quickly had; where these miss too much, by bridge sampling.

    By more such weights where rows cannot be sampled, or chains disagree.
    """
    from bayesmix.posterior.evidence import (
        LITTLE,
        MUCH,
        SURE_UP_TO,
        importance_evidence,
        without_evidence,
    )

    found = importance_evidence(result, source, n_draws, seed, [LITTLE])
    if found.pareto_k <= SURE_UP_TO or without_evidence(result):
        return found
    bridge = _bridged(result, source, seed)
    if not bridge.standard_error <= LARGEST_ERROR:
        return importance_evidence(result, source, n_draws, seed, [MUCH])
    note = f"by bridge sampling, since Pareto k is {found.pareto_k:.2f}"
    return replace(found, estimate=bridge.estimate, standard_error=bridge.standard_error, note=note)


def _fractional(source: Source) -> bool:
    """Whether rows have weights that Gibbs sampling cannot repeat them by."""
    fractions: int = source.reduce(_fractions, 1)
    return fractions > 0


def _fractions(rows: Rows) -> int:
    weights = rows.weights_or_ones
    return int(np.count_nonzero(weights != np.rint(weights)))


def _bridged(result: FitResult, source: Source, seed: int) -> Bridge:
    """From a few chains of Gibbs sampling that begin at draws from q, long ones if need be."""
    from bayesmix.em.display import FitProgress
    from bayesmix.posterior.chains import Plan
    from bayesmix.posterior.evidence import Bridge, bridge_evidence
    from bayesmix.posterior.gibbs import sampled

    if _fractional(source):
        return Bridge(math.nan, math.nan, "rows have weights that are not whole")
    for n_warm, n_draws in SWEEPS:
        plan = Plan(CHAINS, n_warm, n_draws, seed)
        with FitProgress(n_warm + n_draws, False) as silent:
            try:
                found = sampled(result, source, plan, silent, result.n_components)
            except InvalidInputError as problem:  # so many tied rows that no posterior is proper
                return Bridge(math.nan, math.nan, str(problem))
        if found.status == "interrupted":
            raise KeyboardInterrupt
        bridge = bridge_evidence(result, source, found.draws, found.n_chains, seed)
        if bridge.standard_error <= SMALL_ERROR:
            break
    return bridge


def leave_one_out_score(result: FitResult, source: Source) -> Score:
    """Total leave-one-out log predictive density of a variational fit, by importance sampling.

    For prediction, without a second fit: draws from q weighted by p(X, θ) / (q(θ) p(x_n | θ)),
    Pareto-smoothed (Vehtari et al. 2017; Magnusson et al. 2019 for approximations). As a count of
    clusters it chooses too many. NaN where more than one row in a hundred has a Pareto k above 0.7.
    """
    from bayesmix.posterior.leave_one_out import leave_one_out
    from bayesmix.posterior.pareto import TRUSTED_UP_TO

    found = leave_one_out(result, source, seed=result.seed)
    worst = float(np.max(found.pareto_k)) if len(found.pareto_k) else math.nan
    if np.mean(~(found.pareto_k <= TRUSTED_UP_TO)) > MOST_DOUBTFUL:
        return Score(math.nan, math.nan, found.note, worst)
    return Score(found.total, found.standard_error, found.note, worst)


COMPONENTS = "how many components generated the data"
CLUSTERS = "how many well-separated clusters there are"
PREDICTION = "which density predicts new observations best"


@dataclass(frozen=True)
class Criterion:
    """What is known of a criterion; all are in nats, and greater is better.

    ``of_fit`` computes it from the density sums and the number of parameters of any fit,
    ``of_draws`` from posterior draws, when it is asked for. ``posterior``: variational fits only.
    ``log_evidence``: differences are log Bayes factors. ``others``: named under "Other criteria".
    """

    name: str
    label: str
    question: str
    of_fit: Callable[[DensitySums, int], float] | None = None
    of_draws: ScoreFunction | None = None
    posterior: bool = False
    folds: bool = False
    log_evidence: bool = False
    others: bool = False

    @property
    def column(self) -> str:
        """The column of ``results_`` with its values: both rules by folds read the same one."""
        return "cv" if self.folds else self.name


RECORDS = {
    each.name: each
    for each in (
        Criterion("evidence_folds", "log evidence", COMPONENTS, posterior=True, log_evidence=True),
        Criterion("bic", "BIC", COMPONENTS, scores.bic, log_evidence=True, others=True),
        Criterion("sabic", "sample-size adjusted BIC", COMPONENTS, scores.sabic),
        Criterion("icl", "ICL", CLUSTERS, scores.icl, others=True),
        Criterion("icl_soft", "soft ICL", CLUSTERS, scores.icl_soft),
        Criterion("aic", "AIC", PREDICTION, scores.aic, others=True),
        Criterion("aicc", "AICc", PREDICTION, scores.aicc),
        Criterion("elbo", "ELBO", COMPONENTS, posterior=True, log_evidence=True),
        Criterion("elbo_log_k", "ELBO + log K!", COMPONENTS, posterior=True, log_evidence=True),
        Criterion(
            "evidence",
            "importance-sampled log evidence",
            COMPONENTS,
            of_draws=evidence,
            posterior=True,
            log_evidence=True,
            others=True,
        ),
        Criterion(
            "loo",
            "leave-one-out log density",
            PREDICTION,
            of_draws=leave_one_out_score,
            posterior=True,
            others=True,
        ),
        Criterion("cv", "cross-validated log density", PREDICTION, folds=True, others=True),
        Criterion(
            "cv_1se",
            "cross-validated log density, one-standard-error rule",
            PREDICTION,
            folds=True,
        ),
    )
}

# The default rule, named evidence_folds, has "auto" as a second name.
NAMES = ("auto", *RECORDS)
PLUG_IN = {name: each.of_fit for name, each in RECORDS.items() if each.of_fit is not None}
OF_DRAWS = {name: each.of_draws for name, each in RECORDS.items() if each.of_draws is not None}
POSTERIOR = ("auto", *(name for name, each in RECORDS.items() if each.posterior))


def record(name: str) -> Criterion:
    """The record of a criterion; a user's own function has its name alone."""
    return RECORDS.get(name) or Criterion(name, name, "a question of its own")
