"""Point estimates of mixing weights, and the allocation of independent observations.

Maximum likelihood: Bishop 2006, eq. 9.26; type-II maximum likelihood within variational Bayes:
Corduneanu & Bishop 2001.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.allocation.groups import group_by_group
from bayesmix.core.rows import Allocated, Rows
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Integers, normalise

if TYPE_CHECKING:
    from bayesmix.allocation.point_draws import PointTwin, WeightDraws
    from bayesmix.core.priors import Allocation, Pymc
    from bayesmix.core.restrictions import Restriction


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


def no_log_weights(weights: Allocation) -> Array:
    """Return 0 (K,), as ``allocate`` adds the log weights of each sample."""
    return np.zeros(weights.n_components)


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

    def restricted(self, restriction: Restriction) -> PointWeights:
        """Return the weights under a restriction, from those that maximise the likelihood."""
        own = restriction.of("weights")
        return self if own is None else PointWeights(own.shared_out(self.probabilities))

    def draws(self, n_draws: int, generator: np.random.Generator) -> WeightDraws:
        from bayesmix.allocation.point_draws import WeightDraws

        return WeightDraws(np.broadcast_to(self.expected_log(), (n_draws, self.n_components)))

    def log_density_of(self, draws: WeightDraws) -> Array:
        return np.zeros(len(draws.log_weights))

    def subset(self, keep: Integers, counts: Array) -> PointWeights:
        """Select components; fewer are renormalised, or have equal weights if all are zero."""
        kept = self.probabilities[keep]
        return PointWeights(kept) if len(kept) == self.n_components else PointWeights.shares(kept)


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
        from bayesmix.allocation.point_draws import PointTwin

        return PointTwin(q)

    def n_parameters(self, n_components: int) -> int:
        return n_components - 1
