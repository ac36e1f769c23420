"""Rows said more than once, and values that much of a column has: neither is news of a density.

A row that was read twice counts twice in an evidence, and folds that hold one of the two out have
seen the other. On a single value, as the zeros of a column of amounts, a density has no bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.protocols import Source
from bayesmix.selection.choice.standing import FEW_VALUES, MOST_ROWS, column_names, step_of

# Rows repeat others where so many do, though some column has many values on no grid, that would not
# tie; or where all are said equally often, which so many distinct rows are not by chance.
REPEATED_ROWS = 0.1
FEWEST_DISTINCT = 20
# A row that has more of all rows is a value with a cause of its own, and in whatever fold it is.
MOST_OF_ONE_ROW = 0.1
# A value stands out where so many rows have it, and no other has a fifth of them.
REPEATED_VALUE = 0.05
TIMES_THE_NEXT = 5


@dataclass(frozen=True)
class Repetitions:
    """How many rows repeat others, which distinct row each is, and values that stand out."""

    n_rows: int = 0
    n_copies: int = 0
    distinct: Integers | None = None  # (n,), where folds are to keep copies together
    values: tuple[str, ...] = ()

    def notes(self, n_components: int) -> list[str]:
        """What a person should know of them, given how many components were chosen."""
        notes = []
        if self.n_copies:
            notes.append(
                f"Repeated rows: {self.n_copies} of {self.n_rows} rows repeat others, value for "
                "value, and count as rows of their own: the number of components, and how sure it "
                "is, may be theirs. Where they were read twice, leave the copies out."
            )
        if self.values and n_components > 1:
            notes.append(
                f"Repeated values: {', '.join(self.values)}. A density on a single value has no "
                "bound: components may be there for it, however probable they are said to be. "
                "Fit the other rows alone, or make whether a row has it a category."
            )
        return notes


def repetitions(source: Source | None) -> Repetitions:
    """What is repeated among rows of which not too many are to be looked at."""
    if source is None or source.shape[0] > MOST_ROWS:
        return Repetitions()
    rows = source.in_memory().values
    n_rows, n_features = rows.shape
    columns = [np.asarray(rows[:, d], dtype=np.float64) for d in range(n_features)]
    names = column_names(source.columns, n_features)
    values = [
        f"{names[d]} ({said})" for d in range(n_features) if (said := _standing_out(columns[d]))
    ]
    distinct, times = _distinct(columns)
    n_copies = n_rows - len(times)
    if len(times) < FEWEST_DISTINCT or (n_features == 1 and values):
        return Repetitions(values=tuple(values))
    # Values of one column alone tie by rounding as well, whatever was made of them since.
    free = n_features > 1 and n_copies >= REPEATED_ROWS * n_rows
    free = free and any(_off_every_grid(column, len(times)) for column in columns)
    of_one = times.max() > MOST_OF_ONE_ROW * n_rows
    if (of_one and values) or not (free or np.gcd.reduce(times) > 1):
        return Repetitions(values=tuple(values))
    return Repetitions(n_rows, n_copies, None if of_one else distinct, tuple(values))


def _distinct(columns: list[Array]) -> tuple[Integers, Integers]:
    """Which distinct row each is (n,), and how often each of them is there."""
    numbers = np.zeros(len(columns[0]), dtype=np.intp)
    times = np.array([len(numbers)])
    for column in columns:
        # A gap is a value as any other.
        _, of_column = np.unique(column, return_inverse=True, equal_nan=True)
        pairs = numbers * (int(of_column.max(initial=0)) + 1) + of_column
        _, numbers, times = np.unique(pairs, return_inverse=True, return_counts=True)
    return numbers, times


def _off_every_grid(column: Array, n_distinct: int) -> bool:
    """Whether a column has many values that are no whole numbers of steps apart."""
    values = np.unique(column[~np.isnan(column)])
    many = len(values) >= max(FEWEST_DISTINCT, 0.5 * n_distinct)
    return many and not step_of(values, float(np.diff(values).min()))


def _standing_out(column: Array) -> str:
    """The values that stand out in a column and their shares, in words; empty where none does."""
    column = column[~np.isnan(column)]
    values, times = np.unique(column, return_counts=True)
    if len(values) <= FEW_VALUES:
        return ""
    order = np.argsort(-times, kind="stable")
    falls = times[order[:-1]] >= TIMES_THE_NEXT * times[order[1:]]
    many = times[order[:-1]] >= REPEATED_VALUE * len(column)
    found = np.flatnonzero(falls & many)
    if not len(found) or len(values) - found[-1] - 1 < FEW_VALUES:
        return ""
    return " and ".join(
        f"{values[i]:g} in {times[i] / len(column):.0%} of the rows" for i in order[: found[-1] + 1]
    )
