"""The E-step: rows become responsibilities, responsibilities become sums.

log r_nk ∝ E[log π_k] + E[log p(x_n | θ_k)] (Bishop 2006, eq. 9.23, 10.46 and 10.49). Two
executions of the same formula: ``centred`` is exact wherever the clusters lie; ``linear`` is one
matrix product in each direction for components that are linear in features of the row, and is
watched by a bound on its rounding (``within_loss``). Of large problems both are compiled
(``engine.compiled``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.linalg.blas import dasum

from bayesmix.numerics.arrays import Array
from bayesmix.numerics.features import DENSE, n_features_of
from bayesmix.numerics.logsumexp import IMPOSSIBLE, normalise
from bayesmix.records import Expectation, FeatureSums, Frame, Mixture, Rows

BLOCK_VALUES = 2**16
# Shares of Σ w (1 + |l|) that the linear form may lose by its bound. Where the centred form costs
# little more, no more than the objective may fall; of large problems what rounding in fact leaves.
MOST_LOSS = 1e-12
MOST_LOSS_OF_LARGE = 1e-11

# values -> (log density (n, K), responsibilities -> statistics)
Form: TypeAlias = Callable[[Any, Array], tuple[Array, Callable[[Array], Any]]]


def centred(components: Any, values: Array) -> tuple[Array, Callable[[Array], Any]]:
    """Distances from each mean: no cancellation."""
    return (
        components.expected_log_density(values),
        lambda responsibilities: components.statistics(values, responsibilities),
    )


def linear(components: Any, values: Array) -> tuple[Array, Callable[[Array], Any]]:
    """Features once, then a matrix product for the densities and one for the sums."""
    form = components.linear
    return of_features(form, form.coefficients, form.features(values))


def of_features(
    form: Any, coefficients: Array, features: Array
) -> tuple[Array, Callable[[Array], Any]]:
    """The linear form of features (F, n) that are there already."""
    log_density: Array = np.dot(coefficients, features).T
    return (
        log_density,
        lambda responsibilities: FeatureSums(form, np.dot(responsibilities.T, features.T)),
    )


def joints(mixture: Mixture, form: Form, rows: Rows) -> tuple[Array, Callable[[Array], Any]]:
    """Log joints (n, K) of rows as stored by a form, and what makes sums of responsibilities."""
    if form is linear:
        own = mixture.components.linear
        return of_features(own, mixture.coefficients, rows.features(own, mixture.frame))
    joint, statistics = form(mixture.components, mixture.frame.apply(rows.values))
    joint += mixture.weights.expected_log()
    return joint, statistics


def block_rows(n_features: int, n_components: int) -> int:
    """Rows of one block, so that what is made for it stays in cache."""
    width = max(n_components, n_features_of(DENSE, n_features))
    return max(256, BLOCK_VALUES // width)


@dataclass(frozen=True)
class ExpectationStep:
    """What every pass does to a chunk; picklable, so that any source can run it."""

    mixture: Mixture
    form: Form

    def __call__(self, rows: Rows) -> Expectation:
        size = block_rows(rows.values.shape[1], self.mixture.n_components)
        total: Expectation | None = None
        for block in rows.blocks(size):
            part = self._block(block)
            total = part if total is None else total + part
        assert total is not None
        return total

    def _block(self, rows: Rows) -> Expectation:
        joint, statistics = joints(self.mixture, self.form, rows)
        log_normaliser = normalise(joint)
        weight = float(len(rows))
        if rows.weights is not None:
            joint *= rows.weights[:, None]
            log_normaliser *= rows.weights
            weight = float(rows.weights.sum())
        sums = statistics(joint)
        return Expectation(
            float(log_normaliser.sum()),
            weight + dasum(log_normaliser),
            sums.counts,
            sums,
        )


def within_loss(mixture: Mixture, expectation: Expectation, large: bool) -> bool:
    """Whether the linear form kept its digits in this pass: a proof, not an estimate."""
    most = (MOST_LOSS_OF_LARGE if large else MOST_LOSS) * expectation.magnitude
    loss: float = mixture.components.linear.loss(expectation.statistics, most)
    return expectation.log_normaliser > IMPOSSIBLE and loss <= most


@dataclass(frozen=True)
class StartStep:
    """The sums of given responsibilities: where a run begins that has no mixture yet."""

    family: Any
    frame: Frame
    responsibilities: Callable[[Rows], Array]
    n_components: int

    def __call__(self, rows: Rows) -> Expectation:
        size = block_rows(rows.values.shape[1], self.n_components)
        total: Expectation | None = None
        for block in rows.blocks(size):
            shares = np.array(self.responsibilities(block), dtype=np.float64)
            if block.weights is not None:
                shares *= block.weights[:, None]
            part = Expectation(
                0.0,
                0.0,
                shares.sum(axis=0),
                self.family.statistics(self.frame.apply(block.values), shares),
            )
            total = part if total is None else total + part
        assert total is not None
        return total


@dataclass(frozen=True)
class Assessment:
    """What a finished fit is described by, beside the sums of its last pass."""

    log_likelihood: float  # Σ w log normaliser, framed
    entropy: float  # -Σ w Σ r log r
    log_largest: float  # Σ w log max r
    counts: Array
    hard_counts: Array  # rows by largest responsibility

    def __add__(self, other: Assessment) -> Assessment:
        return Assessment(
            self.log_likelihood + other.log_likelihood,
            self.entropy + other.entropy,
            self.log_largest + other.log_largest,
            self.counts + other.counts,
            self.hard_counts + other.hard_counts,
        )


@dataclass(frozen=True)
class AssessmentStep:
    """Entropy and largest responsibilities, for the ICL, at any size of the data."""

    mixture: Mixture

    def __call__(self, rows: Rows) -> Assessment:
        mixture = self.mixture
        size = block_rows(rows.values.shape[1], mixture.n_components)
        total: Assessment | None = None
        for block in rows.blocks(size):
            part = self._block(block)
            total = part if total is None else total + part
        assert total is not None
        return total

    def _block(self, rows: Rows) -> Assessment:
        responsibilities, log_normaliser = self.mixture.responsibilities(
            self.mixture.frame.apply(rows.values)
        )
        weights = rows.weights_or_ones
        logs = np.zeros_like(responsibilities)
        np.log(responsibilities, out=logs, where=responsibilities > 0)
        labels = responsibilities.argmax(axis=1)
        largest = np.take_along_axis(logs, labels[:, None], axis=1)[:, 0]
        present = weights > 0
        return Assessment(
            float(log_normaliser[present] @ weights[present]),
            float(-np.einsum("nk,nk,n->", responsibilities, logs, weights)),
            float(largest @ weights),
            weights @ responsibilities,
            np.bincount(labels, weights, self.mixture.n_components).astype(np.float64),
        )
