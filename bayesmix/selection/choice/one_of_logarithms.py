"""Whether one normal of the logarithms describes rows better than several of the rows do.

Amounts, sizes and times are often skewed: nearly normal in their logarithms. A mixture of normals
follows such a density with many components, of which none is a group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.protocols import Source
from bayesmix.selection.candidates.row import Row
from bayesmix.selection.choice.standing import MOST_ROWS, column_names

# Correlations that have a smaller eigenvalue are singular but for rounding.
COLLINEAR = 1e-10


@dataclass(frozen=True)
class OneOfLogarithms:
    """One normal of some columns' logarithms and of the others: its BIC in nats, as of all rows."""

    columns: tuple[str, ...] = ()
    bic: float = -np.inf

    def notes(self, rows: list[Row]) -> list[str]:
        """What to say where it is better than every candidate, the first of which was chosen."""
        result = rows[0].sound
        values = [row.value("bic") for row in rows]
        if result is None or rows[0].asked == 1 or not (result.family.any_real and self.columns):
            return []
        ahead = self.bic - float(np.nanmax(values))
        if not ahead > 0.0:
            return []
        return [
            f"Skewed columns: one normal of the logarithms of {', '.join(self.columns)} describes "
            f"these rows better than any candidate, by {ahead:.1f} nats of BIC. The components may "
            "follow the skewness rather than be groups: compare logarithms."
        ]


def one_of_logarithms(source: Source | None) -> OneOfLogarithms:
    """Of positive rows without gaps, of which not too many are to be looked at."""
    if source is None or source.shape[0] > MOST_ROWS or source.summary.n_missing:
        return OneOfLogarithms()
    there = source.in_memory()
    rows = np.array(there.values, dtype=np.float64)
    weights = np.ones(len(rows)) if there.weights is None else np.asarray(there.weights)
    names = column_names(source.columns, rows.shape[1])
    skewed, volume = [], 0.0
    # What no double holds is compared with nothing.
    with np.errstate(all="ignore"):
        for d in np.flatnonzero(source.summary.minimum > 0.0):
            logs = np.log(rows[:, d])
            mean = float(np.average(logs, weights=weights))
            # A log likelihood by n is minus log(spread), less the mean logarithm if of those.
            if _spread(logs, weights) * np.exp(mean) < _spread(rows[:, d], weights):
                rows[:, d] = logs
                skewed.append(names[d])
                volume += mean
        likely = _log_likelihood(rows, weights) if skewed else -np.inf
    if not np.isfinite(likely):
        return OneOfLogarithms()
    total, n_features = float(weights.sum()), rows.shape[1]
    n_parameters = n_features * (n_features + 3) / 2.0
    bic = likely - total * volume - 0.5 * n_parameters * np.log(total)
    return OneOfLogarithms(tuple(skewed), float(bic))


def _log_likelihood(rows: Array, weights: Array) -> float:
    """The largest that one normal has; not finite where columns are collinear."""
    covariance = np.atleast_2d(np.cov(rows.T, aweights=weights, ddof=0))
    deviations = np.sqrt(np.diagonal(covariance))
    correlations = covariance / np.outer(deviations, deviations)
    if not np.isfinite(correlations).all():
        return np.nan
    values = np.linalg.eigvalsh(correlations)
    if values[0] < COLLINEAR:
        return np.nan
    log_determinant = np.log(values).sum() + 2.0 * np.log(deviations).sum()
    each = len(values) * (np.log(2.0 * np.pi) + 1.0) + log_determinant
    return float(-0.5 * weights.sum() * each)


def _spread(column: Array, weights: Array) -> float:
    return float(np.sqrt(np.cov(column, aweights=weights, ddof=0)))
