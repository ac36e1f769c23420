"""Features that depend on relevant ones but do not differ between clusters given these.

All features besides S follow one linear regression on S, so that S is compared with one normal
density of the same features (Raftery & Dean 2006; Maugis, Celeux & Martin-Magniette 2009):

    G(S) = Σ_k log e(S, R_k) - log e(S, 1)

with e the evidence of normal features S under a normal-inverse-Wishart prior (Murphy 2007, eq.
266). Its margins have the same form, so e of S without one feature follows from the inverse matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.special import LOG_PI, multivariate_gammaln
from bayesmix.selection.relevance import FeatureTable, log_prior


@dataclass(frozen=True)
class JointEvidence:
    """Evidence of features S jointly, and of S without each feature (p,)."""

    whole: float
    without: Array


def joint_evidence(table: FeatureTable, responsibilities: Array, shared: bool) -> JointEvidence:
    """Return the evidence of normal features with a covariance matrix for each component, or one.

    ``table`` holds the features S alone.
    """
    prior: Any = table.prior
    values, beta0, scale = table.values, prior.mean_precision, prior.scale.mean[0]
    shares = responsibilities * table.weights[:, None]
    counts = shares.sum(axis=0)
    scatters = []
    for share, count in zip(shares.T, counts, strict=True):
        mean = share @ values / max(count, 1e-300)
        away, off = values - mean, mean - prior.mean
        shrunk = beta0 * count / (beta0 + count)
        scatters.append((away * share[:, None]).T @ away + shrunk * np.outer(off, off))
    blocks = [(counts.sum(), sum(scatters))] if shared else list(zip(counts, scatters, strict=True))
    p = len(scale)
    whole, without = 0.0, np.zeros(p)
    for count in counts:
        leaning = 0.5 * np.log(beta0 / (beta0 + count)) - 0.5 * count * LOG_PI
        whole, without = whole + p * leaning, without + (p - 1) * leaning
    for count, scatter in blocks:
        inverse = np.linalg.inv(np.diag(scale) + scatter)
        log_det = -np.linalg.slogdet(inverse)[1]
        before, less = np.log(scale).sum(), np.log(np.diagonal(inverse))
        whole += _of_block(p, count, before, log_det)
        without = without + _of_block(p - 1, count, before - np.log(scale), log_det + less)
    return JointEvidence(float(whole), without)


def _of_block(p: int, count: float, log_det_prior: Any, log_det: Any) -> Any:
    """Return log of the ratio of inverse-Wishart normalisers with ν0 = p + 2."""
    if p == 0:
        return 0.0
    nu0 = p + 2.0
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
    joint = joint_evidence(table, np.ones((len(table.values), 1)), shared=True)
    irrelevant = np.maximum(joint.whole - joint.without, alone)
    one = max(joint.whole, float(alone.sum()))
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
        found = np.zeros(table.n_features)
        if not len(self.features):
            return found
        for d in np.setdiff1d(np.arange(table.n_features), self.features):
            part = table.some(np.append(self.features, d))
            found[d] = compared(part, self.responsibilities).gains[-1]
        found[self.features] = self.gains
        return found


def differing(table: FeatureTable, features: Integers, responsibilities: Array) -> Differing:
    """Drop features that do not differ given the others, one at a time."""
    while True:
        part, n = table.some(features), len(features)
        found = compared(part, responsibilities)
        cost = float(log_prior(n - 1, table.n_features) - log_prior(n, table.n_features))
        worst = int(found.gains.argmin())
        if n == 1 or found.gains[worst] >= cost:
            factor = found.gain + part.allocation(responsibilities)
            factor += float(gammaln(responsibilities.shape[1] + 1.0))
            return Differing(features, responsibilities, found.gains, factor)
        features = np.delete(features, worst)
