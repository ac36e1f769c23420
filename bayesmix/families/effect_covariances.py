"""Covariances of random effects in the classes of a mixture: shared, proportional or free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.numerics.arrays import Array


def vech_basis(q: int) -> Array:
    """Return symmetric matrices (d, q, q), the derivatives of D in its lower triangle."""
    first, second = np.tril_indices(q)
    basis, every = np.zeros((len(first), q, q)), np.arange(len(first))
    basis[every, first, second] = basis[every, second, first] = 1.0
    return basis


@dataclass(frozen=True)
class EffectCovariance:
    """Which parameters of D_k and σ_k² the classes share.

    D_k is a matrix of class k if they are ``own``; otherwise w_k D, where w_k is 1 for class 0, and
    for all classes without ``ratios``.
    """

    own: bool = False
    ratios: bool = False
    shared_residual: bool = True

    @property
    def identical(self) -> bool:
        """Whether all components have the same D_k and σ_k²."""
        return self.shared_residual and not (self.own or self.ratios)

    def n_matrices(self, K: int) -> int:
        return K if self.own else 1

    def n_variances(self, K: int) -> int:
        return 1 if self.shared_residual else K

    def n_parameters(self, K: int, q: int) -> int:
        matrices, ratios = self.n_matrices(K) * q * (q + 1) // 2, (K - 1) * self.ratios
        return matrices + ratios + self.n_variances(K)

    def factors(self, covariances: Array) -> Array:
        """Return w (K,)."""
        traces = np.trace(covariances, axis1=1, axis2=2)
        return np.asarray(traces / traces[0]) if self.ratios else np.ones(len(traces))

    def pooled(self, scatters: Array, counts: Array, previous: Array) -> Array:
        """Return D_k (K, q, q) from sums of E[b b'], given w of the ``previous`` ones, then w."""
        if self.own:
            return scatters / np.maximum(counts, 1e-300)[:, None, None]
        factors = self.factors(previous)
        D = (scatters / factors[:, None, None]).sum(axis=0) / counts.sum()
        if self.ratios:
            traces = np.trace(np.linalg.solve(D, scatters), axis1=1, axis2=2)
            factors = np.maximum(traces / np.maximum(counts, 1e-300), 1e-8)
            factors, D = factors / factors[0], D * factors[0] / len(D)
        return factors[:, None, None] * D

    def unknowns(self, covariances: Array) -> Array:
        """Return lower triangles of Cholesky roots, and then log w of the classes after the first.

        They have no boundary at singular matrices.
        """
        first, second = np.tril_indices(covariances.shape[1])
        roots = np.linalg.cholesky(covariances[: self.n_matrices(len(covariances))])
        logs = np.log(self.factors(covariances)[1 : None if self.ratios else 1])
        return np.append(roots[:, first, second].ravel(), logs)

    def covariances(self, unknowns: Array, K: int, q: int) -> Array:
        """Return D_k (K, q, q) of unknowns."""
        first, second = np.tril_indices(q)
        n, d = self.n_matrices(K), len(first)
        roots = np.zeros((n, q, q))
        roots[:, first, second] = unknowns[: n * d].reshape(n, d)
        ratios = np.append(0.0, unknowns[n * d :]) if self.ratios else np.zeros(K)
        return np.asarray(np.exp(ratios)[:, None, None] * (roots @ roots.mT))

    def jacobian(self, covariances: Array) -> Array:
        """Return derivatives (K, d + 1, size) of vech D_k and σ_k² in unknowns and variances."""
        K, q = covariances.shape[:2]
        first, second = np.tril_indices(q)
        d, every = len(first), np.arange(K)
        out = np.zeros((K, d + 1, self.n_parameters(K, q)))
        steps = np.eye(q)[first][:, :, None] * np.eye(q)[second][:, None]
        for k, root in enumerate(np.linalg.cholesky(covariances)):
            begin, factor = d * k * self.own, np.sqrt(self.factors(covariances)[k])
            slopes = factor * (steps @ root.T + root @ steps.mT)
            out[k, :d, begin : begin + d] = slopes[:, first, second].T
        if self.ratios:
            out[every[1:], :d, d + every[1:] - 1] = covariances[1:, first, second]
        out[every, d, out.shape[2] - self.n_variances(K) + every % self.n_variances(K)] = 1.0
        return out
