"""Covariances of random effects in the classes of a mixture: shared, proportional or free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.numerics.arrays import Array


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

    def score(self, slopes: Array, covariances: Array) -> Array:
        """Return the gradient in the unknowns, from slopes (K, q, q) in A of A D_k A' at A = I."""
        first, second = np.tril_indices(covariances.shape[1])
        roots = np.linalg.solve(np.linalg.cholesky(covariances), slopes.mT).mT
        roots = roots * np.sqrt(self.factors(covariances))[:, None, None]
        blocks = roots if self.own else roots.sum(axis=0, keepdims=True)
        logs = 0.5 * np.trace(slopes, axis1=1, axis2=2)[1 : None if self.ratios else 1]
        return np.append(blocks[:, first, second].ravel(), logs)
