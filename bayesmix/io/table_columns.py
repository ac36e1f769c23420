"""Types of table columns (numbers, counts, levels, or unusable), and frames as numbers."""

from __future__ import annotations

import difflib
import re
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.core.coding import NAMED, Coding, Level, codes_of
from bayesmix.errors import BayesmixWarning, InvalidInputError, warn
from bayesmix.numerics.arrays import Array
from bayesmix.sources.memory import ArraySource

# Text columns with at least this share of numbers are numeric with a few invalid cells.
MOSTLY_NUMBERS = 0.5
# From this many rows on, a column of unique values is an identifier; fewer may differ by chance.
FEWEST_OF_A_KEY = 10
CELLS_NAMED = 3
MEND = "correct these cells, or treat the column as categorical"
# Two values are a category, coded as numbers.
FEWEST_COUNTS = 3
LEAST_FILLED = 0.5
# Standard errors of a Poisson sample's variance, relative to its mean.
CHANCE = 3.0
# Columns with more distinct values are identifiers or measurements, not categories.
MOST_LEVELS = 1000
KEY_LIKE = "looks like an identifier"
KEY = f"{KEY_LIKE}: all values are unique"
# An identifier by its name may have a few duplicates.
SURELY_A_KEY = re.compile(r"(^|[_\W])(id|key|uuid)$", re.IGNORECASE)
KEY_NAME = re.compile(r"(^|[_\W])(id|key|uuid|index|nr|no|row|rownames)$", re.IGNORECASE)
# Number formats of reports, which are not parsed: a comma may be either sign.
WAYS_OF_WRITING = (
    (r"[-+]?\d[\d.,]*\s?%", "percent signs"),
    (r"[€$£¥]\s?[-+]?\d[\d.,']*|[-+]?\d[\d.,' ]*\s?([€$£¥]|EUR|USD|GBP|CHF)", "currency signs"),
    (
        r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?|[-+]?\d{1,3}([' \u00a0\u202f]\d{3})+([.,]\d+)?"
        r"|[-+]?\d{1,3}(\.\d{3}){2,}(,\d+)?|[-+]?\d{1,3}(\.\d{3})+,\d+",
        "thousands separators",
    ),
    (r"[-+]?\d*,\d+", "decimal commas"),
)
# Minimum content of a date: three groups of digits, or the name of a month.
DATE_LIKE = re.compile(r"\d+\D\d+\D\d+|\d+\W*[A-Za-z]{3,9}\W*\d+|[A-Za-z]{3,9}\W*\d+\W+\d+")


@dataclass(frozen=True)
class ColumnKind:
    """Type of a column: ``levels`` if categorical, ``why`` if left out."""

    levels: tuple[Level, ...] | None = None
    why: str = ""
    counts: bool = False
    yes_or_no: bool = False  # the numbers 0 and 1


NUMBER = ColumnKind()
COUNTS = ColumnKind(counts=True)
YES_OR_NO = ColumnKind(yes_or_no=True)


def kind_of(name: str, column: pd.Series[Any]) -> ColumnKind:
    """Return the type of a column from its dtype and values."""
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
    """Whether integers may be counts of a mixture of Poisson distributions.

    Counts start at 0, include most numbers up to the largest, and their variance is at least the
    mean up to chance. Grades, years and amounts of money are not counts.
    """
    if values.min() != 0.0:
        return False
    n_values = len(np.unique(values))
    least = values.mean() * (1.0 - CHANCE * np.sqrt(2.0 / len(values)))
    filled = n_values >= FEWEST_COUNTS and n_values >= LEAST_FILLED * (values.max() + 1.0)
    return bool(filled and values.var() >= least)


def _of_text(column: pd.Series[Any]) -> ColumnKind:
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
    if share == 1.0:
        return ColumnKind(
            why="numbers stored as text: convert them with pandas.to_numeric, or treat the column "
            "as categorical"
        )
    if share > MOSTLY_NUMBERS:
        return ColumnKind(why=f"numbers except {_cells(text[numbers.isna()])}: {MEND}")
    if way := _way_of_writing(text):
        return ColumnKind(why=f"{way}: {MEND}")
    if text.str.contains(DATE_LIKE).all() and _are_dates(text):
        return ColumnKind(why="dates")
    return _of_levels(column)


def _cells(wrong: pd.Series[Any]) -> str:
    """List the first cells with their rows."""
    pairs = zip(wrong.index[:CELLS_NAMED], wrong, strict=False)
    cells = ", ".join(f"{value!r} in row {place}" for place, value in pairs)
    more = len(wrong) - CELLS_NAMED
    return f"{cells} and {more} more" if more > 0 else cells


def _way_of_writing(text: pd.Series[Any]) -> str:
    """Describe the number format of text that is not plain numbers, with cells, or ""."""
    plain = text.str.fullmatch(r"[-+]?\d+([.,]\d+)?")
    for pattern, how in WAYS_OF_WRITING:
        written = text.str.fullmatch(pattern)
        if float(written.mean()) > MOSTLY_NUMBERS:
            wrong = text[~written & ~plain]
            if len(wrong):
                return f"numbers with {how} except {_cells(wrong)}"
            first = int(np.argmax(written.to_numpy()))
            return f"numbers with {how}, as {text.iloc[first]!r} in row {text.index[first]}"
    return ""


def _are_dates(text: pd.Series[Any]) -> bool:
    with warnings.catch_warnings(action="ignore"):
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
    """Return the observed levels, in the order of a categorical dtype, otherwise sorted."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        there = set(column.dropna())
        return tuple(level for level in _declared(column) if level in there)
    found = [_plain(level) for level in column.dropna().unique()]
    return tuple(sorted(found, key=lambda level: (isinstance(level, str), level)))


def declared_levels(name: str, column: pd.Series[Any]) -> tuple[Level, ...]:
    """Return the levels of a declared categorical column; all levels of a categorical dtype.

    Raises ``InvalidInputError`` if there are too many for levels.
    """
    of_type = isinstance(column.dtype, pd.CategoricalDtype)
    levels = _declared(column) if of_type else levels_of(column)
    if len(levels) > MOST_LEVELS:
        raise InvalidInputError(
            f"X has {len(levels)} different values in column {name!r} for a Categorical family: "
            "drop identifiers, and use another family for measurements"
        )
    return levels


def _declared(column: pd.Series[Any]) -> tuple[Level, ...]:
    return tuple(map(_plain, column.cat.categories))


def _plain(level: Any) -> Level:
    """Return a Python scalar that can be saved; integers without a decimal point."""
    plain: Level = level.item() if isinstance(level, np.generic) else level
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain


ROWS_NAMED = 5
PIECE = 2**18


def source_of(
    path: str, frame: pd.DataFrame, columns: list[Any] | None, weight: Any, gaps: bool = False
) -> ArraySource:
    """Return checked values and names of the columns; ``gaps`` allows missing values."""
    names = [str(name) for name in frame.columns]
    check_names(path, names, columns or [], weight)
    if not len(frame):
        raise InvalidInputError(f"{path} must contain rows, but has only column names")
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
        rows = range(1, len(frame) + 1)
        found = [
            f"{name!r} ({kind_of(name, column).why or 'text'})"
            for name, (_, column) in zip(names, frame.set_axis(rows).items(), strict=True)
        ]
        raise InvalidInputError(
            f"{path} must have a numeric column, but has {listed(found, quote=False)}"
        )
    used = [*wanted, *([] if weight is None else [weight])]
    times = Counter(names)
    if repeated := sorted({name for name in used if times[name] > 1}):
        raise InvalidInputError(
            f"the columns of {path} must have unique names, but more than one is called "
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
    """Whether a column of this dtype contains real numbers."""
    return getattr(dtype, "kind", "O") in "fiub"


def _numbers(column: pd.Series[Any]) -> Array:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def check_names(
    path: str, names: list[str], columns: list[Any], weight: Any, asked: str = "columns"
) -> None:
    """Raise an error for columns or a weight that are missing from the file or named twice."""
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
        raise InvalidInputError(f"weight must not be one of the columns to fit, but {weight!r} is")


def _not_numeric(path: str, argument: str, name: str, column: pd.Series[Any]) -> str:
    wrong = np.asarray(pd.to_numeric(column, errors="coerce").isna() & column.notna())
    text = f"{argument} must be numeric, but {name!r} in {path} is not"
    if not wrong.any():
        return f"{text}: its type is {column.dtype}"
    row = int(np.flatnonzero(wrong)[0])
    return (
        f"{text}: {int(wrong.sum()):,} of {len(wrong):,} values are not numbers, the first is "
        f"{column.iloc[row]!r} in row {row + 1}"
    )


def check_values(path: str, values: Any, names: Sequence[str], gaps: bool = False) -> None:
    """Raise an error that names rows with infinite values or, unless ``gaps``, missing ones."""
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
                f"{path} must have no {what} values, but {n_found:,} of {len(values):,} rows have "
                f"some: {listed(found, total=n_found, quote=False)}, counted from 1; {remedy}"
            )


def checked_weights(path: str, name: Any, weights: Array) -> Array:
    """Return weights that are finite, nonnegative and not all zero."""
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
    """Return at most a few words as part of a sentence."""
    shown = [repr(word) if quote else word for word in words[:ROWS_NAMED]]
    more = (len(words) if total is None else total) - len(shown)
    if more > 0:
        shown.append(f"{more:,} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {joint} {shown[-1]}"


def is_frame(X: Any) -> bool:
    """Whether data are a pandas frame, or can be converted to one."""
    return hasattr(X, "columns") and (hasattr(X, "iloc") or hasattr(X, "to_pandas"))


def as_pandas(X: Any) -> pd.DataFrame:
    """Return a frame with names as text and numbers in native byte order."""
    frame: Any = X if hasattr(X, "iloc") else _of_another_kind(X)
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInputError(f"columns must have unique names, got {twice[0]!r} twice")
    named: pd.DataFrame = frame.set_axis(names, axis=1)
    turned = {
        name: kind.newbyteorder("=")
        for name, kind in named.dtypes.items()
        if isinstance(kind, np.dtype) and not kind.isnative
    }
    return named.astype(turned) if turned else named


def _of_another_kind(X: Any) -> Any:
    if not hasattr(X, "get_columns"):
        return X.to_pandas()
    # Polars requires another package for this.
    return pd.DataFrame({name: X[name].to_list() for name in X.columns})


def is_plain(X: Any) -> bool:
    """Whether all columns of a frame are numeric."""
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
    """Return a frame as numbers: columns by detected or declared type.

    Unusable columns are left out, unless ``wanted`` names them, which is an error. Columns of 0 and
    1 are levels, unless ``wanted`` names columns.
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
                    f"column {name!r} of X is neither numeric nor categorical: {kind.why}"
                )
            left_out.append((name, kind.why))
            continue
        kept.append(name)
        levels.append(own)
        if own is None and kind.counts:
            counted.append(name)
    if not kept:
        why = ", ".join(f"{name} ({why})" for name, why in left_out[:NAMED])
        raise InvalidInputError(f"X has no column that can be used: {why}")
    coding = Coding(tuple(kept), tuple(levels), tuple(left_out), tuple(counted))
    return recoded(frame, coding), coding


def recoded(X: Any, coding: Coding) -> pd.DataFrame:
    """Return the columns of a coding as numbers, NaN if missing; unknown levels are an error."""
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
    """Return a table of levels as codes, by default of the levels of the dtype, or observed."""
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
    """Warn about columns that the fit did not use."""
    known = {*coding.names, *(name for name, _ in coding.left_out)}
    extra = [str(name) for name in X.columns if str(name) not in known]
    if extra:
        warn(f"columns that were not in the fit are ignored: {', '.join(extra)}", BayesmixWarning)
