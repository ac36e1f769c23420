"""The E-step over rows with gaps: factors of missing cells are left out.

Values missing at random: a row says log ∫ exp E[log p(x, h | θ_k)] dh, h being what it does not
have. Of columns that are independent given the component the integral is 1, cell by cell; of those
that are dense together it is that of a normal. Rows that have no gaps go on as ever, and so do many
that lack the same values, in their own columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from bayesmix.engine.compiled_steps import Kernel
from bayesmix.engine.expectation import Densities, ExpectationStep, LocalRows, Step, each_by_itself
from bayesmix.engine.forms import Untruncated
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.gaps import has_gaps
from bayesmix.protocols import (
    ByPattern,
    Completing,
    Components,
    Filling,
    LinearComponents,
    Source,
    Statistics,
)
from bayesmix.random import Purpose, stream
from bayesmix.records import ChunkSums, Expectation, Mixture, Rows, finished

# Rows of one pattern, in a chunk, from which a compiled pass over their own columns is the faster.
MANY = 64


@dataclass(frozen=True)
class Gapped:
    """A form of the E-step: ``inner`` passes over the rows that have no gaps.

    Moves are looked for on rows whose gaps are drawn from the mixture, by the inner form itself,
    and taken by the objective of the rows as they are.
    """

    inner: Untruncated
    seed: int

    name = "gaps left out"
    exact = True
    watched = False
    earlier = None

    @property
    def surer(self) -> Gapped:
        return self

    @property
    def regrouped(self) -> Gapped:
        return self

    @property
    def kernel(self) -> Kernel | None:
        return self.inner.kernel

    def step(self, mixture: Mixture[Components]) -> Step:
        return GappedStep(mixture, self.inner)

    def width(self, n_components: int) -> int:
        return n_components

    def keeps_digits(self, mixture: Mixture[Components], expectation: Expectation) -> bool:
        return True

    def renewed(self, source: Source, mixture: Mixture[Components], passes: int) -> Gapped:
        return self

    def joints(self, mixture: Mixture[Components], rows: Rows) -> Densities:
        return self.inner.joints(mixture, rows)

    def of_parts(
        self, mixture: Mixture[Components], parts: Sequence[LocalRows]
    ) -> list[tuple[Statistics, float]]:
        return self.inner.of_parts(mixture, parts)

    def complete(self, mixture: Mixture[Components], rows: Rows) -> Rows:
        generator = stream(self.seed, Purpose.GAPS, rows.first)
        return Rows(drawn(mixture, np.asarray(rows.values), generator), rows.weights, rows.first)


@dataclass(frozen=True)
class Seen:
    """The arithmetic of rows with gaps: what is there, and what is expected of the rest."""

    name: str = "gaps"
    watched: bool = False

    def densities(self, components: Components, values: Array) -> Densities:
        return cast("Completing", cast("LinearComponents", components).linear).seen(values)

    def joints(self, mixture: Mixture[Components], rows: Rows) -> Densities:
        joint, statistics = self.densities(mixture.components, mixture.frame.apply(rows.values))
        joint += mixture.weights.expected_log()
        return joint, statistics

    def of_parts(
        self, mixture: Mixture[Components], parts: Sequence[LocalRows]
    ) -> list[tuple[Statistics, float]]:
        return each_by_itself(lambda own: ExpectationStep(own, self), mixture, parts)


SEEN = Seen()


@dataclass(frozen=True)
class GappedStep:
    """What a pass does to a chunk; picklable."""

    mixture: Mixture[Components]
    inner: Untruncated

    def __call__(self, rows: Rows) -> ChunkSums:
        form = cast("ByPattern", cast("LinearComponents", self.mixture.components).linear)
        whole, of_gaps = replace(self.mixture, components=form), ExpectationStep(self.mixture, SEEN)
        by_pattern = self.inner.kernel is not None and form.dense
        total: ChunkSums | None = None
        for columns, some in rows.by_pattern(None, MANY if by_pattern else None):
            if len(columns) < rows.values.shape[1]:
                sums = self.inner.step(whole.marginal(columns))(some)
                statistics: Statistics = form.completed(columns, finished(sums.statistics))
            else:
                step = of_gaps if has_gaps(some.values) else self.inner.step(self.mixture)
                sums = step(some)
                statistics = finished(sums.statistics)
            sums = replace(sums, statistics=statistics)
            total = sums if total is None else total + sums
        assert total is not None
        return total


def drawn(
    mixture: Mixture[Components], values: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Rows (n, D) as stored with their gaps drawn from the mixture, given what they have."""
    if not has_gaps(values):
        return values
    framed = mixture.frame.apply(values)
    shares, _ = mixture.responsibilities(framed)
    reached = np.cumsum(shares, axis=1)
    labels = (reached < generator.random((len(values), 1)) * reached[:, -1:]).sum(axis=1)
    filled = cast("Filling", mixture.components).filled(framed, labels, generator)
    return np.where(np.isnan(values), mixture.frame.undo(filled), values)
