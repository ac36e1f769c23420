"""k-means over the distinct rows of a source.

Distances are taken in columns divided by their robust scale, so that units do not matter. Draws are
made over the distinct rows in sorted order, so that neither the order of the rows matters nor
whether a row is repeated or weighted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.numerics.gaps import has_gaps, without_gaps
from bayesmix.protocols import Source
from bayesmix.records import Summary

SAMPLE_ROWS = 4096
# Distances from the median beyond which rows are equally far: fourth powers are still doubles.
FARTHEST = 1e70
# Where tails are heavy, rows are drawn in to this many times sqrt(D) columns of unit scale: no
# start is at an outlier, and a distant cluster keeps its direction.
DRAWN_IN_AT = 2.0


@dataclass(frozen=True)
class Distinct:
    """Distinct rows (m, D) in columns of unit scale, in sorted order, with their weights (m,).

    Missing values are 0, and ``stress`` (m, D) multiplies squares: 0 where a value is missing, more
    than 1 in the other columns of its row, so that rows are as far apart as if they were complete.
    """

    values: Array
    weights: Array
    stress: Array | None = None

    def beyond(self, centres: Array) -> Array:
        """|x - c|² - |x|² (K, m), by matrix products: digits that cancel do not matter here."""
        if self.stress is None:
            out: Array = (-2.0 * centres) @ self.values.T
            out += np.einsum("kd,kd->k", centres, centres)[:, None]
            return out
        return (-2.0 * centres) @ (self.stress * self.values).T + centres**2 @ self.stress.T


def distinct_rows(
    source: Source,
    summary: Summary,
    generator: np.random.Generator,
    most: int = SAMPLE_ROWS,
    heavy_tails: bool = False,
) -> Distinct:
    """The distinct rows of (a sample of) the source."""
    sample = source.sample(most, generator).rows
    values = (np.asarray(sample.values, dtype=np.float64) - summary.centre) / summary.scale
    np.clip(values, -FARTHEST, FARTHEST, out=values)
    if heavy_tails:
        radius = DRAWN_IN_AT * np.sqrt(values.shape[1])
        lengths = np.sqrt(np.nansum(values * values, axis=1, keepdims=True))
        values *= radius / np.maximum(lengths, radius)
    weights = sample.weights_or_ones
    n_features = values.shape[1]
    filled, stress = complete(values)
    whole = filled if stress is None else np.hstack([filled, stress])
    keys = _sort_keys(whole)
    if len(np.unique(keys[-1])) < len(whole):  # only then may rows be equal
        whole, inverse = np.unique(whole, axis=0, return_inverse=True)
        weights = np.bincount(inverse.ravel(), weights, len(whole)).astype(np.float64)
        keys = _sort_keys(whole)
    order = np.lexsort(keys)
    order = order[weights[order] > 0]
    values = whole[order, :n_features]
    return Distinct(values, weights[order], None if stress is None else whole[order, n_features:])


def complete(values: Array) -> tuple[Array, Array | None]:
    """Rows with 0 for missing values, and their ``stress`` (None: all of it is 1)."""
    if not has_gaps(values):
        return values, None
    present = ~np.isnan(values)
    share = np.maximum(present.mean(axis=1, keepdims=True), 1.0 / values.shape[1])
    return without_gaps(values), present / share


def _sort_keys(values: Array) -> list[Array]:
    """Keys that do not depend on the order of columns, nor on rounding."""
    squares = values * values
    return [
        np.round(powers.sum(axis=1), 9) for powers in (squares * squares, squares * values, squares)
    ]


def plus_plus(rows: Distinct, n_centres: int, generator: np.random.Generator) -> Array:
    """Greedy k-means++ centres (K, D) (Arthur & Vassilvitskii 2007): the best of a few draws."""
    trials = 2 + int(np.log(n_centres))
    centres = np.empty((n_centres, rows.values.shape[1]))
    centres[0] = rows.values[_drawn(rows.weights, 1, generator)[0]]
    stress = 1.0 if rows.stress is None else rows.stress
    squares = (stress * rows.values * rows.values).sum(axis=1)
    nearest = np.maximum(rows.beyond(centres[:1])[0] + squares, 0.0)
    for k in range(1, n_centres):
        mass = rows.weights * nearest
        candidates = _drawn(mass if mass.sum() > 0 else rows.weights, trials, generator)
        distances = np.maximum(rows.beyond(rows.values[candidates]) + squares, 0.0)
        np.minimum(distances, nearest, out=distances)
        best = int((distances @ rows.weights).argmin())
        centres[k] = rows.values[candidates[best]]
        nearest = distances[best]
    return centres


def _drawn(mass: Array, n: int, generator: np.random.Generator) -> Any:
    """Indices of n rows drawn by their mass."""
    reached = np.cumsum(mass)
    places = np.searchsorted(reached, generator.random(n) * reached[-1], side="right")
    return np.minimum(places, len(mass) - 1)


def lloyd(rows: Distinct, centres: Array, rounds: int) -> Array:
    """k-means centres after at most ``rounds`` rounds; an empty centre stays where it is."""
    centres = centres.copy()
    labels = np.full(len(rows.values), -1)
    for _ in range(rounds):
        updated = rows.beyond(centres).argmin(axis=0)
        if np.array_equal(updated, labels):
            break
        labels = updated
        totals = np.bincount(labels, weights=rows.weights, minlength=len(centres))
        for d in range(centres.shape[1]):
            if rows.stress is not None:
                present = rows.weights * (rows.stress[:, d] > 0)
                totals = np.bincount(labels, weights=present, minlength=len(centres))
            sums = np.bincount(labels, rows.weights * rows.values[:, d], len(centres))
            np.divide(sums, totals, out=centres[:, d], where=totals > 0)
    return centres
