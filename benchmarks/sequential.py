"""The evidence of normal mixtures in one dimension by sequential Monte Carlo.

An independent check: labels are drawn row by row from their predictive probabilities, parameters
integrated out, and the mean weight of the particles is an unbiased estimate of p(X | K) (Chopin
2002; Fearnhead 2004). It shares nothing with the package, and has no modes to miss: it begins
where there are no rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp

Array = np.ndarray


@dataclass(frozen=True)
class NormalGamma:
    """λ ~ Wishart(1 / scatter, freedom), μ | λ ~ N(0, 1 / (mean_precision λ))."""

    mean_precision: float
    freedom: float
    scatter: float

    def log_predictive(self, x: float, counts: Array, sums: Array, squares: Array) -> Array:
        """log p(x | rows with these sums): Student's t (Bishop 2006, eq. 10.81)."""
        precision, freedom = self.mean_precision + counts, self.freedom + counts
        mean = sums / precision
        scatter = self.scatter + squares - precision * mean * mean
        scale = scatter * (precision + 1.0) / (precision * freedom)
        away = (x - mean) ** 2 / scale
        log_density: Array = (
            gammaln(0.5 * (freedom + 1.0))
            - gammaln(0.5 * freedom)
            - 0.5 * np.log(np.pi * freedom * scale)
            - 0.5 * (freedom + 1.0) * np.log1p(away / freedom)
        )
        return log_density


def log_evidence(
    rows: Array,
    n_components: int,
    prior: NormalGamma,
    n_particles: int,
    n_orders: int,
    seed: int | tuple[int, int],
) -> float:
    """log p(X | K) with π ~ Dirichlet(1): the mean of several orders of the rows."""
    generator = np.random.default_rng([*np.atleast_1d(seed), n_components])
    found = np.array(
        [
            _one_order(generator.permutation(rows), n_components, prior, n_particles, generator)
            for _ in range(n_orders)
        ]
    )
    return _log_mean(found)


def _log_mean(logs: Array) -> float:
    return float(logsumexp(logs) - np.log(len(logs)))


def _one_order(
    rows: Array, n_components: int, prior: NormalGamma, n: int, generator: np.random.Generator
) -> float:
    counts, sums, squares = np.zeros((3, n, n_components))
    log_weights, total = np.zeros(n), 0.0
    every = np.arange(n)
    for place, x in enumerate(rows):
        joint = np.log((1.0 + counts) / (n_components + place))
        joint += prior.log_predictive(x, counts, sums, squares)
        largest = joint.max(axis=1)
        shares = np.exp(joint - largest[:, None])
        reached = shares.cumsum(axis=1)
        log_weights += largest + np.log(reached[:, -1])
        drawn = (reached < (generator.random(n) * reached[:, -1])[:, None]).sum(axis=1)
        counts[every, drawn] += 1.0
        sums[every, drawn] += x
        squares[every, drawn] += x * x
        weights = np.exp(log_weights - log_weights.max())
        if weights.sum() ** 2 < 0.5 * n * (weights**2).sum():
            total += _log_mean(log_weights)
            log_weights = np.zeros(n)
            places = (every + generator.random()) / n
            chosen = np.searchsorted(weights.cumsum() / weights.sum() * (1.0 + 1e-12), places)
            counts, sums, squares = counts[chosen], sums[chosen], squares[chosen]
    return total + _log_mean(log_weights)
