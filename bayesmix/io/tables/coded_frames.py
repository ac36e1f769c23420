"""Frames of numbers, categories and text as numbers, with what their codes stand for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import BayesmixWarning, InvalidInputError, warn
from bayesmix.io.tables.kinds import COUNTS, NUMBER, declared_levels, kind_of
from bayesmix.numerics.arrays import Array
from bayesmix.records.coding import NAMED, Coding, Level, codes_of

if TYPE_CHECKING:
    import pandas as pd


def is_frame(X: Any) -> bool:
    """Whether rows come as a frame of pandas, or one that turns into it."""
    return hasattr(X, "columns") and (hasattr(X, "iloc") or hasattr(X, "to_pandas"))


def as_pandas(X: Any) -> pd.DataFrame:
    """The frame, with names that are text, and numbers with their bytes in this machine's order."""
    frame: Any = X if hasattr(X, "iloc") else _of_another_kind(X)
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInputError(f"columns must have names of their own, got {twice[0]!r} twice")
    named: pd.DataFrame = frame.set_axis(names, axis=1)
    turned = {
        name: kind.newbyteorder("=")
        for name, kind in named.dtypes.items()
        if isinstance(kind, np.dtype) and not kind.isnative
    }
    return named.astype(turned) if turned else named


def _of_another_kind(X: Any) -> Any:
    import pandas as pd

    if not hasattr(X, "get_columns"):
        return X.to_pandas()
    # Polars wants another package to do it.
    return pd.DataFrame({name: X[name].to_list() for name in X.columns})


def is_plain(X: Any) -> bool:
    """Whether every column of a frame is of numbers already."""
    import pandas as pd

    return all(
        pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
        for dtype in as_pandas(X).dtypes
    )


def coded(
    X: Any,
    categorical: Collection[str] = (),
    wanted: Sequence[str] | None = None,
    continuous: Collection[str] = (),
    counts: Collection[str] = (),
) -> tuple[pd.DataFrame, Coding]:
    """A frame as numbers: each column by its kind, unless it is named as another.

    Columns that are neither numbers nor levels are left out, unless ``wanted`` names them: then
    they are refused. Columns of 0 and 1 are levels, unless ``wanted`` names columns.
    """
    frame = as_pandas(X)
    names = list(frame.columns) if wanted is None else list(wanted)
    kept, levels, left_out, counted = [], [], [], []
    for name in names:
        column = frame[name]
        kind = kind_of(name, column)
        if name in continuous or name in counts:
            kind = COUNTS if name in counts else NUMBER
        is_level = name in categorical or (kind.yes_or_no and wanted is None)
        own = declared_levels(name, column) if is_level else kind.levels
        numeric = own is None and column.dtype.kind in "biuf"
        if kind.why and own is None and not (wanted is not None and numeric):
            if wanted is not None:
                raise InvalidInputError(
                    f"X must have columns of numbers or of levels, but {name!r} is not: {kind.why}"
                )
            left_out.append((name, kind.why))
            continue
        kept.append(name)
        levels.append(own)
        if own is None and kind.counts:
            counted.append(name)
    if not kept:
        why = ", ".join(f"{name} ({why})" for name, why in left_out[:NAMED])
        raise InvalidInputError(f"X must have a column of numbers or of levels: {why}")
    coding = Coding(tuple(kept), tuple(levels), tuple(left_out), tuple(counted))
    return recoded(frame, coding), coding


def recoded(X: Any, coding: Coding) -> pd.DataFrame:
    """The columns of a coding, in its order, as numbers; what is missing is NaN.

    Raises ``InvalidInputError`` for columns that are not there and for levels that are not known.
    """
    import pandas as pd

    frame = as_pandas(X)
    if absent := [name for name in coding.names if name not in frame.columns]:
        raise InvalidInputError(
            f"X must have the columns of the fit, but {', '.join(map(repr, absent))} "
            f"{'is' if len(absent) == 1 else 'are'} not among {', '.join(map(repr, frame.columns))}"
        )
    pairs = zip(coding.names, coding.levels, strict=True)
    made = {name: _codes(name, frame[name], levels) for name, levels in pairs}
    return pd.DataFrame(made, index=frame.index)


def _codes(name: str, column: pd.Series[Any], levels: tuple[Any, ...] | None) -> Array:
    import pandas as pd

    if levels is None:
        try:
            return column.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            cells = column[pd.to_numeric(column, errors="coerce").isna() & column.notna()]
            raise InvalidInputError(
                f"X must have numbers in column {name!r}, got {cells.iloc[0]!r} in row "
                f"{cells.index[0]}"
            ) from None
    return codes_of(name, column.to_numpy(dtype=object), levels, column.index)


def as_levels(
    X: Any, given: Sequence[tuple[Level, ...]] | None
) -> tuple[pd.DataFrame | Array, Coding]:
    """A table all of whose columns are levels as codes: a frame, or an array where it is one.

    Levels that are not given are those that the columns declare, or that occur.
    """
    import pandas as pd

    frame = as_pandas(X if is_frame(X) else pd.DataFrame(X))
    if given is not None and len(given) != frame.shape[1]:
        raise InvalidInputError(
            f"levels must be given for each of the {frame.shape[1]} columns of X, got {len(given)}"
        )
    names = tuple(frame.columns)
    levels = given or [declared_levels(name, frame[name]) for name in names]
    coding = Coding(names, tuple(levels))
    codes = recoded(frame, coding)
    named = is_frame(X) and all(isinstance(name, str) for name in X.columns)
    return (codes if named else codes.to_numpy()), coding


def say_unused(X: Any, coding: Coding) -> None:
    """Warn of columns that the fit has never seen."""
    known = {*coding.names, *(name for name, _ in coding.left_out)}
    extra = [str(name) for name in X.columns if str(name) not in known]
    if extra:
        warn(f"columns that the fit did not have are not used: {', '.join(extra)}", BayesmixWarning)
