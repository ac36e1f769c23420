"""Loadings and noise of K factor analysers from sums over rows (McNicholas & Murphy 2008).

Σ_k = Λ_k Λ_kᵀ + Ψ_k. An update needs S_k β_kᵀ (D, q) alone of the scatter S_k, β_k x the expected
factors of a row under the parameters that its E-step was made with: nothing of D x D is formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.numerics.arrays import Array

# A start leaves so much of a column's variance to its noise, and of a factor's to its loadings, at
# least: loadings of zero would stay zero.
LEAST_SHARE = 0.1
# Eigenvalues below this share of the largest are rounding.
NO_EXTENT = 1e-12


@dataclass(frozen=True)
class FactorModel:
    """How many factors, and what components have in common."""

    n_factors: int
    shared_loadings: bool
    isotropic_noise: bool

    def updated(
        self, counts: Array, squares: Array, projected: Array, second: Array, noise: Array
    ) -> tuple[Array, Array]:
        """Loadings (K, D, q) and noise variances (K, D), no lower in likelihood than before.

        ``squares`` (K, D) is the diagonal of the scatters, ``projected`` (K, D, q) the scatters
        times βᵀ, ``second`` (K, q, q) Σ r E[z zᵀ] about its mean, ``noise`` that of before. Means
        are those of the rows, whatever the covariances; loadings and noise are a step of EM from
        there with the factors hidden (Ghahramani & Hinton 1997), shared ones at the noise of
        before (ECM: Meng & Rubin 1993).
        """
        if self.shared_loadings:
            precise = 1.0 / noise
            left = np.einsum("kd,kij->dij", precise, second)
            right = np.einsum("kd,kdj->dj", precise, projected)
            one = np.linalg.solve(left, right[:, :, None])[:, :, 0]
            loadings = np.broadcast_to(one, projected.shape)
        else:
            loadings = np.linalg.solve(second, projected.transpose(0, 2, 1)).transpose(0, 2, 1)
        explained = np.einsum("kdj,kdj->kd", loadings, 2.0 * projected - loadings @ second)
        return loadings, self.of_noise((squares - explained) / counts[:, None])

    def begun(self, counts: Array, squares: Array, left: Array) -> tuple[Array, Array]:
        """Where a run begins: from a low-rank part F Fᵀ of the scatters, F (K, D, m).

        The principal axes less the noise (Tipping & Bishop 1999, eq. 7), in the columns as they
        are.
        """
        n_components, n_features, _ = left.shape
        totals, own = counts, left
        if self.shared_loadings:
            totals, own = counts.sum(keepdims=True), np.concatenate(list(left), axis=1)[None]
        within = squares if len(own) == n_components else squares.sum(axis=0, keepdims=True)
        axes, sizes, _ = np.linalg.svd(own, full_matrices=False)
        q = self.n_factors
        spread = np.zeros((len(own), q))
        found = sizes[:, :q] ** 2 / totals[:, None]
        spread[:, : found.shape[1]] = found
        variances = within / totals[:, None]
        rest = np.maximum(variances.sum(axis=1) - spread.sum(axis=1), 0.0) / (n_features - q)
        lengths = np.sqrt(np.maximum(spread - rest[:, None], LEAST_SHARE * spread))
        directions = np.zeros((len(own), n_features, q))
        directions[:, :, : axes.shape[2]] = axes[:, :, :q]
        loadings = np.broadcast_to(directions * lengths[:, None, :], (n_components, n_features, q))
        own_variances = squares / counts[:, None]
        noise = own_variances - np.einsum("kdj,kdj->kd", loadings, loadings)
        return loadings, self.of_noise(np.maximum(noise, LEAST_SHARE * own_variances))

    def of_noise(self, variances: Array) -> Array:
        """Noise variances (K, D) of the model from those of every column."""
        if self.isotropic_noise:
            mean = variances.mean(axis=1, keepdims=True)
            return np.repeat(mean, variances.shape[1], axis=1)
        return variances

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Free parameters of the covariances; no more than K matrices have."""
        D, q = n_features, self.n_factors
        own = D * q - q * (q - 1) // 2
        noise = n_components * (1 if self.isotropic_noise else D)
        total = own * (1 if self.shared_loadings else n_components) + noise
        return min(total, n_components * D * (D + 1) // 2)


def low_rank(directions: Array, projected: Array) -> Array:
    """F (K, D, m) with F Fᵀ the Nyström approximation of the scatters S from S B and B."""
    inner = directions.transpose(0, 2, 1) @ projected
    values, vectors = np.linalg.eigh(0.5 * (inner + inner.transpose(0, 2, 1)))
    largest = np.maximum(values[:, -1:], 0.0)
    extent = values > NO_EXTENT * largest
    inverse = np.where(extent, 1.0 / np.sqrt(np.where(extent, values, 1.0)), 0.0)
    made: Array = projected @ (vectors * inverse[:, None, :])
    return made
