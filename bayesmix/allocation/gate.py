"""A softmax gate: mixing weights that depend on covariates (Jacobs et al. 1991; Dayton 1988).

π_k(z) = exp(z'γ_k) / Σ_j exp(z'γ_j) with γ_0 = 0. An M-step is one Newton step on the expected log
weights, which are concave in γ.

Variational fits have q(γ) = N(m, V). Böhning (1992) bounds the curvature of the log softmax by
B = (I - 11'/K) / 2 everywhere. At its best point the bound is log π_k(z) at m, less
tr(B Cov(γz)) / 2, and V = (Λ + B ⊗ Σ w z z')⁻¹, where Λ is the prior precision. The covariance is a
constant, and m maximises what a maximum a posteriori fit does. This lower bound is not tight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.special import log_softmax

from bayesmix.allocation.point import PointWeights, no_log_weights, sample_by_sample
from bayesmix.allocation.point_draws import WeightDraws
from bayesmix.core.mixture import halfway
from bayesmix.core.rows import AddedByField, Allocated, Rows, SideInformation
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.memo import once

# Smallest share of which a log is taken.
LEAST = 1e-300
# Longest Newton step of a coefficient, in covariates of unit scale.
LONGEST_STEP = 5.0
# Smallest eigenvalue of the information per sample below which covariates separate components.
SEPARATED = 1e-7
# Information of a gate that no observation reaches, whose inverse could overflow.
UNINFORMED = 1e-100
# 1 / 2.5², for slopes per standard deviation of a covariate (scale of Gelman et al. 2008).
WEAK_PRECISION = 0.16
# Log odds of intercepts have the variance of log odds under Dirichlet(1, ..., 1).
INTERCEPT_PRECISION = 6.0 / np.pi**2


@dataclass(frozen=True)
class Gate:
    """Coefficients (K, P) of the softmax of covariates, the first component's being 0.

    ``columns`` are the places of the covariates in the design, () for the first P.
    """

    coefficients: Array
    shares: Array  # (K,) average weights over the data of the last pass
    precisions: Array  # (P,) of the prior of centred coefficients, 0 without one
    columns: tuple[int, ...] = ()
    exchangeable = True
    expected_log = no_log_weights

    @property
    def n_components(self) -> int:
        return len(self.coefficients)

    @property
    def free(self) -> Array:
        """Free coefficients, component by component."""
        return self.coefficients[1:].ravel()

    @property
    def free_rows(self) -> list[tuple[Any, ...]]:
        """Component of the free coefficients of each row."""
        return [(k,) for k in range(1, self.n_components)]

    @property
    def places(self) -> list[int]:
        """Places of the covariates in the design, that of the constant first."""
        return list(self.columns or range(self.coefficients.shape[1]))

    @property
    def free_terms(self) -> list[list[int]]:
        """Places in the design of the free coefficients of each row."""
        return [self.places] * (self.n_components - 1)

    free_names = ("component",)

    @property
    def effects(self) -> tuple[tuple[str, list[int]], ...]:
        """Names of what depends on covariates, and places of these in the design."""
        return (("weights", self.places),)

    def mean(self) -> Array:
        return self.shares

    def averaged(self) -> Gate:
        return self

    def draws(self, n_draws: int, generator: np.random.Generator) -> WeightDraws:
        """Raise an error, as draws of coefficients are not weights of all samples."""
        raise UnsupportedError("posterior draws do not support covariates: fit without them")

    def log_weights(self, covariates: Array) -> Array:
        return log_softmax(covariates @ self.coefficients.T, axis=1)

    def allocate(self, joint: Array, rows: Rows) -> Allocated:
        """Turn log densities into responsibilities; return derivatives at these coefficients."""
        covariates = self.needed(rows.side)
        logs = self.log_weights(covariates)
        # A group has one set of weights, and its samples the same covariates.
        sizes = rows.side.group_sizes if rows.side.grouped else np.ones(len(rows), dtype=int)
        sizes = np.repeat(sizes, sizes)[:, None]
        joint += logs / sizes
        allocated = sample_by_sample(self, joint, rows)
        statistics = self.sums(joint, covariates, rows.weights_or_ones[:, None] / sizes)
        return Allocated(allocated.log_normaliser, statistics)

    @staticmethod
    def needed(side: SideInformation) -> Array:
        """Return the covariates (n, P), or raise an error if there are none."""
        if side.covariates is None:
            raise UnsupportedError(
                "the weights of this fit depend on covariates: pass covariates= (or gate=)"
            )
        return side.covariates

    def sums(self, responsibilities: Array, covariates: Array, weights: Array) -> GateSums:
        """Return derivatives at these coefficients, under sample weights (n, 1)."""
        shares = np.exp(self.log_weights(covariates))
        return self.sums_at(shares, weights * responsibilities, covariates, weights)

    def sums_at(
        self, shares: Array, counts: Array, covariates: Array, weights: Array | None = None
    ) -> GateSums:
        """Return derivatives where the weights of components are ``shares`` (n, K).

        ``counts`` (n, K) are responsibilities times sample ``weights`` (n, 1), by default their
        sums.
        """
        weights = counts.sum(axis=1, keepdims=True) if weights is None else weights
        K, P = self.coefficients.shape
        expected = (weights * shares).T
        # Rows of products are long, so that operations on them are fast.
        products = (expected[:, None] * covariates.T).reshape(K * P, -1)
        others = (shares.T[:, None] * covariates.T).reshape(K * P, -1)
        information = -(products @ others.T).reshape(K, P, K, P)
        every = np.arange(K)
        information[every, :, every, :] += (products @ covariates).reshape(K, P, P)
        gradient = (counts.T - expected) @ covariates
        return GateSums(self, gradient, information, expected.sum(axis=1))

    def halfway_to(self, other: Gate) -> Gate:
        return replace(other, coefficients=0.5 * (self.coefficients + other.coefficients))

    def proportional(self, shares: Array) -> Gate:
        """Return the gate with intercepts changed so that average weights become ``shares``."""
        coefficients = self.coefficients.copy()
        coefficients[:, 0] += np.log(np.maximum(shares, LEAST) / np.maximum(self.shares, LEAST))
        return replace(
            self, coefficients=coefficients - coefficients[0], shares=shares / shares.sum()
        )

    def subset(self, keep: Integers, counts: Array) -> Gate:
        """Select components; the first of them becomes the reference."""
        chosen = self.coefficients[keep]
        shares = self.shares[keep]
        return replace(self, coefficients=chosen - chosen[0], shares=shares / shares.sum())


@dataclass(frozen=True)
class GateSums(AddedByField):
    """Gradient (K, P) and negative Hessian (K, P, K, P) of expected log weights at a gate.

    Extrapolation works on the coefficients of the next M-step; ``target`` (K, P) are those that it
    proposes.
    """

    gate: Gate
    gradient: Array
    information: Array
    shares: Array  # (K,) Σ w π_k(z)
    target: Array | None = None
    same, feasible = ("gate", "target"), True

    @property
    def separated(self) -> bool:
        """Whether covariates separate components, so that the likelihood has no maximum.

        Without slopes, weights of 0 are a boundary.
        """
        free = self._free(self.information)
        if not len(free) or len(self.gate.precisions) == 1 or self.gate.precisions.any():
            return False
        least = float(np.linalg.eigvalsh(free)[0])
        return least < SEPARATED * float(self.shares.sum())

    def separation(self, terms: list[str]) -> tuple[str, tuple[int, ...]] | None:
        """Return what covariates separate, and the component; None if the likelihood has a maximum.

        ``terms`` are the names of coefficients.
        """
        if not self.separated:
            return None
        component, most = self.largest(terms)
        return f"covariates separate {{which}} from the first completely ({most})", (component,)

    def largest(self, terms: list[str]) -> tuple[int, str]:
        """Return component and name of the largest coefficient.

        The intercept, which balances those of columns, is named only where it is far larger.
        """
        places = self.gate.places
        sizes = np.abs(self.gate.coefficients) * np.append(0.1, np.ones(len(places) - 1))
        component, place = np.unravel_index(sizes.argmax(), sizes.shape)
        return int(component), f"most: {terms[places[place]]}"

    @staticmethod
    def _free(matrix: Array) -> Array:
        """Return the block of all components but the first, as a matrix."""
        size = (matrix.shape[0] - 1) * matrix.shape[1]
        return matrix[1:, :, 1:].reshape(size, size)

    @once
    def penalised(self) -> tuple[Array, Array]:
        """Gradient (p,) and information (p, p) of free coefficients, log prior included."""
        gate, information = self.gate, self._free(self.information)
        penalty = penalty_matrix(gate.n_components, gate.precisions)
        free = gate.coefficients[1:].ravel()
        return self.gradient[1:].ravel() - penalty @ free, information + penalty

    @once
    def next_coefficients(self) -> Array:
        """Coefficients (K, P) after a Newton step."""
        if self.target is not None:
            return self.target
        coefficients = self.gate.coefficients.copy()
        gradient, information = self.penalised
        if len(gradient) and np.trace(information) > UNINFORMED:
            step = np.linalg.pinv(information, hermitian=True) @ gradient
            longest = np.abs(step).max()
            step *= min(1.0, LONGEST_STEP / longest) if longest > 0.0 else 1.0
            coefficients[1:] += step.reshape(-1, coefficients.shape[1])
        return coefficients

    def pack(self) -> Array:
        return self.next_coefficients[1:].ravel()

    def units(self) -> Array:
        return np.ones(self.gradient[1:].size)

    def unpack(self, vector: Array) -> GateSums:
        free = vector.reshape(-1, self.gradient.shape[1])
        return replace(self, target=np.concatenate([np.zeros_like(self.gradient[:1]), free]))


def penalty_matrix(K: int, precisions: Array) -> Array:
    """Return the matrix of Σ_k τ |γ_k - mean γ|² in the free coefficients, τ being the precisions.

    The penalty does not depend on the choice of the reference component.
    """
    return np.asarray(np.kron(np.eye(K - 1) - 1.0 / K, np.diag(precisions)), dtype=np.float64)


@dataclass(frozen=True)
class GatePrior:
    """Normal prior of centred coefficients of a gate on P covariates, the first of them constant.

    ``precisions`` (P,) are in covariates of unit scale, 0 for maximum likelihood. Variational fits
    need ``moments`` (P, P), Σ w z z' over units. ``columns`` are those of the gate.
    """

    precisions: Array
    moments: Array | None = None
    columns: tuple[int, ...] = ()
    name = "gate"

    @classmethod
    def normal(cls, n_covariates: int, slopes: float = 0.0, intercept: float = 0.0) -> Self:
        """Return the prior with a precision of slopes and one of the intercept."""
        return cls(np.where(np.arange(n_covariates) > 0, slopes, intercept))

    @classmethod
    def variational(cls, rows: Rows) -> Self:
        """Return the proper prior of a variational fit to samples with covariates."""
        z: Any = rows.side.covariates
        first = rows.side.begins if rows.side.grouped else slice(None)
        moments = (rows.weights_or_ones[first, None] * z[first]).T @ z[first]
        prior = cls.normal(z.shape[1], WEAK_PRECISION, INTERCEPT_PRECISION)
        return replace(prior, moments=moments)

    def mode(self, statistics: GateSums | Array) -> Gate:
        """Return the gate after a Newton step; from counts (K,) one with intercepts only."""
        if isinstance(statistics, GateSums):
            shares = statistics.shares / statistics.shares.sum()
            return Gate(statistics.next_coefficients, shares, self.precisions, self.columns)
        shares = PointWeights.shares(statistics).probabilities
        coefficients = np.zeros((len(shares), len(self.precisions)))
        coefficients[:, 0] = np.log(np.maximum(shares, LEAST))
        return Gate(coefficients - coefficients[0], shares, self.precisions, self.columns)

    def posterior(self, statistics: GateSums | Array) -> Gate:
        """Return the gate at the mean of q(γ), whose covariance does not change."""
        return self.mode(statistics if isinstance(statistics, GateSums) else statistics + 1.0)

    def kl(self, gate: Gate) -> float:
        """Return KL(q || p) and Σ w tr(B Cov(γz)) / 2, which Böhning's bound subtracts.

        Both together are (m'Λm + log det(Λ + B ⊗ Σ w z z') - log det Λ) / 2.
        """
        assert self.moments is not None
        K, free = gate.n_components, gate.coefficients[1:].ravel()
        prior = penalty_matrix(K, self.precisions)
        curvature = np.kron(0.5 * (np.eye(K - 1) - 1.0 / K), self.moments)
        gained = np.linalg.slogdet(prior + curvature)[1] - np.linalg.slogdet(prior)[1]
        return float(0.5 * (free @ prior @ free + gained))

    def log_density(self, gate: Gate) -> float:
        """Return the log density of the slopes' prior, 0 without one."""
        K, free = gate.n_components, gate.coefficients[1:].ravel()
        proper = self.precisions[self.precisions > 0.0]
        constants = (K - 1) * np.log(proper / (2.0 * np.pi)) - np.log(K)
        return float(0.5 * (constants.sum() - free @ penalty_matrix(K, self.precisions) @ free))

    def without_effect(self, names: tuple[str, ...]) -> list[str]:
        """Return nothing, as all covariates have an effect on the weights."""
        return []

    def n_parameters(self, n_components: int) -> int:
        return (n_components - 1) * len(self.precisions)


def shares_of(weights: Any, covariates: Array | None, n: int) -> Array:
    """Return the weights (n, K) of the components of samples, by their covariates if given."""
    if covariates is None:
        return np.broadcast_to(weights.mean(), (n, weights.n_components))
    return np.asarray(np.exp(weights.log_weights(covariates)))


halfway.register(Gate, Gate.halfway_to)
