"""What each column of a table is: continuous, counts, ratings, categorical, or left out.

One function, ``kinds_of``, decides for frames and files, from names, dtypes and values of all rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from scipy.special import chdtrc

from bayesmix.core.missing_marks import CELLS_NAMED, is_mark, is_missing
from bayesmix.data.answers_in_words import UNORDERED, except_for, in_order, ranked
from bayesmix.data.circles import Turn, declared_turn, is_circle, turn_of
from bayesmix.data.column_doubts import (
    FEWEST_ROWS,
    MOST_RATINGS,
    linear_functions,
    odd_levels,
    outlying,
    rare_zero,
    unanswered,
)
from bayesmix.data.column_names import NameHint, hint_of
from bayesmix.data.numbers_in_text import (
    AMOUNT,
    HOW_TIMES,
    amounts,
    are_marks,
    as_numbers,
    listed_cells,
    missing_words,
    present_cells,
    stripped,
)
from bayesmix.data.table_rows import summary_rows
from bayesmix.errors import InvalidInputError
from bayesmix.families.coding import (
    AS_REQUESTED,
    CIRCULAR,
    KINDS,
    NOT_TICKED,
    TICKED,
    ZERO_ONE,
    Level,
    brief,
)
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.rounding import grids_of

# Text columns with at least this share of numbers are numeric with a few invalid cells.
MOSTLY_NUMBERS = 0.5
MEND = (
    "correct these cells, read the file with na=['{}'] if they mean missing, "
    "or treat the column as categorical"
)
# Columns with more distinct values are identifiers or measurements, not categories.
MOST_LEVELS = 1000
KEY_LIKE = "looks like an identifier"
ROW_NUMBERS = "row numbers"

# Numbers that only label differ in most rows, or have many digits: the number of an order may
# repeat, and so does a number of orders.
MOSTLY_UNIQUE, SMALLEST_LABEL = 0.8, 1000
SMALLEST_PHONE = 100_000
# Days of a spreadsheet, years with month and day, and seconds.
SMALLEST_DATE = 10_000
A_WEIGHT = "if these are weights of the rows, pass them as sample_weight"
A_SCALE = "read as missing, or as an ordered category"
ONE_VALUE = "one value"
# Cells of an option that respondents tick, in lower-case letters, beside blank ones.
TICKS = {
    "x",
    "1",
    "true",
    "t",
    "yes",
    "y",
    "\u2713",
    "\u2714",
    "checked",
    "selected",
    "ja",
    "si",
    "oui",
}

YEARS = (1800, 2100)
# A time such as "9.12" among hundreds as "9:12" is a mistake: of few texts all must be dates. The
# last texts tell most columns without any.
MOSTLY_DATES, TOLD_BY = 0.9, 20
# Fewer levels, or columns with the same levels, show no scale.
FEWEST_OF_A_SCALE = 3
# Counts of which 5 % are below 5 are near zero. Others, as Poisson counts of mean 10 or more,
# are nearly normal, and so are measurements in whole units, which depend on other columns.
NEAR_ZERO = 5
# Counts begin near zero, fill half of the range up to their 95 % quantile, and their largest value
# is rare, unlike the numbers of groups.
LARGEST_START = 2
LEAST_FILLED = 0.5
MOST_COUNTED = 100
# Counts of few levels have a long tail: fewer values in the upper half of the range from 0.
LEAST_IN_UPPER_HALF = 0.05
# Share of a block of integers that are counts by their values alone, though all are measurements.
MOST_LIKE_COUNTS = 0.25
# Standard errors of a Poisson sample's variance, relative to its mean.
CHANCE = 3.0
# Level of the test of overdispersion. A false alarm costs a size near the Poisson limit, a miss
# costs components that describe the dispersion.
LEVEL = 0.01

PLAIN_VALUES = (str, Real, Decimal, np.bool_)  # what a column of objects may contain
CONTINUOUS, COUNTS, RATINGS, CATEGORICAL, LEFT_OUT = KINDS


@dataclass(frozen=True)
class ColumnKind:
    """Kind of a column, its reason, and what is odd.

    Categories and ratings have ``levels``, columns on a circle their ``turn``.
    """

    kind: str
    reason: str = ""
    levels: tuple[Level, ...] | None = None
    doubt: str = ""
    turn: Turn | None = None

    @property
    def why(self) -> str:
        """Why the column is left out, or ""."""
        return self.reason if self.kind == LEFT_OUT else ""


def _out(why: str) -> ColumnKind:
    return ColumnKind(LEFT_OUT, why)


def kinds_of(frame: pd.DataFrame, declared: Mapping[str, str]) -> dict[str, ColumnKind]:
    """Return the kind of each column, declared or by rule.

    Columns on one scale of answers are recognised together.
    """
    kinds: dict[str, ColumnKind] = {}
    scales: dict[str, tuple[Array, Array]] = {}
    for name, column in frame.items():
        name = str(name)
        if name in declared:
            kinds[name] = _declared_kind(name, column, declared[name])
            continue
        kinds[name] = kind_of(name, column)
        numbers = as_numbers(column) if kinds[name].kind == CONTINUOUS else None
        if numbers is not None and (scale := _scale(name, numbers.dropna().to_numpy())) is not None:
            scales[name] = scale, numbers.dropna().to_numpy()
        elif (
            numbers is not None
            and not kinds[name].doubt  # values that may mean missing have no step with others
            and (few := _few_values(name, numbers.dropna().to_numpy()))
        ):
            reason = f"{len(few)} values from {few[0]:g} to {few[-1]:g} without a common step"
            kinds[name] = replace(kinds[name], kind=RATINGS, reason=reason, levels=few)
    for name in _in_blocks_of_counts(frame, kinds, declared):
        scales.pop(name, None)
        reason = "integers, as in columns beside it"
        kinds[name] = ColumnKind(COUNTS, reason, doubt=kinds[name].doubt)
    for name in _in_whole_units(frame, kinds, {*declared, *scales}):
        reason = "integers, as the measurements beside it"
        kinds[name] = ColumnKind(CONTINUOUS, reason, doubt=kinds[name].doubt)
    for name, (levels, values) in scales.items():
        alike = sum(_share(levels, scale) for scale, _ in scales.values())
        together = alike >= FEWEST_OF_A_SCALE
        if together or len(values) >= FEWEST_ROWS * len(levels):
            reason = f"{len(levels)} levels from {levels[0]:g} to {levels[-1]:g}"
            reason += ", as in other columns" if together else ""
            kinds[name] = replace(
                kinds[name], kind=RATINGS, reason=reason, levels=tuple(map(_plain, levels))
            )
    of_one_value = [name for name, kind in kinds.items() if kind.why == ONE_VALUE]
    for name, tick in _ticks(frame[of_one_value]).items():
        kinds[name] = ColumnKind(CATEGORICAL, TICKED, (NOT_TICKED, tick))
    groups: dict[bytes, str] = {}
    for name, kind in kinds.items():
        if kind.levels and kind.levels != (0, 1):  # such columns are compared below
            first = groups.setdefault(pd.factorize(frame[name])[0].tobytes(), name)
            doubt = "" if first == name else f"the same groups as {first}: leave one of them out"
            kinds[name] = replace(kind, doubt=kind.doubt or doubt)
    given = {
        name: as_numbers(frame[name])
        for name, kind in kinds.items()
        if kind.kind in (CONTINUOUS, COUNTS, RATINGS) or kind.levels == (0, 1)
    }
    counted = {name: column.to_numpy() for name, column in given.items() if column is not None}
    for row in summary_rows(frame):
        kind = kinds[row.column]
        kinds[row.column] = replace(kind, doubt=kind.doubt or row.doubt)
    # Fits say that continuous columns are dependent.
    if any(kinds[name].kind != CONTINUOUS for name in counted):
        for names, doubt in linear_functions(counted).items():
            if {kinds[name].kind for name in names} != {CONTINUOUS} and not kinds[names[0]].doubt:
                kinds[names[0]] = replace(kinds[names[0]], doubt=doubt)
    return kinds


def _in_blocks_of_counts(
    frame: pd.DataFrame, kinds: Mapping[str, ColumnKind], declared: Mapping[str, str]
) -> list[str]:
    """Return the columns that are no counts by themselves, in blocks of which most columns are.

    A block has adjacent columns of one dtype with integers from 0 on, and names that say of what
    the numbers are (``NameHint.in_block_with``).
    """
    usable = {
        name for name in kinds if name not in declared and _may_be_counted(name, frame, kinds)
    }
    found: list[str] = []
    for block in _blocks(
        frame, usable, lambda one, other: hint_of(one).in_block_with(hint_of(other))
    ):
        others = [name for name in block if kinds[name].kind != COUNTS]
        found += others if 2 * len(others) < len(block) else []
    return found


def _in_whole_units(
    frame: pd.DataFrame, kinds: Mapping[str, ColumnKind], decided: Collection[str]
) -> list[str]:
    """Return counts by their values alone, among measurements in whole units.

    Of adjacent columns of one dtype with integers from 0 on, whose names say nothing, at most
    ``MOST_LIKE_COUNTS`` look like counts. ``decided`` are columns whose kind is known: declared
    ones and answers.
    """
    usable = {
        name
        for name, kind in kinds.items()
        if kind.kind in (COUNTS, CONTINUOUS) and name not in decided
        if _may_be_counted(name, frame, kinds) and not hint_of(name).is_count
    }
    found: list[str] = []
    for block in _blocks(frame, usable, lambda one, other: True):
        counts = [name for name in block if kinds[name].kind == COUNTS]
        found += counts if len(counts) <= MOST_LIKE_COUNTS * len(block) else []
    return found


def _blocks(
    frame: pd.DataFrame, usable: Collection[str], together: Callable[[str, str], bool]
) -> list[list[str]]:
    """Return runs of adjacent usable columns of one dtype that belong together in pairs."""
    blocks: list[list[str]] = [[]]
    for name in map(str, frame):
        last = blocks[-1]
        if name not in usable:
            blocks.append([])
        elif (
            last
            and frame[last[-1]].dtype == frame[name].dtype
            and all(together(other, name) for other in last)
        ):
            last.append(name)
        else:
            blocks.append([name])
    return blocks


def _may_be_counted(name: str, frame: pd.DataFrame, kinds: Mapping[str, ColumnKind]) -> bool:
    """Whether a column has integers from 0 on that neither its name nor its levels speak for."""
    kind, hint, column = kinds[name], hint_of(name), frame[name]
    usable = kind.kind in (COUNTS, CONTINUOUS) or kind.levels == (0, 1)
    if not usable or not is_numeric_dtype(column.dtype) or is_bool_dtype(column.dtype):
        return False
    if hint.is_measure or hint.is_group or hint.is_label or hint.is_code:
        return False
    values = column.dropna().to_numpy(dtype=np.float64)
    return bool(len(values) and (values >= 0.0).all() and (values == np.floor(values)).all())


def _ticks(columns: pd.DataFrame) -> dict[str, Level]:
    """Return the only value of each column of one value that is an option, ticked or blank.

    The value is a tick or in the name of the column, or several columns have blank cells of
    different rows; otherwise it is a constant with missing values.
    """
    ticks: dict[str, Level] = {}
    blanks = {str(name): column.map(is_missing) for name, column in columns.items()}
    several = len({blank.to_numpy().tobytes() for blank in blanks.values() if blank.any()}) > 1
    for name, blank in blanks.items():
        column = columns[name]
        cells = column[~blank].map(str).map(str.strip)
        if not blank.any() or cells.map(is_mark).any() or cells.nunique() != 1:
            continue
        (tick,) = levels_of(column)
        text = cells.iloc[0].lower().removesuffix(".0")
        words = text.isalpha() or " " in text
        named = words and (text in name.lower() or name.lower() in text)
        if text in TICKS or named or (several and words):
            ticks[name] = tick
    return ticks


def with_blank(column: pd.Series[Any], levels: tuple[Level, ...]) -> tuple[Level, ...]:
    """Return the levels of a categorical column; beside a single one, blank cells are a level."""
    blank = len(levels) == 1 and bool(column.map(is_missing).any())
    return (NOT_TICKED, *levels) if blank else levels


def kind_of(name: str, column: pd.Series[Any]) -> ColumnKind:
    """Return the kind of a single column by dtype, name and values, without scales of numbers."""
    dtype = column.dtype
    if is_bool_dtype(dtype):
        return _of_levels(name, column) if column.nunique() > 1 else _out(ONE_VALUE)
    if dtype.kind in "mM" or isinstance(dtype, pd.PeriodDtype | pd.DatetimeTZDtype):
        return _out("dates")
    if not column.notna().any():
        return _out("empty")
    if not name or name.startswith("Unnamed: "):
        return _out(ROW_NUMBERS if column.is_unique else "no name")
    if pd.api.types.is_complex_dtype(dtype):
        return _out("complex numbers")
    if is_numeric_dtype(dtype):
        return _of_numbers(name, column.dropna().to_numpy(dtype=np.float64), len(column))
    if isinstance(dtype, pd.CategoricalDtype):
        kind, levels = _of_levels(name, column), levels_of(column)
        ordered = dtype.ordered and kind.kind != LEFT_OUT and len(levels) > 2
        return ColumnKind(RATINGS, levels=levels) if ordered else kind
    return _of_text(name, column)


def _declared_kind(name: str, column: pd.Series[Any], kind: str) -> ColumnKind:
    """Return a kind that the user named."""
    if kind == LEFT_OUT:
        return _out(AS_REQUESTED)
    if kind == CATEGORICAL:
        levels = with_blank(column, declared_levels(name, column, marks=True))
        return ColumnKind(CATEGORICAL, AS_REQUESTED, levels)
    if kind == RATINGS:
        numbers = as_numbers(column)
        levels = declared_levels(name, column if numbers is None else numbers)
        ordered = numbers is not None or getattr(column.dtype, "ordered", False)
        doubt = f"levels are in alphabetical order; if they have another, {UNORDERED}"
        doubt = "" if ordered or ranked(levels)[1] else doubt
        return ColumnKind(RATINGS, AS_REQUESTED, levels, doubt)
    if is_circle(kind):
        numbers = as_numbers(column)
        if numbers is None:
            raise InvalidInputError(
                f"a circular column must have numbers, but {name!r} of X has other cells"
            )
        values = numbers.dropna().to_numpy()
        turn = declared_turn(name, kind, hint_of(name), values)
        return ColumnKind(CIRCULAR, AS_REQUESTED, turn=turn)
    return ColumnKind(kind, AS_REQUESTED)


def _of_numbers(name: str, values: Array, size: int, clock: bool = False) -> ColumnKind:
    """Return the kind of numbers that are not missing among ``size`` (rules 4 to 7, 9 and 10)."""
    if size > 1 and values.min() == values.max():
        return _out(ONE_VALUE)
    whole = bool((np.isfinite(values) & (values == np.floor(values))).all())
    levels, n, hint = np.unique(values), len(values), hint_of(name)
    if n >= FEWEST_ROWS and (why := _numbered(hint, values, levels, whole)):
        return _out(why)
    turn = turn_of(hint, values, clock) if n >= FEWEST_ROWS and np.isfinite(values).all() else None
    if turn is not None:
        return ColumnKind(CIRCULAR, turn.words, turn=turn)
    if np.isin(levels, (0.0, 1.0)).all():
        return ColumnKind(CATEGORICAL, ZERO_ONE, (0, 1))
    plain = tuple(map(_plain, levels))
    if n >= FEWEST_ROWS:
        if len(levels) == 2:
            return ColumnKind(CATEGORICAL, f"{levels[0]:g} and {levels[1]:g}", plain)
        if whole and _are_codes(hint, levels):
            why = _unusable(hint, "values", len(levels), n)
            return _out(why) if why else _of_codes("codes of groups", plain, n)
    weights = hint.is_weight and levels[0] >= 0.0
    doubt = outlying(values, levels) or (A_WEIGHT if weights else "")
    if not (doubt or hint.is_count):
        doubt = rare_zero(values, levels)
    if whole and not doubt and _within_groups(hint, values, levels):
        doubt = "numbers the rows within groups: leave it out unless it was measured"
    counted = whole and (hint.is_count or not (hint.is_measure or hint.is_group or hint.is_label))
    if counted and _are_counts(hint.is_count, values, levels):
        reason = f"integers from {levels[0]:g} to {levels[-1]:g}"
        return ColumnKind(COUNTS, reason, doubt=doubt)
    return ColumnKind(CONTINUOUS, doubt=doubt)


def _numbered(hint: NameHint, values: Array, levels: Array, whole: bool) -> str:
    """Return why numbers are no measurements but dates, or integers that number, or ""."""
    n, n_levels = len(values), len(levels)
    if hint.is_date and np.median(levels) >= SMALLEST_DATE:
        return "dates"
    if not whole:
        return ""
    if hint.is_year_of_observation and YEARS[0] <= levels[0] and levels[-1] <= YEARS[1]:
        return "years"
    in_order = np.ptp(np.diff(values)) == 0.0
    if n_levels == n and np.ptp(levels) == n - 1 and (in_order or levels[0] > n):
        return ROW_NUMBERS if levels[0] in (0, 1) else f"{KEY_LIKE}: consecutive numbers"
    many = n_levels > MOST_RATINGS and (hint.is_key or np.median(levels) >= SMALLEST_LABEL)
    if hint.is_label and (many or n_levels >= MOSTLY_UNIQUE * n):
        return _unique("values", n_levels, n)
    if hint.is_counter and _within_groups(hint, values, levels):
        return f"{ROW_NUMBERS} within groups, from {levels[0]:g} to {levels[-1]:g}"
    if hint.is_phone and n_levels > MOST_RATINGS and np.median(levels) >= SMALLEST_PHONE:
        return f"{KEY_LIKE}: the name is that of a telephone"
    return ""


def _unique(what: str, n_levels: int, n_rows: int) -> str:
    """Return that a column looks like an identifier, with the numbers of its values and rows."""
    seen = f"all {what} are unique" if n_levels == n_rows else f"{n_levels} {what} in {n_rows} rows"
    return f"{KEY_LIKE}: {seen}"


def _are_codes(hint: NameHint, levels: Array) -> bool:
    """Whether integers are identifiers, or codes of groups, as their name says."""
    if levels[0] < 0.0:
        return False
    few = len(levels) <= MOST_RATINGS
    return hint.is_key or hint.is_code or hint.is_place or (few and hint.is_group)


def _unusable(hint: NameHint, what: str, n_levels: int, n_rows: int) -> str:
    """Return why texts or codes are no categories, or ""."""
    if n_levels == n_rows or (hint.is_key and n_levels > MOST_RATINGS):
        return _unique(what, n_levels, n_rows)
    if 2 * n_levels > n_rows or (what == "values" and n_levels > MOST_LEVELS):
        seen = f"{n_levels} values in {n_rows} rows"
        return f"free text: {seen}" if what == "texts" else f"{KEY_LIKE}: {seen}"
    return ""


def _of_codes(reason: str, levels: tuple[Level, ...], n_rows: int, doubt: str = "") -> ColumnKind:
    """Return the kind of a column of levels, with a doubt if they are many."""
    if not doubt and len(levels) > MOST_RATINGS and n_rows < FEWEST_ROWS * len(levels):
        doubt = f"{len(levels)} levels in {n_rows} rows: make rare ones one level, or leave it out"
    return ColumnKind(CATEGORICAL, reason, levels, doubt)


def _within_groups(hint: NameHint, values: Array, levels: Array) -> bool:
    """Whether integers number the rows of each of several groups, from 0 or 1."""
    n_levels = len(levels)
    if n_levels <= MOST_RATINGS or not n_levels < len(values):
        return False
    if levels[0] not in (0, 1) or np.ptp(levels) != n_levels - 1:
        return False
    # In the order of the rows each number follows the one before, or begins again.
    following = (values[1:] == values[:-1] + 1) | (values[1:] == levels[0])
    if following.all() and not hint.is_time:
        return True
    # In another order, each group that has a number has all smaller ones.
    times = np.unique(values, return_counts=True)[1]
    return hint.is_counter and bool((np.diff(times) <= 0).all())


def _are_counts(named: bool, values: Array, levels: Array) -> bool:
    """Whether integers may be counts of a mixture of Poisson distributions.

    Their variance is at least the mean, up to chance. Grades, years and amounts are not counts.
    """
    quantile = np.quantile(values, 0.95, method="higher")
    if not 0 <= levels[0] <= LARGEST_START or quantile >= MOST_COUNTED:
        return False
    if not named and np.quantile(values, 0.05) >= NEAR_ZERO:
        return False
    tailed = levels[0] == 0 and 2 * levels[-1] > MOST_RATINGS
    tailed = tailed and np.mean(2 * values > levels[-1]) < LEAST_IN_UPPER_HALF
    few = len(levels) <= MOST_RATINGS and not (named and len(levels) >= FEWEST_OF_A_SCALE)
    if few and not tailed:
        return False
    filled = np.count_nonzero(levels <= quantile) >= LEAST_FILLED * (quantile + 1.0)
    # The largest tenth of the values, at least one: months from 1 to 100 end, counts trail off.
    largest = levels[-max(1, len(levels) // 10) :]
    n_largest = np.count_nonzero(values >= largest[0])
    rare = named or 2 * n_largest * len(levels) <= len(values) * len(largest)
    least = values.mean() * (1.0 - CHANCE * np.sqrt(2.0 / len(values)))
    return bool(filled and rare and values.var() >= least)


def overdispersion(values: Array) -> float | None:
    """Return variance / mean of counts, NaN if missing; None if it may be 1, as of a Poisson.

    The index of dispersion Σ (x - m)² / m is compared with χ² of n - 1 degrees of freedom (Fisher
    1950), at the level ``LEVEL``.
    """
    values = values[~np.isnan(values)]
    mean = values.mean() if len(values) else 0.0
    if not mean > 0.0:
        return None
    index, free = float(((values - mean) ** 2).sum() / mean), len(values) - 1.0
    return index / free if chdtrc(free, index) < LEVEL else None


def _scale(name: str, values: Array) -> Array | None:
    """Return the equally spaced levels of values that may be answers on a scale."""
    levels = np.unique(values)
    if not FEWEST_OF_A_SCALE <= len(levels) <= MOST_RATINGS or not np.isfinite(levels).all():
        return None
    if hint_of(name).is_measure:
        return None
    step = np.diff(levels).min()
    half = step == 0.5 and levels[0] >= 0.0
    places = levels / step
    whole = half or bool((levels == np.floor(levels)).all())
    if not whole or step >= MOST_RATINGS or np.abs((places - places[0]) % 1.0).max() > 0.0:
        return None
    if abs(places[0]) >= MOST_RATINGS or places[-1] - places[0] >= MOST_RATINGS:
        return None
    return np.arange(places[0], places[-1] + 1.0) * step


def _few_values(name: str, values: Array) -> tuple[Level, ...]:
    """Return few values, each of many rows, without a common step; () if there are others.

    A scale whose missing values were replaced by the mean has such values. Rounded values can be
    spread over their steps, but a normal component of one of these has an unbounded density.
    """
    levels = np.unique(values)
    if not FEWEST_OF_A_SCALE <= len(levels) <= MOST_RATINGS or not np.isfinite(levels).all():
        return ()
    if len(values) < FEWEST_ROWS * len(levels) or hint_of(name).is_measure:
        return ()
    grids = grids_of(values)
    # Steps of a grid that most of the few values are not on are chance.
    if grids is not None:
        n_steps = np.ptp(levels) / grids.step
        if not grids.exact.all() or len(levels) >= LEAST_FILLED * (n_steps + 1.0):
            return ()
    return tuple(map(_plain, levels))


def _share(one: Array, other: Array) -> bool:
    """Whether two scales have the same steps, and their levels together are few."""
    low, high, step = min(one[0], other[0]), max(one[-1], other[-1]), one[1] - one[0]
    return bool(step == other[1] - other[0] and high - low < MOST_RATINGS * step)


def _of_text(name: str, column: pd.Series[Any]) -> ColumnKind:
    """Return the kind of text (rule 3), or of numbers stored as text."""
    kinds = set(map(type, column.dropna()))
    if types := {kind.__name__ for kind in kinds if not issubclass(kind, PLAIN_VALUES)}:
        return _out(f"neither numbers nor text ({', '.join(sorted(types))})")
    if kinds & {bool, np.bool_}:
        return _of_levels(name, column)
    text = present_cells(column)
    if not len(text):
        return _out("empty")
    if (among_numbers := _with_words(name, column, text)) is not None:
        return among_numbers
    numbers = pd.to_numeric(text, errors="coerce")
    wrong, distinct = text[numbers.isna() & ~text.str.fullmatch(AMOUNT)], text.drop_duplicates()
    mostly = len(wrong) < (1.0 - MOSTLY_NUMBERS) * len(text)
    if mostly and text.str.fullmatch(r"0\d+").any():
        return _out(f"{KEY_LIKE}: numbers with leading zeros")
    if numbers.notna().all():
        return _of_numbers(name, numbers.to_numpy(dtype=np.float64), len(column))
    if len(distinct) > min(MOST_RATINGS, len(text) / FEWEST_ROWS):
        values, how = amounts(text)
        if values is not None:
            kind = _of_numbers(name, values.to_numpy(), len(column), how == HOW_TIMES)
            as_found = kind.why or kind.turn is not None
            return kind if as_found else ColumnKind(CONTINUOUS, how, doubt=kind.doubt)
        if how:
            return _out(how)
        if mostly and len(distinct) > 2 * wrong.nunique():
            if wrong.str.fullmatch(r"[<>]=?\s*[-+.\d]\S*").all():
                return _out(f"numbers and limits such as {wrong.iloc[0]!r}: fit bm.Measured(X)")
            return _out(f"numbers except {listed_cells(wrong)}: {MEND.format(wrong.iloc[0])}")
    return _out("dates") if _are_dates(distinct) else _of_levels(name, column)


def _with_words(name: str, column: pd.Series[Any], text: pd.Series[Any]) -> ColumnKind | None:
    """Return the kind of many different numbers among which words mean "missing", or None."""
    words = missing_words(text)
    numbers = as_numbers(column) if words.any() and not words.all() else None
    if numbers is None or numbers.nunique() <= MOST_RATINGS:
        return None
    kind = _of_text(name, text[~words])
    times = text[words].value_counts()
    said = ", ".join(f"{word!r} in {n} rows" for word, n in times[:CELLS_NAMED].items())
    doubt = f"{said.replace(' in 1 rows', ' in 1 row')}: read as missing"
    return replace(kind, doubt="; ".join(filter(None, (kind.doubt, doubt))))


def _are_dates(text: pd.Series[Any]) -> bool:
    """Whether texts are dates with a year, or times of day, but for a few mistakes."""
    with warnings.catch_warnings(action="ignore"):
        # Most columns have none, which the last texts tell.
        years = (
            pd.to_datetime(part, errors="coerce", format="mixed", utc=True).dt.year
            for part in (text[-TOLD_BY:], text)
        )
        return all(part.between(*YEARS).mean() > MOSTLY_DATES for part in years)


def _of_levels(name: str, column: pd.Series[Any]) -> ColumnKind:
    levels, cells = levels_of(column), stripped(column.dropna())
    n_rows = int((~are_marks(cells) | cells.isin([*map(str, levels)])).sum())
    if len(levels) < 2:
        return _out(ONE_VALUE if levels else "empty")
    if len(column) >= FEWEST_ROWS and (
        why := _unusable(hint_of(name), "texts", len(levels), n_rows)
    ):
        return _out(why)
    doubt = odd_levels(levels)
    if not doubt and FEWEST_OF_A_SCALE <= len(levels) <= MOST_RATINGS:
        scale, ranks = ranked(levels)
        if scale is not None and ranks:
            first, *_, last = levels = tuple(ranks.values())
            return ColumnKind(RATINGS, f"{len(levels)} labels from {first} to {last}", levels)
        if ranks:
            doubt = f"levels may have an order: {UNORDERED}"
        elif beside := except_for(levels):
            doubt = f"{brief(beside)} beside answers on a scale: {A_SCALE}"
    return _of_codes("", levels, n_rows, doubt or unanswered(column, levels))


def levels_of(column: pd.Series[Any], marks: bool = False) -> tuple[Level, ...]:
    """Return the observed levels in the order of a categorical dtype or of a scale, or sorted.

    Text has no outer spaces, and blank text is no level. ``marks``: with those that mean "missing".
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        there = set(column.dropna())
        of_type = tuple(level for level in _of_dtype(column) if level in there)
        return of_type if marks else _without_marks(of_type)
    levels = tuple(
        {
            level.strip() if isinstance(level, str) else _plain(level)
            for level in column.dropna().unique()
            if not is_missing(level)
        }
    )
    ordered = in_order(levels if marks else _without_marks(levels))
    by_rank = ranked(ordered)[1] if len(ordered) <= MOST_RATINGS else {}
    return tuple(by_rank.values() or ordered)


