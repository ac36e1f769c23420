"""Numbers in cells of text: missing marks, units, currencies and separators."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.core.missing_marks import (
    CELLS_NAMED,
    MARKS,
    NUMBERS_BESIDE_WORDS,
    read_as_missing,
)
from bayesmix.core.nouns import counted

MINUS = "\u2212"
# Words that mean "missing" among numbers, in any case.
MISSING_WORDS = (
    "unknown", "unk", "none", "not available", "not applicable", "not known", "not recorded",
    "no data", "no value",
)  # fmt: skip

# Numbers of reports: a sign, a currency, digits, and a currency, percent sign or unit.
CURRENCY = "[€$£¥]|EUR|USD|GBP|CHF"
AMOUNT = (
    rf"([-+]?)({CURRENCY})? ?([-+]?)"
    r"(\d{1,3}(?:[.,' \u00a0\u202f]\d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d+)?|[.,]\d+)"
    rf"(?:[ \u00a0\u202f]?(%|{CURRENCY})| ([^\d\s]{{1,6}})|([kmµ]?g|[cmk]?m|m?l|°[CF]))?"
)
# Negative numbers of accountants, such as (83.10), $(83.10), ($83.10) and (8.3 %).
NEGATIVE = r"([^()\d]*)\(([^()]*\d[^()]*)\)([^()\d]*)"
# Hours, minutes and seconds. Two numbers may be hours and minutes, or minutes and seconds.
CLOCK = r"(\d+):([0-5]\d):([0-5]\d(?:\.\d+)?)"
SECONDS_OF_HOUR = 3600.0
HOW_TIMES = "times as H:MM:SS, in hours"
# Flags of Eurostat after a number, such as "12.3 b" for a break in the series, or after ":", which
# means "not available" there.
FLAGS = "[bcdefinprsuz]{1,3}"
FLAGGED, FLAGGED_MISSING = rf"(\S*\d\S*) ({FLAGS})", rf": ?({FLAGS})"
# Signs between thousands, and the decimal sign that goes with them.
SEPARATORS = {
    "thousands separators": (",' \u00a0\u202f", "."),
    "decimal commas": (".' \u00a0\u202f", ","),
}


def is_text(column: pd.Series[Any]) -> bool:
    """Whether a column may hold text, and no categories."""
    return column.dtype.kind not in "biufcmM" and not isinstance(column.dtype, pd.CategoricalDtype)


def as_numbers(column: pd.Series[Any], signs: bool = True) -> pd.Series[Any] | None:
    """Return text as numbers, missing marks as NaN; None if other cells are no numbers.

    ``signs``: also numbers with one percent sign, currency, unit or kind of separators in all,
    negative ones of accountants, and words such as "unknown" as NaN.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        return pd.Series(column.to_numpy(np.float64, na_value=np.nan), column.index)
    text = present_cells(column)
    text = text[~missing_words(text)] if signs else text
    plain = pd.to_numeric(text, errors="coerce")
    numbers = amounts(text)[0] if signs and plain.isna().any() else plain
    if numbers is None or not len(text) or numbers.isna().any():
        return None
    return numbers.astype(np.float64).reindex(column.index)


