"""k-means over the distinct rows of a source: what most starts begin with.

Distances are taken in columns divided by their robust scale, so that units do not matter, and draws
are made over the distinct rows in sorted order, so that neither does the order of the rows, nor
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
LLOYD_ROUNDS = 100
# Spreads from the median beyond which starts do not tell rows apart: fourth powers are doubles.
FARTHEST = 1e70


@dataclass(frozen=True)
class Distinct:
    """Distinct rows (m, D) in columns of unit scale, in sorted order, with their weights (m,).

    Where some have gaps these are 0, and ``stress`` (m, D) is what squares count: 0 in a gap, more
    in the other columns of its row, so that rows are as far apart as if they had all.
    """

    values: Array
    weights: Array
    stress: Array | None = None

    @property
    def squares(self) -> Array:
        """|x|² (m,)."""
        if self.stress is None:
            squares: Array = np.einsum("nd,nd->n", self.values, self.values)
        else:
            squares = np.einsum("nd,nd,nd->n", self.stress, self.values, self.values)
        return squares

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
    within: float = np.inf,
) -> Distinct:
    """The distinct rows of (a sample of) the source, none longer than ``within`` times √D."""
    sample = source.sample(most, generator).rows
    values = (np.asarray(sample.values, dtype=np.float64) - summary.centre) / summary.scale
    np.clip(values, -FARTHEST, FARTHEST, out=values)
    if within < np.inf:
        radius = within * np.sqrt(values.shape[1])
        lengths = np.sqrt(np.nansum(values * values, axis=1, keepdims=True))
        values *= radius / np.maximum(lengths, radius)
    weights = sample.weights_or_ones
    n_features = values.shape[1]
    filled, stress = seen_values(values)
    whole = filled if stress is None else np.hstack([filled, stress])
    keys = _keys(whole)
    if _tie(keys):
        whole, inverse = np.unique(whole, axis=0, return_inverse=True)
        weights = np.bincount(inverse.ravel(), weights, len(whole)).astype(np.float64)
        keys = _keys(whole)
    order = np.lexsort(keys)
    order = order[weights[order] > 0]
    values = whole[order, :n_features]
    return Distinct(values, weights[order], None if stress is None else whole[order, n_features:])


def seen_values(values: Array) -> tuple[Array, Array | None]:
    """Rows with 0 for gaps, and what squares then count (None: all of them 1)."""
    if not has_gaps(values):
        return values, None
    present = ~np.isnan(values)
    share = np.maximum(present.mean(axis=1, keepdims=True), 1.0 / values.shape[1])
    return without_gaps(values), present / share


def _keys(values: Array) -> list[Array]:
    """What rows are put in order by: free of the order of columns, and of rounding."""
    squares = values * values
    return [
        np.round(powers.sum(axis=1), 9) for powers in (squares * squares, squares * values, squares)
    ]


def _tie(keys: list[Array]) -> bool:
    """Whether rows may be equal: only then is it worth looking for those that are."""
    return len(np.unique(keys[-1])) < len(keys[-1])


def plus_plus(rows: Distinct, n_centres: int, generator: np.random.Generator) -> Array:
    """Greedy k-means++ centres (K, D) (Arthur & Vassilvitskii 2007): the best of a few draws."""
    trials = 2 + int(np.log(n_centres))
    centres = np.empty((n_centres, rows.values.shape[1]))
    first = _draw(rows.weights, 1, generator)[0]
    centres[0] = rows.values[first]
    squares = rows.squares
    nearest = np.maximum(rows.beyond(centres[:1])[0] + squares, 0.0)
    for k in range(1, n_centres):
        mass = rows.weights * nearest
        candidates = _draw(mass if mass.sum() > 0 else rows.weights, trials, generator)
        distances = rows.beyond(rows.values[candidates])
        distances += squares
        np.maximum(distances, 0.0, out=distances)
        np.minimum(distances, nearest, out=distances)
        best = int((distances @ rows.weights).argmin())
        centres[k] = rows.values[candidates[best]]
        nearest = distances[best]
    return centres


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
                known = rows.weights * (rows.stress[:, d] > 0)
                totals = np.bincount(labels, weights=known, minlength=len(centres))
            moved = np.bincount(
                labels, weights=rows.weights * rows.values[:, d], minlength=len(centres)
            )
            np.divide(moved, totals, out=centres[:, d], where=totals > 0)
    return centres


def _draw(mass: Array, n: int, generator: np.random.Generator) -> Any:
    reached = np.cumsum(mass)
    places = np.searchsorted(reached, generator.random(n) * reached[-1], side="right")
    return np.minimum(places, len(mass) - 1)
