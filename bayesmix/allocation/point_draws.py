"""Posterior draws of mixing weights, and weights in PyMC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.allocation.point import PointWeights, add_labels
from bayesmix.core.rows import LOWEST_LOG, Allocated, Rows
from bayesmix.numerics.arrays import Array, normalise

if TYPE_CHECKING:
    from bayesmix.core.components import Named
    from bayesmix.core.priors import Assign, DrawnWeights, NamedTensors, Pymc, Tensor


def densities_of_draws(draws: DrawnWeights, joint: Array, rows: Rows) -> Array:
    """Return log Σ_k π_k p(x_n | θ_k) (S, n) from log densities (S, K, n)."""
    joint += np.maximum(draws.log_weights, LOWEST_LOG)[:, :, None]
    if rows.side.labels is not None:
        joint += rows.side.log_factors(joint.shape[1]).T
    largest = joint.max(axis=1)
    distant = ~np.isfinite(largest)
    if distant.any():  # squared distances overflow, so densities are zero
        np.nan_to_num(joint, copy=False, nan=-np.inf, posinf=-np.inf, neginf=-np.inf)
        largest[distant] = 0.0
    joint -= largest[:, None]
    np.exp(joint, out=joint)
    log_density: Array = np.log(joint.sum(axis=1))
    log_density += largest
    return log_density


def shares_of_draws(draws: DrawnWeights, joint: Array, rows: Rows) -> None:
    """Turn log densities (n, S, K) into responsibilities in place, sample by sample."""
    joint += np.maximum(draws.log_weights, LOWEST_LOG)
    normalise(joint.reshape(-1, joint.shape[2]))


def assign_samples(
    draws: DrawnWeights, joint: Array, rows: Rows, assign: Assign, generator: np.random.Generator
) -> Allocated:
    """Turn log densities (n, K) into drawn assignments in place, sample by sample."""
    joint += np.maximum(draws.log_weights[0], LOWEST_LOG)
    add_labels(joint, rows)
    log_normaliser = normalise(joint)
    joint[:] = assign(joint, rows.weights, generator)
    return Allocated(log_normaliser)


def together(shares: Array, weights: Array | None, generator: np.random.Generator) -> Array:
    """Assign each sample to one component with its whole weight."""
    reached = np.cumsum(shares[:, :-1], axis=1)
    labels = (reached < generator.random((len(shares), 1))).sum(axis=1)
    assigned: Array = (labels == np.arange(shares.shape[1])[:, None]).astype(np.float64)
    if weights is not None:
        assigned *= weights
    return assigned.T


def log_likelihood_of_samples(twin: Any, pm: Pymc, joint: Tensor, rows: Rows) -> Tensor:
    """Return Σ_n w_n log Σ_k π_k p(x_n | θ_k) in PyMC, from log densities (n, K)."""
    densities = pm.math.logsumexp(twin.log_weights + joint, axis=1)
    if rows.weights is not None:
        densities = densities * pm.Data("row_weights", rows.weights, dims="row")
    return densities.sum()


def nothing_named(draws: DrawnWeights) -> Named:
    """Return no parameters besides π."""
    return {}


@dataclass(frozen=True)
class PointTwin:
    """Fixed weights in PyMC."""

    weights: PointWeights
    log_likelihood = log_likelihood_of_samples

    @property
    def log_weights(self) -> Array:
        return np.maximum(self.weights.expected_log(), LOWEST_LOG)

    def named(self) -> NamedTensors:
        return {"weights": (("component",), self.weights.probabilities)}

    @property
    def drawn(self) -> dict[str, Tensor]:
        return {}

    def draws(self, values: Mapping[str, Array], n_draws: int) -> WeightDraws:
        logs = self.weights.expected_log()
        return WeightDraws(np.broadcast_to(logs, (n_draws, len(logs))))

    def point(self, draws: WeightDraws) -> dict[str, Array]:
        return {}


@dataclass(frozen=True)
class WeightDraws:
    """S draws of π as logarithms (S, K)."""

    log_weights: Array
    named = nothing_named
    log_density, shares, assign = densities_of_draws, shares_of_draws, assign_samples


@dataclass(frozen=True)
class DirichletTwin:
    """Dirichlet weights in PyMC, with π as a variable."""

    weights: Tensor
    log_likelihood = log_likelihood_of_samples

    @cached_property
    def log_weights(self) -> Tensor:
        from pytensor import tensor as pt

        return pt.log(self.weights)

    def named(self) -> NamedTensors:
        return {}

    @property
    def drawn(self) -> dict[str, Tensor]:
        return {"log_weights": self.log_weights}

    def draws(self, values: Mapping[str, Array], n_draws: int) -> WeightDraws:
        return WeightDraws(**values)

    def point(self, draws: WeightDraws) -> dict[str, Array]:
        return {"weights": np.exp(draws.log_weights)}
