"""Rows of a file that are no observations: repeated names, units, sums and means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.core.missing_marks import is_mark, is_missing
from bayesmix.data.numbers_in_text import MISSING_WORDS, as_numbers, is_text, stripped
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers

# What rows below a table compute from it, by their names.
SUMS = ("total", "totals", "grand total", "sum", "summe", "gesamt", "somme", "suma", "totale")
MEANS = ("mean", "average", "avg", "mittelwert", "durchschnitt", "moyenne", "media", "promedio")
SUMMARIES: dict[str, tuple[str, Callable[[Array], Any]]] = {
    **dict.fromkeys(SUMS, ("the sum", np.sum)),
    **dict.fromkeys(MEANS, ("the mean", np.mean)),
    **dict.fromkeys(("median",), ("the median", np.median)),
    **dict.fromkeys(("min", "minimum"), ("the minimum", np.min)),
    **dict.fromkeys(("max", "maximum"), ("the maximum", np.max)),
}
# Relative difference of a printed sum or mean from that of the printed rows.
ROUNDED = 1e-3
# Columns whose names repeat in a row without a doubt, also if none of them has numbers.
FEWEST_NAMES = 3
# Rows of each answer from which on an answer that nobody else gives is no chance.
FEWEST_ROWS = 10


def repeated_names(frame: pd.DataFrame) -> Integers:
    """Return the places of rows that repeat the names of the columns."""
    names = [str(name) for name in frame.columns]
    used = [place for place, name in enumerate(names) if name]
    if not used or not all(is_text(frame.iloc[:, place]) for place in used):
        return np.zeros(0, dtype=np.intp)
    same = np.ones(len(frame), dtype=bool)
    for place in used:
        same &= (frame.iloc[:, place].astype(str).str.strip() == names[place]).to_numpy()
    if not same.any():
        return np.zeros(0, dtype=np.intp)
    others = frame.loc[~same]
    # Respondents who tick all options, which are the names of columns, repeat the names.
    certain = any(_has_other_texts(others.iloc[:, place], names[place]) for place in used)
    if len(used) < FEWEST_NAMES:
        certain = any(_has_numbers(others.iloc[:, place]) for place in used)
    return np.flatnonzero(same & certain)


def _has_other_texts(column: pd.Series[Any], name: str) -> bool:
    """Whether a column has a text other than its name."""
    cells = stripped(column.dropna())
    return bool(((cells != name) & (cells != "")).any())


def first_row_of_words(frame: pd.DataFrame) -> list[str]:
    """Return the words of a first row of units or further names; empty if it is an observation.

    In columns whose other cells are numbers it has words, or nothing. In a table of words it has
    words that nobody else answers, in several columns of few answers.
    """
    if len(frame) < 3:
        return []
    words: list[str] = []
    unlike: list[str] = []
    n_numeric = n_answered = 0
    others_are_empty = True
    for place in range(frame.shape[1]):
        cell, below = frame.iloc[0, place], frame.iloc[1:, place]
        text = "" if is_missing(cell) else str(cell).strip()
        if not _has_numbers(below):
            others_are_empty &= not text
            answers = _answers(below) if text else set()
            n_answered += bool(answers)
            unlike += [text] if answers and text not in answers else []
            continue
        n_numeric += 1
        if not text or is_mark(text) or text.lower() in MISSING_WORDS:
            continue
        if _has_numbers(frame.iloc[:, place]):
            return []
        words.append(text)
    several = n_numeric > 1 and 2 * len(words) > n_numeric
    if several or (words and others_are_empty):
        return words
    return unlike if FEWEST_NAMES <= len(unlike) == n_answered else []


def _answers(column: pd.Series[Any]) -> set[str]:
    """Return the texts of a column of several answers that many rows give; of others none."""
    if not is_text(column):
        return set()
    cells = stripped(column.dropna())
    answers = set(cells[cells != ""])
    return answers if 1 < len(answers) <= len(cells) / FEWEST_ROWS else set()


@dataclass(frozen=True)
class SummaryRow:
    """A row below a table, by its place, the column of its name, the name, and what it says."""

    place: int
    column: str
    name: str
    words: str
    certain: bool  # whether a number in it is computed from its column

    @property
    def doubt(self) -> str:
        """What to do with the row."""
        if self.certain:
            return f"the row {self.name!r} at the end is {self.words} of the others: leave it out"
        return f"the row {self.name!r} at the end may summarise the others: if so, leave it out"


def summary_rows(frame: pd.DataFrame) -> list[SummaryRow]:
    """Return the last rows that summarise the others by their names, the last first."""
    texts = [column for column in range(frame.shape[1]) if is_text(frame.iloc[:, column])]
    filled = np.flatnonzero(frame.notna().any(axis=1).to_numpy()).tolist()
    named: list[tuple[int, int, str]] = []
    for place in reversed(filled):
        names = ((column, str(frame.iat[place, column]).strip()) for column in texts)
        found = next(((c, name) for c, name in names if _plain(name) in SUMMARIES), None)
        if found is None:
            break
        named.append((place, *found))
    rows = []
    for place, column, name in named:
        above = frame.iloc[: named[-1][0]]
        if (above.iloc[:, column].astype(str).str.strip() == name).any():  # it is a category
            continue
        words, compute = SUMMARIES[_plain(name)]
        certain = _computes(frame.iloc[place], above, compute)
        rows.append(SummaryRow(place, str(frame.columns[column]), name, words, certain))
    return rows


def _plain(name: str) -> str:
    return name.lower().rstrip(": ")


def _computes(row: pd.Series[Any], above: pd.DataFrame, compute: Callable[[Array], Any]) -> bool:
    """Whether a number in a row is computed from those above it."""
    for column in range(above.shape[1]):
        last = as_numbers(row.iloc[[column]].astype(object))
        numbers = None if last is None else as_numbers(above.iloc[:, column])
        if last is None or numbers is None or np.isnan(last.iloc[0]):
            continue
        values = numbers.dropna().to_numpy()
        if len(values) > 1 and np.ptp(values) > 0.0:
            value = float(compute(values))
            if abs(last.iloc[0] - value) <= ROUNDED * max(abs(value), np.abs(values).mean()):
                return True
    return False


def other_rows(path: str, frame: pd.DataFrame) -> tuple[Integers, list[str]]:
    """Return the places of rows of a file that are no observations, and what they are in words.

    Raises ``InvalidInputError`` for names in two rows.
    """
    gone: list[int] = []
    notes: list[str] = []
    places = np.arange(len(frame))
    if len(again := repeated_names(frame)):
        rows = _listed_rows(again)
        verb = "repeats" if len(again) == 1 else "repeat"
        notes.append(f"{rows} of {path} {verb} the names of the columns")
        gone += again.tolist()
        places = np.setdiff1d(places, again)
    while words := first_row_of_words(frame.iloc[places]):
        names = [str(name) for name in frame.columns]
        shown = ", ".join(map(repr, words[:3]))
        if "" in names or len(set(names)) < len(names):
            raise InvalidInputError(
                f"{path} has names of columns in two rows, {', '.join(filter(None, names[:4]))} "
                f"above {shown}: write them in one row"
            )
        notes.append(f"row {places[0] + 1} of {path} has units or further names ({shown})")
        gone.append(int(places[0]))
        places = places[1:]
    certain = [row for row in summary_rows(frame.iloc[places]) if row.certain]
    for row in reversed(certain):
        notes.append(f"row {places[row.place] + 1} of {path} is {row.name!r}, {row.words}")
        gone.append(int(places[row.place]))
    if certain:  # with blank rows above them
        blank = frame.iloc[places].isna().all(axis=1).to_numpy()
        place = certain[-1].place
        while blank[place - 1]:
            place -= 1
            gone.append(int(places[place]))
    return np.array(sorted(gone), dtype=np.intp), notes


def check_rows(frame: pd.DataFrame) -> None:
    """Raise ``InvalidInputError`` for a frame with rows of names or units."""
    remedy = "drop it and convert the columns to numbers, or read the file with read_table"
    if len(again := repeated_names(frame)):
        raise InvalidInputError(
            f"row {frame.index[again[0]]} of X repeats the names of the columns: {remedy}"
        )
    if words := first_row_of_words(frame):
        raise InvalidInputError(
            f"row {frame.index[0]} of X has units or further names "
            f"({', '.join(map(repr, words[:3]))}): {remedy}"
        )


def _listed_rows(places: Integers) -> str:
    numbers = [str(place + 1) for place in places[:3]]
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    return f"row{'s' if len(places) > 1 else ''} {', '.join(numbers)}{more}"


def _has_numbers(column: pd.Series[Any]) -> bool:
    """Whether a column has numbers, and nothing else but missing values."""
    if not is_text(column):
        return column.dtype.kind in "iuf" and bool(column.notna().any())
    return as_numbers(column) is not None
