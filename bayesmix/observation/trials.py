"""Numbers of successes in numbers of trials that differ between cells.

Values are shares of successes, so that starts and figures compare like with like. Log p(x | θ_k)
= Σ x log p + (t - x) log(1 - p) + log coefficient has the sums Σ r x and Σ r t (Bishop 2006,
sec. 9.3.3): a cell of t trials counts t times, a missing one not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bayesmix.core.components import Components, Densities
from bayesmix.core.measurement import Measurement
from bayesmix.core.mixture import ChunkSums, Mixture
from bayesmix.core.rows import Rows
from bayesmix.em.expectation import Form, Step, block_sums, sum_of_blocks
from bayesmix.errors import InvalidInputError
from bayesmix.families.independent.linear import Sums
from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    from bayesmix.core.families import Family


@dataclass(frozen=True)
class SuccessesInTrials(Measurement):
    """Numbers of successes and of trials (n, D); both are 0 where nothing was observed."""

    successes: Array
    trials: Array

    has_posterior = True

    def __getitem__(self, rows: Any) -> SuccessesInTrials:
        return SuccessesInTrials(self.successes[rows], self.trials[rows])

    def log_joint(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        components: Any = mixture.components
        joint: Array = components.in_trials(self.successes, self.trials)
        joint += mixture.log_weights
        return joint

    def log_volume(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        return np.zeros(len(rows))

    def sums(self, responsibilities: Array) -> Sums:
        """Return successes and trials (K, D) under responsibilities (n, K)."""
        counts, shares = responsibilities.sum(axis=0), responsibilities.T
        return Sums(counts, shares @ self.successes, known_counts=shares @ self.trials)

    def form(self, family: Family, variational: bool, seed: int) -> Form:
        return IN_TRIALS

    def check(self, family: Family, columns: Sequence[str] | None) -> None:
        """Raise an error for families other than ``Binomial()``."""
        if family.draws_given != "trials":
            raise InvalidInputError(
                f"trials needs family=Binomial() without n_trials, got {family!r}: leave out trials"
            )

    def spans(self, rows: Rows) -> tuple[Array, Array]:
        """Return shares and bars of one standard error of each."""
        values = np.array(rows.values, dtype=np.float64)
        errors = np.sqrt(values * (1.0 - values) / np.maximum(self.trials, 1.0))
        return values, values + np.multiply.outer([-1.0, 1.0], errors)

    def least_errors(self, rows: Rows) -> Array:
        return np.zeros(self.trials.shape[1])


def chunk_sums(mixture: Mixture[Components], rows: Rows) -> ChunkSums:
    """Return the sums of a chunk."""

    def of_block(block: Rows) -> ChunkSums:
        measurement = cast("SuccessesInTrials", block.side.measurement)
        joint = measurement.log_joint(mixture, block)
        return block_sums(mixture, joint, block, measurement.sums)

    return sum_of_blocks(rows, mixture.n_components, of_block)


@dataclass(frozen=True)
class InTrials(Form):
    """E-step over successes in trials."""

    name = "successes in trials"

    def step(self, mixture: Mixture[Components]) -> Step:
        return partial(chunk_sums, mixture)

    def complete(self, mixture: Mixture[Components], rows: Rows) -> Rows:
        """Return the samples with mean shares in the place of missing ones."""
        values = np.asarray(rows.values)
        means = mixture.weights.mean() @ cast("Any", mixture.components).means
        return replace(rows, values=np.where(np.isnan(values), means, values))


IN_TRIALS = InTrials()
