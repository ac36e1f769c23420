"""Point estimates of mixing weights, and the allocation of independent observations.

Maximum likelihood: Bishop 2006, eq. 9.26; type-II maximum likelihood within variational Bayes:
Corduneanu & Bishop 2001.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core.rows import LOWEST_LOG, Allocated, GroupCounts, Rows
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.logsumexp import normalise

if TYPE_CHECKING:
    from bayesmix.core.components import Named
    from bayesmix.core.priors import Allocation, Assign, DrawnWeights, NamedTensors, Pymc, Tensor


def sample_by_sample(weights: Allocation, joint: Array, rows: Rows) -> Allocated:
    """Turn log joints (n, K) into responsibilities in place (Bishop 2006, eq. 9.23 and 10.49).

    Known labels exclude the other components; log soft labels are added to the log joints (Côme,
    Oukhellou, Denoeux & Aknin 2009). Samples of a group share their component.
    """
    if rows.side.labels is not None:
        add_labels(joint, rows)
    if rows.side.grouped:
        return group_by_group(weights, joint, rows)
    return Allocated(normalise(joint))


def add_labels(joint: Array, rows: Rows) -> None:
    """Add the log factors of known labels to log joints (n, K) in place."""
    if rows.side.labels is not None:
        joint += rows.side.log_factors(joint.shape[1])


def group_by_group(weights: Allocation, joint: Array, rows: Rows) -> Allocated:
    """Turn log joints (n, K) into responsibilities that all samples of a group share.

    Log densities add up within a group and log weights count once. The log normaliser of a group is
    divided among its samples, which have equal sample weights.
    """
    sizes = rows.side.group_sizes
    starts = np.cumsum(sizes) - sizes
    logs = np.maximum(weights.expected_log(), LOWEST_LOG)
    sums: Array = np.add.reduceat(joint, starts, axis=0) - (sizes - 1.0)[:, None] * logs
    log_normaliser = np.repeat(normalise(sums) / sizes, sizes)
    joint[:] = np.repeat(sums, sizes, axis=0)
    counts = (rows.weights_or_ones[starts, None] * sums).sum(axis=0)
    return Allocated(log_normaliser, GroupCounts(counts))


def no_log_weights(weights: Allocation) -> Array:
    """Return 0 (K,), as ``allocate`` adds the log weights of each sample."""
    return np.zeros(weights.n_components)


def densities_of_draws(draws: DrawnWeights, joint: Array, rows: Rows) -> Array:
    """Return log Σ_k π_k p(x_n | θ_k) (S, n) from log densities (S, K, n)."""
    joint += np.maximum(draws.log_weights, LOWEST_LOG)[:, :, None]
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
class WeightDraws:
    """S draws of π as logarithms (S, K)."""

    log_weights: Array
    named = nothing_named
    log_density, shares, assign = densities_of_draws, shares_of_draws, assign_samples


@dataclass(frozen=True)
class PointWeights:
    """Probabilities (K,); components of weight zero are ignored."""

    probabilities: Array
    exchangeable = True
    allocate = sample_by_sample

    @classmethod
    def shares(cls, counts: Array) -> PointWeights:
        """Return counts divided by their sum, or equal weights if all are zero."""
        total = float(np.add.reduce(counts))
        return cls(counts / total if total > 0.0 else np.full(len(counts), 1.0 / len(counts)))

    @property
    def n_components(self) -> int:
        return len(self.probabilities)

    def expected_log(self) -> Array:
        if np.count_nonzero(self.probabilities) == len(self.probabilities):
            return np.log(self.probabilities)
        logs = np.full(len(self.probabilities), -np.inf)
        np.log(self.probabilities, out=logs, where=self.probabilities > 0)
        return logs

    def mean(self) -> Array:
        return self.probabilities

    def averaged(self) -> PointWeights:
        return self

    def proportional(self, shares: Array) -> PointWeights:
        return PointWeights(shares / shares.sum())

    def draws(self, n_draws: int, generator: np.random.Generator) -> WeightDraws:
        return WeightDraws(np.broadcast_to(self.expected_log(), (n_draws, self.n_components)))

    def log_density_of(self, draws: WeightDraws) -> Array:
        return np.zeros(len(draws.log_weights))

    def subset(self, keep: Integers, counts: Array) -> PointWeights:
        """Select components and renormalise; equal weights if all are zero."""
        return PointWeights.shares(self.probabilities[keep])


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
class FreeWeights:
    """Weights without a prior: relative counts."""

    name = "type2_ml"

    def posterior(self, counts: Array) -> PointWeights:
        """Return relative counts, which maximise both the likelihood and the bound."""
        return PointWeights.shares(counts)

    mode = posterior

    def kl(self, weights: PointWeights) -> float:
        return 0.0

    def log_density_of(self, draws: WeightDraws) -> Array:
        return np.zeros(len(draws.log_weights))

    def log_density(self, weights: PointWeights) -> float:
        """Raise an error, as there is no prior."""
        raise UnsupportedError("weights without a prior have no prior density")

    def pymc_distribution(self, pm: Pymc, q: PointWeights, n_components: int) -> PointTwin:
        return PointTwin(q)

    def n_parameters(self, n_components: int) -> int:
        return n_components - 1
