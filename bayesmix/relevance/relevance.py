"""Variable selection in clustering: features with a distribution in each component, or with one.

A relevant feature has K distributions, an irrelevant feature one that all components share. Under
conjugate priors and independence given the component, the bound at responsibilities R is

    L(R, S) = H(R) + log p(R) + Σ_{d in S} Σ_k log e_kd(R) + Σ_{d not in S} log e_d + log p(S)

with e the evidence of a feature, in closed form (Law, Figueiredo & Jain 2004; Marbac & Sedki 2017).
The set S that maximises it is found by sorting gains; R is that of an ordinary fit to S.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import digamma, expit, gammaln, logsumexp, xlogy

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.core.families import Family
from bayesmix.core.missing_cells import frame_of_columns
from bayesmix.core.priors import SeparablePrior
from bayesmix.core.rows import NO_SIDE_INFORMATION, Frame, SideInformation, Summary
from bayesmix.families.product.layout import summary_of
from bayesmix.numerics.arrays import Array, Booleans, Integers, has_gaps, normalise, without_gaps
from bayesmix.numerics.gaps import seen
from bayesmix.numerics.memo import once
from bayesmix.selection.criteria import relabellings_of

# Nats by which a pass must raise the bound for another one to follow.
GAIN = 1e-3
MOST_PASSES = 200
MOST_ROUNDS = 30
# Grid of log odds of relevance, fine enough for 5,000 features.
LARGEST_LOGIT, N_LOGITS = 20.0, 1001


@dataclass(frozen=True)
class FeatureTable:
    """Framed values (n, D), sample weights (n,), and a family of independent features.

    ``side`` has the known components of samples, -1 where unknown.
    """

    values: Array
    weights: Array
    family: Family
    summary: Summary
    frame: Frame
    side: SideInformation = NO_SIDE_INFORMATION

    @once
    def prior(self) -> SeparablePrior:
        """Default prior with fixed hyperparameters."""
        default = self.family.reference_prior(self.summary, self.frame)
        return cast("SeparablePrior", default).separate()

    def some(self, features: Integers) -> FeatureTable:
        """Return the table of some features."""
        return FeatureTable(
            self.values.T[features].T,
            self.weights,
            self.family.marginal(features),
            summary_of(self.summary, features),
            frame_of_columns(self.frame, features)[0],
            self.side,
        )

    @property
    def n_features(self) -> int:
        return int(self.values.shape[1])

    @property
    def n_labelled(self) -> int:
        """Number of components that labels name."""
        return self.side.largest_label + 1

    @property
    def fewest(self) -> int:
        """Smallest number of relevant features: without any and without labels, K is 1."""
        return 0 if self.n_labelled else 1

    def constrained(self, responsibilities: Array) -> Array:
        """Return responsibilities at which known components are matched and then fixed."""
        labels = self.side.labels
        if labels is None:
            return responsibilities
        n_components, labelled = responsibilities.shape[1], labels >= 0
        shares = np.eye(n_components)[labels[labelled]]
        _, order = linear_sum_assignment(-(shares.T @ responsibilities[labelled]))
        matched = responsibilities[:, order]
        matched[labelled] = shares
        return matched

    @once
    def complete(self) -> Array:
        """Values with the mean of the feature where they are missing, for k-means."""
        if not self._has_gaps:
            return self.values
        present, zeros = seen(self.values), without_gaps(self.values)
        means = zeros.sum(axis=0) / np.maximum(present.sum(axis=0), 1.0)
        return np.where(present > 0.0, zeros, means)

    @once
    def _has_gaps(self) -> bool:
        return has_gaps(self.values)

    def _log_density(self, posterior: Any) -> Array:
        """Return E[log p(x | k)] (n, K) over the observed values."""
        if self._has_gaps:
            return posterior.linear.seen(self.values)[0]
        return posterior.expected_log_density(self.values)

    @once
    def evidence_of_one(self) -> Array:
        """Log evidence (D,) of each feature with one distribution."""
        return self.evidence(np.ones((len(self.values), 1)))

    def evidence(self, responsibilities: Array) -> Array:
        """Return the log evidence (D,) of each feature with a distribution in each component."""
        shares = responsibilities * self.weights[:, None]
        evidence = self.prior.feature_evidence(self.family.statistics(self.values, shares))
        return evidence.sum(axis=0)

    def allocation(self, responsibilities: Array) -> float:
        """Return H(R) + log p(R) with weights π ~ Dirichlet(1, ..., 1) integrated out."""
        entropy = -float(self.weights @ xlogy(responsibilities, responsibilities).sum(axis=1))
        counts = self.weights @ responsibilities
        n_components = len(counts)
        prior = gammaln(n_components) - gammaln(n_components + counts.sum())
        return entropy + float(prior + gammaln(1.0 + counts).sum())

    def relabellings(self, responsibilities: Array) -> float:
        """Return the correction of a bound for relabellings, as ``log_relabellings`` does.

        Without features the components that have no labels are copies.
        """
        K, shares = responsibilities.shape[1], responsibilities * self.weights[:, None]
        free = np.flatnonzero(~self.side.named(K))
        if not self.n_features:
            return float(gammaln(K + 1) - gammaln(len(free) + 1))
        components: Any = self.prior.posterior(self.family.statistics(self.values, shares))
        weights = DirichletPrior(1.0).posterior(shares.sum(axis=0))
        n_parameters = self.family.n_parameters(K, self.n_features)
        return relabellings_of(components, weights, free, K, n_parameters)

    def passes(self, responsibilities: Array, most: int) -> Array:
        """Return responsibilities after variational passes in which all features are relevant."""
        before = -np.inf
        for _ in range(most):
            shares = responsibilities * self.weights[:, None]
            statistics = self.family.statistics(self.values, shares)
            counts = shares.sum(axis=0)
            log_weights = digamma(1.0 + counts) - digamma(len(counts) + counts.sum())
            bound = self.allocation(responsibilities)
            bound += float(self.prior.feature_evidence(statistics).sum())
            if bound < before + GAIN:
                break
            before = bound
            joint = self._log_density(self.prior.posterior(statistics))
            responsibilities = joint + log_weights
            if self.n_labelled:
                responsibilities += self.side.log_factors(len(counts))
            normalise(responsibilities)
        return responsibilities


@dataclass(frozen=True)
class Relevance:
    """Responsibilities (n, K), relevant features (D,), gains (D,) in nats, and the bound.

    ``fewest`` is the smallest number of relevant features.
    """

    responsibilities: Array
    relevant: Booleans
    gains: Array
    bound: float
    fewest: int = 1

    @property
    def n_components(self) -> int:
        return int(self.responsibilities.shape[1])

    @property
    def features(self) -> Integers:
        """Numbers of the relevant features."""
        return np.flatnonzero(self.relevant)

    @property
    def log_odds(self) -> Array:
        """Log posterior odds (D,) that each feature is relevant, given the other features."""
        n_features, others = len(self.gains), self.relevant.sum() - self.relevant
        return self.gains + np.log(others + 1.0) - np.log(n_features - others)

    @property
    def log_evidence(self) -> float:
        """The bound, summed over all sets of relevant features."""
        best = self.gains[self.relevant].sum()
        best += log_prior(self.relevant.sum(), len(self.gains), self.fewest)
        return float(self.bound - best) + over_sets(self.gains, self.fewest)[1]


def over_sets(gains: Array, fewest: int) -> tuple[Array, float]:
    """Return P(relevant) (D,), and log Σ_S p(S) exp(Σ_{d in S} gain_d).

    As p(S) ∝ ∫ θ^|S| (1 - θ)^(D - |S|) dθ, features are independent given θ. The integral is over
    log(θ / (1 - θ)), without the empty set if ``fewest`` is 1.
    """
    n_features, logits = len(gains), np.linspace(-LARGEST_LOGIT, LARGEST_LOGIT, N_LOGITS)
    sets = np.zeros(N_LOGITS)
    for gain in gains:
        sets += np.logaddexp(0.0, logits + gain)
    none = -np.logaddexp(0.0, logits)
    nodes = n_features * none + logits + 2.0 * none + np.log(logits[1] - logits[0])
    nonempty = nodes + sets + (np.log(-np.expm1(-sets)) if fewest else 0.0)
    total = logsumexp(nonempty)
    shares = np.exp(nodes + sets - total)
    # Shares sum to 1 up to rounding.
    probabilities = np.minimum([expit(logits + gain) @ shares for gain in gains], 1.0)
    return probabilities, float(total + np.log((n_features + 1) / (n_features + 1 - fewest)))


def log_prior(n_relevant: Any, n_features: int, fewest: int = 1) -> Array:
    """Return log p(S): the size is uniform up to D, and sets of a size are equally likely."""
    sets = gammaln(n_features + 1) - gammaln(n_relevant + 1) - gammaln(n_features - n_relevant + 1)
    return -np.log(n_features + 1 - fewest) - sets


def at(table: FeatureTable, responsibilities: Array) -> Relevance:
    """Return the best set of relevant features at these responsibilities."""
    gains = table.evidence(responsibilities) - table.evidence_of_one
    order = np.argsort(-gains, kind="stable")
    sizes = np.arange(table.fewest, len(gains) + 1)
    totals = np.append(0.0, np.cumsum(gains[order]))[sizes]
    totals += log_prior(sizes, len(gains), table.fewest)
    best = int(totals.argmax())
    relevant = np.zeros(len(gains), dtype=bool)
    relevant[order[: sizes[best]]] = True
    bound = table.evidence_of_one.sum() + table.allocation(responsibilities) + totals[best]
    return Relevance(responsibilities, relevant, gains, float(bound), table.fewest)


def settled(table: FeatureTable, state: Relevance, passes: int, rounds: int) -> Relevance:
    """Alternate fits to the relevant features and choices of these, until the bound stands."""
    for _ in range(rounds):
        if not state.relevant.any():
            break
        updated = table.some(state.features).passes(state.responsibilities, passes)
        following = at(table, updated)
        if following.bound < state.bound + GAIN:
            break
        state = following
    return state


def toggled(table: FeatureTable, state: Relevance, feature: int, passes: int) -> Relevance:
    """Return the fit with one feature more or less, and other features as they are."""
    relevant = state.relevant.copy()
    relevant[feature] = not relevant[feature]
    part = table.some(np.flatnonzero(relevant))
    responsibilities = part.passes(state.responsibilities, passes)
    own = part.evidence(responsibilities) - part.evidence_of_one
    gains = state.gains.copy()
    gains[relevant] = own
    bound = table.evidence_of_one.sum() + table.allocation(responsibilities) + own.sum()
    bound += float(log_prior(len(own), table.n_features, table.fewest))
    return Relevance(responsibilities, relevant, gains, float(bound), table.fewest)
