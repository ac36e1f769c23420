"""Factors of independent columns, in uncorrelated coordinates of unit variance.

What a row's column multiplies, and what is left of the constant: linear response needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.special import digamma, polygamma

from bayesmix.families.independent.linear import PLAIN, Reading
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.records import Frame, Spread

Read: TypeAlias = Callable[[Any], Array]  # draws -> a (S, K, D)
Write: TypeAlias = Callable[[Array], Any]  # and back


@dataclass(frozen=True)
class ColumnCoordinates:
    """log p(x | θ_k) = Σ_d t(x_d) a_kd + c_kd + ..., a = E[a] + deviation z, all (K, D).

    Coordinates of a component: D times z, then what Σ_d c_kd has beside its regression on z.
    """

    name: str  # "probabilities" or "rates"
    expected: Array  # E[a]
    deviation: Array
    slope: Array  # of c on a
    left: Array  # variance of what is left of c
    across: Array  # Cov(θ, z)
    across_left: Array  # Cov(θ, what is left of c)
    own: Array  # Var(θ)
    read: Read
    write: Write
    of_means: Array | None = None  # d E[x] / dθ, where θ is not E[x] itself
    reading: Reading = PLAIN  # what of a row a multiplies

    @property
    def size(self) -> int:
        n_components, n_features = self.expected.shape
        return int(n_components * (n_features + 1))

    def places(self, k: int) -> Integers:
        """What the log density of component k depends on."""
        step = int(self.expected.shape[1]) + 1
        return np.arange(k * step, (k + 1) * step)

    def slopes(self, values: Array, k: int) -> Array:
        """d E[log p(x | θ_k)] / d E[z] (n, D + 1) over ``places(k)``."""
        left = np.full((len(values), 1), np.sqrt(self.left[k].sum()))
        totals = self.reading.totals(values).T
        return np.hstack([(totals + self.slope[k]) * self.deviation[k], left])

    def coupling(self) -> float:
        """Nothing but rows couples components."""
        return 0.0

    def parameters(self, frame: Frame) -> dict[str, Spread]:
        """Probabilities or rates: their covariances with z, and their own."""
        K, D = self.expected.shape
        across = np.zeros((K, D, self.size))
        for k in range(K):
            places = self.places(k)
            across[k, np.arange(D), places[:-1]] = self.across[k]
            across[k, :, places[-1]] = self.across_left[k] / np.sqrt(self.left[k].sum())
        spread = Spread((K, D), across.reshape(-1, self.size), np.diag(self.own.ravel()))
        if self.of_means is None:
            return {self.name: spread}
        slopes = self.of_means.reshape(-1, 1)  # to first order, as all of linear response is
        means = Spread((K, D), slopes * spread.across, slopes * spread.own * slopes.T)
        return {"means": means, self.name: spread}

    @property
    def moved(self) -> Integers:
        """Coordinates that ``standardised`` has: the others vary as 1/n², and nothing else."""
        return np.concatenate([self.places(k)[:-1] for k in range(len(self.expected))])

    def standardised(self, draws: Any) -> Array:
        """z (S, K D) of draws."""
        away = (self.read(draws) - self.expected) / self.deviation
        return away.reshape(len(away), -1)

    def drawn(self, standardised: Array) -> Any:
        """The draws with these z."""
        away = standardised.reshape(-1, *self.expected.shape)
        return self.write(self.expected + self.deviation * away)


def of_betas(
    successes: Array, failures: Array, most: Array | float, read: Read, write: Write
) -> ColumnCoordinates:
    """Beta factors of ``most`` trials: x log(θ / (1 - θ)) + most log(1 - θ)."""
    success, failure = polygamma(1, successes), polygamma(1, failures)
    both, total = success + failure, successes + failures
    mean = successes / total
    return ColumnCoordinates(
        name="probabilities",
        expected=digamma(successes) - digamma(failures),
        deviation=np.sqrt(both),
        slope=most * (-failure / both),
        left=most**2 * (success * failure / both - polygamma(1, total)),
        across=1.0 / (total * np.sqrt(both)),
        across_left=most * ((failure / both - mean) / total),
        own=mean * (1.0 - mean) / (total + 1.0),
        read=read,
        write=write,
        of_means=None if np.ndim(most) == 0 else np.broadcast_to(most, mean.shape),
    )
