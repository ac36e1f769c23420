"""Wishart factors Λ = R M Rᵀ with E[M] = I, in uncorrelated coordinates of unit variance.

M = I + Σ_p z_p B_p / sqrt(ν), B_p symmetric with tr(B_p B_q) = 2 δ_pq, and what log|M| has beside
its regression on M as one more coordinate (moments: Gupta & Nagar 2000, ch. 3). Matrices, and over
axes, where every column has a Gamma factor, or all columns share one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
from scipy.special import digamma, polygamma

from bayesmix.numerics.arrays import Array
from bayesmix.numerics.triangular import inverse_root
from bayesmix.numerics.wishart import LOG_2, multivariate_digamma


class Whitened(Protocol):
    """B factors with p elements each."""

    @property
    def root(self) -> Array:
        """R of every block."""
        ...

    @property
    def n_elements(self) -> int: ...

    @property
    def left(self) -> Array:
        """Standard deviation (B,) of what ½ log|M| has beside its regression on M."""
        ...

    def whitened(self, away: Array, b: int) -> Array:
        """Rᵀ a for rows a (n, D)."""
        ...

    def coloured(self, normal: Array, b: int) -> Array:
        """R⁻ᵀ u for rows u (n, D)."""
        ...

    def slopes(self, y: Array, b: int) -> Array:
        """d (½ log|M| - ½ yᵀMy) / dz (n, p)."""
        ...

    def mean_of_inverse(self, b: int) -> Array:
        """Diagonal (D,) of E[M⁻¹], infinite where there is none."""
        ...

    def of_inverse(self, b: int) -> tuple[Array, Array]:
        """Covariances of the elements of Λ⁻¹: with z and what is left of log|M|, and their own."""
        ...

    def of_itself(self) -> tuple[Array, Array]:
        """Covariances of the elements of the one block: with z, and their own."""
        ...

    def across(self, blocks: Self, b: int) -> Array:
        """Second derivatives (p, p) of -½ tr(S Λ_b), S the one block of these."""
        ...

    def logs(self, roots: Array) -> Array:
        """log M (S, B, p) of drawn roots (S, B, ...), centred, as z to first order."""
        ...

    def from_logs(self, logs: Array) -> Array:
        """Roots (S, B, ...) of Λ."""
        ...


def whitened(wishart: Any, n_features: int) -> Whitened:
    """The coordinates of a Wishart factor, in the algebra that it has."""
    kind: Any = WhitenedMatrices if wishart.scale_inverse.ndim == 3 else WhitenedAxes
    made: Whitened = kind(wishart.mean_root, wishart.degrees_of_freedom, n_features)
    return made


def mapped(matrix: Array, covariance: Array) -> Array:
    """A C Aᵀ, infinite where C is."""
    if not np.isfinite(covariance).all():
        return np.full((len(matrix), len(matrix)), np.inf)
    product: Array = matrix @ covariance @ matrix.T
    return product


def _log_left(nu: Array) -> Array:
    """Variance of ½ log M beside its regression on M, one dimension."""
    variance: Array = 0.25 * polygamma(1, 0.5 * nu) - 0.5 / nu
    return variance


@dataclass(frozen=True)
class WhitenedMatrices:
    """Matrices: R (B, D, D), ν (B,)."""

    root: Array
    freedom: Array
    n_features: int

    @property
    def n_elements(self) -> int:
        return self.n_features * (self.n_features + 1) // 2

    @cached_property
    def basis(self) -> Array:
        """B_p (p, D, D)."""
        upper, right = np.triu_indices(self.n_features)
        out = np.zeros((len(upper), self.n_features, self.n_features))
        out[np.arange(len(upper)), upper, right] = 1.0
        out[np.arange(len(upper)), right, upper] = 1.0
        out[upper == right] *= np.sqrt(2.0)
        return out

    @cached_property
    def left(self) -> Array:
        steps = np.arange(self.n_features)
        each = polygamma(1, 0.5 * (self.freedom[:, None] - steps)).sum(axis=1)
        left: Array = np.sqrt(0.25 * each - 0.5 * self.n_features / self.freedom)
        return left

    def whitened(self, away: Array, b: int) -> Array:
        turned: Array = away @ self.root[b]
        return turned

    def coloured(self, normal: Array, b: int) -> Array:
        solved: Array = np.linalg.solve(self.root[b].T, normal.T).T
        return solved

    def slopes(self, y: Array, b: int) -> Array:
        upper, right = np.triu_indices(self.n_features)
        same = upper == right
        out: Array = y[:, upper] * y[:, right]
        out[:, same] = (out[:, same] - 1.0) / np.sqrt(2.0)
        out /= -np.sqrt(self.freedom[b])
        return out

    def mean_of_inverse(self, b: int) -> Array:
        nu, p = self.freedom[b], self.n_features
        return np.full(p, nu / (nu - p - 1.0) if nu > p + 1.0 else np.inf)

    def of_inverse(self, b: int) -> tuple[Array, Array]:
        nu, p = float(self.freedom[b]), self.n_features
        size = p * p
        if nu <= p + 1.0:
            return np.zeros((size, self.n_elements + 1)), np.full((size, size), np.inf)
        away = self.coloured(np.eye(p), b).T
        elements = away @ self.basis @ away.T / -((nu - p - 1.0) / np.sqrt(nu))
        inverse = away @ away.T
        rest = inverse * -(p + 1.0) / ((nu - p - 1.0) ** 2 * self.left[b])
        with_own = np.vstack([elements.reshape(-1, size), rest.reshape(1, size)]).T
        if nu <= p + 3.0:
            return with_own, np.full((size, size), np.inf)
        # Of an inverse Wishart with ν degrees of freedom and scale ν (R Rᵀ)⁻¹.
        own = 2.0 * np.einsum("ij,kl->ijkl", inverse, inverse)
        own += (nu - p - 1.0) * _pairs(inverse)
        own *= nu * nu / ((nu - p) * (nu - p - 1.0) ** 2 * (nu - p - 3.0))
        return with_own, own.reshape(size, size)

    def of_itself(self) -> tuple[Array, Array]:
        root, nu, p = self.root[0], float(self.freedom[0]), self.n_features
        with_own = (root @ self.basis @ root.T).reshape(-1, p * p).T / np.sqrt(nu)
        return with_own, _pairs(root @ root.T).reshape(p * p, p * p) / nu

    def across(self, blocks: WhitenedMatrices, b: int) -> Array:
        between = self.root[0].T @ blocks.root[b]
        turned = between @ self.basis @ between.T
        product: Array = np.einsum("pij,qij->pq", self.basis, turned)
        product *= -0.5 / np.sqrt(self.freedom[0] * blocks.freedom[b])
        return product

    @property
    def _expected_log(self) -> Array:
        """E[log M] is this (B,) times I."""
        nu, p = self.freedom, self.n_features
        expected: Array = multivariate_digamma(0.5 * nu, p) / p + LOG_2 - np.log(nu)
        return expected

    def logs(self, roots: Array) -> Array:
        relative = np.linalg.solve(self.root, roots)
        # M = L Lᵀ: log M from the singular values of L, squared.
        axes, sizes, _ = np.linalg.svd(relative)
        away = 2.0 * np.log(sizes) - self._expected_log[:, None]
        logarithm = (axes * away[..., None, :]) @ np.swapaxes(axes, -1, -2)
        found: Array = np.einsum("pij,sbij->sbp", self.basis, logarithm)
        found *= 0.5 * np.sqrt(self.freedom)[:, None]
        return found

    def from_logs(self, logs: Array) -> Array:
        away = np.einsum("sbp,pij->sbij", logs / np.sqrt(self.freedom)[:, None], self.basis)
        sizes, axes = np.linalg.eigh(away)
        sizes = np.exp(-(sizes + self._expected_log[:, None]))
        inverse = (axes * sizes[..., None, :]) @ np.swapaxes(axes, -1, -2)
        upper = inverse_root(inverse.reshape(-1, self.n_features, self.n_features))
        roots: Array = self.root @ upper.reshape(inverse.shape)
        return roots


def _pairs(matrix: Array) -> Array:
    """A_ik A_jl + A_il A_jk (p, p, p, p)."""
    straight: Array = np.einsum("ik,jl->ijkl", matrix, matrix)
    return straight + np.swapaxes(straight, 2, 3)


@dataclass(frozen=True)
class WhitenedAxes:
    """Columns: R and ν (B, C), C = D, or 1 where all D columns share one."""

    root: Array
    freedom: Array
    n_features: int

    @property
    def n_elements(self) -> int:
        return int(self.root.shape[1])

    @property
    def shared(self) -> float:
        """How many columns have one factor."""
        return self.n_features / self.n_elements

    @cached_property
    def left(self) -> Array:
        variance: Array = (self.shared**2 * _log_left(self.freedom)).sum(axis=1)
        return np.sqrt(variance)

    def whitened(self, away: Array, b: int) -> Array:
        turned: Array = away * self.root[b]
        return turned

    def coloured(self, normal: Array, b: int) -> Array:
        turned: Array = normal / self.root[b]
        return turned

    def slopes(self, y: Array, b: int) -> Array:
        lengths = (y * y).reshape(len(y), self.n_elements, -1).sum(axis=2)
        slopes: Array = (self.shared - lengths) / np.sqrt(2.0 * self.freedom[b])
        return slopes

    def mean_of_inverse(self, b: int) -> Array:
        nu = self.freedom[b]
        found = np.full(len(nu), np.inf)
        np.divide(nu, nu - 2.0, out=found, where=nu > 2.0)
        return np.broadcast_to(found, (self.n_features,))

    def of_inverse(self, b: int) -> tuple[Array, Array]:
        nu, variance = self.freedom[b], 1.0 / self.root[b] ** 2
        if nu.min() <= 2.0:
            shape = (len(nu), len(nu) + 1)
            return np.zeros(shape), np.full(shape[:1] * 2, np.inf)
        elements = np.diag(-variance * np.sqrt(2.0 * nu) / (nu - 2.0))
        rest = -2.0 * self.shared * variance / ((nu - 2.0) ** 2 * self.left[b])
        with_own = np.hstack([elements, rest[:, None]])
        if nu.min() <= 4.0:
            return with_own, np.full((len(nu), len(nu)), np.inf)
        own = 2.0 * (variance * nu / (nu - 2.0)) ** 2 / (nu - 4.0)
        return with_own, np.diag(own)

    def of_itself(self) -> tuple[Array, Array]:
        expected, nu = self.root[0] ** 2, self.freedom[0]
        return np.diag(expected * np.sqrt(2.0 / nu)), np.diag(expected**2 * 2.0 / nu)

    def across(self, blocks: WhitenedAxes, b: int) -> Array:
        between = (self.root[0] * blocks.root[b]) ** 2
        return np.diag(-between / np.sqrt(self.freedom[0] * blocks.freedom[b]))

    @property
    def _expected_log(self) -> Array:
        expected: Array = digamma(0.5 * self.freedom) + LOG_2 - np.log(self.freedom)
        return expected

    def logs(self, roots: Array) -> Array:
        away = 2.0 * np.log(roots / self.root) - self._expected_log
        standardised: Array = away / np.sqrt(polygamma(1, 0.5 * self.freedom))
        return standardised

    def from_logs(self, logs: Array) -> Array:
        away = logs * np.sqrt(polygamma(1, 0.5 * self.freedom)) + self._expected_log
        roots: Array = self.root * np.exp(0.5 * away)
        return roots
