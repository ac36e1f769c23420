"""Dirichlet factors in uncorrelated coordinates of unit variance: linear response needs them.

y = C log p, C with orthonormal rows that sum to zero, has the covariance C diag(ψ'(α)) Cᵀ = M Mᵀ,
and log p = E[log p] + B z + w, z = M⁻¹ (y - E[y]), with one number w for all levels of the column.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import block_diag, helmert
from scipy.special import digamma, polygamma

from bayesmix.families.independent.coordinates import Read, Write
from bayesmix.families.independent.levels import Levels
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.records import Frame, Spread


@dataclass(frozen=True)
class OneColumn:
    """One Dirichlet factor of L levels."""

    contrasts: Array  # C (L - 1, L)
    expected: Array  # E[y]
    root: Array  # M
    slopes: Array  # B (L, L - 1)
    left: float  # Var(w)
    across: Array  # Cov(p, z) (L, L - 1)
    across_left: Array  # Cov(p, w) (L,)
    own: Array  # Cov(p) (L, L)

    @classmethod
    def of(cls, alpha: Array) -> OneColumn:
        """The factor with these concentrations (L,)."""
        total, of_log = alpha.sum(), polygamma(1, alpha)
        contrasts: Any = helmert(len(alpha)) if len(alpha) > 1 else np.zeros((0, 1))
        root: Any = np.linalg.cholesky((contrasts * of_log) @ contrasts.T)
        slopes: Any = np.linalg.solve(root, contrasts * of_log).T
        mean = alpha / total
        with_logs = np.diag(mean / alpha) - mean[:, None] / total  # Cov(p_i, log p_j)
        across = np.linalg.solve(root, contrasts @ with_logs.T).T
        left = of_log[0] - polygamma(1, total) - slopes[0] @ slopes[0]
        return cls(
            contrasts,
            contrasts @ digamma(alpha),
            root,
            slopes,
            float(max(left, 0.0)),
            across,
            with_logs[:, 0] - across @ slopes[0],
            (np.diag(mean) - np.outer(mean, mean)) / (total + 1.0),
        )


@dataclass(frozen=True)
class LevelCoordinates:
    """Of a component z of all columns, then what their w add up to."""

    concentration: Array  # (K, F)
    reading: Levels
    read: Read
    write: Write

    @cached_property
    def columns(self) -> list[list[OneColumn]]:
        """Every factor, component by component."""
        pairs = self.reading.pairs
        return [
            [OneColumn.of(row[start:end]) for start, end in pairs] for row in self.concentration
        ]

    @property
    def _each(self) -> int:
        """How many coordinates a component has."""
        return int((self.reading.sizes - 1.0).sum()) + 1

    @property
    def size(self) -> int:
        return len(self.concentration) * self._each

    def places(self, k: int) -> Integers:
        """What the log density of component k depends on."""
        return np.arange(k * self._each, (k + 1) * self._each)

    def _left(self, k: int) -> float:
        return float(np.sqrt(sum(column.left for column in self.columns[k])))

    def slopes(self, values: Array, k: int) -> Array:
        """d E[log p(x | θ_k)] / d E[z] over ``places(k)``."""
        slopes = block_diag(*(column.slopes for column in self.columns[k]))
        moved = self.reading.totals(values).T @ slopes
        return np.hstack([moved, np.full((len(values), 1), self._left(k))])

    def coupling(self) -> float:
        """Nothing but rows couples components."""
        return 0.0

    def parameters(self, frame: Frame) -> dict[str, Spread]:
        """Probabilities, and means of codes: their covariances with z, and their own."""
        shape = self.concentration.shape
        across = np.zeros((*shape, self.size))
        for k, columns in enumerate(self.columns):
            places = self.places(k)
            across[k][:, places[:-1]] = block_diag(*(column.across for column in columns))
            left = np.concatenate([column.across_left for column in columns])
            across[k][:, places[-1]] = left / (self._left(k) or 1.0)
        own = block_diag(*(column.own for columns in self.columns for column in columns))
        spread = Spread(shape, across.reshape(-1, self.size), own)
        codes = block_diag(*(np.arange(number) for number in self.reading.numbers))
        every = block_diag(*[codes] * shape[0])
        of_means = (shape[0], len(codes))
        means = Spread(of_means, every @ spread.across, every @ own @ every.T)
        return {"probabilities": spread, "means": means}

    @property
    def moved(self) -> Integers:
        """Coordinates that ``standardised`` has: the others vary as 1/n², and nothing else."""
        return np.concatenate([self.places(k)[:-1] for k in range(len(self.concentration))])

    def standardised(self, draws: Any) -> Array:
        """z of draws, all components' after one another."""
        logs, parts = self.read(draws), []
        for k, columns in enumerate(self.columns):
            for column, (start, end) in zip(columns, self.reading.pairs, strict=True):
                away = logs[:, k, start:end] @ column.contrasts.T - column.expected
                parts.append(np.linalg.solve(column.root, away.T).T)
        return np.hstack(parts)

    def drawn(self, standardised: Array) -> Any:
        """The draws with these z."""
        logs, first = np.empty((len(standardised), *self.concentration.shape)), 0
        for k, columns in enumerate(self.columns):
            for column, (start, end) in zip(columns, self.reading.pairs, strict=True):
                z = standardised[:, first : first + len(column.root)]
                first += len(column.root)
                logs[:, k, start:end] = (column.expected + z @ column.root.T) @ column.contrasts
        return self.write(self.reading.normalised(logs))
