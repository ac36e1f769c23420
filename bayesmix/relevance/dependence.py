"""Features that depend on relevant ones but do not differ between clusters given these.

All features besides S follow one linear regression on S, so that S is compared with one normal
density of the same features (Raftery & Dean 2006; Maugis, Celeux & Martin-Magniette 2009):

    G(S) = Σ_k log e(S, R_k) - log e(S, 1)

with e the evidence of normal features S under a normal-inverse-Wishart prior (Murphy 2007, eq.
266). Its margins have the same form, so e of S without one feature follows from the inverse matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.special import LOG_PI, multivariate_gammaln
from bayesmix.relevance.relevance import MOST_PASSES, FeatureTable, log_prior
from bayesmix.relevance.relevance_search import FeatureSelection, SelectedFeatures

# Factors of covariance matrices, rounds of principal axes, and the largest share of variance that
# factors explain of a feature.
MOST_FACTORS, ROUNDS, MOST_COMMON = 3, 10, 0.99
# Weights of the factor model, in multiples of n.
STRENGTHS = (0.25, 4.0)


@dataclass(frozen=True)
class JointEvidence:
    """Evidence of features S jointly, and of S without each feature (p,)."""

    whole: float
    without: Array


def joint_evidence(table: FeatureTable, responsibilities: Array, shared: bool) -> JointEvidence:
    """Return the evidence of normal features with a covariance matrix for each component, or one.

    ``table`` holds the features S alone. The best of several priors is used, see ``priors``.
    """
    return max(joint_evidences(table, responsibilities, shared), key=lambda form: form.whole)


def joint_evidences(
    table: FeatureTable, responsibilities: Array, shared: bool
) -> list[JointEvidence]:
    """Return the evidence under each of several priors."""
    shares = responsibilities * table.weights[:, None]
    counts = shares.sum(axis=0)
    return [
        joint_evidence_under(table, shares, counts, shared, *prior)
        for prior in priors(table, shares, counts)
    ]


def priors(table: FeatureTable, shares: Array, counts: Array) -> list[tuple[float, Array, float]]:
    """Return degrees of freedom and scale of inverse-Wishart priors, and their cost per feature.

    The first is the default prior. The others are centred at a covariance matrix with few factors
    or none, within components, whose loadings and variances cost half of log n each.
    """
    prior: Any = table.prior
    p, n = table.n_features, float(counts.sum())
    default = np.diag(prior.scale.mean[0])
    choices = [(p + 2.0, default, 0.0)]
    means = shares.T @ table.values / np.maximum(counts, 1e-300)[:, None]
    within = (table.values.T * shares.sum(axis=1)) @ table.values
    within = within - (means.T * counts) @ means + default
    deviation = np.sqrt(np.diagonal(within) / (n + 1.0))
    correlation = within / np.outer(deviation, deviation) / (n + 1.0)
    for n_factors in range(min(MOST_FACTORS, (p - 1) // 2) + 1):
        covariance = factor_model(correlation, n_factors) * np.outer(deviation, deviation)
        for strength in STRENGTHS:
            nu0 = p + 1.0 + strength * n
            choices.append((nu0, strength * n * covariance, 0.5 * (n_factors + 1) * np.log(n)))
    return choices


def factor_model(correlation: Array, n_factors: int) -> Array:
    """Return a correlation matrix with few factors, by principal axes."""
    if not n_factors:
        return np.eye(len(correlation))
    common = 1.0 - 1.0 / np.diagonal(np.linalg.inv(correlation))
    for _ in range(ROUNDS):
        reduced = correlation.copy()
        np.fill_diagonal(reduced, common)
        lengths, axes = np.linalg.eigh(reduced)
        loadings = axes[:, -n_factors:] * np.sqrt(np.maximum(lengths[-n_factors:], 0.0))
        common = np.minimum((loadings**2).sum(axis=1), MOST_COMMON)
    model: Array = loadings @ loadings.T
    np.fill_diagonal(model, 1.0)
    return model


def joint_evidence_under(
    table: FeatureTable,
    shares: Array,
    counts: Array,
    shared: bool,
    nu0: float,
    scale: Array,
    cost: float,
) -> JointEvidence:
    """Return the evidence under an inverse-Wishart prior, less its cost."""
    prior: Any = table.prior
    values, beta0, p = table.values, prior.mean_precision, table.n_features
    scatters = []
    for share, count in zip(shares.T, counts, strict=True):
        mean = share @ values / max(count, 1e-300)
        away, off = values - mean, mean - prior.mean
        shrunk = beta0 * count / (beta0 + count)
        scatters.append((away * share[:, None]).T @ away + shrunk * np.outer(off, off))
    blocks = [(counts.sum(), sum(scatters))] if shared else list(zip(counts, scatters, strict=True))
    whole, without = -cost * p, np.full(p, -cost * (p - 1))
    for count in counts:
        leaning = 0.5 * np.log(beta0 / (beta0 + count)) - 0.5 * count * LOG_PI
        whole, without = whole + p * leaning, without + (p - 1) * leaning
    before, before_less = _log_dets(scale)
    for count, scatter in blocks:
        after, after_less = _log_dets(scale + scatter)
        whole += _of_block(p, nu0, count, before, after)
        without = without + _of_block(p - 1, nu0 - 1.0, count, before_less, after_less)
    return JointEvidence(float(whole), without)


def _log_dets(matrix: Array) -> tuple[Any, Array]:
    """Return log determinants of a matrix and of it without each row and column."""
    inverse = np.linalg.inv(matrix)
    log_det = -np.linalg.slogdet(inverse)[1]
    return log_det, log_det + np.log(np.diagonal(inverse))


def _of_block(p: int, nu0: float, count: float, log_det_prior: Any, log_det: Any) -> Any:
    """Return the log ratio of inverse-Wishart normalisers."""
    if p == 0:
        return 0.0
    gammas = [float(multivariate_gammaln(np.array(0.5 * nu), p)) for nu in (nu0 + count, nu0)]
    determinants = 0.5 * nu0 * log_det_prior - 0.5 * (nu0 + count) * log_det
    return determinants + gammas[0] - gammas[1]


@dataclass(frozen=True)
class Comparison:
    """Evidence of features S that differ between clusters, and of one normal density."""

    clusters: JointEvidence
    one: float
    gains: Array  # (p,) evidence that each feature differs given the others

    @property
    def gain(self) -> float:
        """G(S)."""
        return self.clusters.whole - self.one


def compared(table: FeatureTable, responsibilities: Array) -> Comparison:
    """Compare the features in ``table`` under the best of three covariance structures.

    A feature that does not differ is regressed on the others or is independent of them.
    """
    apart, alone = table.evidence(responsibilities), table.evidence_of_one
    forms = [
        joint_evidence(table, responsibilities, shared=True),
        joint_evidence(table, responsibilities, shared=False),
        JointEvidence(float(apart.sum()), apart.sum() - apart),
    ]
    clusters = max(forms, key=lambda form: form.whole)
    joint = joint_evidences(table, np.ones((len(table.values), 1)), shared=True)
    irrelevant = np.max([*(form.whole - form.without for form in joint), alone], axis=0)
    one = max(*(form.whole for form in joint), float(alone.sum()))
    return Comparison(clusters, one, clusters.whole - clusters.without - irrelevant)


@dataclass(frozen=True)
class Differing:
    """Features that differ between clusters, responsibilities, gains (p,), and a log Bayes factor.

    The factor compares the clusters with one normal density of these features.
    """

    features: Integers
    responsibilities: Array
    gains: Array
    log_bayes_factor: float

    def evidence(self, table: FeatureTable) -> Array:
        """Return the evidence (D,) that each feature differs given the relevant ones."""
        evidence = np.zeros(table.n_features)
        if not len(self.features):
            return evidence
        for d in np.setdiff1d(np.arange(table.n_features), self.features):
            part = table.some(np.append(self.features, d))
            evidence[d] = compared(part, self.responsibilities).gains[-1]
        evidence[self.features] = self.gains
        return evidence


def differing(table: FeatureTable, features: Integers, responsibilities: Array) -> Differing:
    """Drop features that do not differ given the others, one at a time."""
    while True:
        part, n = table.some(features), len(features)
        comparison = compared(part, responsibilities)
        cost = float(log_prior(n - 1, table.n_features) - log_prior(n, table.n_features))
        worst = int(comparison.gains.argmin())
        if n == 1 or comparison.gains[worst] >= cost:
            factor = comparison.gain + part.allocation(responsibilities)
            factor += part.relabellings(responsibilities)
            return Differing(features, responsibilities, comparison.gains, factor)
        features = np.delete(features, worst)


# Responsibilities after a fit to some features, which may begin at others.
Fit = Callable[[Integers, Array], Array]


def settled_by_regression(
    table: FeatureTable, features: Integers, responsibilities: Array, fit: Fit
) -> Differing:
    """Alternate fits to the features and drops of those that others explain."""
    while True:
        responsibilities = fit(features, responsibilities)
        state = differing(table, features, responsibilities)
        if len(state.features) == len(features):
            return state
        features = state.features


def by_regression(table: FeatureTable, searched: SelectedFeatures, fit: Fit) -> FeatureSelection:
    """Return the features that differ between clusters given the other ones.

    Begins at all that the search went through, with features independent given the component, and
    at a ``fit`` to the features that it found; the best is then extended.
    """
    n_features = table.n_features

    def independent(features: Integers, responsibilities: Array) -> Array:
        return table.some(features).passes(responsibilities, MOST_PASSES)

    def worth(one: Differing) -> float:
        return one.log_bayes_factor + float(log_prior(len(one.features), n_features))

    states = [settled_by_regression(table, *start, independent) for start in searched.tried]
    if searched.relevant.any():
        best_of_all = searched.best
        start = best_of_all.features, best_of_all.responsibilities
        states.append(settled_by_regression(table, *start, fit))
    best = max(states, key=worth, default=None)
    if best is None or worth(best) <= 0.0:
        nothing = np.zeros(n_features)
        return FeatureSelection(nothing > 0.0, nothing, nothing)
    while True:
        evidence = best.evidence(table)
        n = len(best.features)
        cost = float(log_prior(n, n_features) - log_prior(n + 1, n_features))
        more = np.union1d(best.features, np.flatnonzero(evidence > cost))
        if len(more) == n:
            break
        larger = settled_by_regression(table, more, best.responsibilities, independent)
        if worth(larger) <= worth(best):
            break
        best = larger
    relevant = np.isin(np.arange(n_features), best.features)
    others = relevant.sum() - relevant
    odds = evidence + np.log(others + 1.0) - np.log(n_features - others)
    return FeatureSelection(relevant, evidence, expit(odds))
