"""The E-step with missing values (missing at random): missing cells are integrated out.

log ∫ exp E[log p(x, h | θ_k)] dh over the missing cells h is zero for independent columns and
normal for dense ones. Large groups with the same pattern run on their observed columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from bayesmix.core.components import (
    ByPattern,
    Completing,
    Components,
    Filling,
    LinearComponents,
    Statistics,
)
from bayesmix.core.mixture import ChunkSums, Mixture, finished
from bayesmix.core.random import Purpose, stream
from bayesmix.core.rows import Rows
from bayesmix.em.expectation import CENTRED, Densities, Form, LocalRows, Step, centred_sums
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.gaps import has_gaps

# From this many observations of a pattern on, a pass over the observed columns is faster.
MANY = 64


@dataclass(frozen=True)
class Gapped(Form):
    """E-step that integrates out missing cells; complete observations use the centred form.

    Moves are tried on data with imputed draws and accepted by the objective of the observed data.
    """

    seed: int

    name = "gaps left out"

    def step(self, mixture: Mixture[Components]) -> Step:
        return GappedStep(mixture)

    def of_parts(
        self, mixture: Mixture[Components], parts: Sequence[LocalRows]
    ) -> list[tuple[Statistics, float]]:
        return CENTRED.of_parts(mixture, parts)

    def complete(self, mixture: Mixture[Components], rows: Rows) -> Rows:
        generator = stream(self.seed, Purpose.GAPS, rows.first)
        return Rows(drawn(mixture, np.asarray(rows.values), generator), rows.weights, rows.first)


@dataclass(frozen=True)
class Seen:
    """Densities of the observed cells, and statistics with expectations of the missing ones."""

    watched: bool = False

    def densities(self, components: Components, values: Array) -> Densities:
        return cast("Completing", cast("LinearComponents", components).linear).seen(values)

    def sums(self, mixture: Mixture[Components], rows: Rows) -> ChunkSums:
        return centred_sums(self, mixture, rows)


SEEN = Seen()


@dataclass(frozen=True)
class GappedStep:
    """E-step of a chunk with missing values; picklable."""

    mixture: Mixture[Components]

    def __call__(self, rows: Rows) -> ChunkSums:
        form = cast("ByPattern", cast("LinearComponents", self.mixture.components).linear)
        whole = replace(self.mixture, components=form)
        total: ChunkSums | None = None
        for columns, group in rows.by_pattern(None, MANY if form.dense else None):
            if len(columns) < rows.values.shape[1]:
                sums = CENTRED.sums(whole.marginal(columns), group)
                statistics: Statistics = form.completed(columns, finished(sums.statistics))
            else:
                arithmetic = SEEN if has_gaps(group.values) else CENTRED
                sums = arithmetic.sums(self.mixture, group)
                statistics = finished(sums.statistics)
            sums = replace(sums, statistics=statistics)
            total = sums if total is None else total + sums
        assert total is not None
        return total


def drawn(
    mixture: Mixture[Components], values: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Return data (n, D) with missing cells drawn from the mixture, given the observed cells."""
    if not has_gaps(values):
        return values
    framed = mixture.frame.apply(values)
    shares, _ = mixture.responsibilities(framed)
    reached = np.cumsum(shares, axis=1)
    labels = (reached < generator.random((len(values), 1)) * reached[:, -1:]).sum(axis=1)
    filled = cast("Filling", mixture.components).filled(framed, labels, generator)
    return np.where(np.isnan(values), mixture.frame.undo(filled), values)
