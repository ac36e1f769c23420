"""What the columns of a table are: numbers, levels, or neither, with the reason."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.records.coding import Level

if TYPE_CHECKING:
    import pandas as pd

# Text of which this share are numbers is a column of numbers with a few odd cells.
MOSTLY_NUMBERS = 0.5
# Every value its own is a key from so many rows on: fewer may differ by chance.
FEWEST_OF_A_KEY = 10
CELLS_NAMED = 3
MEND = "mend these cells, or take them as levels"
# Two values are a category, written as numbers.
FEWEST_COUNTS = 3
LEAST_FILLED = 0.5
# Standard errors of a Poisson sample's variance over its mean.
CHANCE = 3.0
# A column with more distinct values than this is a key or a measurement, and no category.
MOST_LEVELS = 1000
KEY_LIKE = "key-like"
KEY = f"{KEY_LIKE}: every row has another value"
# A key by its name may have come twice.
SURELY_A_KEY = re.compile(r"(^|[_\W])(id|key|uuid)$", re.IGNORECASE)
KEY_NAME = re.compile(r"(^|[_\W])(id|key|uuid|index|nr|no|row|rownames)$", re.IGNORECASE)
# Numbers as they are written in reports, which nothing here reads: a comma may be either sign.
WAYS_OF_WRITING = (
    (r"[-+]?\d[\d.,]*\s?%", "percent signs"),
    (
        r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?|[-+]?\d{1,3}([' \u00a0\u202f]\d{3})+([.,]\d+)?"
        r"|[-+]?\d{1,3}(\.\d{3}){2,}(,\d+)?|[-+]?\d{1,3}(\.\d{3})+,\d+",
        "thousands separators",
    ),
    (r"[-+]?\d*,\d+", "decimal commas"),
)
# What a date has at least: three groups of digits, or a month by name.
DATE_LIKE = re.compile(r"\d+\D\d+\D\d+|\d+\W*[A-Za-z]{3,9}\W*\d+|[A-Za-z]{3,9}\W*\d+\W+\d+")


@dataclass(frozen=True)
class ColumnKind:
    """``levels`` of a column of levels; ``why`` it is left out, where it is."""

    levels: tuple[Level, ...] | None = None
    why: str = ""
    counts: bool = False
    yes_or_no: bool = False  # numbers that are 0 or 1


NUMBER = ColumnKind()
COUNTS = ColumnKind(counts=True)
YES_OR_NO = ColumnKind(yes_or_no=True)


def kind_of(name: str, column: pd.Series[Any]) -> ColumnKind:
    """What a column is, from its type and its values."""
    import pandas as pd

    dtype = column.dtype
    if pd.api.types.is_bool_dtype(dtype):
        return ColumnKind(levels_of(column))
    if dtype.kind in "mM" or isinstance(dtype, pd.PeriodDtype | pd.DatetimeTZDtype):
        return ColumnKind(why="dates")
    if not column.notna().any():
        return ColumnKind(why="empty")
    if pd.api.types.is_complex_dtype(dtype):
        return ColumnKind(why="complex numbers")
    if pd.api.types.is_numeric_dtype(dtype):
        return _of_numbers(name, column)
    if isinstance(dtype, pd.CategoricalDtype):
        return _of_levels(column)
    return _of_text(column)


def _of_numbers(name: str, column: pd.Series[Any]) -> ColumnKind:
    values = column.dropna().to_numpy(dtype=np.float64)
    if values.min() == values.max():
        return ColumnKind(why="one value")
    whole = np.isfinite(values).all() and bool((values == np.floor(values)).all())
    n_values = len(np.unique(values))
    if whole and len(values) >= FEWEST_OF_A_KEY:
        counted = values.max() - values.min() == len(values) - 1
        if n_values == len(values) and (counted or KEY_NAME.search(name)):
            return ColumnKind(why=KEY)
        if 2 * n_values > len(values) and SURELY_A_KEY.search(name):
            return ColumnKind(why=f"{KEY_LIKE}: {n_values} values in {len(values)} rows")
    if np.isin(values, (0.0, 1.0)).all():
        return YES_OR_NO
    return COUNTS if whole and _are_counts(values) else NUMBER


def _are_counts(values: Array) -> bool:
    """Whether whole numbers may be counts of a mixture of Poisson distributions.

    They begin at 0, most numbers up to the largest occur, and they vary as much as their mean, or
    less by chance: grades, years and amounts of money do not.
    """
    if values.min() != 0.0:
        return False
    n_values = len(np.unique(values))
    least = values.mean() * (1.0 - CHANCE * np.sqrt(2.0 / len(values)))
    filled = n_values >= FEWEST_COUNTS and n_values >= LEAST_FILLED * (values.max() + 1.0)
    return bool(filled and values.var() >= least)


def _of_text(column: pd.Series[Any]) -> ColumnKind:
    import pandas as pd

    present = column.dropna()
    if not present.map(lambda value: isinstance(value, str)).all():
        kinds = {type(value).__name__ for value in present}
        if kinds <= {"bool", "int", "float"} and "bool" not in kinds:
            return NUMBER
        if not kinds <= {"bool", "int", "float", "str"}:
            return ColumnKind(why=f"neither numbers nor text ({', '.join(sorted(kinds))})")
    text = present.astype(str).str.strip()
    numbers = pd.to_numeric(text, errors="coerce")
    share = float(numbers.notna().mean())
    if share > MOSTLY_NUMBERS:
        wrong = text[numbers.isna()]
        cells = ", ".join(
            f"{value!r} in row {place}"
            for place, value in zip(wrong.index[:CELLS_NAMED], wrong, strict=False)
        )
        more = f" and {len(wrong) - CELLS_NAMED} more" if len(wrong) > CELLS_NAMED else ""
        return ColumnKind(why=f"numbers but for {cells}{more}: {MEND}")
    if way := _way_of_writing(text):
        return ColumnKind(why=f"{way}: {MEND}")
    if text.str.contains(DATE_LIKE).all() and _are_dates(text):
        return ColumnKind(why="dates")
    return _of_levels(column)


def _way_of_writing(text: pd.Series[Any]) -> str:
    """How numbers are written that are no plain ones, with the first; empty where they are none."""
    for pattern, how in WAYS_OF_WRITING:
        written = text.str.fullmatch(pattern)
        if float(written.mean()) > MOSTLY_NUMBERS:
            first = int(np.argmax(written.to_numpy()))
            return f"numbers with {how}, as {text.iloc[first]!r} in row {text.index[first]}"
    return ""


def _are_dates(text: pd.Series[Any]) -> bool:
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(pd.to_datetime(text, errors="coerce", format="mixed").notna().all())


def _of_levels(column: pd.Series[Any]) -> ColumnKind:
    levels, n_rows = levels_of(column), int(column.notna().sum())
    if len(levels) == 1:
        return ColumnKind(why="one value")
    if n_rows >= FEWEST_OF_A_KEY and len(levels) == n_rows:
        return ColumnKind(why=KEY)
    if n_rows >= FEWEST_OF_A_KEY and 2 * len(levels) > n_rows:
        return ColumnKind(why=f"{KEY_LIKE}: {len(levels)} levels in {n_rows} rows")
    return ColumnKind(levels)


def levels_of(column: pd.Series[Any]) -> tuple[Level, ...]:
    """The levels that occur, in the order of a categorical type, else sorted."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        there = set(column.dropna())
        return tuple(level for level in _declared(column) if level in there)
    found = [_plain(level) for level in column.dropna().unique()]
    return tuple(sorted(found, key=lambda level: (isinstance(level, str), level)))


def declared_levels(name: str, column: pd.Series[Any]) -> tuple[Level, ...]:
    """Those of a column that is said to be levels: of a categorical type all that it has.

    Raises ``InvalidInputError`` where they are too many for levels.
    """
    import pandas as pd

    of_type = isinstance(column.dtype, pd.CategoricalDtype)
    levels = _declared(column) if of_type else levels_of(column)
    if len(levels) > MOST_LEVELS:
        raise InvalidInputError(
            f"X has {len(levels)} different values in column {name!r} for a Categorical family: "
            "leave out keys, and give measurements another family"
        )
    return levels


def _declared(column: pd.Series[Any]) -> tuple[Level, ...]:
    return tuple(map(_plain, column.cat.categories))


def _plain(level: Any) -> Level:
    """A scalar of Python's own, which a file can hold; whole numbers without a point."""
    plain: Level = level.item() if isinstance(level, np.generic) else level
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain
