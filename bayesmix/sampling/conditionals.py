"""Conditional posteriors p(π, θ | X, Z) at assignments Z that short Gibbs runs from q reach.

q is too narrow and holds one mode of several. Their mixture is the better proposal: it is nearly
the posterior, which is the average of p(π, θ | X, Z) over p(Z | X) (Frühwirth-Schnatter 2004; Lee &
Robert 2016).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.engine.expectation import block_rows
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.logsumexp import normalise
from bayesmix.parallel import single_threaded_blas
from bayesmix.protocols import Family, Source
from bayesmix.random import Purpose, stream
from bayesmix.records import Frame, Mixture, Rows
from bayesmix.sampling.draws import Draws, draws_of
from bayesmix.workflow.result import FitResult

# Every fourth is as wide as fewer rows would leave it: assignments that no run reached lie between.
# On 48 tiny problems of known evidence the largest error in standard errors fell from 5.5 to 2.7.
WIDENED = 4
SHARE_OF_ROWS = 0.3


@dataclass(frozen=True)
class AssignmentStep:
    """Statistics of a chunk whose rows are assigned at random given one draw of (π, θ).

    All repetitions of a row go together: as a proposal that does as well.
    """

    family: Family
    frame: Frame
    draw: Draws
    key: tuple[int, ...]

    def __call__(self, rows: Rows) -> Any:
        log_weights = self.draw.weights.log_weights[0]
        seed, *rest = self.key
        generator = stream(seed, Purpose.DRAW, *rest, rows.first)
        size = block_rows(rows.values.shape[1], len(log_weights))
        total: Any = None
        for block in rows.blocks(size):
            part = self._block(block, log_weights, generator)
            total = part if total is None else total + part
        return total

    def _block(self, rows: Rows, log_weights: Array, generator: np.random.Generator) -> Any:
        values = self.frame.apply(rows.values)
        shares = self.draw.components.components.expected_log_density(values) + log_weights
        normalise(shares)
        places = np.cumsum(shares[:, :-1], axis=1) < generator.random(len(rows))[:, None]
        assigned = np.eye(len(log_weights))[places.sum(axis=1)]
        if rows.weights is not None:
            assigned *= rows.weights[:, None]
        return self.family.statistics(values, assigned)


def conditional_posteriors(
    result: FitResult, source: Source, n_chains: int, sweeps: int, seed: int
) -> list[Mixture]:
    """p(π, θ | X, Z, S) at the end of Gibbs runs of some sweeps from draws of q, some wider.

    For Dirichlet weights.
    """
    mixture, inference = result.mixture, result.inference
    found = []
    with single_threaded_blas():
        for chain in range(n_chains):
            generator = stream(seed, Purpose.DRAW, 1, chain)
            conditional = mixture
            for sweep in range(sweeps):
                draw = draws_of(conditional, 1, generator)
                key = (seed, 2, chain, sweep)
                step = AssignmentStep(result.family, mixture.frame, draw, key)
                statistics = source.reduce(step, mixture.n_components)
                if sweep == sweeps - 1 and chain % WIDENED == WIDENED - 1:
                    statistics = statistics.scaled(SHARE_OF_ROWS)
                conditional = replace(
                    mixture,
                    weights=inference.weights.posterior(statistics.counts),
                    components=inference.prior.conditional(statistics, draw.components, generator),
                )
            found.append(conditional)
    return found
