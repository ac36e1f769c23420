"""The E-step: responsibilities of observations, and the statistics that they weight.

r_nk ∝ exp(E[log π_k] + E[log p(x_n | θ_k)]): Bishop 2006, eq. 9.23, 10.46 and 10.49. ``Centred`` is
always accurate; ``Linear`` uses matrix products and proves that rounding was small (``run``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import groupby
from operator import add
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast

import numpy as np
from scipy.linalg.blas import dasum
from scipy.special import entr

from bayesmix.allocation.point import PointWeights
from bayesmix.core.mixture import ChunkSums, Expectation, FeatureSums, Mixture
from bayesmix.core.rows import LOWEST_LOG, AddedByField, Frame, Rows
from bayesmix.numerics.arrays import COLUMNS_FIRST, IMPOSSIBLE, PRODUCTS, Array, Integers, normalise
from bayesmix.numerics.sparse import columns_read

if TYPE_CHECKING:
    from bayesmix.core.components import (
        Additive,
        Components,
        DensitiesAndStatistics,
        LinearComponents,
        Statistics,
    )
    from bayesmix.core.families import Family


# Features and log joints of a block together fit into a cache of one megabyte.
BLOCK_VALUES = 2**16
FEWEST_ROWS = 128  # in a block; matrix products of fewer rows are slow
# Columns per component from which whitening is faster than D² / 2 products of columns.
WIDE = 8
# Largest rounding loss of the linear form, relative to Σ w (1 + |l|): in the worst case, and for
# large problems per feature, because the loss is then below half of the worst case over the number
# of features (0.05 to 0.5 in 14 problems of 3 to 50 dimensions; Higham & Mary 2019 say why).
MOST_LOSS = 1e-12
MOST_LOSS_PER_FEATURE = 1e-9

# E-step of a chunk.
Step: TypeAlias = Callable[[Rows], ChunkSums]
Summand = TypeVar("Summand")


def block_sums(
    mixture: Mixture[Components], joint: Array, rows: Rows, statistics: Callable[[Array], Additive]
) -> ChunkSums:
    """Return the sums of a chunk from its log joints (n, K), which it overwrites.

    ``joint`` then holds weighted responsibilities, which ``statistics`` turns into those of
    components.
    """
    allocated = mixture.allocate(joint, rows)
    if rows.weights is not None:
        joint *= rows.weights[:, None]
    totals = weighed(allocated.log_normaliser, rows)
    return ChunkSums(*totals, statistics(joint), allocated.statistics)


def weighed(log_normaliser: Array, rows: Rows) -> tuple[float, float]:
    """Multiply by the sample weights in place; return Σ w l and Σ w (1 + |l|)."""
    weight = float(len(rows))
    if rows.weights is not None:
        log_normaliser *= rows.weights
        weight = float(rows.weights.sum())
    # BLAS sums depend on the memory alignment of the array, which limits of rounding may.
    return float(np.add.reduce(log_normaliser)), weight + dasum(log_normaliser)


@dataclass(frozen=True)
class LocalRows:
    """Observations restricted to some components, and the weights of these components."""

    rows: Rows
    components: Integers
    shares: Array

    def of(self, mixture: Mixture[Components]) -> Mixture[Components]:
        """Return the mixture of these components."""
        components = mixture.components.subset(self.components)
        return Mixture(PointWeights(self.shares), components, mixture.frame)


class Arithmetic(Protocol):
    """How log densities and sums are computed."""

    @property
    def watched(self) -> bool:
        """Whether rounding may exceed its limit and must be checked."""

    def densities(self, components: Components, values: Array) -> DensitiesAndStatistics:
        """Return log densities (n, K) of framed observations under components."""

    def sums(self, mixture: Mixture[Components], rows: Rows) -> ChunkSums:
        """Run the E-step on a chunk."""


class Form(ABC):
    """Algorithm of the E-step."""

    name: str  # as ``result_.form`` shows it
    watched = False  # whether rounding must be checked

    @property
    def surer(self) -> Form:
        """Return the form to fall back on where rounding is too large."""
        return self

    @property
    def in_search(self) -> Form:
        """Return the form of runs that are only compared, whose rounding may be larger."""
        return self

    @abstractmethod
    def step(self, mixture: Mixture[Components]) -> Step:
        """Return the E-step of a chunk, a picklable callable."""

    def keeps_digits(self, mixture: Mixture[Components], expectation: Expectation) -> bool:
        """Whether rounding of a pass is provably within its limit."""
        return True

    def of_parts(
        self, mixture: Mixture[Components], parts: Sequence[LocalRows]
    ) -> list[tuple[Statistics, float]]:
        """Return statistics and log normaliser of a separate E-step of each part."""
        passed = (self.step(part.of(mixture))(part.rows).finished() for part in parts)
        return [(sums.statistics, sums.log_normaliser) for sums in passed]

    def complete(self, mixture: Mixture[Components], rows: Rows) -> Rows:
        """Return observations without missing values, on which moves are tried."""
        return rows


@dataclass(frozen=True)
class Centred(Form):
    """Distances from the mean of each component, without cancellation."""

    name = "centred"

    def step(self, mixture: Mixture[Components]) -> Step:
        return ExpectationStep(mixture, self)

    def densities(self, components: Components, values: Array) -> DensitiesAndStatistics:
        return (
            components.expected_log_density(values),
            lambda responsibilities: components.statistics(values, responsibilities),
        )

    def sums(self, mixture: Mixture[Components], rows: Rows) -> ChunkSums:
        return centred_sums(self, mixture, rows)


@dataclass(frozen=True)
class Linear(Form):
    """Features times coefficients for densities, responsibilities times features for sums."""

    large: bool = False  # whether the problem is, so that rounding is judged per feature

    name = "linear"
    watched = True

    @property
    def surer(self) -> Form:
        return CENTRED

    @property
    def in_search(self) -> Form:
        return LINEAR_IN_SEARCH

    def step(self, mixture: Mixture[Components]) -> Step:
        _ = mixture.coefficients  # computed before copies of the step travel
        return ExpectationStep(mixture, self)

    def keeps_digits(self, mixture: Mixture[Components], expectation: Expectation) -> bool:
        form = mixture.linear
        most = MOST_LOSS_PER_FEATURE * form.coefficients.shape[1] if self.large else MOST_LOSS
        most *= expectation.magnitude
        loss: float = form.loss(expectation.statistics, most)
        return expectation.log_normaliser > IMPOSSIBLE and loss <= most

    def densities(self, components: Components, values: Array) -> DensitiesAndStatistics:
        form = cast("LinearComponents", components).linear
        features = form.features(values)
        log_density: Array = np.dot(form.coefficients, features).T
        return (
            log_density,
            lambda responsibilities: FeatureSums(form, np.dot(responsibilities.T, features.T)),
        )

    def sums(self, mixture: Mixture[Components], rows: Rows) -> ChunkSums:
        """Return the sums of a chunk by the fastest of four ways that agree to rounding."""
        n_components, n_features = mixture.coefficients.shape
        if rows.keeps_features(n_features):
            return sums_at_once(mixture, rows)
        many_columns = mixture.frame.n_directions >= WIDE * n_components
        if many_columns and mixture.linear.kind == PRODUCTS:
            return centred_sums(CENTRED, mixture, rows)
        if rows.side.begins is not None:
            from bayesmix.em.sequence_sums import sequence_sums

            return sequence_sums(self, mixture, rows, n_features)
        return sums_by_blocks(mixture, rows)

    def of_parts(
        self, mixture: Mixture[Components], parts: Sequence[LocalRows]
    ) -> list[tuple[Statistics, float]]:
        """Run all parts with one log-sum-exp, as small parts cost mostly calls.

        All parts have the same number of components. Products over the same observations are one.
        """
        form = mixture.linear
        n_features = form.coefficients.shape[1]
        if not (parts and all(part.rows.keeps_features(n_features) for part in parts)):
            return super().of_parts(mixture, parts)
        places = np.array([part.components for part in parts])  # (P, K)
        log_weights = PointWeights(np.concatenate([part.shares for part in parts])).expected_log()
        coefficients = form.coefficients[places]
        coefficients[:, :, 0] += np.maximum(log_weights, LOWEST_LOG).reshape(places.shape)
        coefficients = coefficients.transpose(1, 0, 2)  # (K, P, F)
        n_components = len(coefficients)
        groups: list[tuple[slice, Rows, Array]] = []
        first = 0
        for _, same in groupby(parts, key=lambda part: id(part.rows)):
            members = list(same)
            rows, last = members[0].rows, first + len(members)
            groups.append((slice(first, last), rows, rows.features(form, mixture.frame)))
            first = last
        joint = np.hstack(
            [
                (coefficients[:, group].reshape(-1, n_features) @ features).reshape(
                    n_components, -1
                )
                for group, _, features in groups
            ]
        )
        log_normaliser = normalise(joint.T)
        sums, values = np.empty((len(parts), n_components, n_features)), np.empty(len(parts))
        start = 0
        for group, rows, features in groups:
            end = start + len(values[group]) * len(rows)
            weights = rows.weights_or_ones
            shares = joint[:, start:end].reshape(-1, len(rows)) * weights
            of_group = (shares @ features.T).reshape(n_components, -1, n_features)
            sums[group] = of_group.transpose(1, 0, 2)
            values[group] = log_normaliser[start:end].reshape(-1, len(rows)) @ weights
            start = end
        together = form.from_sums(sums.reshape(-1, n_features))
        statistics = (
            map(form.from_sums, sums)
            if together.shared
            else map(together.subset, np.arange(places.size).reshape(places.shape))
        )
        return list(zip(statistics, values.tolist(), strict=True))


def sums_at_once(mixture: Mixture[Components], rows: Rows) -> ChunkSums:
    """Return the sums of samples whose features are kept, by two products.

    Log joint densities are Θ φ(x), and sums are r φ(x)ᵀ with responsibilities r (Bishop 2006, eq.
    9.23 and 9.24 to 9.27; 10.46 to 10.53).
    """
    form = mixture.linear
    features = rows.features(form, mixture.frame)
    joint = mixture.coefficients.dot(features)
    allocated = mixture.allocate(joint.T, rows)  # turns them into responsibilities in place
    if rows.weights is not None:
        joint *= rows.weights
    totals = weighed(allocated.log_normaliser, rows)
    return ChunkSums(*totals, FeatureSums(form, joint.dot(features.T)), allocated.statistics)


def sums_by_blocks(mixture: Mixture[Components], rows: Rows) -> ChunkSums:
    """Return the sums of samples as by ``sums_at_once``, in blocks that stay in the cache."""
    form, coefficients = mixture.linear, mixture.coefficients
    n_components, n_features = coefficients.shape
    blocks = rows.blocks(block_rows(n_features, n_components))
    size, width = max(map(len, blocks)), 1 + rows.values.shape[1]
    room, joints = np.empty((n_features, size)), np.empty((n_components, size))
    room[0] = 1.0
    in_place = form.kind in COLUMNS_FIRST and mixture.frame.basis is None
    framed = room[1:width] if in_place else np.empty((width - 1, size))
    log_normaliser = np.empty(len(rows))
    sums, allocation = np.zeros(coefficients.shape), None
    for block in blocks:
        columns, place = slice(len(block)), block.first - rows.first
        features, joint = room[:, columns], joints[:, columns]
        form.features(block.framed(mixture.frame, framed[:, columns]), features)
        np.matmul(coefficients, features, out=joint)
        allocated = mixture.allocate(joint.T, block)
        log_normaliser[place : place + len(block)] = allocated.log_normaliser
        if allocated.statistics is not None:
            more = allocated.statistics
            allocation = more if allocation is None else allocation + more
        if block.weights is not None:
            joint *= block.weights
        sums += np.dot(joint, features.T)
    return ChunkSums(*weighed(log_normaliser, rows), FeatureSums(form, sums), allocation)


@dataclass(frozen=True)
class Sparse(Form):
    """Products with the entries of sparse rows, for densities that are linear in the columns."""

    name = "sparse rows"

    def step(self, mixture: Mixture[Components]) -> Step:
        return SparseStep(mixture)


@dataclass(frozen=True)
class SparseStep:
    """E-step of a chunk of sparse rows; picklable."""

    mixture: Mixture[Components]

    def __call__(self, rows: Rows) -> ChunkSums:
        form: Any = cast("LinearComponents", self.mixture.components).linear
        values: Any = rows.values
        joint = values @ form.slopes.T
        joint += form.constants.sum(axis=1) + self.mixture.log_weights
        joint[joint < IMPOSSIBLE] = -np.inf
        if form.reading.has_base:
            joint += rows.log_base(form)[:, None]
        return block_sums(self.mixture, joint, rows, partial(form.statistics, values))


@dataclass(frozen=True)
class OnCells(Linear):
    """Products with the mean features of cells, which have no centred form."""

    name = "cells"

    @property
    def surer(self) -> Form:
        return self

    @property
    def in_search(self) -> Form:
        return self

    def keeps_digits(self, mixture: Mixture[Components], expectation: Expectation) -> bool:
        return True


CENTRED, LINEAR, SPARSE, ON_CELLS = Centred(), Linear(), Sparse(), OnCells()
LINEAR_IN_SEARCH = Linear(large=True)


def centred_sums(arithmetic: Arithmetic, mixture: Mixture[Components], rows: Rows) -> ChunkSums:
    """Run the E-step on a chunk block by block."""
    if rows.side.begins is not None:
        from bayesmix.em.sequence_sums import sequence_sums

        return sequence_sums(arithmetic, mixture, rows, 2 * rows.values.shape[1])

    def of_block(block: Rows) -> ChunkSums:
        values = block.framed(mixture.frame)
        joint, statistics = arithmetic.densities(mixture.components, values)
        joint += mixture.log_weights
        return block_sums(mixture, joint, block, statistics)

    return sum_of_blocks(rows, mixture.n_components, of_block)


def block_rows(width: int, n_components: int) -> int:
    """Return the block size for ``width`` features and a number of components."""
    return max(FEWEST_ROWS, BLOCK_VALUES // (width + n_components))


def sum_of_blocks(rows: Rows, n_components: int, of_block: Callable[[Rows], Summand]) -> Summand:
    """Add the results of ``of_block`` over the blocks of a chunk, in order."""
    width = 2 * columns_read(rows.values)  # deviations from a mean, plain and whitened
    n_blocks = max(1, round(len(rows) / block_rows(width, n_components)))
    return reduce(add, map(of_block, rows.blocks(max(1, -(-len(rows) // n_blocks)))))


@dataclass(frozen=True)
class ExpectationStep:
    """E-step of a chunk; picklable."""

    mixture: Mixture[Components]
    arithmetic: Arithmetic

    def __call__(self, rows: Rows) -> ChunkSums:
        return self.arithmetic.sums(self.mixture, rows)


def sums_at(
    responsibilities: Callable[[Rows], Array],
    family: Family,
    frame: Frame,
    n_components: int,
    rows: Rows,
) -> ChunkSums:
    """Return the sums of given responsibilities, for runs that begin without a mixture."""

    def of_block(block: Rows) -> ChunkSums:
        shares = np.array(responsibilities(block), dtype=np.float64)
        if block.weights is not None:
            shares *= block.weights[:, None]
        return ChunkSums(0.0, 0.0, block.statistics(family, frame, shares))

    return sum_of_blocks(rows, n_components, of_block)


@dataclass(frozen=True)
class Assessment(AddedByField):
    """Diagnostics of a finished fit from one pass over the data."""

    log_likelihood: float  # Σ w log normaliser, in the frame
    entropy: float  # -Σ w Σ r log r
    log_largest: float  # Σ w log max r
    counts: Array
    hard_counts: Array  # sums of weights by most responsible component
    unseen_volume: float = 0.0  # Σ w log volume of what was not seen


@dataclass(frozen=True)
class AssessmentStep:
    """Entropy and largest responsibilities of a chunk, for the ICL."""

    mixture: Mixture[Components]

    def __call__(self, rows: Rows) -> Assessment:
        if rows.side.ordered:
            return self._sequences(rows)
        return sum_of_blocks(rows, self.mixture.n_components, self._block)

    def _sequences(self, rows: Rows) -> Assessment:
        """Assess sequences, which blocks do not divide."""
        joint = self.mixture.log_joint(rows)
        log_density = joint.copy()
        allocated = self.mixture.allocate(joint, rows)
        chain: Any = self.mixture.weights
        entropy, log_largest = chain.path_probabilities(log_density, joint, allocated, rows)
        sums = self.sums(joint, allocated.log_normaliser, rows.weights_or_ones)
        volume = self._unseen_volume(rows)
        return replace(sums, entropy=entropy, log_largest=log_largest, unseen_volume=volume)

    def _block(self, rows: Rows) -> Assessment:
        sums = self.sums(*self.mixture.responsibilities(rows), rows.weights_or_ones)
        return replace(sums, unseen_volume=self._unseen_volume(rows))

    def _unseen_volume(self, rows: Rows) -> float:
        """Return Σ w log volume of what was not seen."""
        log_volume = rows.observation.log_volume(self.mixture, rows)
        return float((self.mixture.frame.log_volume - log_volume) @ rows.weights_or_ones)

    def sums(self, shares: Array, log_normaliser: Array, weights: Array) -> Assessment:
        """Return the diagnostics of responsibilities (n, K) and sample weights (n,)."""
        K = self.mixture.n_components
        present = weights > 0
        return Assessment(
            float(log_normaliser[present] @ weights[present]),
            float(entr(shares).sum(axis=1) @ weights),
            float(np.log(shares.max(axis=1)) @ weights),
            (weights @ shares)[:K],
            np.bincount(shares.argmax(axis=1), weights, K).astype(np.float64)[:K],
        )
