"""Covariances of random effects in the classes of a mixture: shared, proportional or free.

A structure maps its unknowns to the lower triangles of D_k and to σ_k² of every class, linearly
around given values; scoring steps that would leave the positive definite matrices are shortened in
those directions alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Array

# Largest relative decrease of a variance in a step, and largest change of a log ratio.
LARGEST_FALL, LONGEST_STEP = -0.9, 1.0
# Smallest eigenvalue of D, relative to the variance of the response: zero variances can grow again.
SMALLEST = 1e-10


def vech_basis(q: int) -> Array:
    """Return symmetric matrices (d, q, q), the derivatives of D in its lower triangle."""
    first, second = np.tril_indices(q)
    basis, every = np.zeros((len(first), q, q)), np.arange(len(first))
    basis[every, first, second] = basis[every, second, first] = 1.0
    return basis


def congruent(covariance: Array, change: Array, spread: float) -> Array:
    """Return D + change, completed to a positive definite matrix.

    Variances along axes of D whose fall was limited by ``step`` become the smallest that their
    covariances allow, so that a singular D can turn.
    """
    whitening = whitening_root(covariance, spread)
    moved = np.eye(len(covariance)) + whitening.T @ change @ whitening
    fixed = np.diag(moved) < 1.0 + LARGEST_FALL * (1.0 - 1e-6)
    values, axes = np.linalg.eigh(moved[np.ix_(~fixed, ~fixed)])
    values = np.maximum(values, 1.0 + LARGEST_FALL)
    moved[np.ix_(~fixed, ~fixed)] = (axes * values) @ axes.T
    across = axes.T @ moved[np.ix_(~fixed, fixed)]
    rest = (1.0 + LARGEST_FALL) * np.eye(int(fixed.sum()))
    moved[np.ix_(fixed, fixed)] = rest + (across / values[:, None]).T @ across
    root = np.linalg.inv(whitening)
    new: Array = root.T @ moved @ root
    return 0.5 * (new + new.T)


def whitening_root(covariance: Array, spread: float) -> Array:
    """Return W with W'DW = I for a covariance whose eigenvalues are not too small."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors / np.sqrt(np.maximum(values, SMALLEST * spread)))


def constrained(information: Array, score: Array, rows: Array, values: Array) -> Array:
    """Return the maximum of s'x - x'Ix / 2 where rows @ x = values."""
    rows, lengths = rows.copy(), np.linalg.norm(rows, axis=1)
    rows /= lengths[:, None]
    given = np.linalg.pinv(rows) @ (values / lengths)
    _, sizes, axes = np.linalg.svd(rows)
    free = axes[int((sizes > 1e-12).sum()) :].T
    left = free.T @ (score - information @ given)
    inverse = np.linalg.pinv(free.T @ information @ free, rcond=1e-12, hermitian=True)
    return np.asarray(given + free @ (inverse @ left))


@dataclass(frozen=True)
class EffectCovariance(ABC):
    """Which parameters of D_k and σ_k² the classes share."""

    shared_residual: bool = True

    @property
    def identical(self) -> bool:
        """Whether all components have the same D_k and σ_k²."""
        return False

    @abstractmethod
    def covariance_jacobian(self, covariances: Array) -> Array:
        """Return derivatives (K, d, size) of vech D_k in the unknowns."""

    @abstractmethod
    def unknowns(self, covariances: Array) -> Array:
        """Return the unknowns (size,) of covariances: lower triangles, and then log ratios."""

    @abstractmethod
    def matrices(self, K: int) -> tuple[int | str, ...]:
        """Return the components whose D_k are unknowns, or "all"."""

    @abstractmethod
    def moved(self, covariances: Array, step: Array, spread: float) -> Array:
        """Return covariances (K, q, q) after a step of the unknowns."""

    @abstractmethod
    def linear(self, covariances: Array, step: Array) -> Array:
        """Return covariances after a small step that is not shortened."""

    def conforming(self, components: Any) -> Any:
        """Return components whose variances have the structure, from averages or extrapolations."""
        if self.shared_residual:
            mean = np.full_like(components.dispersion, components.dispersion.mean())
            return replace(components, dispersion=mean)
        return components

    def n_variances(self, K: int) -> int:
        return 1 if self.shared_residual else K

    def jacobian(self, covariances: Array) -> Array:
        """Return derivatives (K, d + 1, size) of vech D_k and σ_k² in all unknowns."""
        K, q = covariances.shape[:2]
        of_effects, residual = self.covariance_jacobian(covariances), self.n_variances(K)
        d, size = q * (q + 1) // 2, of_effects.shape[2]
        out = np.zeros((K, d + 1, size + residual))
        out[:, :d, :size] = of_effects
        out[np.arange(K), d, size + np.arange(K) % residual] = 1.0
        return out

    def step(self, covariances: Array, information: Array, score: Array, spread: float) -> Array:
        """Return the scoring step of the unknowns, within positive definite covariances.

        Variances along the axes of D that would fall by more than 90 % fall by that, and the other
        unknowns maximise the quadratic approximation given these, so that steps also converge where
        a variance is 0.
        """
        K, q = covariances.shape[:2]
        basis, n_unknowns = vech_basis(q), len(score)
        scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
        information, score = information / scale / scale[:, None], score / scale
        solved = np.linalg.pinv(information, rcond=1e-12, hermitian=True) @ score
        for _ in range(q):
            rows, values = [], []
            for place in range(len(self.matrices(K))):
                block = slice(place * len(basis), (place + 1) * len(basis))
                whitening = whitening_root(covariances[place], spread)
                change = symmetric((solved / scale)[block], q)
                factors = np.diag(whitening.T @ change @ whitening)
                fixed = np.flatnonzero(factors < LARGEST_FALL * (1.0 - 1e-9))
                for i, j in [(i, j) for j in fixed for i in fixed if i <= j]:
                    row = np.zeros(n_unknowns)
                    row[block] = np.einsum("r,ars,s->a", whitening[:, i], basis, whitening[:, j])
                    rows.append(row / scale)
                    values.append(LARGEST_FALL if i == j else 0.0)
            if not rows:
                break
            solved = constrained(information, score, np.array(rows), np.array(values))
        return np.asarray(solved / scale)

    def n_parameters(self, K: int, q: int) -> int:
        covariances = np.tile(np.eye(q), (K, 1, 1))
        return int(self.jacobian(covariances).shape[2])


