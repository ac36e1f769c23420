"""The E-step over rows with gaps: every pattern of them by itself, in the columns that it has.

Values missing at random: a row says log ∫ exp E[log p(x, h | θ_k)] dh, h being what it does not
have. Sums are kept per pattern in its own columns and completed once a chunk, so that a pass costs
little more than one over complete rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from bayesmix.engine.compiled import Kernel
from bayesmix.engine.expectation import Densities, Part, Step
from bayesmix.engine.forms import Dense
from bayesmix.numerics.gaps import has_gaps, patterns
from bayesmix.protocols import Completing, Components, LinearComponents, Source, Statistics
from bayesmix.random import Purpose, stream
from bayesmix.records import ChunkSums, Expectation, Mixture, Rows, finished


@dataclass(frozen=True)
class Gapped:
    """A form of the E-step: ``inner`` passes over the rows of every pattern.

    Moves are looked for on rows whose gaps are drawn from the mixture, by the inner form itself,
    and taken by the objective of the rows as they are.
    """

    inner: Dense
    seed: int

    name = "patterns of gaps"
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
        self, mixture: Mixture[Components], parts: Sequence[Part]
    ) -> list[tuple[Statistics, float]]:
        return self.inner.of_parts(mixture, parts)

    def complete(self, mixture: Mixture[Components], rows: Rows) -> Rows:
        generator = stream(self.seed, Purpose.GAPS, rows.first)
        return Rows(drawn(mixture, np.asarray(rows.values), generator), rows.weights, rows.first)


@dataclass(frozen=True)
class GappedStep:
    """What a pass does to a chunk; picklable."""

    mixture: Mixture[Components]
    inner: Dense

    def __call__(self, rows: Rows) -> ChunkSums:
        form = _completing(self.mixture)
        whole = replace(self.mixture, components=form)
        total: ChunkSums | None = None
        for columns, some in rows.by_pattern():
            if len(columns) == rows.values.shape[1]:
                sums = self.inner.step(self.mixture)(some)
            else:
                sums = self.inner.step(whole.marginal(columns))(some)
                statistics = form.completed(columns, finished(sums.statistics))
                sums = replace(sums, statistics=statistics)
            total = sums if total is None else total + sums
        assert total is not None
        return total


def _completing(mixture: Mixture[Components]) -> Completing:
    return cast("Completing", cast("LinearComponents", mixture.components).linear)


def drawn(
    mixture: Mixture[Components], values: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Rows (n, D) as stored with their gaps drawn from the mixture, given what they have."""
    if not has_gaps(values):
        return values
    form = _completing(mixture)
    out = values.astype(np.float64)
    framed = mixture.frame.apply(values)
    shares, _ = mixture.responsibilities(framed)
    reached = np.cumsum(shares, axis=1)
    labels = (reached < generator.random((len(values), 1)) * reached[:, -1:]).sum(axis=1)
    for columns, rows in patterns(values):
        if len(columns) < values.shape[1]:
            seen = framed[np.ix_(rows, columns)]
            filled = mixture.frame.undo(form.drawn(columns, seen, labels[rows], generator))
            out[rows] = np.where(np.isnan(out[rows]), filled, out[rows])
    return out
