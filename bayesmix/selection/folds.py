"""Held-out log density by folds: no fit of a fold sees anything of the rows it is scored on."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import KFold, check_cv
from sklearn.utils import _safe_indexing

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.selection.criteria import Score


@dataclass(frozen=True)
class Split:
    """Row numbers of one fold."""

    train: Any
    test: Any


def make_splits(cv: Any, X: Any, seed: int, groups: Any = None) -> tuple[Split, ...]:
    """The folds, the same for every candidate: an integer shuffles, a splitter is used as it is."""
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    if isinstance(cv, int):
        if not 2 <= cv <= n_rows:
            raise InvalidInputError(f"cv must be from 2 to the number of rows ({n_rows}), got {cv}")
        splitter: Any = KFold(cv, shuffle=True, random_state=seed % (2**32 - 1))
    else:
        splitter = check_cv(cv)
    return tuple(Split(*parts) for parts in splitter.split(np.zeros((n_rows, 1)), None, groups))


def rows_of(X: Any, rows: Any) -> Any:
    """Some rows of an array, a frame, a list or a source."""
    return X.subset(rows) if hasattr(X, "subset") else _safe_indexing(X, rows)


def fit_weighted(model: Any, X: Any, sample_weight: Any) -> Any:
    """Fit, with weights where there are any; of a pipeline they go to its last step."""
    if sample_weight is None:
        return model.fit(X)
    if hasattr(model, "steps"):
        return model.fit(X, **{f"{model.steps[-1][0]}__sample_weight": sample_weight})
    return model.fit(X, sample_weight=sample_weight)


def last_step(model: Any) -> Any:
    """The mixture itself, of a pipeline its last step."""
    return model.steps[-1][1] if hasattr(model, "steps") else model


def was_interrupted(model: Any) -> bool:
    """Whether Ctrl-C came during the fit."""
    return bool(last_step(model).result_.status == "interrupted")


def held_out(model: Any, X: Any, sample_weight: Any, splits: tuple[Split, ...]) -> Score:
    """Total held-out log density (nats) with the standard error of that sum over rows.

    Rows that no fold tests have no part in it. A fold that cannot be fitted leaves no value.
    """
    densities: list[Array] = []
    weights: list[Array] = []
    for number, split in enumerate(splits):
        fold = clone(model)
        given = None if sample_weight is None else np.asarray(sample_weight)
        train_weight = None if given is None else given[split.train]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fit_weighted(fold, rows_of(X, split.train), train_weight)
            if was_interrupted(fold):
                raise KeyboardInterrupt
        except ValueError as problem:
            return Score(math.nan, math.nan, f"fold {number} failed: {problem}")
        test = rows_of(X, split.test)
        densities.append(fold.score_samples(test))
        of_source = getattr(test, "weights", None)
        if given is not None:
            weights.append(given[split.test])
        else:
            weights.append(np.ones(len(densities[-1])) if of_source is None else of_source)
    density, weight = np.concatenate(densities), np.concatenate(weights)
    total = float(density @ weight)
    spread = float(np.sqrt(np.average((density - total / weight.sum()) ** 2, weights=weight)))
    return Score(total, spread * math.sqrt(weight.sum()))
