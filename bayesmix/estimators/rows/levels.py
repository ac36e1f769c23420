"""Levels of categorical columns: as users have them outside, as codes 0, 1, 2, ... inside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import clone

from bayesmix.errors import InvalidInputError
from bayesmix.families.categorical import Categorical
from bayesmix.numerics.arrays import Array
from bayesmix.sources import is_source

# A column with more distinct values than this is a key or a measurement, and no category.
MOST_LEVELS = 1000
NAMED_IN_MESSAGES = 6


def family_of(estimator: Any) -> Any:
    """The family of an estimator, or of what a search fits."""
    return getattr(getattr(estimator, "estimator", estimator), "family", None)


def to_fit(estimator: Any, X: Any) -> Any:
    """The table to fit with codes in the place of levels, which the estimator then knows."""
    given = _categorical(family_of(estimator), X)
    if given is None:
        return X
    if is_source(X):
        most = X.summary.maximum
        found = {place: own or tuple(range(int(most[place]) + 1)) for place, own in given.items()}
    else:
        columns = {place: _column(X, place) for place in given}
        found = {place: own or _levels(*columns[place]) for place, own in given.items()}
    estimator.levels_ = found
    return X if is_source(X) else _coded(X, found)


def to_predict(estimator: Any, X: Any) -> Any:
    """A table with the codes that its levels have in the fit."""
    family = estimator.result_.family
    if is_source(X) or _shape(X)[1] != estimator.n_features_in_:
        return X  # of which the number of columns is refused
    given = _categorical(family, X)
    return X if given is None else _coded(X, given)


def known(family: Any, levels: dict[int, Any] | None) -> Any:
    """A family with the levels that rows have."""
    if isinstance(family, Categorical) and family.levels is None and levels is not None:
        return replace(family, levels=tuple(levels[place] for place in sorted(levels)))
    return family


def with_levels(estimator: Any, levels: dict[int, Any] | None) -> Any:
    """An estimator that knows levels before it is fitted: every part of the rows has the same."""
    family = family_of(estimator)
    own = known(family, levels)
    return estimator if own is family else clone(estimator).set_params(family=own)


def decoded(family: Any, rows: Array) -> Any:
    """Rows of codes as the levels that they stand for."""
    if not isinstance(family, Categorical) or family.levels is None:
        return rows
    numbers = all(isinstance(one, (int, float)) for own in family.levels for one in own)
    named = np.empty(rows.shape, dtype=np.float64 if numbers else object)
    for place, own in enumerate(family.levels):
        of_column = np.empty(len(own), dtype=named.dtype)
        of_column[:] = own
        named[:, place] = of_column[rows[:, place].astype(np.intp)]
    return named


def _categorical(family: Any, X: Any) -> dict[int, Any] | None:
    """The columns of a table, and their levels where these are given; None of other families."""
    if not isinstance(family, Categorical):
        return None
    places = tuple(range(_shape(X)[1]))
    if family.levels is None:
        return dict.fromkeys(places)
    if len(family.levels) != len(places):
        raise InvalidInputError(
            f"levels must be given for each of the {len(places)} columns of X, got "
            f"{len(family.levels)}"
        )
    return dict(zip(places, family.levels, strict=True))


def _shape(X: Any) -> tuple[int, ...]:
    shape: tuple[int, ...] = X.shape if hasattr(X, "shape") else np.shape(np.array(X, dtype=object))
    return shape if len(shape) == 2 else (*shape, 0, 0)[:2]


def _column(X: Any, place: int) -> tuple[Any, Any]:
    """The values of a column, and the levels that its type has, where it has any."""
    if hasattr(X, "iloc"):
        column = X.iloc[:, place]
        categories = getattr(getattr(column, "cat", None), "categories", None)
        own = None if categories is None else tuple(map(_plain, categories))
        return column.to_numpy(dtype=object), own
    if hasattr(X, "get_columns"):  # polars
        return np.array(X.get_columns()[place].to_list(), dtype=object), None
    return np.asarray(X, dtype=None if hasattr(X, "dtype") else object)[:, place], None


def _plain(value: Any) -> Any:
    """A scalar of Python's own, which a file can hold."""
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _levels(values: Any, given: Any) -> tuple[Any, ...]:
    """The levels of a column: of its type, else those that are there, in order."""
    if given is not None:
        return tuple(given)
    found = (
        {_plain(value) for value in np.unique(values)} if values.dtype != object else set(values)
    )
    found = {_plain(value) for value in found if value is not None and value == value}
    if len(found) > MOST_LEVELS:
        raise InvalidInputError(
            f"X has a column of {len(found)} different values for a Categorical family: leave out "
            "keys, and give measurements another family"
        )
    try:
        return tuple(sorted(found))
    except TypeError:
        return tuple(sorted(found, key=lambda value: (type(value).__name__, str(value))))


def _coded(X: Any, levels: dict[int, Any]) -> Any:
    """The table with codes, NaN where nothing is, and the names that it has."""
    names = list(getattr(X, "columns", range(_shape(X)[1])))
    codes = {
        place: _codes(_column(X, place)[0], own, names[place]) for place, own in levels.items()
    }
    if not hasattr(X, "columns"):
        table = np.array(X, dtype=object)
        for place, own in codes.items():
            table[:, place] = own
        return table.astype(np.float64)
    import pandas as pd

    frame = X.copy() if hasattr(X, "iloc") else pd.DataFrame({n: X[n].to_list() for n in names})
    for place, own in codes.items():
        frame.isetitem(place, own)
    return frame


def _codes(values: Any, levels: Any, name: Any) -> Array:
    """Codes (n,) of values among levels."""
    if values.dtype != object:
        distinct, inverse = np.unique(values, return_inverse=True)
        return _codes(distinct.astype(object), levels, name)[inverse.reshape(-1)]
    places = {level: code for code, level in enumerate(levels)}
    codes = np.array([places.get(value, -1) for value in values], dtype=np.float64)
    for row in np.flatnonzero(codes < 0):
        value = values[row]
        if value is None or value != value:  # a gap
            codes[row] = np.nan
            continue
        shown = ", ".join(map(repr, levels[:NAMED_IN_MESSAGES]))
        more = ", ..." if len(places) > NAMED_IN_MESSAGES else ""
        raise InvalidInputError(
            f"X has {_plain(value)!r} in column {name!r}, which is no level of it ({shown}{more}): "
            "name all levels in Categorical(levels=...), or drop such rows"
        )
    return codes
