"""Negative binomial densities, the predictive of Poisson columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from bayesmix.families.independent.columns import Columns
from bayesmix.numerics.arrays import Array, Integers


@dataclass(frozen=True)
class NegativeBinomials(Columns):
    """Gamma-Poisson predictive with shape and rate (K, D)."""

    shape: Array
    rate: Array

    @property
    def means(self) -> Array:
        return self.shape / self.rate

    @property
    def deviations(self) -> Array:
        return np.sqrt(self.means * (1.0 + 1.0 / self.rate))

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(x | k, data) (n, K)."""
        out = np.empty((len(values), self.n_components))
        for k, (shape, rate) in enumerate(zip(self.shape, self.rate, strict=True)):
            out[:, k] = (
                gammaln(shape + values)
                - gammaln(shape)
                - shape * np.log1p(1.0 / rate)
                - values * np.log1p(rate)
            ).sum(axis=1)
        out -= gammaln(values + 1.0).sum(axis=1, keepdims=True)
        return out

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        shape = np.repeat(self.shape, counts, axis=0)
        rates = generator.gamma(shape) / np.repeat(self.rate, counts, axis=0)
        return generator.poisson(rates).astype(float)
