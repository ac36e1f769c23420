"""Criteria and cross-validation on one scale: nats, greater is better.

scikit-learn's signs and factors (-2, lower is better) occur only in its own methods. Candidates
share folds and are compared by paired differences, whose standard errors are far smaller than those
of the scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from sklearn.model_selection import KFold, check_cv
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from bayesmix.core.validation import written_out
from bayesmix.em.result import DensitySums, FitResult
from bayesmix.errors import InvalidInputError, InvalidTypeError, TooManyRowsError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.sources.memory import all_weights, in_parts, is_source

if TYPE_CHECKING:
    from bayesmix.core.sources import Chosen, Source


@dataclass(frozen=True)
class Score:
    """Value of a criterion, with standard error, note and Pareto k if available.

    ``pareto_k``, for importance sampling, is unreliable above 0.7.
    """

    value: float
    standard_error: float = math.nan
    note: str = ""
    pareto_k: float = math.nan


def as_score(value: Any, criterion: str) -> Score:
    """Return what a criterion of the user returned as a score."""
    if isinstance(value, Score):
        return value
    try:
        return Score(float(value))
    except (TypeError, ValueError):
        raise InvalidTypeError(
            f"criterion {criterion} must return a number or a bayesmix.Score, got {value!r:.60}"
        ) from None


# Criteria of a fit on its training data.
ScoreFunction: TypeAlias = "Callable[[FitResult, Source], float | Score]"


def bic(sums: DensitySums, n_parameters: int) -> float:
    """log L - p/2 log n (Schwarz 1978).

    Estimates the number of components that generated the data, for large n. It assumes a regular
    model, which a mixture with too many components is not; for small n it tends to choose too few.
    """
    return sums.log_likelihood - 0.5 * n_parameters * math.log(sums.n)


def sabic(sums: DensitySums, n_parameters: int) -> float:
    """log L - p/2 log((n + 2) / 24): sample-size adjusted BIC (Sclove 1987).

    Between BIC and AIC, for small n, where BIC tends to choose too few components. It assumes a
    regular model; for large n or many parameters it chooses too many.
    """
    return sums.log_likelihood - 0.5 * n_parameters * math.log((sums.n + 2.0) / 24.0)


def hqc(sums: DensitySums, n_parameters: int) -> float:
    """log L - p log log n (Hannan & Quinn 1979); -inf if n <= e, where log log n is not positive.

    Between BIC and AIC (n >= 16). It assumes a regular model, for which no much smaller penalty
    finds the number of parameters as n grows; for small n it chooses too many components.
    """
    if sums.n <= math.e:
        return -math.inf
    return sums.log_likelihood - n_parameters * math.log(math.log(sums.n))


def aic(sums: DensitySums, n_parameters: int) -> float:
    """log L - p (Akaike 1974).

    For prediction. It chooses too many clusters.
    """
    return sums.log_likelihood - n_parameters


def aicc(sums: DensitySums, n_parameters: int) -> float:
    """log L - p - p (p + 1) / (n - p - 1) (Hurvich & Tsai 1989); -inf if n - p - 1 <= 0.

    For prediction with small n. It chooses too many clusters.
    """
    degrees_of_freedom = sums.n - n_parameters - 1.0
    if degrees_of_freedom <= 0:
        return -math.inf
    return (
        sums.log_likelihood
        - n_parameters
        - n_parameters * (n_parameters + 1.0) / degrees_of_freedom
    )


def icl(sums: DensitySums, n_parameters: int) -> float:
    """BIC plus Σ log of the largest posterior (Biernacki, Celeux & Govaert 2000), as in mclust.

    For well-separated clusters: overlapping components count as one. Not for density estimation.
    """
    return bic(sums, n_parameters) + sums.log_largest


def icl_soft(sums: DensitySums, n_parameters: int) -> float:
    """BIC minus the entropy of the assignment; ``icl`` uses the largest posterior instead.

    For well-separated clusters, like ``icl``; overlap counts continuously.
    """
    return bic(sums, n_parameters) - sums.entropy


def nec(sums: DensitySums, alone: DensitySums) -> float:
    """Normalised entropy criterion, entropy / (log L(K) - log L(1)) (Celeux & Soromenho 1996).

    Smaller is better, unlike the other criteria. For well-separated clusters: near 0 if every
    assignment is certain; 1 at K = 1 by convention (Biernacki, Celeux & Govaert 1999). It does not
    measure the density, and misleads if one component has a far larger likelihood because of its
    shape. NaN if K components are not better than one.
    """
    gain = sums.log_likelihood - alone.log_likelihood
    return sums.entropy / gain if gain > 0.0 else math.nan


# Samples compared one by one; of larger data every k-th one. The error of a mean over a million is
# a thousandth of one sample's deviation.
MOST_HELD_OUT = 1_000_000


@dataclass(frozen=True)
class Fold:
    """Row numbers of a fold, or the rule that generates them."""

    train: Integers
    test: Integers


def make_splits(
    cv: Any, X: Any, seed: int, groups: Any = None, distinct: Integers | None = None
) -> tuple[Fold, ...]:
    """Return the folds for all candidates: shuffled for a number, or those of a splitter.

    ``distinct`` (n,): index of each sample's distinct value. Numbered folds keep duplicates
    together.
    """
    n_rows = n_rows_of(X)
    if isinstance(cv, int):
        if not 2 <= cv <= n_rows:
            raise InvalidInputError(f"cv must be from 2 to the number of rows ({n_rows}), got {cv}")
        if groups is not None:
            raise InvalidInputError(
                "groups need a splitter that keeps them together, such as scikit-learn's "
                "GroupKFold: pass it as cv"
            )
        if parts := in_parts(X):
            return tuple(Fold(*cast("Any", rules)) for rules in parts.folds(seed, cv, one_in(X)))
        splitter: Any = KFold(cv, shuffle=True, random_state=seed % (2**32 - 1))
        if distinct is not None:
            if cv > (n_values := int(distinct.max()) + 1):
                raise InvalidInputError(
                    f"cv must be at most the number of different samples ({n_values}), got {cv}"
                )
            pairs = splitter.split(np.zeros((int(distinct.max()) + 1, 1)))
            return tuple(
                Fold(*(np.flatnonzero(np.isin(distinct, part)) for part in pair)) for pair in pairs
            )
    else:
        if one_in(X) > 1:
            raise TooManyRowsError(
                f"a splitter supports at most {MOST_HELD_OUT:,} rows, got {n_rows:,}: use a number "
                "of folds"
            )
        splitter = check_cv(cv)
    splits = tuple(Fold(*parts) for parts in splitter.split(np.zeros((n_rows, 1)), None, groups))
    for number, split in enumerate(splits):
        if not len(split.train) or not len(split.test):
            raise InvalidInputError(f"cv leaves fold {number} without rows to fit or to test")
    return splits


def one_in(X: Any) -> int:
    """Return k such that every k-th held-out sample is scored."""
    return -(-n_rows_of(X) // MOST_HELD_OUT) if in_parts(X) else 1


def judged(rows: Any, X: Any) -> Any:
    """Return the held-out samples of a fold that are scored."""
    return replace(rows, every=one_in(X)) if callable(rows) else rows


def places_in(rows: Any, n_rows: int) -> Any:
    """Return the positions of a fold's samples among those that are scored."""
    return rows.places(n_rows) if callable(rows) else rows


