"""Columns that nearly follow from another one, so that a table says the same thing twice.

A column follows from another if this predicts it out of fold with R² (of numbers) or an
uncertainty coefficient (of categories; Theil 1970) of 0.95. Columns of well-separated clusters
predict each other too: therefore it must also do so within the parts of the predictor between gaps.
Two continuous columns are warned of only after a fit that treats them as independent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from bayesmix.families.coding import ALLOWED_FOR, COPY_OF, Coding
from bayesmix.numerics.arrays import Array, Integers

# Share of the variance or entropy that makes a column a repetition, and the share within parts.
LEAST, WITHIN = 0.95, 0.8
# Codes of one category each have one value: a table of codes, where clusters have a spread.
EXACT = 0.9999
MOST_ROWS, FEWEST_ROWS, MOST_COLUMNS = 2_000, 30, 200
GROUPS, LEAF, FOLDS = 32, 5, 5
# Density between two parts relative to the lower peak: equal normal groups 3.7 deviations apart.
GAP = 0.4


def with_repetitions(numbers: pd.DataFrame, coding: Coding) -> Coding:
    """Return the coding of a table of codes with doubts about columns that follow from others."""
    columns = dict(zip(coding.names, numbers.to_numpy(np.float64).T, strict=True))
    pairs = dict(zip(coding.names, coding.levels, strict=True))
    plain = {name: x for name, x in columns.items() if pairs[name] is None}
    levels = {name: x for name, x in columns.items() if name not in plain}
    doubts = repeated_columns(plain, levels, joint=set(plain).difference(coding.counts))
    decisions = tuple(
        (name, kind, reason, doubt or doubts.get(name, ""))
        for name, kind, reason, doubt in coding.decisions
    )
    return replace(coding, decisions=decisions)


def without_copies(
    numbers: pd.DataFrame, coding: Coding, declared: Collection[str]
) -> tuple[pd.DataFrame, Coding]:
    """Return a table of codes and its coding without columns that follow exactly from another.

    Where each level of one column of levels has one level of another column, the latter has the
    probability 1 given the former in every component: it would count the same observation twice.
    ``declared`` columns stay.
    """
    levels = [name for name in coding.names if name not in coding.numbers]
    copies = exact_copies(numbers[levels].to_numpy(np.float64), levels, declared)
    if not copies:
        return numbers, coding
    kept = [place for place, name in enumerate(coding.names) if name not in copies]
    why = {n: f"{COPY_OF}{copies[n]}" for n in coding.names if n in copies}
    decisions = tuple(
        (name, "exclude", why[name], "") if name in why else (name, kind, reason, doubt)
        for name, kind, reason, doubt in coding.decisions
    )
    smaller = coding.some(np.array(kept))
    left_out = (*coding.left_out, *why.items())
    return numbers.drop(columns=[*why]), replace(smaller, left_out=left_out, decisions=decisions)


def exact_copies(codes: Array, names: list[str], declared: Collection[str] = ()) -> dict[str, str]:
    """Return columns of codes (n, D) that are a function of another one, with the name of that one.

    Of two columns that follow from each other the later one is named. A column of nearly as many
    levels as rows, from which all others would follow, must predict out of fold.
    """
    n, D = codes.shape
    if not 1 < D <= MOST_COLUMNS:
        return {}
    rows = np.linspace(0, n - 1, min(n, MOST_ROWS)).astype(int)
    parts = [
        codes[rows, d, None] == np.unique(codes[:, d][~np.isnan(codes[:, d])]) for d in range(D)
    ]
    ends = np.cumsum([0, *(part.shape[1] for part in parts)])
    indicators = np.hstack(parts).astype(np.float64)
    together = indicators.T @ indicators > 0.0  # levels that some row has both of
    copies: dict[str, str] = {}
    for d in reversed(range(D)):
        if names[d] in declared or parts[d].shape[1] < 2:
            continue
        of_levels = np.add.reduceat(together[:, ends[d] : ends[d + 1]].sum(axis=1) > 1, ends[:-1])
        for other in np.flatnonzero(of_levels == 0).tolist():
            if other == d or names[other] in copies:
                continue
            y, x = codes[:, d], codes[:, other]
            if _is_function(y, x) and _follows(y[rows], x[rows], True, True) >= LEAST:
                copies[names[d]] = names[other]
                break
    return copies


def _is_function(y: Array, x: Array) -> bool:
    """Whether every value of x goes with one of y, which is missing wherever x is."""
    seen = ~np.isnan(x)
    if (~np.isnan(y) & ~seen).any():
        return False
    both = seen & ~np.isnan(y)
    pairs = np.unique(np.column_stack([x[both], y[both]]), axis=0)
    return len(pairs) == len(np.unique(pairs[:, 0]))


def repeated_columns(
    numbers: Mapping[str, Array], levels: Mapping[str, Array], joint: Collection[str] = ()
) -> dict[str, str]:
    """Return columns that follow from another, with the doubt about each.

    ``numbers`` are values and ``levels`` codes (n,) by name, NaN where missing. Of two columns that
    follow from each other the later one is named. ``joint`` are columns that models with full
    covariance treat jointly, so that two of them do not count twice.
    """
    columns = {**numbers, **levels}
    names = [name for name, x in columns.items() if np.unique(x[~np.isnan(x)]).size > 1]
    if not 1 < len(names) <= MOST_COLUMNS:
        return {}
    n = len(columns[names[0]])
    rows = np.linspace(0, n - 1, min(n, MOST_ROWS)).astype(int)
    table = {name: columns[name][rows] for name in names}
    groups = {name: _groups(table[name], name in levels) for name in names}
    doubts: dict[str, str] = {}
    predictors: set[str] = set()
    for name in reversed(names):
        for other in names:
            if other == name or other in doubts:
                continue
            if _explained(table[name], groups[other], name in levels) < LEAST - 0.1:
                continue
            share = _follows(table[name], table[other], name in levels, other in levels)
            if share >= LEAST and name not in predictors:
                measure = "uncertainty coefficient" if name in levels else "R²"
                remedy = "leave one of them out (exclude)"
                if name in joint and other in joint:
                    remedy = ALLOWED_FOR
                doubts[name] = f"follows from {other} ({measure} {share:.2f}): {remedy}"
                predictors.add(other)
                break
    return doubts


def _groups(x: Array, of_levels: bool) -> Integers:
    """Return groups (n,) of a column: its levels or quantiles, -1 where missing."""
    groups = np.full(len(x), -1)
    seen = ~np.isnan(x)
    if of_levels:
        groups[seen] = np.unique(x[seen], return_inverse=True)[1]
    else:
        edges = np.quantile(x[seen], np.linspace(0.0, 1.0, GROUPS + 1)[1:-1])
        groups[seen] = np.searchsorted(edges, x[seen])
    return groups


def _explained(y: Array, groups: Integers, of_levels: bool) -> float:
    """Return the share of the variance or entropy of a column that groups explain in the sample."""
    rows = ~np.isnan(y) & (groups >= 0)
    if rows.sum() < FEWEST_ROWS:
        return 0.0
    y, groups = y[rows], groups[rows]
    if of_levels:
        codes = np.unique(y, return_inverse=True)[1]
        counts = np.zeros((groups.max() + 1, codes.max() + 1))
        np.add.at(counts, (groups, codes), 1.0)
        total = _entropy(counts.sum(axis=0))
        return 1.0 - sum(map(_entropy, counts)) / total if total > 0.0 else 0.0
    sizes = np.bincount(groups)
    means = np.bincount(groups, y - y.mean()) / np.maximum(sizes, 1)
    total = float(((y - y.mean()) ** 2).sum())
    return float(sizes @ means**2) / total if total > 0.0 else 0.0


def _entropy(counts: Any) -> float:
    """Return the entropy of counts times their sum, in nats."""
    counts = counts[counts > 0.0]
    return (
        float(counts.sum() * np.log(counts.sum()) - counts @ np.log(counts)) if counts.size else 0.0
    )


def _follows(y: Array, x: Array, of_levels: bool, by_levels: bool) -> float:
    """Return the share of y that x predicts out of fold; 0 where clusters explain it as well."""
    rows = ~np.isnan(y) & ~np.isnan(x)
    if rows.sum() < FEWEST_ROWS:
        return 0.0
    x, y = x[rows], y[rows]
    if by_levels and not of_levels:
        share = _explained(y, _groups(x, True), False)
        return share if share >= EXACT else 0.0
    parts = np.zeros(len(x), int) if by_levels else _parts(x)
    losses, within, total = _losses(y, x, parts, of_levels)
    share = 1.0 - losses / total
    if of_levels:  # observations of a level on the wrong side of a gap cost about log n each
        within -= 2.0 * parts.max() * np.log(len(x))
    return share if not parts.max() or losses < (1.0 - WITHIN) * within else 0.0


def _losses(y: Array, x: Array, parts: Integers, of_levels: bool) -> tuple[float, float, float]:
    """Return the loss of predictions out of fold, that of means within parts, and of one mean."""
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    loss, X = 0.0, x[:, None]
    ranges: Any = np.unique(parts)
    if of_levels:
        codes = np.unique(y, return_inverse=True)[1]
        shares = np.bincount(codes) / len(codes)
        for fit, test in folds.split(X):
            tree = DecisionTreeClassifier(min_samples_leaf=LEAF, random_state=0)
            tree.fit(X[fit], codes[fit])
            p = np.zeros((len(test), len(shares)))
            p[:, tree.classes_] = tree.predict_proba(X[test])
            sizes = tree.tree_.n_node_samples[tree.apply(X[test])][:, None]
            p = (sizes * p + 0.5 * shares) / (sizes + 0.5)  # no probability is 0
            loss -= float(np.log(p[np.arange(len(test)), codes[test]]).sum())
        within = sum(_entropy(np.bincount(codes[parts == part])) for part in ranges)
        return loss, within, _entropy(np.bincount(codes))
    for fit, test in folds.split(X):
        tree = DecisionTreeRegressor(min_samples_leaf=LEAF, random_state=0)
        loss += float(((y[test] - tree.fit(X[fit], y[fit]).predict(X[test])) ** 2).sum())
    within = sum(float(y[parts == part].var() * (parts == part).sum()) for part in ranges)
    return loss, within, float(y.var() * len(y))


def _parts(x: Array) -> Integers:
    """Return the part (n,) of each value between gaps, by densities of neighbouring values."""
    order = np.argsort(x, kind="stable")
    ordered, n = x[order], len(x)
    m = int(np.sqrt(n))
    steps = np.diff(np.unique(ordered))
    density = m / np.maximum(ordered[m:] - ordered[:-m], steps.min(initial=np.inf))
    starts, pending = [], [(0, len(density))]
    while pending:
        first, last = pending.pop()
        inside = density[first:last]
        if len(inside) < 2 * m:
            continue
        lower_peak = np.minimum(
            np.maximum.accumulate(inside), np.maximum.accumulate(inside[::-1])[::-1]
        )
        lowest = int(np.argmin(inside / lower_peak))
        if inside[lowest] < GAP * lower_peak[lowest]:
            place = first + lowest
            gaps = np.diff(ordered[place : place + m + 1])
            widest = np.flatnonzero(gaps == gaps.max())  # of rounded values several are equal
            starts.append(place + int(widest[np.abs(widest - m // 2).argmin()]) + 1)
            pending += [(first, place), (place + 1, last)]
    parts = np.zeros(n, dtype=int)
    parts[order] = np.searchsorted(np.sort(starts), np.arange(n), side="right")
    return parts
