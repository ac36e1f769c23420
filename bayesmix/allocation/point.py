"""Weights at a point.

Maximum likelihood (Bishop 2006, eq. 9.26), and type-II maximum likelihood within variational Bayes
(Corduneanu & Bishop 2001), where an unneeded weight goes to zero.

The allocation of mixing weights: each sample chooses its component by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bayesmix.core.priors import NamedTensors, Pymc, Tensor
from bayesmix.core.rows import LOWEST_LOG, Allocated, Rows
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.logsumexp import normalise


def sample_by_sample(weights: object, joint: Array, rows: Rows) -> Allocated:
    """Turn log joints (n, K) into responsibilities in place (Bishop 2006, eq. 9.23 and 10.49).

    A known label excludes all other components; logarithms of soft labels are added to the log
    joints (Côme, Oukhellou, Denoeux & Aknin 2009).
    """
    if rows.labels is not None:
        if rows.labels.ndim == 2:
            joint += rows.labels
        else:
            known = rows.labels >= 0
            others = rows.labels[:, None] != np.arange(joint.shape[1])
            joint[known[:, None] & others] = -np.inf
    return Allocated(normalise(joint))


@dataclass(frozen=True)
class WeightDraws:
    """S draws of π by their logarithms (S, K)."""

    log_weights: Array


@dataclass(frozen=True)
class PointWeights:
    """Probabilities (K,); zeros are allowed and take part in nothing."""

    probabilities: Array
    exchangeable = True
    allocate = sample_by_sample

    @classmethod
    def shares(cls, counts: Array) -> PointWeights:
        """Shares of the counts, equal ones where there are none."""
        total = float(counts.sum())
        return cls(counts / total if total > 0.0 else np.full(len(counts), 1.0 / len(counts)))

    @property
    def n_components(self) -> int:
        return len(self.probabilities)

    def expected_log(self) -> Array:
        """log π_k, minus infinity at zero."""
        if np.count_nonzero(self.probabilities) == len(self.probabilities):
            return np.log(self.probabilities)
        logs = np.full(len(self.probabilities), -np.inf)
        np.log(self.probabilities, out=logs, where=self.probabilities > 0)
        return logs

    def mean(self) -> Array:
        """π_k."""
        return self.probabilities

    def proportional(self, shares: Array) -> PointWeights:
        """Others, in proportion to shares."""
        return PointWeights(shares / shares.sum())

    def draws(self, n_draws: int, generator: np.random.Generator) -> WeightDraws:
        """The same point in every draw."""
        return WeightDraws(np.broadcast_to(self.expected_log(), (n_draws, self.n_components)))

    def log_density_of(self, draws: WeightDraws) -> Array:
        """0: a point has no density to compare."""
        return np.zeros(len(draws.log_weights))

    def subset(self, keep: Integers, counts: Array) -> PointWeights:
        """The kept weights, renormalised; equal ones where none of those has any."""
        return PointWeights.shares(self.probabilities[keep])


@dataclass(frozen=True)
class PointTwin:
    """Weights at a point in PyMC."""

    weights: PointWeights

    @property
    def log_weights(self) -> Array:
        """log π_k (K,), finite."""
        return np.maximum(self.weights.expected_log(), LOWEST_LOG)

    def named(self) -> NamedTensors:
        """π with what its axis stands for."""
        return {"weights": (("component",), self.weights.probabilities)}

    @property
    def drawn(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def draws(self, values: Mapping[str, Array], n_draws: int) -> WeightDraws:
        """The same point in every draw."""
        logs = self.weights.expected_log()
        return WeightDraws(np.broadcast_to(logs, (n_draws, len(logs))))

    def point(self, draws: WeightDraws) -> dict[str, Array]:
        """No variable of the model."""
        return {}


@dataclass(frozen=True)
class FreeWeights:
    """No prior: weights are the shares of the counts."""

    name = "type2_ml"

    def posterior(self, counts: Array) -> PointWeights:
        """Shares of the counts: both the likelihood's and the bound's maximiser."""
        return PointWeights.shares(counts)

    mode = posterior

    def kl(self, weights: PointWeights) -> float:
        """0: a parameter has no KL divergence."""
        return 0.0

    def log_density_of(self, draws: WeightDraws) -> Array:
        """0: there is no prior density here, and none of the point either."""
        return np.zeros(len(draws.log_weights))

    def log_density(self, weights: PointWeights) -> float:
        """Refused: there is no prior density here."""
        raise UnsupportedError("weights without a prior have no prior density")

    def pymc_distribution(self, pm: Pymc, q: PointWeights, n_components: int) -> PointTwin:
        """The weights of the fit in PyMC: numbers, of which nothing is drawn."""
        return PointTwin(q)

    def n_parameters(self, n_components: int) -> int:
        """Free parameters of the weights."""
        return n_components - 1