def _without_marks(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    """Return the levels that do not mean "missing".

    If fewer than two are left, all are levels: "-" beside "+", and "NR" beside "R".
    """
    of_words = any(isinstance(level, str) and not is_mark(level) for level in levels)
    marks = {level for level in levels if is_mark(level) and (of_words or isinstance(level, str))}
    others = tuple(level for level in levels if level not in marks)
    return others if len(others) > 1 else levels


def declared_levels(name: str, column: pd.Series[Any], marks: bool = False) -> tuple[Level, ...]:
    """Return the levels of a declared categorical column; all levels of a categorical dtype.

    ``marks`` is that of ``levels_of``. Raises ``InvalidInputError`` if there are too many levels.
    """
    levels = levels_of(column, marks)
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = _of_dtype(column) if marks else _without_marks(_of_dtype(column))
    if len(levels) > MOST_LEVELS:
        raise InvalidInputError(
            f"X has {len(levels)} different values in column {name!r} for a Categorical family: "
            "drop identifiers, and use another family for measurements"
        )
    return levels


def _of_dtype(column: pd.Series[Any]) -> tuple[Level, ...]:
    return tuple(map(_plain, column.cat.categories))


def _plain(level: Any) -> Level:
    """Return a Python scalar that can be saved; integers without a decimal point."""
    plain: Level = level.item() if isinstance(level, np.generic) else level
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain
