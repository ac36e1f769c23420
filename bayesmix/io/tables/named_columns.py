"""Named columns to numbers, with every reason why they cannot be: names, kinds, missing values."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import BayesmixWarning, InvalidInputError, warn
from bayesmix.numerics.arrays import Array
from bayesmix.sources import ArraySource

if TYPE_CHECKING:
    import pandas as pd

ROWS_NAMED = 5
PIECE = 2**18


def source_of(
    path: str,
    frame: pd.DataFrame,
    columns: list[Any] | None,
    weight: Any,
    gaps: bool = False,
) -> ArraySource:
    """Checked values of the wanted columns, with their names; ``gaps``: some may be missing."""
    names = [str(name) for name in frame.columns]
    check_names(path, names, columns or [], weight)
    if not len(frame):
        raise InvalidInputError(f"{path} must hold rows, and has none: only names of columns")
    numeric = {name for name, dtype in zip(names, frame.dtypes, strict=True) if is_numeric(dtype)}
    wanted = columns
    if wanted is None:
        wanted = [name for name in names if name and name in numeric and name != weight]
        places = [names.index(name) for name in wanted]
        empty = frame.iloc[:, places].isna().all().to_numpy()
        if empty.any() and not empty.all():
            gone = [name for name, none in zip(wanted, empty, strict=True) if none]
            wanted = [name for name in wanted if name not in gone]
            warn(f"columns without values are left out: {listed(gone)}", BayesmixWarning)
    if not wanted:
        found = [
            f"{name!r} ({_why_no_numbers(name, frame.iloc[:, place])})"
            for place, name in enumerate(names)
        ]
        raise InvalidInputError(
            f"{path} must have a numeric column to fit, and has {listed(found, quote=False)}"
        )
    used = [*wanted, *([] if weight is None else [weight])]
    times = Counter(names)
    if repeated := sorted({name for name in used if times[name] > 1}):
        raise InvalidInputError(
            f"the columns of {path} must have names of their own, but more than one is called "
            f"{listed(repeated)}: rename them"
        )
    for place, name in enumerate(used):
        if name not in numeric:
            argument = "columns" if place < len(wanted) else "weight"
            raise InvalidInputError(_not_numeric(path, argument, name, frame[name]))
    values = np.empty((len(frame), len(wanted)))
    for place, name in enumerate(wanted):
        values[:, place] = _numbers(frame[name])
    check_values(path, values, wanted, gaps)
    weights = None if weight is None else checked_weights(path, weight, _numbers(frame[weight]))
    return ArraySource(values, weights, columns=tuple(wanted))


def is_numeric(dtype: Any) -> bool:
    """Whether a column of this type holds real numbers."""
    return getattr(dtype, "kind", "O") in "fiub"


def _numbers(column: pd.Series[Any]) -> Array:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _why_no_numbers(name: str, column: pd.Series[Any]) -> str:
    from bayesmix.io.tables.kinds import kind_of

    return kind_of(name, column.set_axis(range(1, len(column) + 1))).why or "text"


def check_names(
    path: str, names: list[str], columns: list[Any], weight: Any, asked: str = "columns"
) -> None:
    """Refuse columns and a weight that are not in the file, or are ``asked`` for twice."""
    there = set(names) - {""}
    for argument, used in ((asked, columns), ("weight", [] if weight is None else [weight])):
        for name in used:
            if name in there:
                continue
            close = difflib.get_close_matches(str(name), names, cutoff=0.5)
            close = close or [each for each in names if each.lower() == str(name).lower()]
            meant = f"did you mean {listed(close, 'or')}?" if close else f"it has {listed(names)}"
            raise InvalidInputError(
                f"{argument} must be found in {path}, but there is no column {name!r}: {meant}"
            )
    if repeated := sorted(name for name, times in Counter(columns).items() if times > 1):
        raise InvalidInputError(f"{asked} must name a column once, got {listed(repeated)} twice")
    if weight is not None and weight in columns:
        raise InvalidInputError(
            f"weight must not be one of the columns to fit, got {weight!r} for both"
        )


def _not_numeric(path: str, argument: str, name: str, column: pd.Series[Any]) -> str:
    import pandas as pd

    wrong = np.asarray(pd.to_numeric(column, errors="coerce").isna() & column.notna())
    text = f"{argument} must be numeric, but {name!r} in {path} is not"
    if not wrong.any():
        return f"{text}: it holds {column.dtype}"
    row = int(np.flatnonzero(wrong)[0])
    return (
        f"{text}: {int(wrong.sum()):,} of {len(wrong):,} values are no numbers, the first "
        f"is {column.iloc[row]!r} in row {row + 1}"
    )


def check_values(path: str, values: Any, names: Sequence[str], gaps: bool = False) -> None:
    """Refuse values that are missing or infinite and name their rows; a mapped file in pieces.

    ``gaps``: they may be missing.
    """
    wrongs = (
        ("missing", np.isnan, "drop these rows or fill them in, or read with missing='keep'"),
        ("infinite", np.isinf, "drop these rows or correct them"),
    )
    for what, test, remedy in wrongs[1:] if gaps else wrongs:
        found: list[str] = []
        n_found = 0
        for start in range(0, len(values), PIECE):
            wrong = test(values[start : start + PIECE])
            rows = np.flatnonzero(wrong.any(axis=1))
            n_found += len(rows)
            for row in rows[: ROWS_NAMED - len(found)]:
                where = ", ".join(names[column] for column in np.flatnonzero(wrong[row]).tolist())
                found.append(f"{start + row + 1:,} ({where})")
        if n_found:
            raise InvalidInputError(
                f"{path} must have no {what} values, but {n_found:,} of {len(values):,} rows have: "
                f"{listed(found, total=n_found, quote=False)} (rows count from 1); {remedy}"
            )


def checked_weights(path: str, name: Any, weights: Array) -> Array:
    """Weights that are finite, not negative and not all zero."""
    check_values(path, weights[:, None], [str(name)])
    if weights.min() < 0:
        row = int(weights.argmin())
        raise InvalidInputError(
            f"weight must not be negative, but {name!r} in {path} is {weights[row]:g} in row "
            f"{row + 1:,}"
        )
    if not weights.any():
        raise InvalidInputError(f"weight must not be zero in every row, but {name!r} in {path} is")
    return weights


def listed(
    words: Sequence[str], joint: str = "and", total: int | None = None, quote: bool = True
) -> str:
    """At most a few words as they are written in a sentence."""
    shown = [repr(word) if quote else word for word in words[:ROWS_NAMED]]
    more = (len(words) if total is None else total) - len(shown)
    if more > 0:
        shown.append(f"{more:,} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {joint} {shown[-1]}"