def symmetric(vech: Array, q: int) -> Array:
    """Return the symmetric matrix of a lower triangle."""
    return np.asarray(np.tensordot(vech, vech_basis(q), 1))


def triangles(covariances: Array) -> Array:
    """Return lower triangles (K, d)."""
    first, second = np.tril_indices(covariances.shape[1])
    return np.asarray(covariances[:, first, second])


class SharedCovariance(EffectCovariance):
    """D_k = D."""

    @property
    def identical(self) -> bool:
        return self.shared_residual

    def covariance_jacobian(self, covariances: Array) -> Array:
        K, q = covariances.shape[:2]
        return np.tile(np.eye(q * (q + 1) // 2), (K, 1, 1))

    def unknowns(self, covariances: Array) -> Array:
        return triangles(covariances)[0]

    def matrices(self, K: int) -> tuple[int | str, ...]:
        return ("all",)

    def moved(self, covariances: Array, step: Array, spread: float) -> Array:
        K, q = covariances.shape[:2]
        change = symmetric(step[: q * (q + 1) // 2], q)
        return np.tile(congruent(covariances[0], change, spread), (K, 1, 1))

    def linear(self, covariances: Array, step: Array) -> Array:
        q = covariances.shape[1]
        return covariances + symmetric(step[: q * (q + 1) // 2], q)

    def conforming(self, components: Any) -> Any:
        components = super().conforming(components)
        mean = components.covariances.mean(axis=0)
        return replace(components, covariances=np.broadcast_to(mean, components.covariances.shape))


class ProportionalCovariance(EffectCovariance):
    """D_k = w_k D_0 with w_0 = 1; unknowns are D_0 and log w_k."""

    @staticmethod
    def factors(covariances: Array) -> Array:
        """Return w (K,)."""
        traces = np.trace(covariances, axis1=1, axis2=2)
        return np.asarray(traces / traces[0]) if (traces > 0.0).all() else np.ones(len(traces))

    def covariance_jacobian(self, covariances: Array) -> Array:
        K, q = covariances.shape[:2]
        d, w = q * (q + 1) // 2, self.factors(covariances)
        out = np.zeros((K, d, d + K - 1))
        out[:, :, :d] = w[:, None, None] * np.eye(d)
        every = np.arange(1, K)
        out[every, :, d + every - 1] = triangles(covariances)[1:]
        return out

    def unknowns(self, covariances: Array) -> Array:
        return np.append(triangles(covariances)[0], np.log(self.factors(covariances)[1:]))

    def matrices(self, K: int) -> tuple[int | str, ...]:
        return (0,)

    def _apart(self, covariances: Array, step: Array) -> tuple[Array, Array]:
        K, q = covariances.shape[:2]
        d = q * (q + 1) // 2
        change = np.append(0.0, step[d : d + K - 1])
        factors = self.factors(covariances) * np.exp(np.clip(change, -LONGEST_STEP, LONGEST_STEP))
        return symmetric(step[:d], q), factors[:, None, None]

    def moved(self, covariances: Array, step: Array, spread: float) -> Array:
        change, factors = self._apart(covariances, step)
        return np.asarray(factors * congruent(covariances[0], change, spread))

    def linear(self, covariances: Array, step: Array) -> Array:
        change, factors = self._apart(covariances, step)
        return np.asarray(factors * (covariances[0] + change))

    def conforming(self, components: Any) -> Any:
        components, given = super().conforming(components), components.covariances
        factors = self.factors(given)[:, None, None]
        return replace(components, covariances=factors * given[0])


class FreeCovariance(EffectCovariance):
    """Each class has its own D_k."""

    def covariance_jacobian(self, covariances: Array) -> Array:
        K, q = covariances.shape[:2]
        d = q * (q + 1) // 2
        return np.eye(K * d).reshape(K, d, K * d)

    def unknowns(self, covariances: Array) -> Array:
        return triangles(covariances).ravel()

    def matrices(self, K: int) -> tuple[int | str, ...]:
        return tuple(range(K))

    def _changes(self, covariances: Array, step: Array) -> list[Array]:
        K, q = covariances.shape[:2]
        d = q * (q + 1) // 2
        return [symmetric(part, q) for part in step[: K * d].reshape(K, d)]

    def moved(self, covariances: Array, step: Array, spread: float) -> Array:
        changes = self._changes(covariances, step)
        pairs = zip(covariances, changes, strict=True)
        return np.stack([congruent(old, change, spread) for old, change in pairs])

    def linear(self, covariances: Array, step: Array) -> Array:
        return covariances + np.stack(self._changes(covariances, step))
