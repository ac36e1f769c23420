"""Numbers in cells of text: missing codes, units, currencies and separators."""

from __future__ import annotations

import re
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd

CELLS_NAMED = 3
MINUS = "\u2212"
# Missing values: those of pandas, except "None", which is a common answer in surveys.
GAPS = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null",
)  # fmt: skip
# Cells that mean "missing" in columns that otherwise hold numbers.
MISSING_CODES = (
    *GAPS, ".", "..", "?", "-", "--", "\u2013", "\u2014", "None", r"\N",
    "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", *(f".{letter}" for letter in ascii_lowercase),
)  # fmt: skip
# Words that mean "missing" among numbers, in any case.
MISSING_WORDS = (
    "unknown", "unk", "none", "missing", "n.a.", "n.a", "n/a", "na", "not available",
    "not applicable", "not known", "not recorded", "no data", "no value",
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
# Signs between thousands, and the decimal sign that goes with them.
SEPARATORS = {
    "thousands separators": (",' \u00a0\u202f", "."),
    "decimal commas": (".' \u00a0\u202f", ","),
}


def as_numbers(column: pd.Series[Any], signs: bool = True) -> pd.Series[Any] | None:
    """Return text as numbers, missing codes as NaN; None if other cells are no numbers.

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


def missing_words(text: pd.Series[Any]) -> pd.Series[bool]:
    """Return which cells are words that mean "missing" among numbers."""
    return text.str.lower().isin(MISSING_WORDS)


def stripped(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return cells as text without outer spaces, a typographic minus sign as a hyphen."""
    return column.astype(str).str.strip().str.replace(MINUS, "-", regex=False)


def present_cells(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return the cells that are not missing as text."""
    text = stripped(column.dropna())
    return text[~text.isin(MISSING_CODES)]


def listed_cells(wrong: pd.Series[Any]) -> str:
    """List the first cells with their rows."""
    pairs = zip(wrong.index[:CELLS_NAMED], wrong, strict=False)
    cells = ", ".join(f"{value!r} in row {place}" for place, value in pairs)
    more = len(wrong) - CELLS_NAMED
    return f"{cells} and {more} more" if more > 0 else cells
