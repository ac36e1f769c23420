"""Criteria of a search, and the log evidence of a variational fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.em.result import DensitySums, FitResult
from bayesmix.errors import UndefinedError, UnsupportedError
from bayesmix.selection import scores
from bayesmix.selection.scores import ScoreFunction

if TYPE_CHECKING:
    from bayesmix.core.sources import Source


# Components with less than this many observations are empty; empty ones equal the prior.
EMPTY = 1e-3
COINCIDING = 1e-6


def why_no_probabilities(result: FitResult) -> UnsupportedError | None:
    """Return the error that explains why a fit has no evidence for its K, or None.

    K is compared under one symmetric Dirichlet prior with α0 >= 1, without pruning. Otherwise
    components stay empty, and a fit measures the number of occupied components.
    """
    if not result.variational:
        return UndefinedError(
            "maximum likelihood and maximum a posteriori fits have no log evidence: use "
            "bayesmix.select(X), or fit BayesianGaussianMixture"
        )
    weights = getattr(result.inference, "weights", None)
    weights = getattr(weights, "of_row", weights)  # of a Markov chain
    if not isinstance(weights, DirichletPrior):
        return UndefinedError(
            "stick-breaking and type-II weights leave components empty, so P(K) is undefined: use "
            "the number of occupied components (n_components_ of a pruned fit), or use "
            "weight_concentration_prior_type='dirichlet_distribution'"
        )
    if weights.concentration < 1.0:
        return UndefinedError(
            f"weight_concentration_prior={weights.concentration:g} is below 1 and leaves "
            "components empty: use the number of occupied components, or a value of at least 1"
        )
    if result.n_components != result.requested_components:
        return UndefinedError(
            "pruning changes the number of components of the prior: use prune=False"
        )
    return None


def log_relabellings(result: FitResult) -> float:
    """Return log(K! / ∏ m_j!), m_j being sizes of groups of equal (also empty) components.

    Components with known labels are groups of one, as which component has which name is arbitrary:
    a single label does not change P(K). A mode of the posterior has this many copies, of which a
    variational fit covers one, so the bound plus this approximates the log evidence. Modes overlap,
    so the sum can exceed the exact value (by up to 1.8 nats in tests).
    NaN for pruned, sparse (α0 < 1), stick-breaking or type-II weights.
    """
    if why_no_probabilities(result) is not None:
        return math.nan
    free, counts = ~result.side.named(result.n_components), result.counts
    totals = result.posterior.components.expected_totals
    groups = [int(np.sum(free & (counts < EMPTY)))]
    remaining = np.flatnonzero(free & (counts >= EMPTY))
    while len(remaining):
        first = remaining[0]
        equal = np.abs(counts[remaining] - counts[first]) < COINCIDING * counts[first]
        equal &= np.abs(totals[remaining] - totals[first]).max(axis=1) < COINCIDING
        groups.append(int(equal.sum()))
        remaining = remaining[~equal]
    return float(gammaln(result.n_components + 1) - gammaln(np.add(groups, 1)).sum())


def design_bic(result: FitResult, source: Source) -> float:
    """Return BIC for survey weights: that of n over the design effect (Lumley & Scott 2015).

    The effective number of samples is (Σ w)² / Σ w² (Kish 1965), which ignores clusters and strata.
    """
    weights = source.in_memory().rows.weights_or_ones
    effective = float(weights.sum() ** 2 / (weights @ weights))
    sums = result.plug_in_sums
    log_likelihood = sums.log_likelihood * effective / sums.n
    return log_likelihood - 0.5 * result.n_parameters * math.log(effective)


COMPONENTS = "the number of {}s"
CLUSTERS = "the number of well-separated clusters"
PREDICTION = "predictive accuracy"


@dataclass(frozen=True)
class Criterion:
    """Name, label and functions of a criterion.

    ``of_fit`` computes it from density sums and number of parameters, ``of_source`` from the fit
    and the data, both in nats, greater is better. Information criteria (those with one of them) are
    published on the scale of -2 log likelihood, smaller is better. ``posterior``: variational fits
    only. ``log_evidence``: differences in nats are log Bayes factors. ``others``: listed under
    "Other criteria".
    """

    name: str
    label: str
    question: str
    of_fit: Callable[[DensitySums, int], float] | None = None
    of_source: ScoreFunction | None = None
    posterior: bool = False
    folds: bool = False
    log_evidence: bool = False
    others: bool = False

    @property
    def column(self) -> str:
        """Column of ``results_`` with its values; both cross-validation rules use the same one."""
        return "cv" if self.folds else self.name

    @property
    def information(self) -> bool:
        """Whether it is an information criterion, of the fit or also of the weights."""
        return self.of_fit is not None or self.of_source is not None

    @property
    def factor(self) -> float:
        """Published value per nat: -2 for AIC, BIC and ICL, 1 for others."""
        return 1.0 if not self.information else -2.0

    @property
    def unit(self) -> str:
        """Unit of published differences, with a space before it."""
        return " nats" if not self.information else ""

    @property
    def distance(self) -> str:
        """Name of the difference from the best candidate."""
        if not self.information:
            return f"nats behind the best by {self.label}"
        return f"{self.label} above the best"


# The criterion of ``select``, and its name before 0.3.0.
RULE, RULE_BEFORE = "elbo_prior", "evidence_folds"
RECORDS = {
    criterion.name: criterion
    for criterion in (
        Criterion(RULE, "ELBO + log K! + log P(K)", COMPONENTS, posterior=True, log_evidence=True),
        Criterion("bic", "BIC", COMPONENTS, scores.bic, log_evidence=True, others=True),
        Criterion("sabic", "sample-size adjusted BIC", COMPONENTS, scores.sabic),
        Criterion("hqc", "Hannan-Quinn criterion", COMPONENTS, scores.hqc),
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
            posterior=True,
            log_evidence=True,
            others=True,
        ),
        Criterion(
            "loo",
            "leave-one-out log density",
            PREDICTION,
            posterior=True,
            others=True,
        ),
        Criterion("design_bic", "design-adjusted BIC", COMPONENTS, of_source=design_bic),
        Criterion("cv", "cross-validated log density", PREDICTION, folds=True, others=True),
        Criterion(
            "cv_1se",
            "cross-validated log density, one-standard-error rule",
            PREDICTION,
            folds=True,
        ),
    )
}

NAMES = ("auto", RULE_BEFORE, *RECORDS)
PLUG_IN = {name: each.of_fit for name, each in RECORDS.items() if each.of_fit is not None}
OF_SOURCE = {name: each.of_source for name, each in RECORDS.items() if each.of_source is not None}
POSTERIOR = ("auto", RULE_BEFORE, *(name for name, each in RECORDS.items() if each.posterior))

# The criterion of all candidates of large data on a sample of it, in nats, greater is better.
ON_SAMPLE = "on_sample"


def record(name: str) -> Criterion:
    """Return the record of a criterion; a user-defined function has only a name."""
    if name == ON_SAMPLE:
        return Criterion(ON_SAMPLE, "the criterion on a sample", COMPONENTS)
    return RECORDS.get(name) or Criterion(name, name, "user-defined")
