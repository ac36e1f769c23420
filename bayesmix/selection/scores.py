"""Criteria on one scale: nats, greater is better; each says what it is for and when it misleads.

scikit-learn's signs and factors (-2, lower is better) exist only at its own methods.

Folds: which rows a fit has not seen, and some rows of whatever holds them.

What candidates say of rows held out: scores, paired differences, one standard error, stacking.

Candidates share their folds, so that they are compared row by row: the standard error of a
difference is that of the paired difference, far smaller than those of the two scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from sklearn.model_selection import KFold, check_cv
from sklearn.utils import _safe_indexing

from bayesmix.core.sources import Source
from bayesmix.core.validation import written_out
from bayesmix.em.result import DensitySums, FitResult
from bayesmix.errors import InvalidInputError, TooManyRowsError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.sources.border import all_weights, eager, is_source
from bayesmix.sources.partitions_of_rows import OfFold, PartitionedSource


@dataclass(frozen=True)
class Score:
    """A criterion's value with its standard error, where it has one, a note, and the Pareto k.

    ``pareto_k`` is that of estimates by importance sampling: above 0.7 they are not to be trusted.
    """

    value: float
    standard_error: float = math.nan
    note: str = ""
    pareto_k: float = math.nan


# What a fit is worth on its rows.
ScoreFunction: TypeAlias = Callable[[FitResult, Source], float | Score]


def bic(sums: DensitySums, n_parameters: int) -> float:
    """log L - p/2 log n (Schwarz 1978).

    For the number of components that made the data, at large n. Assumes a regular model, which a
    mixture with too many components is not: it then tends to choose too few at small n.
    """
    return sums.log_likelihood - 0.5 * n_parameters * math.log(sums.n)


def sabic(sums: DensitySums, n_parameters: int) -> float:
    """log L - p/2 log((n + 2) / 24): sample-size adjusted BIC (Sclove 1987).

    Between BIC and AIC: for small n, where BIC tends to choose too few. Assumes a regular model, as
    BIC does; at large n, and with many parameters, it chooses too many.
    """
    return sums.log_likelihood - 0.5 * n_parameters * math.log((sums.n + 2.0) / 24.0)


def aic(sums: DensitySums, n_parameters: int) -> float:
    """log L - p (Akaike 1974).

    For prediction. As a count of clusters it chooses too many.
    """
    return sums.log_likelihood - n_parameters


def aicc(sums: DensitySums, n_parameters: int) -> float:
    """log L - p - p (p + 1) / (n - p - 1) (Hurvich & Tsai 1989); never chosen when n - p - 1 <= 0.

    For prediction at small n. As a count of clusters it chooses too many.
    """
    left = sums.n - n_parameters - 1.0
    if left <= 0:
        return -math.inf
    return sums.log_likelihood - n_parameters - n_parameters * (n_parameters + 1.0) / left


def icl(sums: DensitySums, n_parameters: int) -> float:
    """BIC plus Σ log of the largest posterior (Biernacki, Celeux & Govaert 2000), as in mclust.

    For well separated clusters: overlapping components count as one. Not for density estimation.
    """
    return bic(sums, n_parameters) + sums.log_largest


def icl_soft(sums: DensitySums, n_parameters: int) -> float:
    """BIC minus the entropy of the assignment; beside ``icl``, which uses the largest posterior.

    For well separated clusters, as ``icl``; here rows that two components share count in part.
    """
    return bic(sums, n_parameters) - sums.entropy


def nec(sums: DensitySums, alone: DensitySums) -> float:
    """Entropy over log L(K) - log L(1) (Celeux & Soromenho 1996): a ratio, smaller is better.

    For well separated clusters: near 0 where every row is sure of its component. 1 at K=1 by
    convention (Biernacki, Celeux & Govaert 1999). Shown beside the scale of the others, on which it
    is not; it says nothing of density, and misleads where one component has a far larger likelihood
    for its shape alone. NaN where K components do not fit better than one.
    """
    gain = sums.log_likelihood - alone.log_likelihood
    return sums.entropy / gain if gain > 0.0 else math.nan


# Rows in parts whose densities under candidates are compared one by one: of more, one in so many.
# The error of a mean over a million is a thousandth of a row's deviation.
MOST_HELD_OUT = 1_000_000


@dataclass(frozen=True)
class Fold:
    """Row numbers of one fold, or the rule that gives them."""

    train: Integers
    test: Integers


def make_splits(
    cv: Any, X: Any, seed: int, groups: Any = None, distinct: Integers | None = None
) -> tuple[Fold, ...]:
    """The folds, the same for every candidate: an integer shuffles, a splitter is used as it is.

    ``distinct`` (n,): which distinct row each is. Folds of a number of them keep copies together.
    """
    n_rows = n_rows_of(X)
    if isinstance(cv, int):
        if not 2 <= cv <= n_rows:
            raise InvalidInputError(f"cv must be from 2 to the number of rows ({n_rows}), got {cv}")
        if groups is not None:
            raise InvalidInputError(
                "groups need a splitter that keeps them together: give cv=GroupKFold(...) of "
                "scikit-learn"
            )
        if isinstance(X, PartitionedSource):
            # A rule in the place of numbers: the rows stay where they are.
            every = one_in(X)
            rules: Any = [
                (OfFold(seed, cv, fold, False), OfFold(seed, cv, fold, True, every))
                for fold in range(cv)
            ]
            return tuple(Fold(*rule) for rule in rules)
        splitter: Any = KFold(cv, shuffle=True, random_state=seed % (2**32 - 1))
        if distinct is not None:
            parts = splitter.split(np.zeros((int(distinct.max()) + 1, 1)))
            return tuple(
                Fold(*(np.flatnonzero(np.isin(distinct, part)) for part in pair)) for pair in parts
            )
    else:
        if one_in(X) > 1:
            raise TooManyRowsError(
                f"a splitter names every one of {n_rows:,} rows, and {MOST_HELD_OUT:,} are the "
                "most: give a number of folds, which are dealt where the rows are"
            )
        splitter = check_cv(cv)
    splits = tuple(Fold(*parts) for parts in splitter.split(np.zeros((n_rows, 1)), None, groups))
    for number, split in enumerate(splits):
        if not len(split.train) or not len(split.test):
            raise InvalidInputError(f"cv leaves fold {number} without rows to fit or to test")
    return splits


def one_in(X: Any) -> int:
    """Of how many rows one is judged where it was held out."""
    return -(-n_rows_of(X) // MOST_HELD_OUT) if isinstance(X, PartitionedSource) else 1


def judged(rows: Any, X: Any) -> Any:
    """Of the rows of a fold those that are judged."""
    return replace(rows, every=one_in(X)) if isinstance(rows, OfFold) else rows


def places_in(rows: Any, n_rows: int) -> Any:
    """Where the rows of a fold are among so many that are judged."""
    return rows.places(n_rows) if isinstance(rows, OfFold) else rows


def table_of(X: Any) -> Any:
    """X where it has rows to count and to take; an array of what only says that it is one."""
    X = eager(X)
    return X if hasattr(X, "shape") or hasattr(X, "__len__") else np.asarray(X)


def n_rows_of(X: Any) -> int:
    """How many rows an array, a frame, a list or a source has."""
    return int(X.shape[0] if hasattr(X, "shape") else len(X))


def rows_of(X: Any, rows: Any) -> Any:
    """Some rows of an array, a frame, a list or a source."""
    if not is_source(X):
        return _safe_indexing(X, rows)
    if isinstance(X, PartitionedSource) and isinstance(rows, OfFold):
        return X.chosen(rows)
    # A source keeps the order of its rows, unless they are at hand.
    numbers = None if isinstance(rows, slice) else np.asarray(rows)
    ordered = numbers is None or numbers.dtype == bool or bool((np.diff(numbers) > 0).all())
    return X.subset(rows) if ordered else X.in_memory(rows)


def weights_of(X: Any, sample_weight: Any) -> Array:
    """How often each row that is judged counts: as given, as the source says, or once."""
    if sample_weight is not None:
        return np.asarray(sample_weight, dtype=np.float64)
    written_out("X", X)
    if is_source(X):
        every = one_in(X)
        return all_weights(X if every == 1 else X.subset(slice(0, None, every)))
    return np.ones(n_rows_of(X))


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
