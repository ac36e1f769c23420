"""Amounts: positive columns, such as incomes, that are described on the log scale.

Each column is judged by its own values. Mixtures of up to four normals of x and of log x, with the
density in units of x, are compared by BIC: groups that are log-normal need several normals each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.stats import skew

from bayesmix.families.monotone import MOST_TIED, Logarithms
from bayesmix.families.transformed import Transformed
from bayesmix.numerics.arrays import Array

# Numbers of normals that are compared, and passes of a fit.
NUMBERS, PASSES = (1, 2, 3, 4), 200
# Nats of a pass in which a fit ends, far below DECISIVE.
TOLERANCE = 0.01
# Nats by which the log scale must be better, and where Yeo-Johnson powers compete too. Powers tell
# the groups of 18 labelled data sets apart better than logarithms of the 6 columns beyond 10 nats.
# Of one column, whose density is compared as a whole, strong evidence is enough: a Bayes factor of
# 20 (Kass & Raftery 1995).
DECISIVE, BESIDE_POWERS, ONE_AMOUNT = 10.0, 20.0, 3.0
# Most observations from which a scale is chosen, and fewest: five for each of four normals.
MOST_ROWS, FEWEST_ROWS = 3000, 5 * NUMBERS[-1]
# Smallest variance of a normal, in that of the column; rounded values would have none.
LEAST_VARIANCE = 1e-3


def log_scale_of(values: Array, decisive: float = DECISIVE) -> Logarithms | None:
    """Return the logarithms of columns (n, D) that are amounts, NaN where missing, or None."""
    amounts = np.array([are_amounts(column, decisive) for column in values.T], dtype=bool)
    return Logarithms.of_columns(values, amounts) if amounts.any() else None


def parts_of(family: Any, names: Iterable[Any]) -> list[tuple[Iterable[Any], Any]]:
    """Return columns and family of each part of a product, or those of all columns."""
    parts = [(part.columns, part.family) for part in getattr(family, "parts", ())]
    return parts or [(names, family)]


def logged_names(family: Any, names: Iterable[Any]) -> list[str]:
    """Return the names of the columns that a family describes on the log scale."""
    return [
        str(name)
        for columns, own in parts_of(family, names)
        if (logs := logs_of(own)) is not None
        for name, logged in zip(columns, logs.logged, strict=True)
        if logged
    ]


def logs_of(family: Any) -> Logarithms | None:
    """Return the logarithms of a family on the log scale, or None."""
    function = family.function if isinstance(family, Transformed) else None
    return function if isinstance(function, Logarithms) else None


def are_amounts(column: Array, decisive: float = DECISIVE) -> bool:
    """Whether values are positive and the log scale is better by ``decisive`` nats."""
    values = column[np.isfinite(column)]
    if len(values) < FEWEST_ROWS or values.min() <= 0.0:
        return False
    if len(values) > MOST_ROWS:
        values = values[np.linspace(0, len(values) - 1, MOST_ROWS).astype(int)]
    if np.unique(values, return_counts=True)[1].max() > MOST_TIED * len(values):
        return False
    logs = np.log(values)
    if not float(skew(values)) > abs(float(skew(logs))):
        return False
    return bool(best_bic(values) - best_bic(logs) - logs.sum() > decisive)


def best_bic(values: Array) -> float:
    """Return the smallest BIC / 2 in nats of mixtures of normals of values (n,)."""
    values, deviation = np.sort(values), values.std()
    standard, n = (values - values.mean()) / deviation, len(values)
    costs = ((3.0 * k - 1.0) / 2.0 * np.log(n) - log_likelihood(standard, k) for k in NUMBERS)
    return float(min(costs) + n * np.log(deviation))


def log_likelihood(ordered: Array, n_components: int) -> float:
    """Return the log likelihood of a mixture of normals, the better of two starts.

    They divide the ordered values (n,) by rank and by size.
    """
    n, (low, high) = len(ordered), (ordered[0], ordered[-1])
    by_rank = np.arange(n) * n_components // n
    by_size = np.minimum((ordered - low) / (high - low) * n_components, n_components - 1)
    groups = np.stack([by_rank, by_size.astype(int)])[:, None, :]
    shares = (groups == np.arange(n_components)[:, None]) * 1.0  # (2, K, n)
    reached = np.full(2, -np.inf)
    for _ in range(PASSES):
        counts = shares.sum(axis=2) + 1e-9
        means = shares @ ordered / counts
        variances = np.maximum(shares @ ordered**2 / counts - means**2, LEAST_VARIANCE)
        constants = np.log(counts / n) - 0.5 * np.log(2.0 * np.pi * variances)
        away = (ordered - means[..., None]) ** 2 / variances[..., None]
        joint = constants[..., None] - 0.5 * away
        largest = joint.max(axis=1, keepdims=True)
        shares = np.exp(joint - largest)
        total = shares.sum(axis=1, keepdims=True)
        before, reached = reached, (largest + np.log(total)).sum(axis=(1, 2))
        if (reached - before < TOLERANCE).all():
            break
        shares /= total
    return float(reached.max())