def amounts(text: pd.Series[Any]) -> tuple[pd.Series[Any] | None, str]:
    """Return numbers of one unit and form, and how they are written; or None and why not, or ""."""
    if len(text) and text.str.fullmatch(CLOCK).all():
        hours, minutes, seconds = (
            part for _, part in text.str.extract(CLOCK).astype(float).items()
        )
        return hours + (60.0 * minutes + seconds) / SECONDS_OF_HOUR, HOW_TIMES
    if (plain := without_flags(text)) is not text:
        numbers = pd.to_numeric(plain, errors="coerce")
        read = amounts(plain)[0] if numbers.isna().any() else numbers
        flags = ", ".join(sorted(set(text.str.extract(FLAGGED)[1].dropna())))
        if read is not None:
            return read, f"numbers, {counted(int((plain != text).sum()), 'flag')} ({flags}) apart"
    negative = text.str.fullmatch(NEGATIVE)
    if accounts := bool(negative.any() and not negative.all()):
        text = text.str.replace(f"^{NEGATIVE}$", r"\1-\2\3", regex=True)
    if not len(text) or not text.str.fullmatch(AMOUNT).all():
        return None, ""
    cells = text.str.extract(f"^{AMOUNT}$").fillna("").astype(str)
    units = (cells[1] + cells[4] + cells[5] + cells[6]).unique()
    if len(units) > 1:
        named = " and ".join(repr(unit) if unit else "none" for unit in sorted(units)[:-3:-1])
        return None, f"numbers with several units, {named}: convert them to one"
    readings, digits = {}, cells[3]
    for how, (thousands, decimal) in SEPARATORS.items():
        form = rf"(?!0\d)(\d+|\d{{1,3}}([{thousands}]\d{{3}})+)?({re.escape(decimal)}\d+)?"
        if digits.str.fullmatch(form).all():
            plain = digits.str.replace(f"[{thousands}]", "", regex=True).str.replace(decimal, ".")
            readings[how] = (cells[0] + cells[2] + plain).astype(float)
    values = list(readings.values())
    # Three digits after the comma of dollars or pounds are no decimals.
    commas = units[0] in ("$", "£", "USD", "GBP") and not digits.str.contains(r"\.").any()
    if not values or not (commas or values[0].equals(values[-1])):
        first = listed_cells(text[digits.str.contains(r"\D")].iloc[:1])
        return None, f"numbers with ambiguous separators, {first}: leave the separators out"
    if accounts:
        return values[0], "numbers, negative ones in parentheses"
    return values[0], f"numbers with {repr(units[0]) if units[0] else next(iter(readings))}"


def without_flags(text: pd.Series[Any]) -> pd.Series[Any]:
    """Return cells without flags of a statistical office, which not all numbers have.

    The same object comes back where letters after numbers may be units.
    """
    flagged = text.str.fullmatch(FLAGGED)
    plain = ~text.str.contains("[a-z]", case=False)
    if not flagged.any() or not (flagged | plain).all() or flagged.all():
        return text
    return text.where(~flagged, text.str.rpartition(" ")[0])


def missing_words(text: pd.Series[Any]) -> pd.Series[bool]:
    """Return which cells are words that mean "missing" among numbers."""
    return text.str.lower().isin(MISSING_WORDS)


def stripped(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return cells as text without outer spaces, a typographic minus sign as a hyphen."""
    return column.astype(str).str.strip().str.replace(MINUS, "-", regex=False)


def are_marks(text: pd.Series[Any]) -> pd.Series[bool]:
    """Return which cells of a column of words are marks that mean "missing", or blank."""
    return text.str.lower().isin(MARKS | NUMBERS_BESIDE_WORDS)


def marks_said(
    columns: Mapping[str, tuple[pd.Series[Any], Collection[Any] | None]],
) -> tuple[str, int]:
    """Return how many cells of columns are marks, read as missing, in words and as a number.

    Columns have their levels, None for numbers. Blank cells need no words.
    """
    times: Counter[str] = Counter()
    n_columns: Counter[str] = Counter()
    words = ""
    for name, (column, levels) in columns.items():
        if column.dtype.kind in "biufcmM":
            continue
        cells = stripped(column.dropna())
        cells = cells[cells != ""]
        known = [*map(str, levels or ())]
        marks = _mean_missing(cells)
        marks = marks if levels is None else are_marks(cells) & ~cells.isin(known)
        found = Counter(cells[marks])
        times += found
        n_columns += Counter(found.keys())
        words = words or (name if found and levels is not None else "")
    n_marks = times.total()
    if not n_marks:
        return "", 0
    keep = f" (to keep them as a level, set columns={{{words!r}: 'categorical'}})" if words else ""
    return f"{read_as_missing(times, n_columns)}{keep}", n_marks


def present_cells(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return the cells that are not missing as text; "None" is missing among numbers."""
    text = stripped(column.dropna())
    return text[~_mean_missing(text)]


def _mean_missing(cells: pd.Series[Any]) -> pd.Series[bool]:
    """Return which cells mean "missing" among numbers."""
    return cells.str.lower().isin(MARKS) | (cells == "None") | cells.str.fullmatch(FLAGGED_MISSING)


def listed_cells(wrong: pd.Series[Any]) -> str:
    """List the first cells with their rows."""
    pairs = zip(wrong.index[:CELLS_NAMED], wrong, strict=False)
    cells = ", ".join(f"{value!r} in row {place}" for place, value in pairs)
    more = len(wrong) - CELLS_NAMED
    return f"{cells} and {more} more" if more > 0 else cells
