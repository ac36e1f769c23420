"""The E-step over true values, given what was measured: a view of a chunk answers four questions.

The log joint of what was measured, expected statistics of true values, their moments, and draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from bayesmix.core.components import Components, Densities, Statistics
from bayesmix.core.mixture import ChunkSums, Mixture
from bayesmix.core.rows import Rows
from bayesmix.em.expectation import Step, block_sums
from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.point import Gaussians
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.drawing import drawn_labels
from bayesmix.observation.missing import Drawing

if TYPE_CHECKING:
    from bayesmix.em.result import FitResult


class View(Protocol):
    """Samples under a mixture."""

    @property
    def joint(self) -> Array:
        """Log π_k plus log density (n, K) of what was measured, in the frame."""

    def statistics(self, shares: Array) -> Statistics:
        """Return expected statistics of true values from responsibilities (n, K)."""

    def moments(self, shares: Array) -> tuple[Array, Array]:
        """Return means and variances (n, D) of true values in data units."""

    def drawn(self, labels: Integers, generator: np.random.Generator) -> Array:
        """Return draws (n, D) of true values in data units, given the components of samples."""


def views_of(
    mixture: Mixture[Densities], rows: Rows, whole: bool = False
) -> Iterator[tuple[Any, Rows, View]]:
    """Yield views of blocks of a chunk with their indices, of all samples if ``whole``."""
    every = slice(None)
    if isinstance(mixture.components, Gaussians):
        from bayesmix.observation.deconvolution import NormalView, blocks_of

        for indices, block in [(every, rows)] if whole else blocks_of(mixture, rows):
            yield indices, block, NormalView.of(mixture, block)
    else:
        from bayesmix.observation.cells import CellView

        yield every, rows, CellView.of(mixture, rows)


def log_joint(mixture: Mixture[Densities], rows: Rows) -> Array:
    """Return log π_k plus log densities (n, K) of what was measured, given that it was recorded."""
    joint = np.empty((len(rows), mixture.n_components))
    for indices, _, view in views_of(mixture, rows):
        joint[indices] = view.joint
    return joint


@dataclass(frozen=True)
class Measuring(Drawing):
    """E-step over true values."""

    name = "true values given what was measured"

    def step(self, mixture: Mixture[Components]) -> Step:
        return MeasuringStep(mixture)

    def drawn(
        self, mixture: Mixture[Components], rows: Rows, generator: np.random.Generator
    ) -> Array:
        return drawn(mixture, rows, generator)


@dataclass(frozen=True)
class MeasuringStep:
    """E-step of a chunk of measured samples; picklable."""

    mixture: Mixture[Components]

    def __call__(self, rows: Rows) -> ChunkSums:
        views = views_of(self.mixture, rows, whole=rows.side.begins is not None)
        sums = (block_sums(self.mixture, v.joint, block, v.statistics) for _, block, v in views)
        return reduce(add, sums)


def drawn(mixture: Mixture[Densities], rows: Rows, generator: np.random.Generator) -> Array:
    """Return draws (n, D) of true values given what was measured, in data units."""
    shares, _ = mixture.responsibilities(rows)
    labels = drawn_labels(shares, generator)
    values = np.empty(rows.values.shape)
    for indices, _, view in views_of(mixture, rows):
        values[indices] = view.drawn(labels[indices], generator)
    return values


class TrueValues(NamedTuple):
    """Posterior means and standard deviations (n, D) of the true values of samples."""

    mean: Array
    standard_deviation: Array


def true_values(result: FitResult, rows: Rows) -> TrueValues:
    """Return the posterior of the true values of measured samples, averaged over components."""
    if rows.side.measurement is None:
        raise InvalidInputError("X must be measured data: pass bayesmix.Measured(X, error=...)")
    shares, _ = result.density.responsibilities(rows)
    means, variances = np.empty((2, *rows.values.shape))
    for indices, _, view in views_of(result.density, rows):
        means[indices], variances[indices] = view.moments(shares[indices])
    return TrueValues(means, np.sqrt(variances))
