"""Columns that depend on each other within components although a fit treats them as independent.

The association of two columns is the root of the mean squared canonical correlation of their
residuals from the components' means, weighted by the probabilities of the components: the
correlation of two numbers (of their normal scores), Cramér's V of two categories, and the
correlation ratio of a number and a category. Where the fit is right, its expectation is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from bayesmix.assess.group_statistics import Variable, normal_scores
from bayesmix.core.nouns import counted, plural
from bayesmix.em.result import FitResult
from bayesmix.numerics.arrays import Array, Booleans

# A medium correlation (Cohen 1988): weaker dependence is not named.
MEDIUM = 0.3
# Standard errors under independence that it must exceed, as there are many pairs.
LEAST_ERRORS = 4.0
PAIRS_NAMED = 3
# Observations, evenly spaced, and numbers and levels in all, that are compared: about a second.
MOST_ROWS, MOST_COLUMNS = 2_000, 400


def independent_pairs(result: FitResult) -> Booleans:
    """Return which pairs of columns (D, D) a fit treats as independent within components."""
    covariances: Any = result.plug_in.components.unframed(result.mixture.frame).covariances
    independent: Booleans = (covariances == 0.0).all(axis=0)
    return independent


def local_dependence(
    variables: Sequence[Variable], probabilities: Array, weights: Array, independent: Booleans
) -> dict[tuple[str, str], float]:
    """Return pairs of columns with an association of at least 0.3 within components.

    The strongest come first. ``probabilities`` (n, K) are those of the components, ``independent``
    (D, D) says which pairs to compare. Empty for too many columns.
    """
    n, D = len(weights), len(variables)
    if sum(1 if v.levels is None else len(v.levels) for v in variables) > MOST_COLUMNS:
        return {}
    rows = np.linspace(0, n - 1, min(n, MOST_ROWS)).astype(int)
    shares = (probabilities * weights[:, None])[rows]
    blocks = [_coded(variable, rows) for variable in variables]
    values, ends = np.column_stack(blocks), np.cumsum([0, *(block.shape[1] for block in blocks)])
    complete = [not np.isnan(block).any() for block in blocks]
    products, found = _products(np.nan_to_num(values), shares), {}
    for i, j in combinations(range(D), 2):
        if not independent[i, j]:
            continue
        a, b = np.arange(ends[i], ends[i + 1]), np.arange(ends[j], ends[j + 1])
        of_pair, n_both = products, shares.sum()
        if not (complete[i] and complete[j]):  # by the rows that have both
            pair = values[:, [*a, *b]]
            both = ~np.isnan(pair).any(axis=1)
            of_pair, n_both = _products(pair[both], shares[both]), shares[both].sum()
            a, b = np.arange(len(a)), np.arange(len(a), len(a) + len(b))
        if n_both > 0.0:
            first, second, cross = (of_pair[np.ix_(*at)] for at in ((a, a), (b, b), (a, b)))
            strength = _association(first, second, cross, n_both)
            if strength >= max(MEDIUM, LEAST_ERRORS / np.sqrt(n_both)):
                found[variables[i].name, variables[j].name] = strength
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _products(values: Array, shares: Array) -> Array:
    """Return the sums of products (d, d) of residuals of values (n, d) from components' means."""
    products = np.zeros((values.shape[1], values.shape[1]))
    for share in shares.T:
        residuals = values - share @ values / np.maximum(share.sum(), 1e-300)
        products += (residuals * share[:, None]).T @ residuals
    return products


def _coded(variable: Variable, rows: Any) -> Array:
    """Return normal scores (n, 1) of numbers, or indicators of all levels but one."""
    if variable.levels is None:
        return normal_scores(variable.values, variable.observed)[rows, None]
    codes = variable.values[rows, None]
    indicators = (codes == np.arange(1, max(len(variable.levels), 2))) * 1.0
    return np.where(np.isnan(codes), np.nan, indicators)


def _association(first: Array, second: Array, cross: Array, n: float) -> float:
    """Return the root mean squared canonical correlation, less what is expected by chance."""
    squared = np.linalg.pinv(first, hermitian=True) @ cross
    squared = squared @ np.linalg.pinv(second, hermitian=True) @ cross.T
    p, q = cross.shape
    return float(np.sqrt(np.clip((np.trace(squared) - p * q / n) / min(p, q), 0.0, 1.0)))


def dependence_note(pairs: dict[tuple[str, str], float], noun: str) -> list[str]:
    """Return a note on the strongest pairs, if there are any."""
    if not pairs:
        return []
    texts = [f"{a} and {b} ({r:.2f})" for (a, b), r in [*pairs.items()][:PAIRS_NAMED]]
    others = counted(len(pairs) - len(texts), "more pair")
    return [
        f"Within {plural(noun)}, columns depend on each other that the fit treats as independent: "
        f"{', '.join(texts)}{f' and {others}' if len(pairs) > len(texts) else ''}. This can add "
        f"{plural(noun)}: leave out one of a pair (exclude) to see."
    ]
