"""Factors of independent columns, in uncorrelated coordinates of unit variance.

What a row's column multiplies, and what is left of the constant: linear response needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.special import digamma, polygamma

from bayesmix.core.components import DrawnComponents
from bayesmix.core.priors import NamedTensors, Pymc, Tensor
from bayesmix.core.rows import Frame, Spread
from bayesmix.families.independent.linear import PLAIN, Reading
from bayesmix.numerics.arrays import Array, Integers

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


@dataclass(frozen=True)
class TotalsTwin:
    """K densities in PyMC that are linear in t(x); their parameters are one variable of the model.

    ``drawn`` are tensors by name, of which ``record`` makes the family's draws.
    """

    constants: Tensor  # (K,)
    slopes: Tensor  # (K, F)
    drawn: dict[str, Tensor]
    record: Callable[..., DrawnComponents]
    reading: Reading = PLAIN

    def log_density(self, pm: Pymc, values: Array) -> Tensor:
        """log p(x_n | θ_k) (n, K)."""
        density = data(pm, self.reading.totals(values)) @ self.slopes.T + self.constants
        if self.reading.has_base:
            base = pm.Data("log_base", self.reading.log_base(values), dims="row")
            density = density + base[:, None]
        return density

    def named(self, frame: Frame) -> NamedTensors:
        """Nothing beside the variable itself, which is in the units of the data."""
        return {}

    def draws(self, values: Mapping[str, Array]) -> Any:
        """S draws from the values (S, ...) of ``drawn``."""
        return self.record(**values)

    def point(self, draws: Any) -> dict[str, Array]:
        """Values (S, K, D) of the model's variable at draws: their first parameter."""
        name, (_, values) = next(iter(draws.parameters(None).items()))
        return {name: values}


def data(pm: Pymc, totals: Array) -> Any:
    """Totals (F, n) as data (n, F) of the model; every axis has a name, as nutpie wants it."""
    pm.modelcontext(None).add_coord("total", np.arange(len(totals)))
    return pm.Data("rows", np.ascontiguousarray(totals.T), dims=("row", "total"))
