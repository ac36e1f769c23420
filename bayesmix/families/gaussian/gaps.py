"""Moments of rows with gaps: completed in the expected sense, or counted where there are values.

EM with values missing at random (Little & Rubin 2019, sec. 11.2; Ghahramani & Jordan 1994): moments
of the columns that rows have determine those of all. Over axes columns are independent given the
component, and a gap is no row of its column.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import numpy as np

from bayesmix.families.gaussian.covariance.algebra import averages
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.moments import Moments, moments
from bayesmix.families.gaussian.regression import regressed
from bayesmix.numerics import features
from bayesmix.numerics.arrays import Array, Integers, align
from bayesmix.numerics.gaps import patterns, without_gaps


def completed(
    structure: Structure,
    means: Array,
    regression: tuple[Array, Array | float, Array],
    columns: Integers,
    sums: Moments,
) -> Moments:
    """Moments of all columns of rows that have only these, from those of these.

    Gaps are what is expected of them under the components, and have the covariance that is left:
    ``regression`` are their columns, their slopes on the others, and what is left in blocks.
    """
    n_features = means.shape[1]
    if structure.algebra.kind != features.DENSE:
        return embedded(structure, n_features, columns, sums)
    hidden, slopes, left = regression
    slopes = np.asarray(slopes)
    away = (sums.means - means[:, columns])[:, :, None]
    whole = np.empty(means.shape)
    whole[:, columns] = sums.means
    whole[:, hidden] = means[:, hidden] + (slopes @ away)[:, :, 0]
    across = slopes @ sums.scatter
    counts = structure.blocks.counts(sums.counts, n_features)
    scatter = np.empty((len(sums.scatter), n_features, n_features))
    scatter[:, columns[:, None], columns] = sums.scatter
    scatter[:, hidden[:, None], columns] = across
    scatter[:, columns[:, None], hidden] = np.swapaxes(across, 1, 2)
    own = across @ np.swapaxes(slopes, 1, 2) + align(counts, left) * left
    scatter[:, hidden[:, None], hidden] = own
    return Moments(structure, sums.counts, whole, scatter)


def drawn(
    structure: Structure,
    means: Array,
    covariance: Array,
    columns: Integers,
    values: Array,
    labels: Integers,
    generator: np.random.Generator,
) -> Array:
    """Rows (n, D) drawn from N(means, covariance) of their components given these columns."""
    n_components, n_features = means.shape
    hidden = np.setdiff1d(np.arange(n_features), columns)
    slopes, left = structure.algebra.regress(covariance, hidden, columns)
    factors = np.linalg.cholesky(structure.algebra.dense(left, n_components, len(hidden)))
    normal = generator.standard_normal((len(values), len(hidden)))
    out = np.empty((len(values), n_features))
    out[:, columns] = values
    for k in np.unique(labels):
        mine = np.flatnonzero(labels == k)
        slope: Any = slopes
        if not np.isscalar(slope):
            slope = slope[k : k + 1] if len(slope) > 1 else slope
        expected = regressed(means[k : k + 1], slope, hidden, columns, values[mine])[:, 0]
        out[np.ix_(mine, hidden)] = expected + normal[mine] @ factors[k].T
    return out


def embedded(structure: Structure, n_features: int, columns: Integers, sums: Moments) -> Moments:
    """Moments over axes of rows that have only these columns: they count in no other."""
    means, known = np.zeros((2, len(sums.counts), n_features))
    means[:, columns] = sums.means
    known[:, columns] = sums.known
    scatter = sums.scatter
    if not structure.blocks.isotropic:
        scatter = np.zeros((len(sums.scatter), n_features))
        scatter[:, columns] = sums.scatter
    return Moments(structure, sums.counts, means, scatter, known)


def available(structure: Structure, values: Array, responsibilities: Array) -> Moments:
    """Moments of framed rows with gaps where there is no mixture yet: a start.

    Dense scatters are those of values less their means, 0 in the place of a gap, with variances as
    large as those of the values that there are.
    """
    n_features = values.shape[1]
    if structure.algebra.kind != features.DENSE:
        parts = []
        for columns, rows in patterns(values):
            own = moments(structure, values[np.ix_(rows, columns)], responsibilities[rows])
            parts.append(embedded(structure, n_features, columns, own))
        return reduce(add, parts)
    present = ~np.isnan(values)
    filled, counts = without_gaps(values), responsibilities.sum(axis=0)
    known = responsibilities.T @ present
    means = averages(responsibilities.T @ filled, known)
    scatter = np.empty((len(counts), n_features, n_features))
    for k, (mean, mine) in enumerate(zip(means, responsibilities.T, strict=True)):
        away = np.where(present, values - mean, 0.0)
        scatter[k] = (away * mine[:, None]).T @ away
        squares = np.diagonal(scatter[k])
        # A column without values is as wide as a column of the frame.
        wider = np.where(known[k] > 0, squares / np.maximum(known[k], 1e-300), 1.0)
        scatter[k] += np.diag((counts[k] - known[k]) * wider)
    return Moments(structure, counts, means, structure.blocks.pool(scatter))
