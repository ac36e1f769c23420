"""A softmax gate: mixing weights that depend on covariates (Jacobs et al. 1991; Dayton 1988).

π_k(z) = exp(z'γ_k) / Σ_j exp(z'γ_j) with γ_0 = 0. An M-step is one Newton step on the expected log
weights, which are concave in γ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_softmax

from bayesmix.allocation.point import PointWeights, sample_by_sample
from bayesmix.core.rows import Allocated, Rows
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Integers

# Longest Newton step of a coefficient, in covariates of unit scale.
LONGEST_STEP = 5.0


@dataclass(frozen=True)
class Gate:
    """Coefficients (K, P) of the softmax of covariates, the first component's being 0."""

    coefficients: Array
    shares: Array  # (K,) average weights over the data of the last pass
    exchangeable = False

    @property
    def n_components(self) -> int:
        return len(self.coefficients)

    def expected_log(self) -> Array:
        """Return 0 (K,), as ``allocate`` adds the weights of each sample."""
        return np.zeros(self.n_components)

    def mean(self) -> Array:
        """Return the average weights (K,) over the data."""
        return self.shares

    def log_weights(self, covariates: Array) -> Array:
        """Return log π_k(z_n) (n, K)."""
        logs: Array = log_softmax(covariates @ self.coefficients.T, axis=1)
        return logs

    def allocate(self, joint: Array, rows: Rows) -> Allocated:
        """Turn log densities into responsibilities; return derivatives at these coefficients."""
        covariates = rows.side.covariates
        if covariates is None:
            raise UnsupportedError(
                "the weights of this fit depend on covariates: give covariates= (or gate=)"
            )
        logs = self.log_weights(covariates)
        # A group has one set of weights, and its samples the same covariates.
        sizes = rows.side.group_sizes if rows.side.grouped else np.ones(len(rows), dtype=int)
        sizes = np.repeat(sizes, sizes)[:, None]
        joint += logs / sizes
        allocated = sample_by_sample(self, joint, rows)
        weights, shares = rows.weights_or_ones[:, None] / sizes, np.exp(logs)
        residuals = weights * (joint - shares)
        weighted = weights * shares
        information = -np.einsum("nj,nk,np,nq->jpkq", weighted, shares, covariates, covariates)
        own = np.einsum("nk,np,nq->kpq", weighted, covariates, covariates)
        free = np.arange(1, self.n_components)
        information[free, :, free, :] += own[1:]
        statistics = GateSums(self, residuals.T @ covariates, information, weighted.sum(axis=0))
        return Allocated(allocated.log_normaliser, statistics)

    def halfway_to(self, other: Gate) -> Gate:
        """Return the gate between two."""
        return replace(other, coefficients=0.5 * (self.coefficients + other.coefficients))

    def subset(self, keep: Integers, counts: Array) -> Gate:
        """Select components; the first of them becomes the reference."""
        chosen = self.coefficients[keep]
        shares = self.shares[keep]
        return Gate(chosen - chosen[0], shares / shares.sum())


@dataclass(frozen=True)
class GateSums:
    """Gradient (K, P) and negative Hessian (K, P, K, P) of expected log weights at a gate."""

    gate: Gate
    gradient: Array
    information: Array
    shares: Array  # (K,) Σ w π_k(z)

    def __add__(self, other: GateSums) -> GateSums:
        return replace(
            self,
            gradient=self.gradient + other.gradient,
            information=self.information + other.information,
            shares=self.shares + other.shares,
        )

    def pack(self) -> Array:
        """Raise an error, as derivatives at different coefficients are not extrapolated."""
        raise UnsupportedError("a gate's statistics are not extrapolated")

    def unpack(self, vector: Array) -> GateSums:
        return self


@dataclass(frozen=True)
class FreeGate:
    """Maximum likelihood of a gate on P covariates, the first of which is the intercept."""

    n_covariates: int
    name = "gate"

    def mode(self, statistics: GateSums | Array) -> Gate:
        """Return the gate after a Newton step; from counts (K,) one with intercepts only."""
        if not isinstance(statistics, GateSums):
            shares = PointWeights.shares(statistics).probabilities
            coefficients = np.zeros((len(shares), self.n_covariates))
            coefficients[:, 0] = np.log(np.maximum(shares, 1e-300))
            return Gate(coefficients - coefficients[0], shares)
        gate, size = statistics.gate, statistics.gradient[1:].size
        information = statistics.information[1:, :, 1:].reshape(size, size)
        step = np.linalg.pinv(information, hermitian=True) @ statistics.gradient[1:].ravel()
        longest = np.abs(step).max(initial=0.0)
        step *= min(1.0, LONGEST_STEP / longest) if longest > 0.0 else 1.0
        coefficients = gate.coefficients.copy()
        coefficients[1:] += step.reshape(-1, self.n_covariates)
        return Gate(coefficients, statistics.shares / statistics.shares.sum())

    def posterior(self, statistics: GateSums | Array) -> Gate:
        """Raise an error, as the softmax has no conjugate prior."""
        raise UnsupportedError(
            "weights that depend on covariates have no variational posterior: use maximum "
            "likelihood"
        )

    def kl(self, gate: Gate) -> float:
        """Return 0, as free coefficients have no prior."""
        return 0.0

    def log_density(self, gate: Gate) -> float:
        """Return 0, as free coefficients have no prior."""
        return 0.0

    def n_parameters(self, n_components: int) -> int:
        return (n_components - 1) * self.n_covariates
