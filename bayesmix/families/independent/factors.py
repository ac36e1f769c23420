"""Columns with conjugate factors: coordinates for linear response, and densities in PyMC."""

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
Write: TypeAlias = Callable[[Array], Any]  # inverse of ``Read``


@dataclass(frozen=True)
class ColumnCoordinates:
    """Standardised parameters z of independent columns.

    log p(x | θ_k) = Σ_d t(x_d) a_kd + c_kd + ..., with a = E[a] + deviation z. Arrays are (K, D).
    Coordinates of a component are D times z, then the residual of Σ_d c_kd on z.
    """

    name: str  # "probabilities" or "rates"
    expected: Array  # E[a]
    deviation: Array
    slope: Array  # regression slope of c on a
    left: Array  # residual variance of c
    across: Array  # Cov(θ, z)
    across_left: Array  # Cov(θ, residual of c)
    own: Array  # Var(θ)
    read: Read
    write: Write
    of_means: Array | None = None  # d E[x] / dθ, if θ is not E[x]
    reading: Reading = PLAIN  # sufficient statistics

    @property
    def size(self) -> int:
        n_components, n_features = self.expected.shape
        return int(n_components * (n_features + 1))

    def places(self, k: int) -> Integers:
        step = int(self.expected.shape[1]) + 1
        return np.arange(k * step, (k + 1) * step)

    def slopes(self, values: Array, k: int) -> Array:
        residual = np.full((len(values), 1), np.sqrt(self.left[k].sum()))
        totals = self.reading.totals(values).T
        return np.hstack([(totals + self.slope[k]) * self.deviation[k], residual])

    def coupling(self) -> float:
        return 0.0

    def parameters(self, frame: Frame) -> dict[str, Spread]:
        K, D = self.expected.shape
        across = np.zeros((K, D, self.size))
        for k in range(K):
            places = self.places(k)
            across[k, np.arange(D), places[:-1]] = self.across[k]
            across[k, :, places[-1]] = self.across_left[k] / np.sqrt(self.left[k].sum())
        spread = Spread((K, D), across.reshape(-1, self.size), np.diag(self.own.ravel()))
        if self.of_means is None:
            return {self.name: spread}
        slopes = self.of_means.reshape(-1, 1)  # first order, as in all of linear response
        means = Spread((K, D), slopes * spread.across, slopes * spread.own * slopes.T)
        return {"means": means, self.name: spread}

    @property
    def moved(self) -> Integers:
        return np.concatenate([self.places(k)[:-1] for k in range(len(self.expected))])

    def standardised(self, draws: Any) -> Array:
        away = (self.read(draws) - self.expected) / self.deviation
        return away.reshape(len(away), -1)

    def drawn(self, standardised: Array) -> Any:
        away = standardised.reshape(-1, *self.expected.shape)
        return self.write(self.expected + self.deviation * away)


def of_betas(
    successes: Array, failures: Array, most: Array | float, read: Read, write: Write
) -> ColumnCoordinates:
    """Return coordinates of beta factors: x log(θ / (1 - θ)) + most log(1 - θ)."""
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
    """K densities in PyMC that are linear in t(x), with a single variable.

    ``record`` makes draws of the family from the tensors ``drawn``.
    """

    constants: Tensor  # (K,)
    slopes: Tensor  # (K, F)
    drawn: dict[str, Tensor]
    record: Callable[..., DrawnComponents]
    reading: Reading = PLAIN

    def log_density(self, pm: Pymc, values: Array) -> Tensor:
        density = data(pm, self.reading.totals(values)) @ self.slopes.T + self.constants
        if self.reading.has_base:
            base = pm.Data("log_base", self.reading.log_base(values), dims="row")
            density = density + base[:, None]
        return density

    def named(self, frame: Frame) -> NamedTensors:
        return {}

    def draws(self, values: Mapping[str, Array]) -> Any:
        return self.record(**values)

    def point(self, draws: Any) -> dict[str, Array]:
        """Return values (S, K, D) of the PyMC variable, the first parameter of the draws."""
        name, (_, values) = next(iter(draws.parameters(None).items()))
        return {name: values}


def data(pm: Pymc, totals: Array) -> Any:
    """Add totals (F, n) to the model as data (n, F), with names for all axes as nutpie requires."""
    pm.modelcontext(None).add_coord("total", np.arange(len(totals)))
    return pm.Data("rows", np.ascontiguousarray(totals.T), dims=("row", "total"))
