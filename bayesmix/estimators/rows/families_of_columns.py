"""Tables of mixed columns: which family each is given, and the same columns at predict time."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from bayesmix.errors import BayesmixWarning, InvalidInputError, warn
from bayesmix.families.bernoulli import Bernoulli
from bayesmix.families.categorical import Categorical
from bayesmix.families.gaussian import Gaussian
from bayesmix.families.product import Part, Product
from bayesmix.records.coding import Coding
from bayesmix.sources import ArraySource, coding_of, is_source

AUTO = "auto"


def is_mixed(family: Any) -> bool:
    """Whether a family may be fitted to frames that hold more than numbers."""
    return isinstance(family, Product) or (isinstance(family, str) and family == AUTO)


def reads_levels(estimator: Any) -> Callable[[Any], tuple[Any, Coding | None]] | None:
    """What makes numbers of frames that hold more than these; None where nothing does.

    Of an estimator, or of what a search fits.
    """
    family = getattr(getattr(estimator, "estimator", estimator), "family", None)
    return partial(coded_for, family) if is_mixed(family) else None


def is_mixed_table(X: Any) -> bool:
    """Whether rows are a frame, or come from one, that holds more than numbers."""
    coding = coding_of_table(X)
    return coding is not None and coding.has_levels


def coding_of_table(X: Any) -> Coding | None:
    """What the columns of a table of more than numbers are; None of other rows."""
    from bayesmix.io.tables.coding import coded, is_frame, is_plain

    if X is None or is_source(X):
        return None if X is None else coding_of(X)
    if not is_frame(X) or is_plain(X):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesmixWarning)  # said when they are fitted
        return coded(X)[1]


def coded_for(family: Any, X: Any) -> tuple[Any, Coding | None]:
    """Rows to fit as numbers, with what their codes stand for; what is no frame as it is."""
    from bayesmix.io.tables.coding import coded, is_frame, recoded

    if not is_frame(X):
        return X, None
    if isinstance(family, Product):
        # Every column is in a part, or the product says that it is not.
        named = [one for part in family.parts for one in part.columns if isinstance(one, str)]
        there = [str(name) for name in X.columns]
        if not set(named) <= set(there):
            return X, None
        given = _given_levels(family)
        frame, coding = coded(X, given, there)
        pairs = zip(coding.names, coding.levels, strict=True)
        coding = replace(coding, levels=tuple(given.get(name) or own for name, own in pairs))
        return recoded(X, coding) if any(given.values()) else frame, coding
    frame, coding = coded(X)
    if coding.left_out:
        left = ", ".join(f"{name} ({why})" for name, why in coding.left_out)
        warn(f"columns that are left out: {left}", BayesmixWarning)
    return frame, coding


def as_fitted(X: Any, family: Any) -> Any:
    """Rows at predict time with the columns of the fit, found by name, levels by theirs."""
    if not isinstance(family, Product) or family.coding is None:
        return X
    from bayesmix.io.tables.coding import is_frame, recoded, say_unused

    coding: Coding = family.coding
    if is_source(X):
        return _translated(X, coding) if isinstance(X, ArraySource) and X.coding else X
    if not is_frame(X):
        return X
    say_unused(X, coding)
    return recoded(X, coding)


def _translated(X: ArraySource, coding: Coding) -> ArraySource:
    """A source whose codes stand for other levels, or the same in another order."""
    assert X.coding is not None
    if X.coding.names == coding.names and X.coding.levels == coding.levels:
        return X
    import pandas as pd

    from bayesmix.io.tables.coding import recoded

    frame = {}
    for column, (name, levels) in enumerate(zip(X.coding.names, X.coding.levels, strict=True)):
        values = X.values[:, column]
        frame[name] = values if levels is None else [levels[int(code)] for code in values]
    values = recoded(pd.DataFrame(frame), coding).to_numpy()
    return replace(X, values=values, columns=coding.names, coding=coding)


def family_for(
    family: Any, columns: tuple[str, ...] | None, n_columns: int, coding: Coding | None
) -> Any:
    """What is fitted to rows with these columns: "auto" and products are spelt out."""
    if isinstance(family, Product):
        return _knowing_levels(family.over(columns, n_columns, coding))
    if coding is None or not coding.has_levels:
        plain = Product({tuple(columns or range(n_columns)): Gaussian()})
        return plain.over(columns, n_columns, coding)
    numbers = tuple(n for n, own in zip(coding.names, coding.levels, strict=True) if own is None)
    parts = [Part(numbers, Gaussian())] if numbers else []
    for name, levels in zip(coding.names, coding.levels, strict=True):
        if levels is not None:
            parts.append(Part((name,), _of_levels(name, levels)))
    return _knowing_levels(Product(tuple(parts)).over(columns, n_columns, coding))


def _given_levels(family: Product) -> dict[str, Any]:
    """Categorical columns by name, with their levels where these are given."""
    given: dict[str, Any] = {}
    for part in family.parts:
        if isinstance(part.family, Categorical):
            levels = part.family.levels or [None] * len(part.columns)
            given |= dict(zip(map(str, part.columns), levels, strict=True))
    return given


def _knowing_levels(family: Product) -> Product:
    """The product with the levels of its categorical columns, as the rows are coded."""
    coding: Coding | None = family.coding
    known = {} if coding is None else dict(zip(coding.names, coding.levels, strict=True))
    parts = []
    for part in family.parts:
        own = part.family
        if isinstance(own, Categorical) and own.levels is None:
            levels: Any = [known.get(str(name)) for name in part.columns]
            if None in levels:
                raise InvalidInputError(
                    f"the levels of {part.label!r} are not known: give rows as a frame, or name "
                    "the levels, as in Categorical(levels=[[0, 1, 2]]), and give codes 0, 1, 2"
                )
            own = Categorical(tuple(levels))
        parts.append(replace(part, family=own))
    return replace(family, parts=tuple(parts))


def _of_levels(name: str, levels: tuple[Any, ...]) -> Any:
    """The family of a column of levels."""
    return Bernoulli() if len(levels) == 2 else Categorical((levels,))


def with_structure(family: Any, covariance: str | None) -> Any:
    """A family whose Gaussians have this covariance structure; None: as they are."""
    if covariance is None:
        return family
    if isinstance(family, Gaussian):
        return replace(family, covariance=covariance)
    if not isinstance(family, Product):
        return family
    parts = [replace(part, family=with_structure(part.family, covariance)) for part in family.parts]
    return replace(family, parts=tuple(parts))
