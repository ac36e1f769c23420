"""What candidates say of rows held out: scores, paired differences, one standard error, stacking.

Candidates share their folds, so that they are compared row by row: the standard error of a
difference is that of the paired difference, far smaller than those of the two scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.selection.criteria.folds import places_in
from bayesmix.selection.criteria.scores import Score
from bayesmix.sources.partitions.chosen_rows import OfFold

STACKING_PASSES = 10_000
STACKING_GAIN = 1e-10


@dataclass(frozen=True)
class HeldOut:
    """Mean log density (n,) of every row over the folds that held it out, in nats.

    ``weights`` (n,): how often each row counts; 0 where no fold tests it.
    """

    density: Array
    weights: Array

    @property
    def score(self) -> Score:
        """Total held-out log density, with the standard error of that sum over rows."""
        return _total(self.density, self.weights)

    def less(self, other: HeldOut) -> Score:
        """How much more than ``other``, with the standard error of the paired difference."""
        return _total(self.density - other.density, self.weights)


def _total(values: Array, weights: Array) -> Score:
    """Σ w v over the rows that count, and how far such a sum is from its expectation."""
    counted = weights > 0
    values, weights = values[counted], weights[counted]
    n = float(weights.sum())
    total = float(values @ weights)
    if n <= 1.0 or not np.isfinite(total):  # a row of which a fit says: never
        return Score(total)
    variance = float(weights @ (values - total / n) ** 2) / (n - 1.0)
    return Score(total, math.sqrt(n * variance))


def combined(parts: Sequence[tuple[Integers | OfFold, Array]], weights: Array) -> HeldOut:
    """Rows and densities of all folds together; of repeated folds the mean of a row."""
    total, times = np.zeros(len(weights)), np.zeros(len(weights))
    for rows, density in parts:
        tested = places_in(rows, len(weights))
        total[tested] += density
        times[tested] += 1.0
    counted = times > 0
    mean = np.divide(total, times, out=np.zeros(len(weights)), where=counted)
    return HeldOut(mean, np.where(counted, weights, 0.0))


def within_one_error(held: list[HeldOut | None], n_parameters: list[int]) -> int:
    """The candidate of fewest parameters that is not worse by one standard error than the best.

    The error is that of the paired difference (Breiman et al. 1984, with pairs). ``held`` is None
    for candidates without a value; at least one has one.
    """
    best = max(
        (index for index, one in enumerate(held) if one is not None and finite(one)),
        key=lambda index: (held[index].score.value, -index),  # type: ignore[union-attr]
    )
    leader = held[best]
    assert leader is not None
    fine = [best]
    for index, one in enumerate(held):
        if one is None or not finite(one) or index == best:
            continue
        behind = leader.less(one)
        if behind.value <= behind.standard_error:
            fine.append(index)
    return min(fine, key=lambda index: (n_parameters[index], -held[index].score.value))  # type: ignore[union-attr]


def finite(held: HeldOut) -> bool:
    """Whether every row that counts has a density."""
    return bool(np.isfinite(held.density[held.weights > 0]).all())


def stacking(densities: Array, weights: Array) -> Array:
    """Weights (C,) of candidates that maximise Σ_n w_n log Σ_c a_c p_c(x_n | fold).

    ``densities`` (n, C) are held-out log densities (Yao, Vehtari, Simpson & Gelman 2018). The
    problem is concave; expectation maximisation climbs it from equal shares.
    """
    counted = weights > 0
    relative = densities[counted] - densities[counted].max(axis=1, keepdims=True)
    terms, mass = np.exp(relative), weights[counted] / weights[counted].sum()
    shares = np.full(densities.shape[1], 1.0 / densities.shape[1])
    before = -math.inf
    for _ in range(STACKING_PASSES):
        mixed = terms @ shares
        value = float(mass @ np.log(mixed))
        shares = shares * (terms.T @ (mass / mixed))
        if value - before < STACKING_GAIN:
            break
        before = value
    normalised: Array = shares / shares.sum()
    return normalised
