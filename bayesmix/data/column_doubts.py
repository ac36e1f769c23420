"""Doubts about columns: codes of missing values, spellings, and columns that follow from others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.core.missing_marks import CELLS_NAMED
from bayesmix.core.nouns import counted
from bayesmix.data.numbers_in_text import stripped
from bayesmix.families.coding import A_CODE, brief
from bayesmix.numerics.arrays import Array

# From this many rows on, of a column or of each of its levels, little is by chance.
FEWEST_ROWS = 10
# A scale of answers has at most 11 levels, 0 to 10, and begins near zero in units of its steps:
# temperatures from 36 to 41 degrees are measurements.
MOST_RATINGS = 11
# Integers such as -9, 77 and 998 often mean "missing" where they repeat and are far from others.
NUMERIC_CODES = {-1, -2} | {
    int(sign + code)
    for length in range(1, 9)
    for digit in "789"
    for code in (length * digit, (length - 1) * "9" + digit)
    for sign in "+-"
} - {7, 8, 9}
# The same at an end of a scale of answers.
SCALE_CODES = {-2, -1, 7, 8, 9}
# Levels of a scale that begins with 1 and a 0, which is no answer; scales from 0 to 4 and to 10
# are common.
SIZES_WITH_ZERO = range(6, 11)
# Levels that are no answers, in lower-case letters. One can be the cluster of those who gave none.
UNANSWERED = {
    "unknown", "unk", "not known", "not stated", "not recorded", "no answer", "no response",
    "refused", "refusal", "don't know", "dont know", "prefer not to say", "prefer not to answer",
    "undisclosed",
}  # fmt: skip
# Norm of a residual, relative to its column, that is rounding.
ROUNDING = 1e-8
FOLDS, MOST = 5, 0.5


def linear_functions(columns: Mapping[str, Array]) -> dict[tuple[str, ...], str]:
    """Return sets of columns of which one follows from the others, with the doubt about it.

    The column, which comes first in its set, is the one that varies most, as sums do. As any
    few different observations follow from sparse counts by chance, a function is told only if it
    holds out of fold.
    """
    names, values = [*columns], np.column_stack([*columns.values()])
    values = values[np.isfinite(values).all(axis=1)]
    if len(values) <= len(names) + 1:
        return {}
    centred, doubts = values - values.mean(axis=0), {}
    scale = np.linalg.norm(centred, axis=0) + np.finfo(float).tiny
    triangle: Any = np.linalg.qr(centred / scale, mode="r")
    free = np.abs(np.diag(triangle)) > ROUNDING
    for d in np.flatnonzero(~free):
        before = np.flatnonzero(free[:d])
        weights = np.linalg.solve(triangle[np.ix_(before, before)], triangle[before, d])
        parts = np.abs(weights) > ROUNDING
        places, weights = np.append(d, before[parts]), np.append(1.0, weights[parts])
        total = places[np.abs(weights).round(6).argmax()]
        others = [names[place] for place in np.sort(places) if place != total]
        columns_of_it = places[places != total]
        if others and _holds(values[:, total], values[:, columns_of_it]):
            doubt = f"follows exactly from {brief(others)}, as a sum does: leave it out"
            doubts[(names[total], *others)] = doubt
    return doubts


def _holds(y: Array, x: Array) -> bool:
    """Whether the linear function of x (n, m) that is y (n,) is found from other observations.

    It must be exact out of fold for most values but the most frequent one, the zero of counts.
    """
    design = np.column_stack([np.ones(len(y)), x])
    folds, exact = np.arange(len(y)) % FOLDS, np.zeros(len(y), dtype=bool)
    for fold in range(FOLDS):
        out = folds == fold
        weights = np.linalg.lstsq(design[~out], y[~out], rcond=ROUNDING)[0]
        exact[out] = np.abs(design[out] @ weights - y[out]) <= np.sqrt(ROUNDING) * np.ptp(y)
    levels, times = np.unique(y, return_counts=True)
    return bool(exact[y != levels[times.argmax()]].mean() > MOST)


def outlying(values: Array, levels: Array) -> str:
    """Return that outlying values such as -999, or 9 on a scale from 1 to 5, may mean missing."""
    few = len(levels) <= MOST_RATINGS
    for known in (NUMERIC_CODES, SCALE_CODES)[: 1 + few]:
        coded = np.isin(levels, [*known])
        others = levels[~coded]
        below, above = levels < others.min(initial=np.inf), levels > others.max(initial=-np.inf)
        for codes in (levels[coded & below], levels[coded & above]):
            if not len(codes) or len(others) < 2:
                continue
            times, gap = np.isin(values, codes).sum(), np.abs(codes[:, None] - others).min()
            often = times * len(others) > (len(values) - times) * len(codes)
            # Four, five, six and eight cylinders are a scale with a level that nobody gave.
            apart = gap > np.diff(others).max() and times >= FEWEST_ROWS and often != few
            # A code such as -99 beside amounts, none of which is negative.
            negative = codes.max() < -2.0 < 0.0 <= others.min()
            if times > len(codes) and (gap > np.ptp(others) or apart or negative):
                return f"{', '.join(f'{code:.10g}' for code in codes)} in {times} rows {A_CODE}"
    return ""


def rare_zero(values: Array, levels: Array) -> str:
    """Return that a rare 0 beside answers from 1 to 5, or up to 9, may mean missing, or "".

    The lower tail of a distribution is rarer than 1 and not rarer than the largest answer.
    """
    if len(levels) not in SIZES_WITH_ZERO or (levels != np.arange(len(levels))).any():
        return ""
    times = np.bincount(values.astype(int))
    tail = times[-1] < times[0] < times[1]
    rare = 1 < times[0] < times[1:].mean() and not tail
    return f"0 in {times[0]} rows {A_CODE}" if rare else ""


def unanswered(column: pd.Series[Any], levels: Sequence[Any]) -> str:
    """Return that levels such as "Refused" or -9, beside two words, may mean missing, or ""."""
    codes = {str(code) for code in NUMERIC_CODES | SCALE_CODES}
    numbers = [level for level in levels if re.fullmatch(r"[-+]?\d+(\.\d+)?", str(level).strip())]
    words = [level for level in levels if str(level).strip().lower() in UNANSWERED]
    words += numbers if {str(number).strip() for number in numbers} <= codes else []
    if not words or len(levels) - len(words) < 2:
        return ""
    n_rows = int(stripped(column).isin(list(map(str, words))).sum())
    return f"{', '.join(map(str, words))} in {counted(n_rows, 'row')} {A_CODE}"


def odd_levels(levels: Sequence[Any]) -> str:
    """Return that levels have several spellings, such as "yes" and "Yes", or ""."""
    plain = [str(level).strip().lower() for level in levels]
    times = Counter(plain)
    alike = [level for level, text in zip(levels, plain, strict=True) if times[text] > 1]
    pairs = sorted(alike, key=lambda level: str(level).lower())[: 2 * CELLS_NAMED]
    shown = ", ".join(map(repr, pairs))
    return f"levels differ in case, outer spaces or type only: {shown}" if alike else ""
