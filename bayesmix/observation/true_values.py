"""The E-step over true values, given what was measured: a view of a block answers four questions.

The log joint of what was measured, expected statistics of true values, their moments, and draws.
Samples that were not recorded are completed by their expected number and statistics, as all less
those in the region of recorded values (Dempster, Laird & Rubin 1977).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from bayesmix.core.components import Components, FittedComponents
from bayesmix.core.mixture import ChunkSums, Mixture
from bayesmix.core.random import drawn_labels
from bayesmix.core.rows import Rows
from bayesmix.em.expectation import Step, block_sums
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.gaussian.family import Gaussians
from bayesmix.families.gaussian.students import StudentDensities
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.memo import once
from bayesmix.observation.instrument import instrument_of
from bayesmix.observation.missing import Drawing

if TYPE_CHECKING:
    from bayesmix.core.measurement import Measurement
    from bayesmix.em.result import FitResult
    from bayesmix.observation.cells import CellView
    from bayesmix.observation.deconvolution import NormalView


@dataclass(frozen=True)
class MeasuredView(ABC):
    """What a block of samples tells of their true values."""

    mixture: Mixture[FittedComponents]
    rows: Rows

    @property
    @abstractmethod
    def joint_of_any(self) -> Array:
        """Log joint (n, K) of what was measured, whether it would be recorded or not."""

    @abstractmethod
    def statistics(self, parts: Sequence[tuple[Self, Array]]) -> Any:
        """Return expected statistics of true values from views and their shares (n, K)."""

    @once
    def recorded(self) -> tuple[Self, Self, Array] | None:
        """The region of recorded values, all values, and the log probability of the region.

        Floors of components are a resolution of values, which regions do not have.
        """
        if (regions := instrument_of(self.rows).regions()) is None:
            return None
        mixture = replace(self.mixture, components=self.mixture.components.released())
        inside, everywhere = (type(self)(mixture, samples) for samples in regions)
        return inside, everywhere, np.logaddexp.reduce(inside.joint_of_any, axis=1)

    @property
    def joint(self) -> Array:
        joint = self.joint_of_any
        return joint if self.recorded is None else joint - self.recorded[2][:, None]

    def sums(self) -> ChunkSums:
        return block_sums(
            self.mixture,
            self.joint.copy(),
            self.rows,
            lambda shares: self.statistics(self.parts(shares)),
        )

    def parts(self, shares: Array) -> list[tuple[Self, Array]]:
        """Return views and their shares, with samples that were not recorded."""
        if self.recorded is None:
            return [(self, shares)]
        inside, everywhere, log_recorded = self.recorded
        weights = shares.sum(axis=1)
        odds = np.exp(-log_recorded) * (weights if len(log_recorded) > 1 else weights.sum())
        drawn = odds.sum() * np.exp(self.mixture.log_weights)[None]
        expected = odds[:, None] * np.exp(inside.joint_of_any)
        return [(self, shares), (inside, -expected), (everywhere, drawn)]


def views_of(
    mixture: Mixture[Any], rows: Rows, sums: bool = False
) -> Iterator[tuple[Any, NormalView | CellView]]:
    """Yield views of the blocks of a chunk with the indices of their samples."""
    from bayesmix.observation.cells import CellView
    from bayesmix.observation.deconvolution import NormalView, blocks_of

    if isinstance(mixture.components, Gaussians):
        for indices, block, alike in blocks_of(mixture, rows, sums):
            yield indices, NormalView(mixture, block, alike)
    elif isinstance(mixture.components, StudentDensities):
        raise UnsupportedError(
            "predictions from measured data need a point estimate of Gaussian components: use "
            "GaussianMixture, with prior='auto' for posterior modes"
        )
    else:
        yield slice(None), CellView(mixture, rows, sums)


def chunk_sums(mixture: Mixture[Components], rows: Rows) -> ChunkSums:
    """Return the sums of a chunk of measured samples."""
    return reduce(add, (view.sums() for _, view in views_of(mixture, rows, sums=True)))


def moments(mixture: Mixture[Any], rows: Rows, shares: Array) -> tuple[Array, Array]:
    """Return means and mean squares (n, D) of true values in the frame, by shares (n, K)."""
    first, second = np.empty((2, *rows.values.shape))
    for indices, view in views_of(mixture, rows):
        first[indices], second[indices] = view.moments(shares[indices])
    return first, second


def drawn(mixture: Mixture[Any], rows: Rows, generator: np.random.Generator) -> Array:
    """Return draws (n, D) of true values given what was measured, in data units."""
    shares, _ = mixture.responsibilities(rows)
    labels = drawn_labels(shares, generator)
    values = np.empty(rows.values.shape)
    for indices, view in views_of(mixture, rows):
        values[indices] = view.drawn(labels[indices], generator)
    return values


@dataclass(frozen=True)
class Measuring(Drawing):
    """E-step over true values."""

    name = "true values given what was measured"

    def drawn(self, mixture: Mixture[Any], rows: Rows, generator: np.random.Generator) -> Array:
        return measurement_of(rows).drawn(mixture, rows, generator)

    def step(self, mixture: Mixture[Components]) -> Step:
        return partial(chunk_sums, mixture)


class TrueValues(NamedTuple):
    """Posterior means and standard deviations (n, D) of true values, and draws (n_draws, n, D)."""

    mean: Array
    standard_deviation: Array
    draws: Array


def measurement_of(rows: Rows) -> Measurement:
    """Return how samples were measured, or raise an error if they are exact."""
    if rows.side.measurement is None:
        raise InvalidInputError("X must be measured data: pass bayesmix.Measured(X, error=...)")
    return rows.side.measurement


def true_values(
    result: FitResult, rows: Rows, n_draws: int, generator: np.random.Generator
) -> TrueValues:
    """Return the posterior of the true values of measured samples, averaged over components."""
    measurement, mixture = measurement_of(rows), result.density
    shares, _ = mixture.responsibilities(rows)
    first, second = measurement.moments(mixture, rows, shares)
    deviations = np.sqrt(np.maximum(second - first * first, 0.0)) * mixture.frame.scale
    draws = np.array([measurement.drawn(mixture, rows, generator) for _ in range(n_draws)])
    return TrueValues(mixture.frame.undo(first), deviations, draws.reshape(-1, *first.shape))
