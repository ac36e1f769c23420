"""Counts and totals: the sufficient statistics of families that are linear in x."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from bayesmix.numerics import features
from bayesmix.numerics.arrays import UNIT_ROUNDOFF, Array, Integers
from bayesmix.records import Event, Mixture, Repair

# In place of the logarithm of zero where it multiplies counts that may be zero.
NEVER = -1e200


@dataclass(frozen=True)
class Sums:
    """counts (K,) Σ w r and totals (K, D) Σ w r x."""

    counts: Array
    totals: Array
    shared = False

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.counts + other.counts, self.totals + other.totals)

    def scaled(self, factor: float) -> Sums:
        """The sums of rows repeated ``factor`` times."""
        return Sums(factor * self.counts, factor * self.totals)

    def subset(self, keep: Integers) -> Sums:
        """Those of some components."""
        return Sums(self.counts[keep], self.totals[keep])

    def merged(self, first: int, second: int) -> Sums:
        """With ``second`` added to ``first`` and left out."""
        counts, totals = self.counts.copy(), self.totals.copy()
        counts[first] += counts[second]
        totals[first] += totals[second]
        return Sums(np.delete(counts, second), np.delete(totals, second, axis=0))

    def split(self, k: int, halves: Sums) -> Sums:
        """With the first half in the place of component k, and the other at the end."""
        counts = np.append(self.counts, halves.counts[1])
        totals = np.vstack([self.totals, halves.totals[1:]])
        counts[k], totals[k] = halves.counts[0], halves.totals[0]
        return Sums(counts, totals)

    def exchanged(self, keep: Integers, others: Sums) -> Sums:
        """Some components, and others in the place of the rest."""
        return self.joined([self.subset(keep), others])

    @staticmethod
    def joined(parts: Sequence[Sums]) -> Sums:
        """Those of all components of several."""
        return Sums(
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.totals for part in parts]),
        )

    def pack(self) -> Array:
        """One vector of all sums."""
        return np.concatenate([self.counts, self.totals.ravel()])

    def units(self) -> float:
        """1: all entries are numbers of events."""
        return 1.0

    def unpack(self, vector: Array) -> Sums:
        """The sums that pack to ``vector``."""
        n_components = len(self.counts)
        return Sums(vector[:n_components], vector[n_components:].reshape(self.totals.shape))

    def shares(self, where_empty: Array | float) -> Array:
        """totals / counts, and ``where_empty`` for components without rows."""
        out = np.broadcast_to(np.asarray(where_empty, dtype=float), self.totals.shape).copy()
        present = self.counts[:, None] > 0
        np.divide(self.totals, self.counts[:, None], out=out, where=present)
        return out


def sums(values: Array, responsibilities: Array) -> Sums:
    """Sums of rows under responsibilities (n, K)."""
    return Sums(responsibilities.sum(axis=0), (values.T @ responsibilities).T)


@dataclass(frozen=True)
class LinearInTotals:
    """K log densities that are linear in [1, x], or in [1, x, -Σ log x!] of counts.

    ``exact`` is False where an outcome that cannot be would need infinities that cancel.
    """

    coefficients: Array  # (K, F)
    kind: int = features.TOTALS
    exact: bool = True
    stabilised: Array | None = None  # (K, D) means where columns vary as much, 1/4, at any mean

    def features(self, values: Array) -> Array:
        """[1, x] or [1, x, -Σ log x!] (F, n)."""
        columns = values.T
        out = np.empty((self.coefficients.shape[1], columns.shape[1]))
        out[0] = 1.0
        out[1 : 1 + len(columns)] = columns
        if self.kind == features.COUNTS:
            out[-1] = -gammaln(columns + 1.0).sum(axis=0)
        return out

    @property
    def n_components(self) -> int:
        return len(self.coefficients)

    @property
    def linear(self) -> LinearInTotals:
        """Itself: to an E-step, linear forms are components."""
        return self

    def subset(self, keep: Integers) -> LinearInTotals:
        """Some of the forms, in the order given."""
        places = None if self.stabilised is None else self.stabilised[keep]
        return LinearInTotals(self.coefficients[keep], self.kind, self.exact, places)

    def near(self, log_weights: Array) -> Array:
        """log ∫ √(p_j p_k) and half the log weight of k (K, K): how much k may take of j's rows.

        The Bhattacharyya coefficient of Poisson columns is exp(-½ (√λ_j - √λ_k)²); of Bernoulli
        columns cos(φ_j - φ_k), which is no more than that of their angles φ = arcsin √p.
        """
        places = self.stabilised
        assert places is not None
        squares = np.einsum("kd,kd->k", places, places)
        overlaps: Array = places @ places.T - 0.5 * (squares[:, None] + squares)
        return overlaps + 0.5 * log_weights

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        """Counts and totals."""
        return sums(values, responsibilities)

    def expected_log_density(self, values: Array) -> Array:
        """(n, K)."""
        out: Array = (self.coefficients @ self.features(values)).T
        return out

    def from_sums(self, summed: Array) -> Sums:
        """Counts and totals from summed features."""
        n_features = summed.shape[1] - 1 - (self.kind == features.COUNTS)
        return Sums(summed[:, 0].copy(), summed[:, 1 : 1 + n_features].copy())

    def loss(self, statistics: Sums, most: float = 0.0) -> float:
        """Bound on the rounding error of Σ_n w_n log p(x_n), in nats; log x! is below the rest."""
        if not self.exact:
            return np.inf
        sizes = np.concatenate([statistics.counts[:, None], statistics.totals], axis=1)
        weight = float(np.einsum("kf,kf->", np.abs(self.coefficients[:, : sizes.shape[1]]), sizes))
        return 2.0 * UNIT_ROUNDOFF * float(self.coefficients.shape[1]) * weight


@dataclass(frozen=True)
class TotalsTwin:
    """K densities in PyMC that are linear in x, of parameters that are one variable of the model.

    ``drawn`` are tensors by the fields of ``record``, the family's draws.
    """

    constants: Any  # (K,)
    slopes: Any  # (K, D)
    drawn: dict[str, Any]
    record: Any
    counts: bool = False  # whether densities have -Σ log x!

    def log_density(self, pm: Any, values: Array) -> Any:
        """log p(x_n | θ_k) (n, K)."""
        rows = pm.Data("rows", values, dims=("row", "direction"))
        density = rows @ self.slopes.T + self.constants
        if self.counts:
            factorials = gammaln(values + 1.0).sum(axis=1)
            density = density - pm.Data("log_factorials", factorials, dims="row")[:, None]
        return density

    def named(self, frame: Any) -> dict[str, tuple[tuple[str, ...], Any]]:
        """Nothing beside the variable itself, which is in the units of the data."""
        return {}

    def draws(self, values: Mapping[str, Array]) -> Any:
        """S draws from the values (S, ...) of ``drawn``."""
        return self.record(**values)

    def point(self, draws: Any) -> dict[str, Array]:
        """Values (S, K, D) of the model's variable at draws."""
        return {name: values for name, (_, values) in draws.parameters(None).items()}


@dataclass(frozen=True)
class NoGuard:
    """For families whose likelihood is bounded."""

    resolution: None = None

    def examine(
        self, mixture: Mixture, resolution: Any, events: tuple[Event, ...], thorough: bool
    ) -> Repair | None:
        """Nothing to see."""
        return None