def n_rows_of(X: Any) -> int:
    """Return the number of rows of an array, frame, list or source."""
    return int(X.shape[0]) if is_source(X) else int(_num_samples(X))


def rows_of(X: Any, rows: Any) -> Any:
    """Return some rows of an array, frame, list or source."""
    if not is_source(X):
        return _safe_indexing(X, rows)
    if callable(rows) and (parts := in_parts(X)):
        return parts.chosen(rows)
    # A source keeps the order of its rows unless they are in memory.
    numbers = None if isinstance(rows, slice) else np.asarray(rows)
    ordered = numbers is None or numbers.dtype == bool or bool((np.diff(numbers) > 0).all())
    return X.subset(rows) if ordered else X.in_memory(rows)


def weights_of(X: Any, sample_weight: Any) -> Array:
    """Return the weights of the samples that are scored: given, from the source, or 1."""
    if sample_weight is not None:
        return np.asarray(sample_weight, dtype=np.float64)
    written_out("X", X)
    if is_source(X):
        every = one_in(X)
        return all_weights(X if every == 1 else X.subset(slice(0, None, every)))
    return np.ones(n_rows_of(X))


@dataclass(frozen=True)
class HeldOut:
    """Mean log density (n,) of each sample over the folds that held it out, in nats.

    ``weights`` (n,): sample weights; 0 if no fold tests the sample.
    """

    density: Array
    weights: Array

    @property
    def score(self) -> Score:
        """Total held-out log density, with standard error."""
        return _total(self.density, self.weights)

    def less(self, other: HeldOut) -> Score:
        """Return the difference to ``other``, with the standard error of the paired difference."""
        return _total(self.density - other.density, self.weights)


def _total(values: Array, weights: Array) -> Score:
    """Return Σ w v over samples of positive weight, with its standard error."""
    counted = weights > 0
    values, weights = values[counted], weights[counted]
    n = float(weights.sum())
    total = float(values @ weights)
    if n <= 1.0 or not np.isfinite(total):  # for a density of zero, whatever the others are
        return Score(total)
    variance = float(weights @ (values - total / n) ** 2) / (n - 1.0)
    return Score(total, math.sqrt(n * variance))


def combined(parts: Sequence[tuple[Chosen, Array]], weights: Array) -> HeldOut:
    """Combine the densities of all folds; repeated folds are averaged per sample."""
    total, times = np.zeros(len(weights)), np.zeros(len(weights))
    for rows, density in parts:
        tested = places_in(rows, len(weights))
        total[tested] += density
        times[tested] += 1.0
    counted = times > 0
    mean = np.divide(total, times, out=np.zeros(len(weights)), where=counted)
    return HeldOut(mean, np.where(counted, weights, 0.0))


def finite(held: HeldOut) -> bool:
    """Whether every sample of positive weight has a density."""
    return bool(np.isfinite(held.density[held.weights > 0]).all())
