"""Cells that mean "missing": one list for files and frames, and for columns of all kinds."""

from __future__ import annotations

from collections import Counter
from string import ascii_lowercase
from typing import Any

from bayesmix.core.nouns import counted

# Missing values: those of pandas, except "None", which is a common answer in surveys.
GAPS = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null",
)  # fmt: skip
# The same, and marks of people and programs, in lower-case letters.
MARKS = frozenset(map(str.lower, GAPS)) | {
    ".", "..", "...", "?", "??", "-", "--", "---", "\u2013", "\u2014", r"\n", "n.a.", "n.a", "nr",
    ":", "missing", "#null!", "#div/0!", "#value!", "#ref!", "#num!", "#name?",
    *(f".{letter}" for letter in ascii_lowercase),
}  # fmt: skip
# Marks beside words; among numbers they can be measurements.
NUMBERS_BESIDE_WORDS = frozenset({"-99", "-999", "-9999"})

# Marks that a text names.
CELLS_NAMED = 3


def is_missing(value: Any) -> bool:
    """Whether a cell is missing: None, NaN, a missing value of pandas, or blank text."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def is_mark(value: Any) -> bool:
    """Whether a cell of a column of words is a mark that means "missing", or blank."""
    text = str(value).strip().lower()
    return text in MARKS or text in NUMBERS_BESIDE_WORDS


def read_as_missing(times: Counter[str], n_columns: Counter[str]) -> str:
    """Say how many cells of how many columns hold marks, by mark."""
    common = times.most_common(CELLS_NAMED)
    parts = [
        f"{counted(n, 'cell')} of {counted(n_columns[mark], 'column')} "
        f"{'holds' if n == 1 else 'hold'} {mark!r}"
        for mark, n in common
    ]
    others = times.total() - sum(n for _, n in common)
    parts += [f"{counted(others, 'cell')} other marks"] if others else []
    return f"{', '.join(parts)}, read as missing"
