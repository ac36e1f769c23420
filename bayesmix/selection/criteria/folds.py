"""Folds: which rows a fit has not seen, and some rows of whatever holds them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.model_selection import KFold, check_cv
from sklearn.utils import _safe_indexing

from bayesmix.errors import InvalidInputError, TooManyRowsError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.sources import PartitionedSource, all_weights, eager, is_source
from bayesmix.sources.partitions.chosen_rows import OfFold
from bayesmix.validation import written_out

# Rows in parts whose densities under candidates are compared one by one: of more, one in so many.
# The error of a mean over a million is a thousandth of a row's deviation.
MOST_HELD_OUT = 1_000_000


@dataclass(frozen=True)
class Split:
    """Row numbers of one fold, or the rule that gives them."""

    train: Integers
    test: Integers


def make_splits(
    cv: Any, X: Any, seed: int, groups: Any = None, distinct: Integers | None = None
) -> tuple[Split, ...]:
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
            return tuple(Split(*rule) for rule in rules)
        splitter: Any = KFold(cv, shuffle=True, random_state=seed % (2**32 - 1))
        if distinct is not None:
            parts = splitter.split(np.zeros((int(distinct.max()) + 1, 1)))
            return tuple(
                Split(*(np.flatnonzero(np.isin(distinct, part)) for part in pair)) for pair in parts
            )
    else:
        if one_in(X) > 1:
            raise TooManyRowsError(
                f"a splitter names every one of {n_rows:,} rows, and {MOST_HELD_OUT:,} are the "
                "most: give a number of folds, which are dealt where the rows are"
            )
        splitter = check_cv(cv)
    splits = tuple(Split(*parts) for parts in splitter.split(np.zeros((n_rows, 1)), None, groups))
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
