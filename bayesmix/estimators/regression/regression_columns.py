"""Columns of a regression's frame and design: text as indicators, identifiers left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd

from bayesmix.allocation.designs import Standardised, columns_of
from bayesmix.core import validation
from bayesmix.errors import BayesmixWarning, InvalidInputError, warn
from bayesmix.estimators.regression.coded_frames import looked_at
from bayesmix.families.coding import Coding
from bayesmix.families.regressions import Response
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.sources.memory import is_collection, is_source

# Levels of an ordinal response, whose probabilities are kept for each row and component.
MOST_LEVELS = 50
# Rows of a response by which its kind is guessed.
MOST_LOOKED_AT = 100_000
# Responses of a kind that another distribution suits.
SUITABLE = {"counts": "poisson", "categorical": "binomial"}


def explanatory(X: Any, columns: Any) -> Coding | None:
    """Return what the columns of a frame are, as decided before or now; None for other data."""
    if isinstance(columns, Coding):
        return columns
    # Counts and ratings are numbers here: only what is left out changes the design.
    return looked_at(X, columns, said=("exclude",))[1]


def as_design(X: Any, coding: Coding | None, features: Sequence[str] = ()) -> Any:
    """Return a frame as numbers; text and codes as indicators of all levels but the first.

    Codes that are a column of their own among the ``features`` of a fit remain numbers.
    """
    from bayesmix.io.table_columns import is_frame, recoded

    if coding is None or is_source(X) or is_collection(X) or not is_frame(X):
        return X
    # Two numbers and ratings are levels of a mixture, but numbers here; codes of groups are not.
    levels = [
        found
        if found is not None
        and (
            isinstance(found[0], str | bool)
            or (len(found) > 2 and name not in coding.ratings and name not in features)
        )
        else None
        for name, found in zip(coding.names, coding.levels, strict=True)
    ]
    plain = list(coding.names) == list(map(str, X.columns)) and not any(levels)
    if plain and all(str(dtype) == "float64" for dtype in X.dtypes):
        return X  # large data are not copied
    codes = recoded(X, replace(coding, levels=tuple(levels)))
    columns_of("X", codes, len(codes))  # missing values are named by the columns of the user
    columns: dict[str, Any] = {}
    for name, found in zip(coding.names, levels, strict=True):
        if found is None or isinstance(found[0], bool):
            columns[name] = codes[name]
            continue
        for code, level in enumerate(found[1:], 1):
            columns[f"{name}_{level}"] = codes[name] == code
    return pd.DataFrame(columns, index=codes.index).astype(np.float64)


def look_at_response(y: Any, response: str) -> Any:
    """Return the response, a series of amounts such as "12 %" as numbers.

    Warns about a normal response that another distribution would suit, or that numbers rows.
    """
    if not hasattr(y, "iloc") or getattr(y, "ndim", 1) != 1:
        return y
    from bayesmix.io.column_kinds import LEFT_OUT, kinds_of
    from bayesmix.io.numbers_in_text import as_numbers

    amounts = None if pd.api.types.is_numeric_dtype(y.dtype) else as_numbers(y)
    if response != "normal":
        return y if amounts is None else amounts
    name = str(y.name if y.name is not None else "y")
    kind = kinds_of(pd.DataFrame({name: y.iloc[:MOST_LOOKED_AT]}), {})[name]
    if kind.kind == LEFT_OUT and not kind.reason.startswith(("empty", "dates", "one value")):
        warn(f"the response {name!r} may be no measurement: {kind.why}", BayesmixWarning)
    elif suitable := SUITABLE.get(kind.kind):
        suitable = "ordinal" if suitable == "binomial" and len(kind.levels or ()) > 2 else suitable
        reason = f" ({kind.reason})" if kind.reason else ""
        warn(
            f"the response {name!r} looks like {kind.kind}{reason}: consider response={suitable!r}",
            BayesmixWarning,
        )
    if kind.doubt:
        warn(f"the response {name!r}: {kind.doubt}", BayesmixWarning)
    return y if amounts is None else amounts


def shared_places(fixed: Any, design: Standardised, argument: str = "fixed") -> Integers:
    """Return the places in the design of columns with shared coefficients."""
    given = [fixed] if isinstance(fixed, (str, int)) else () if fixed is None else fixed
    places = [design.place(column, f"{argument} must contain names or indices") for column in given]
    return np.unique(np.array(places, dtype=int)) + int(design.intercept)


def arranged(
    design: Standardised,
    further: Standardised | None,
    y: Array,
    offset: Array,
    trials: Array,
    X: Array,
) -> Array:
    """Return rows of response, offset, trials and design, and columns of ``further`` if any."""
    parts = [y, offset, trials, design.apply(X)]
    if further is not None and further.intercept:
        parts.append(further.apply(X[:, [design.names.index(name) for name in further.names]]))
    elif further is not None:  # levels, whose columns are not those of X
        parts.append(np.ones((len(y), len(further.names))))
    return np.column_stack(parts)


def configured(
    estimator: Any, response: Response, y: Array, X: Array, design: Standardised
) -> tuple[Response, Standardised | None]:
    """Return a response with the settings of an estimator, and the design of its further part."""
    limits, inflation = estimator.limits, estimator.inflation
    if limits is not None and response.name not in ("censored_normal", "ordinal"):
        raise InvalidInputError(
            "limits need response='censored_normal' or 'ordinal': leave them out"
        )
    if inflation and response.name != "zero_inflated_poisson":
        raise InvalidInputError("inflation needs response='zero_inflated_poisson': leave it out")
    if response.name == "censored_normal":
        lower, upper = (
            sign * np.inf if limit is None else float(limit)
            for sign, limit in zip((-1.0, 1.0), pair_of(limits), strict=True)
        )
        return replace(cast("Any", response), lower=lower, upper=upper), None
    n_means = len(design.terms)
    if response.name == "ordinal":
        lowest, highest = pair_of((y.min(), y.max()) if limits is None else limits)
        n_levels = int(highest - lowest) + 1
        if n_levels > MOST_LEVELS:
            raise InvalidInputError(
                f"response='ordinal' is for at most {MOST_LEVELS} levels, got y from {lowest:g} to "
                f"{highest:g}: use response='normal'"
            )
        names = tuple(f"{lowest + level:g}" for level in range(1, n_levels - 1))
        levels = Standardised(names, np.zeros(len(names)), np.ones(len(names)), intercept=False)
        found = {"lowest": lowest, "n_levels": n_levels, "n_means": n_means}
        return replace(cast("Any", response), **found), levels
    if response.name != "zero_inflated_poisson":
        return response, None
    places = shared_places(inflation, design, "inflation") - design.intercept
    names = tuple(design.names[place] for place in places)
    columns = Standardised.of("inflation", X[:, places], names, True)
    return replace(cast("Any", response), n_means=n_means), columns


def pair_of(limits: Any) -> tuple[Any, Any]:
    """Return the limits of a response, one of which may be None."""
    pair = () if limits is None else tuple(limits)
    if len(pair) != 2 or pair == (None, None):
        raise InvalidInputError(
            f"limits must be (lower, upper), one of which may be None, got {limits!r}"
        )
    numbers = [each for each in pair if each is not None]
    if not all(np.diff([validation.number("limits", each, -np.inf) for each in numbers]) > 0.0):
        raise InvalidInputError(f"limits must be (lower, upper) with lower < upper, got {limits!r}")
    return pair
