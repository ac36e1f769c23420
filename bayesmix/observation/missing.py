"""The E-step with missing values (missing at random): missing cells are integrated out.

log ∫ exp E[log p(x, h | θ_k)] dh over the missing cells h is zero for independent columns and
normal for dense ones. Large groups with the same pattern run on their observed columns.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import cast

import numpy as np

from bayesmix.core.components import (
    ByPattern,
    Completing,
    Components,
    DensitiesAndStatistics,
    Filling,
    InSubspace,
    LinearComponents,
    Statistics,
)
from bayesmix.core.missing_cells import Pattern, by_pattern
from bayesmix.core.mixture import ChunkSums, Mixture, finished
from bayesmix.core.random import Purpose, drawn_labels, stream
from bayesmix.core.rows import Frame, Rows
from bayesmix.em.expectation import (
    CENTRED,
    Arithmetic,
    Form,
    LocalRows,
    Step,
    block_sums,
    centred_sums,
    sum_of_blocks,
    weighed,
)
from bayesmix.numerics.arrays import Array, has_gaps

# From this many observations of a pattern on, a pass over the observed columns is faster.
MANY = 64


@dataclass(frozen=True)
class Drawing(Form):
    """E-step over values that were not seen; moves are tried on draws of them.

    Moves are accepted by the objective of what was seen.
    """

    seed: int

    def of_parts(
        self, mixture: Mixture[Components], parts: Sequence[LocalRows]
    ) -> list[tuple[Statistics, float]]:
        return CENTRED.of_parts(mixture, parts)

    def complete(self, mixture: Mixture[Components], rows: Rows) -> Rows:
        generator = stream(self.seed, Purpose.GAPS, rows.first)
        return Rows(self.drawn(mixture, rows, generator), rows.weights, rows.first)

    @abstractmethod
    def drawn(
        self, mixture: Mixture[Components], rows: Rows, generator: np.random.Generator
    ) -> Array:
        """Return complete values (n, D) in data units, draws where they were not seen."""


@dataclass(frozen=True)
class Gapped(Drawing):
    """E-step that integrates out missing cells; complete observations use the centred form."""

    name = "missing values integrated out"

    def step(self, mixture: Mixture[Components]) -> Step:
        return GappedStep(mixture)

    def drawn(
        self, mixture: Mixture[Components], rows: Rows, generator: np.random.Generator
    ) -> Array:
        return drawn(mixture, np.asarray(rows.values), generator)


@dataclass(frozen=True)
class ObservedCells:
    """Densities of the observed cells, and statistics with expectations of the missing ones."""

    watched: bool = False

    def densities(self, components: Components, values: Array) -> DensitiesAndStatistics:
        return cast("Completing", cast("LinearComponents", components).linear).seen(values)

    def sums(self, mixture: Mixture[Components], rows: Rows) -> ChunkSums:
        return centred_sums(self, mixture, rows)


OBSERVED_CELLS = ObservedCells()


@dataclass(frozen=True)
class CellsInSubspace:
    """Densities and statistics of data in data units, whose directions are those of a frame."""

    frame: Frame
    watched: bool = False

    def densities(self, components: Components, values: Array) -> DensitiesAndStatistics:
        return cast("InSubspace", components).of_coordinates.seen_along(self.frame, values)

    def sums(self, mixture: Mixture[Components], rows: Rows) -> ChunkSums:
        def of_block(block: Rows) -> ChunkSums:
            values = np.asarray(block.values)
            joint, statistics = self.densities(mixture.components, values)
            joint += mixture.log_weights
            return block_sums(mixture, joint, block, statistics)

        return sum_of_blocks(rows, mixture.n_components, of_block)


@dataclass(frozen=True)
class GappedStep:
    """E-step of a chunk with missing values; picklable."""

    mixture: Mixture[Components]

    @property
    def form(self) -> ByPattern:
        """Linear form of the components, which completes the sums of a pattern."""
        return cast("ByPattern", cast("LinearComponents", self.mixture.components).linear)

    def __call__(self, rows: Rows) -> ChunkSums:
        if rows.side.begins is not None:
            return self._sequences(rows)
        if self.mixture.frame.rest is not None:
            return CellsInSubspace(self.mixture.frame).sums(self.mixture, rows)
        return reduce(add, map(self._of_group, self._groups(rows)))

    def _of_group(self, group: Pattern) -> ChunkSums:
        mixture, arithmetic = self._of_pattern(group)
        sums = arithmetic.sums(mixture, group.rows)
        return replace(sums, statistics=self._completed(group, finished(sums.statistics)))

    def _groups(self, rows: Rows) -> list[Pattern]:
        if self.mixture.frame.rest is not None:
            every = np.arange(rows.values.shape[1])
            return [Pattern(every, np.arange(len(rows)), rows)]
        return by_pattern(rows, None, MANY if self.form.dense else None)

    def _of_pattern(self, group: Pattern) -> tuple[Mixture[Components], Arithmetic]:
        """Return the mixture of the columns of a pattern, and how its sums are computed."""
        if len(group.columns) < len(self.mixture.frame.centre):
            return replace(self.mixture, components=self.form).marginal(group.columns), CENTRED
        return self.mixture, OBSERVED_CELLS if has_gaps(group.rows.values) else CENTRED

    def _completed(self, group: Pattern, statistics: Statistics) -> Statistics:
        if len(group.columns) < len(self.mixture.frame.centre):
            return self.form.completed(group.columns, statistics)
        return statistics

    def _sequences(self, rows: Rows) -> ChunkSums:
        """Run the E-step of sequences, which patterns of missing values do not divide.

        A sample without any value is a step without evidence.
        """
        joint = np.zeros((len(rows), self.mixture.n_components))
        parts = []
        for group in self._groups(rows):
            if not len(group.columns):
                continue
            if self.mixture.frame.rest is not None:
                of_cells = CellsInSubspace(self.mixture.frame).densities
                whole = np.asarray(rows.values)
                joint, statistics = of_cells(self.mixture.components, whole)
            else:
                mixture, arithmetic = self._of_pattern(group)
                framed = group.rows.framed(mixture.frame)
                joint[group.indices], statistics = arithmetic.densities(mixture.components, framed)
            parts.append((group, statistics))
        joint += self.mixture.log_weights
        allocated = self.mixture.allocate(joint, rows)
        if rows.weights is not None:
            joint *= rows.weights[:, None]
        totals = weighed(allocated.log_normaliser, rows)
        completed = (
            self._completed(group, finished(statistics(joint[group.indices])))
            for group, statistics in parts
        )
        return ChunkSums(*totals, reduce(add, completed), allocated.statistics)


def drawn(
    mixture: Mixture[Components], values: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Return data (n, D) with missing cells drawn from the mixture, given the observed cells."""
    if not has_gaps(values):
        return values
    rows = Rows(values)
    shares, _ = mixture.responsibilities(rows)
    labels = drawn_labels(shares, generator)
    if mixture.frame.rest is not None:
        forms = cast("InSubspace", mixture.components).of_coordinates
        return forms.filled_along(mixture.frame, values, labels, generator)
    framed = rows.framed(mixture.frame)
    filled = cast("Filling", mixture.components).filled(framed, labels, generator)
    return np.where(np.isnan(values), mixture.frame.undo(filled), values)
