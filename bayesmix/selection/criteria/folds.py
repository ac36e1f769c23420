"""Folds, and what a fit says of rows that it has not seen."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.model_selection import KFold, check_cv
from sklearn.utils import _safe_indexing

from bayesmix.errors import InvalidInputError, TooManyRowsError, UnsupportedError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.sources import PartitionedSource, all_weights, is_source
from bayesmix.sources.partitions.chosen_rows import OfFold

# Points at which a step of a pipeline is tried, and how far from affine it may be.
PROBES = 8
AFFINE = 1e-8
# Rows in parts whose densities under candidates are compared one by one: of more, one in so many.
# The error of a mean over a million is a thousandth of a row's deviation.
MOST_HELD_OUT = 1_000_000


@dataclass(frozen=True)
class Split:
    """Row numbers of one fold, or the rule that gives them."""

    train: Integers
    test: Integers


def make_splits(cv: Any, X: Any, seed: int, groups: Any = None) -> tuple[Split, ...]:
    """The folds, the same for every candidate: an integer shuffles, a splitter is used as it is."""
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


def eager(X: Any) -> Any:
    """Rows that are there: a lazy frame of polars is collected."""
    return X.collect() if type(X).__name__ == "LazyFrame" else X


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
    if is_source(X):
        every = one_in(X)
        return all_weights(X if every == 1 else X.subset(slice(0, None, every)))
    return np.ones(n_rows_of(X))


def fit_weighted(model: Any, X: Any, sample_weight: Any, **options: Any) -> Any:
    """Fit, with weights where there are any; of a pipeline they go to its last step."""
    if sample_weight is None:
        return model.fit(X, **options)
    return model.fit(X, **{f"{prefix_of(model)}sample_weight": sample_weight}, **options)


def last_step(model: Any) -> Any:
    """The mixture itself, of a pipeline its last step."""
    return model.steps[-1][1] if hasattr(model, "steps") else model


def prefix_of(model: Any) -> str:
    """What the mixture's parameters begin with: of a pipeline the name of its last step."""
    return f"{model.steps[-1][0]}__" if hasattr(model, "steps") else ""


def steps_before(model: Any) -> Any:
    """Of a pipeline the steps before the mixture, as a pipeline; None where there are none."""
    return model[:-1] if hasattr(model, "steps") and len(model.steps) > 1 else None


def log_density(model: Any, X: Any) -> Array:
    """Log density (n,) of rows in nats and in *their* units, whatever a pipeline makes of them.

    A pipeline's mixture lives on transformed rows; its steps before the last must be affine and
    keep every column, so that their Jacobian determinant is one number.

    Raises
    ------
    UnsupportedError
        Where it is not: densities of transformed rows do not compare between folds or procedures.
    """
    values: Array = model.score_samples(X)
    if (steps := steps_before(model)) is not None:
        values = values + log_stretch(steps, X)
    return values


def log_stretch(steps: Any, X: Any) -> float:
    """log |det| of fitted affine steps, from what they make of points around the rows."""
    rows = np.asarray(rows_of(X, slice(0, PROBES)), dtype=np.float64)
    n_features = rows.shape[1]
    origin = rows.mean(axis=0)
    generator = np.random.default_rng(0)
    reach = 1.0 + np.abs(origin)
    points = np.vstack(
        [
            origin,
            origin + np.diag(reach),
            origin + generator.standard_normal((PROBES, n_features)) * reach,
        ]
    )
    made = np.asarray(_transformed(steps, points, X), dtype=np.float64)
    if made.shape != points.shape:
        raise UnsupportedError(
            f"a pipeline that turns {n_features} columns into {made.shape[1]} has no density in "
            "units of the rows: keep every column, or transform before the search"
        )
    slope = (made[1 : n_features + 1] - made[0]) / reach[:, None]
    rest = made[n_features + 1 :]
    expected = made[0] + (points[n_features + 1 :] - origin) @ slope
    if np.abs(rest - expected).max() > AFFINE * (1.0 + np.abs(rest).max()):
        raise UnsupportedError(
            "a pipeline whose steps are not affine has no comparable density in units of the "
            "rows: transform before the search"
        )
    sign, log_det = np.linalg.slogdet(slope)
    return float(log_det) if sign else -math.inf


def _transformed(steps: Any, points: Array, X: Any) -> Any:
    """Points through the steps, as a frame where the rows are one."""
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        import pandas as pd

        return steps.transform(pd.DataFrame(points, columns=X.columns))
    return steps.transform(points)
