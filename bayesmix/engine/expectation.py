"""The E-step: rows become responsibilities, responsibilities become sums.

log r_nk ∝ E[log π_k] + E[log p(x_n | θ_k)] (Bishop 2006, eq. 9.23, 10.46 and 10.49), in one of two
arithmetics: ``CENTRED`` is exact wherever the clusters lie; ``LINEAR`` is one matrix product in
each direction for components that are linear in features of the row, and is watched by a bound on
its rounding. What a run makes of them, and of kernels, is its form (``engine.forms``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Protocol, TypeAlias, TypeVar, cast

import numpy as np

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.features import DENSE, n_features_of
from bayesmix.numerics.gaps import has_gaps
from bayesmix.numerics.logsumexp import normalise
from bayesmix.protocols import Additive, Components, Family, LinearComponents, Statistics
from bayesmix.protocols import Linear as LinearForm
from bayesmix.records import ChunkSums, FeatureSums, Frame, Mixture, Rows
from bayesmix.weights import PointWeights

BLOCK_VALUES = 2**16

# Log densities (n, K), and what makes statistics of responsibilities.
Densities: TypeAlias = tuple[Array, Callable[[Array], Additive]]
# What a pass does to a chunk.
Step: TypeAlias = Callable[[Rows], ChunkSums]
Summand = TypeVar("Summand")


@dataclass(frozen=True)
class LocalRows:
    """Rows that know some components of a mixture only, and how these share them."""

    rows: Rows
    components: Integers
    shares: Array

    def of(self, mixture: Mixture[Components]) -> Mixture[Components]:
        """The mixture that these rows know."""
        components = mixture.components.subset(self.components)
        return Mixture(PointWeights(self.shares), components, mixture.frame)


def each_by_itself(
    step_of: Callable[[Mixture[Components]], Step],
    mixture: Mixture[Components],
    parts: Sequence[LocalRows],
) -> list[tuple[Statistics, float]]:
    """One E-step of every part: its statistics and its log normaliser."""
    passed = (step_of(part.of(mixture))(part.rows).finished() for part in parts)
    return [(each.statistics, each.log_normaliser) for each in passed]


class Arithmetic(Protocol):
    """How log densities and sums are computed by NumPy."""

    @property
    def name(self) -> str:
        """As ``result_.form`` has it."""

    @property
    def watched(self) -> bool:
        """Whether it may lose digits, so that a pass has to show that it did not."""

    def densities(self, components: Components, values: Array) -> Densities:
        """Log densities (n, K) of framed rows under components."""

    def joints(self, mixture: Mixture[Components], rows: Rows) -> Densities:
        """Log joints (n, K) of rows as stored."""

    def of_parts(
        self, mixture: Mixture[Components], parts: Sequence[LocalRows]
    ) -> list[tuple[Statistics, float]]:
        """One E-step of every part by itself: its statistics and its log normaliser."""


@dataclass(frozen=True)
class Centred:
    """Distances from each mean: no cancellation."""

    name: str = "centred"
    watched: bool = False

    def densities(self, components: Components, values: Array) -> Densities:
        return (
            components.expected_log_density(values),
            lambda responsibilities: components.statistics(values, responsibilities),
        )

    def joints(self, mixture: Mixture[Components], rows: Rows) -> Densities:
        joint, statistics = self.densities(mixture.components, mixture.frame.apply(rows.values))
        joint += mixture.log_weights
        return joint, statistics

    def of_parts(
        self, mixture: Mixture[Components], parts: Sequence[LocalRows]
    ) -> list[tuple[Statistics, float]]:
        return each_by_itself(lambda own: ExpectationStep(own, self), mixture, parts)


@dataclass(frozen=True)
class Linear:
    """Features once, then a matrix product for the densities and one for the sums."""

    name: str = "linear"
    watched: bool = True

    def densities(self, components: Components, values: Array) -> Densities:
        own = cast("LinearComponents", components).linear
        return _of_features(own, own.coefficients, own.features(values))

    def joints(self, mixture: Mixture[Components], rows: Rows) -> Densities:
        own = mixture.linear
        return _of_features(own, mixture.coefficients, rows.features(own, mixture.frame))

    def of_parts(
        self, mixture: Mixture[Components], parts: Sequence[LocalRows]
    ) -> list[tuple[Statistics, float]]:
        """With one log-sum-exp for all of them: of few rows it is the number of steps that costs.

        All parts have equally many components.
        """
        if not parts:
            return []
        own = mixture.linear
        features = [part.rows.features(own, mixture.frame) for part in parts]
        joint = np.hstack(
            [own.coefficients[p.components] @ each for p, each in zip(parts, features, strict=True)]
        )
        lengths = [each.shape[1] for each in features]
        shares = np.concatenate([part.shares for part in parts])
        log_weights = PointWeights(shares).expected_log().reshape(len(parts), -1)
        joint += np.repeat(log_weights, lengths, axis=0).T
        log_normaliser = normalise(joint.T)
        weights = np.concatenate([part.rows.weights_or_ones for part in parts])
        joint *= weights
        log_normaliser *= weights
        ends = np.cumsum(lengths)
        return [
            (own.from_sums(joint[:, start:end] @ each.T), float(log_normaliser[start:end].sum()))
            for each, start, end in zip(features, ends - lengths, ends, strict=True)
        ]


CENTRED, LINEAR = Centred(), Linear()


def _of_features(form: LinearForm, coefficients: Array, features: Array) -> Densities:
    """The linear form of features (F, n) that are there already."""
    log_density: Array = np.dot(coefficients, features).T
    return (
        log_density,
        lambda responsibilities: FeatureSums(form, np.dot(responsibilities.T, features.T)),
    )


def block_rows(n_features: int, n_components: int) -> int:
    """Rows of one block, so that what is made for it stays in cache."""
    width = max(n_components, n_features_of(DENSE, n_features))
    return max(256, BLOCK_VALUES // width)


def sum_of_blocks(rows: Rows, n_components: int, of_block: Callable[[Rows], Summand]) -> Summand:
    """What blocks of a chunk say, added in their order."""
    size = block_rows(rows.values.shape[1], n_components)
    total: Summand = reduce(add, map(of_block, rows.blocks(size)))
    return total


@dataclass(frozen=True)
class ExpectationStep:
    """What every pass does to a chunk; picklable, so that any source can run it."""

    mixture: Mixture[Components]
    arithmetic: Arithmetic

    def __call__(self, rows: Rows) -> ChunkSums:
        return sum_of_blocks(rows, self.mixture.n_components, self._block)

    def _block(self, rows: Rows) -> ChunkSums:
        joint, statistics = self.arithmetic.joints(self.mixture, rows)
        log_normaliser = normalise(joint)
        if self.mixture.noise is not None:
            volume = self.mixture.frame.log_volume
            log_normaliser, _ = self.mixture.noise.joined(
                joint, log_normaliser, rows.values, volume
            )
        weight = float(len(rows))
        if rows.weights is not None:
            joint *= rows.weights[:, None]
            log_normaliser *= rows.weights
            weight = float(rows.weights.sum())
        sums = statistics(joint)
        # Not by BLAS, whose sums of sizes depend on where in memory an array begins.
        magnitude = weight + float(np.abs(log_normaliser).sum())
        return ChunkSums(float(log_normaliser.sum()), magnitude, sums)


@dataclass(frozen=True)
class StartStep:
    """The sums of given responsibilities: where a run begins that has no mixture yet."""

    family: Family
    frame: Frame
    responsibilities: Callable[[Rows], Array]
    n_components: int

    def __call__(self, rows: Rows) -> ChunkSums:
        return sum_of_blocks(rows, self.n_components, self._block)

    def _block(self, rows: Rows) -> ChunkSums:
        shares = np.array(self.responsibilities(rows), dtype=np.float64)
        if rows.weights is not None:
            shares *= rows.weights[:, None]
        return ChunkSums(0.0, 0.0, self.family.statistics(self.frame.apply(rows.values), shares))


@dataclass(frozen=True)
class Assessment:
    """What a finished fit is described by, beside the sums of its last pass."""

    log_likelihood: float  # Σ w log normaliser, framed
    entropy: float  # -Σ w Σ r log r
    log_largest: float  # Σ w log max r
    counts: Array
    hard_counts: Array  # rows by largest responsibility
    unseen_volume: float = 0.0  # Σ w log volume of the columns that rows do not have

    def __add__(self, other: Assessment) -> Assessment:
        return Assessment(
            self.log_likelihood + other.log_likelihood,
            self.entropy + other.entropy,
            self.log_largest + other.log_largest,
            self.counts + other.counts,
            self.hard_counts + other.hard_counts,
            self.unseen_volume + other.unseen_volume,
        )


@dataclass(frozen=True)
class AssessmentStep:
    """Entropy and largest responsibilities, for the ICL, at any size of the data."""

    mixture: Mixture[Components]

    def __call__(self, rows: Rows) -> Assessment:
        mixture = self.mixture
        if has_gaps(rows.values):
            found = rows.by_pattern(mixture.patterned)
            return reduce(add, (self._pattern(columns, some) for columns, some in found))
        return self._blocks(rows)

    def _pattern(self, columns: Integers, rows: Rows) -> Assessment:
        """Of rows that have only these columns."""
        seen = self.mixture.marginal(columns)
        unseen = self.mixture.frame.log_volume - seen.frame.log_volume
        volume = unseen * float(rows.weights_or_ones.sum())
        return replace(AssessmentStep(seen)._blocks(rows), unseen_volume=volume)

    def _blocks(self, rows: Rows) -> Assessment:
        return sum_of_blocks(rows, self.mixture.n_components, self._block)

    def _block(self, rows: Rows) -> Assessment:
        responsibilities, log_normaliser = self.mixture.responsibilities(
            self.mixture.frame.apply(rows.values)
        )
        weights = rows.weights_or_ones
        logs = np.zeros_like(responsibilities)
        np.log(responsibilities, out=logs, where=responsibilities > 0)
        K = self.mixture.n_components
        labels = responsibilities.argmax(axis=1)
        largest = np.take_along_axis(logs, labels[:, None], axis=1)[:, 0]
        present = weights > 0
        return Assessment(
            float(log_normaliser[present] @ weights[present]),
            float(-np.einsum("nk,nk,n->", responsibilities, logs, weights)),
            float(largest @ weights),
            (weights @ responsibilities)[:K],
            np.bincount(labels, weights, K).astype(np.float64)[:K],
        )
