"""Frames as coded numbers and back: levels and kinds of their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from bayesmix.core.procedures import noun_of
from bayesmix.errors import BayesmixWarning, InvalidInputError, warn
from bayesmix.families.coding import Coding, values_of
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.independent.levels import LevelsFamily
from bayesmix.numerics.arrays import Array
from bayesmix.sources.containers import tabular
from bayesmix.sources.memory import (
    ArraySource,
    coding_of,
    is_collection,
    is_source,
    with_sparse_rows,
)
from bayesmix.sources.sample_weights import row_weights

if TYPE_CHECKING:
    from bayesmix.core.sources import Source


def looked_at(
    X: Any,
    columns: Mapping[str, str] | None = None,
    said: Sequence[str] = (),
    **named: Any,
) -> tuple[Any, Coding | None]:
    """Return a frame as numbers, with what its columns are; other data as they are.

    A frame of continuous columns, none declared, is unchanged. ``columns`` and ``named`` declare
    kinds. A warning has the columns left out and the kinds that follow from names and values
    alone; ``said`` are the kinds that it names, by default all.
    """
    from bayesmix.data.table_columns import coded, declared_kinds, is_frame, is_plain

    if is_collection(X) or is_source(X) or not is_frame(X):
        if columns or any(named.values()):
            raise InvalidInputError("columns names columns of a frame, but X is no frame")
        return X, None
    declared = declared_kinds(list(map(str, X.columns)), columns, named)
    frame, coding = coded(X, declared)
    if not said:  # columns of a regression may follow from each other, as powers do
        from bayesmix.data.repeated_columns import with_repetitions, without_copies

        frame, coding = without_copies(frame, coding, declared)
        coding = with_repetitions(frame, coding)
    for text in coding.notes(said):
        warn(text, BayesmixWarning)
    return (X if coding.is_plain and is_plain(X) and not declared else frame), coding


def with_coding(X: Any, coding: Coding, weights: Array | None = None) -> ArraySource:
    """Return coded data as a source."""
    return ArraySource(np.asarray(X), weights, columns=coding.names, coding=coding)


def as_coded(X: Any, coding: Coding | None, unseen: str = "missing") -> Any:
    """Return a frame at predict time as a source with the columns of a coding, others unchanged."""
    from bayesmix.data.table_columns import is_frame, recoded, say_unused

    X = tabular(with_sparse_rows(X))
    if coding is None or is_source(X) or is_collection(X):
        return X
    if not is_frame(X):
        divided = divided_array(X, coding)
        complete = divided is X or is_complete(X)
        return X if divided is X else with_coding(divided, replace(coding, marks_only=complete))
    say_unused(X, coding)
    return with_coding(recoded(X, coding, unseen), replace(coding, marks_only=is_complete(X)))


def coded_for(family: Any, X: Any, columns: Any = None) -> tuple[Any, Coding | None]:
    """Return frames, or tables of levels, as numbers with their coding, and other data as it is.

    ``columns`` declares kinds where no family is named.
    """
    from bayesmix.data.table_columns import as_levels, coded, is_frame, is_plain, recoded

    if isinstance(family, LevelsFamily):
        if family.ordered and family.levels is None and is_frame(X):
            return looked_at(X, dict.fromkeys(map(str, X.columns), "ratings"))
        if not _is_table(X):
            return X, None
        codes, coding = as_levels(X, family.levels)
        for text in coding.notes():
            warn(text, BayesmixWarning)
        return codes, coding
    if not is_frame(X):
        return X, None
    from bayesmix.families.product.family import Product

    if isinstance(family, Product):
        # Every column is in a part unless the product says otherwise.
        there, columns = [str(name) for name in X.columns], [part.columns for part in family.parts]
        named = [name for names in columns for name in names if isinstance(name, str)]
        if absent := [name for name in named if name not in there]:
            raise InvalidInputError(
                f"family must name columns of X, which are {', '.join(map(repr, there))}, got "
                f"{', '.join(map(repr, absent))}"
            )
        given: dict[str, Any] = {}  # levels of categorical columns, None where not given
        counts: list[str] = []
        for part in family.parts:
            names = list(map(str, part.columns))
            if isinstance(part.family, LevelsFamily):
                given |= dict(zip(names, part.family.levels or [None] * len(names), strict=True))
            counts += names if part.family.holds_counts else []
        coding = coded(X, dict.fromkeys(given, "categorical"), there, "continuous")[1]
        pairs = zip(coding.names, coding.levels, strict=True)
        levels = tuple(given.get(name) or levels for name, levels in pairs)
        coding = replace(coding, levels=levels, counts=tuple(counts))
        return recoded(X, coding), coding
    numbers, found = looked_at(X, columns)
    plain = found is None or (found.is_plain and is_plain(X))
    return (X, None) if family is None and plain else (numbers, found)


def as_fitted(X: Any, family: Any, unseen: str = "error") -> Any:
    """Return data at predict time with columns matched by name and levels by value."""
    if isinstance(family, Gaussian):
        return X
    from bayesmix.data.table_columns import as_levels, is_frame, recoded, say_unused

    if isinstance(family, LevelsFamily) and not is_source(X):
        fitting = _is_table(X) and np.shape(X)[1] == len(family.levels or ())
        return as_levels(X, family.levels, unseen)[0] if fitting else X
    coding: Coding | None = family.coding
    if coding is None:
        return X

    if is_source(X):
        if not isinstance(X, ArraySource) or X.coding is None:
            return X
        if isinstance(family, LevelsFamily) and len(X.coding.names) == len(coding.names):
            coding = replace(coding, names=X.coding.names)
        return _translated(X, coding)
    if not is_frame(X):
        return divided_array(X, coding)
    say_unused(X, coding)
    return recoded(X, coding, unseen)


def divided_array(X: Any, coding: Coding) -> Any:
    """Return an array of the columns of a fit with columns for its masses, others unchanged.

    Raises ``InvalidInputError`` for another number of columns.
    """
    shape, n_given = np.shape(X), len(coding.given)
    if not coding.unnamed or len(shape) != 2 or shape[1] == len(coding.names):
        return X
    if shape[1] != n_given:
        raise InvalidInputError(
            f"X must have the {n_given} columns of the fit, got {shape[1]}: pass them in the same "
            "order"
        )
    values = coding.divided(np.asarray(X, dtype=np.float64))
    return pd.DataFrame(values, columns=[*coding.names])


def is_complete(X: Any) -> bool:
    """Whether a table has no missing values."""
    from bayesmix.data.table_columns import as_pandas, is_frame

    frame = as_pandas(X) if is_frame(X) else pd.DataFrame(X)
    return not frame.isna().to_numpy().any()


def lacks_levels_only(source: Source) -> bool:
    """Whether missing values of coded data are marks, or all in columns of levels."""
    coding = coding_of(source)
    if coding is None or not isinstance(source, ArraySource):
        return False
    if coding.marks_only or not coding.has_levels:
        return coding.marks_only
    numeric = [levels is None for levels in coding.levels]
    return not np.isnan(source.values[:, numeric]).any()


def _translated(X: ArraySource, coding: Coding) -> ArraySource:
    """Return a source whose codes are translated to the levels of the fit."""
    own = cast("Coding", X.coding)
    if own.names == coding.names and own.levels == coding.levels:
        return X

    from bayesmix.data.table_columns import recoded

    values = recoded(own.decoded(X.values), coding).to_numpy()
    return replace(X, values=values, columns=coding.names, coding=coding)


def _is_table(X: Any) -> bool:
    """Whether data are a table in which every column may be read as levels."""
    return len(getattr(X, "shape", None) or np.shape(np.array(X, dtype=object))) == 2


def decoded(family: Any, rows: Array) -> Any:
    """Return coded data as levels: a frame for mixed tables; other data are unchanged."""
    coding: Coding | None = family.coding
    if coding is None:
        return rows

    if coding.unnamed:
        return coding.joined(rows)
    if not isinstance(family, LevelsFamily) or family.levels is None:
        return coding.decoded(rows)
    numbers = all(isinstance(level, (int, float)) for levels in family.levels for level in levels)
    named = [values_of(codes, levels) for codes, levels in zip(rows.T, family.levels, strict=True)]
    return np.column_stack(named).astype(np.float64 if numbers else object)


def like_given(table: Any, X: Any, names: Any) -> Any:
    """Return a table of all columns as the same kind of frame as ``X``, arrays unchanged.

    ``names`` are the columns of the table, None if the fit had no names.
    """
    from bayesmix.data.table_columns import is_frame

    if not is_frame(X) or is_collection(X):
        return table
    given = list(getattr(X, "column_names", X.columns))
    columns = given if names is None else [str(name) for name in names]
    frame = table if isinstance(table, pd.DataFrame) else pd.DataFrame(table, columns=columns)
    shared = [name for name in given if name in set(columns)]
    # Columns with names that are not strings were matched by position.
    frame = frame[shared] if shared else frame.set_axis(given, axis=1)
    if hasattr(X, "iloc"):
        return frame.set_axis(X.index, axis=0)
    constructor = getattr(X, "from_pydict", type(X))  # of Arrow, and of polars
    return constructor(frame.to_dict("list"))


def typed_rows(
    X: Any, sample_weight: Any, columns: Any = None, **named: Any
) -> tuple[Any, Any, Coding | None]:
    """Return a frame as a source with the kinds of its columns, the weights, and these kinds.

    Frames of continuous columns, and other data, are unchanged.
    """
    frame, coding = looked_at(tabular(X), columns, **named)
    if coding is None or frame is X:
        return X, sample_weight, coding
    weights = None if sample_weight is None else row_weights(sample_weight, len(frame))
    return with_coding(frame, coding, weights), None, coding


def typed_for(search: Any, X: Any, sample_weight: Any) -> tuple[Any, Any, Coding | None]:
    """Return data as ``typed_rows`` does if a search decides what columns are."""
    regression = search.estimator is not None and noun_of(search.estimator) == "regression"
    if regression or not (search.estimator is None or search.columns):
        return X, sample_weight, None
    return typed_rows(X, sample_weight, search.columns)
