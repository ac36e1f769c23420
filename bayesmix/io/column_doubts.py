"""Doubts about columns: codes of missing values, totals, and columns that follow from others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.families.coding import A_CODE, brief
from bayesmix.io.numbers_in_text import CELLS_NAMED, stripped
from bayesmix.numerics.arrays import Array

# From this many rows on, of a column or of each of its levels, little is by chance.
FEWEST_ROWS = 10
SOME_ROWS = 10_000  # on which dependent columns are looked for first
# Integers such as -9, 77 and 998 often mean "missing" where they repeat and are far from others.
NUMERIC_CODES = {-1, -2} | {
    int(sign + code)
    for length in range(1, 9)
    for digit in "789"
    for code in (length * digit, (length - 1) * "9" + digit)
    for sign in "+-"
} - {7, 8, 9}
DECIMAL_CODES = [
    float(f"{sign}{whole}.{places}")
    for sign in ("", "-")
    for whole in ("9", "99", "999", "9999")
    for places in ("9", "99")
]
# The same at an end of a scale of answers, behind a level that nobody gave.
SCALE_CODES = {-2, -1, 7, 8, 9}
# Norm of a residual, relative to its column, that is rounding.
ROUNDING = 1e-8
# Names of the last row of a table that sums up the others.
SUMMARIES = (
    r"(grand |sub)?totals?|sums?|means?|average|summe|gesamt|insgesamt|mittelwert|media|somme"
)


def linear_functions(columns: Mapping[str, Array]) -> dict[tuple[str, ...], str]:
    """Return sets of columns of which one is a sum of others, with the doubt about their first."""
    columns_of, every = [*columns], [*columns.values()]
    values = np.column_stack([column[:: 1 + len(column) // SOME_ROWS] for column in every])
    values = values[np.isfinite(values).all(axis=1)]
    if len(values) <= len(columns) + 1:
        return {}
    centred, doubts = values - values.mean(axis=0), {}
    scale = np.linalg.norm(centred, axis=0) + np.finfo(float).tiny
    triangle: Any = np.linalg.qr(centred / scale, mode="r")
    free = np.abs(np.diag(triangle)) > ROUNDING
    for d in np.flatnonzero(~free):
        before = np.flatnonzero(free[:d])
        weights = np.linalg.solve(triangle[np.ix_(before, before)], triangle[before, d])
        parts = np.abs(weights) > ROUNDING
        places, weights = np.append(before[parts], d), np.append(weights[parts], -1.0)
        first = np.abs(weights).argmax()  # a sum varies most
        raw = weights / scale[places]
        terms = np.array([every[place] for place in places]) * raw[:, None]
        terms = terms[:, np.isfinite(terms).all(axis=0)]
        if terms.sum(axis=0).std() > ROUNDING * terms.std(axis=1).max():  # not so in other rows
            continue
        constant = np.ptp(raw) <= ROUNDING * np.abs(raw).max()
        names = [columns_of[place] for place in places]
        if constant and {0.0, 1.0} >= {*values[:, places].flat}:
            doubt = f"one of {brief(names)} is 1 in each row: make them one column"
        elif constant:
            doubt = f"the sum of {brief(names)} is the same in each row, as that of ranks"
        else:
            names.insert(0, names.pop(first))
            doubt = f"an exact sum, mean or difference of {brief(names[1:])}: leave it out"
        doubts[tuple(names)] = doubt
    return doubts


def code_in_scale(values: Array, given: Array) -> str:
    """Return that answers -1 or 9 on a scale from 1 to 5 may mean missing, or ""."""
    given = np.unique(given)
    if values.min() == -1.0 and values.max() > 2.0:  # a scale from -1 ends at 1
        return codes_said(values, values.min(keepdims=True))
    parts = np.split(given, np.flatnonzero(np.diff(given) > 1.0) + 1)
    *shorter, scale = sorted(parts, key=lambda part: (len(part), -part[0]))
    codes = np.array(sorted(code for part in shorter for code in part))
    if 2 * len(codes) > len(given) or not set(codes) <= SCALE_CODES:
        return ""
    # Four, five, six and eight cylinders are a scale with a level that nobody gave.
    common = np.isin(values, codes).sum() * len(given) > len(values) * len(codes)
    if common and min(np.abs(codes - scale[0]).min(), np.abs(codes - scale[-1]).min()) <= 2.0:
        return ""
    return codes_said(values, codes)


def codes_said(values: Array, codes: Array) -> str:
    """Return that some values may mean missing, and their number; "" if none occurs."""
    times = np.isin(values, codes).sum()
    shown = ", ".join(f"{code:.10g}" for code in codes)
    return f"{shown} in {times} rows {A_CODE}" if times else ""


def outlying(values: Array, levels: Array) -> str:
    """Return that outlying values such as -999 may mean missing, or ""."""
    coded = np.isin(levels, [*NUMERIC_CODES, *DECIMAL_CODES])
    others = levels[~coded]
    for codes in (
        levels[coded & (levels < others.min(initial=np.inf))],
        levels[coded & (levels > others.max(initial=-np.inf))],
    ):
        if len(codes) and len(others) > 1:
            times, gap = np.isin(values, codes).sum(), np.abs(codes[:, None] - others).min()
            often = times * len(others) > (len(values) - times) * len(codes)
            far = gap > np.ptp(others) or (often and gap > np.diff(others).max())
            # A code such as -99 beside amounts, none of which is negative.
            far = far or codes.max() < -2.0 < 0.0 <= others.min()
            if times > len(codes) and far:
                return codes_said(values, codes)
    return ""


def odd_levels(levels: Sequence[Any]) -> str:
    """Return that levels have several spellings, or that cells list several answers, or ""."""
    plain = [str(level).strip().lower() for level in levels]
    times = Counter(plain)
    alike = [level for level, text in zip(levels, plain, strict=True) if times[text] > 1]
    if alike:
        pairs = sorted(alike, key=lambda level: str(level).lower())[: 2 * CELLS_NAMED]
        how = "case or outer spaces" if all(isinstance(level, str) for level in alike) else "type"
        return f"levels differ in {how} only: {', '.join(map(repr, pairs))}"
    for sign in ";|,":
        if len({part.strip() for text in plain for part in text.split(sign)}) < len(levels):
            return "cells list several answers: make one column of 0 and 1 for each answer"
    return ""


def summary(column: pd.Series[Any]) -> str:
    """Return that the last row may be a total of the others, or ""."""
    last = stripped(column.dropna().iloc[-1:])
    if (
        not last.str.fullmatch(SUMMARIES, case=False).all()
        or (column == column[last.index[0]]).sum() > 1
    ):
        return ""
    return f"{last.iloc[0]!r} in row {last.index[0]} may sum up the others: drop that row"
