"""Dividing the rows of two components anew: two-component fits to what a pair holds together.

Optima often differ in how two neighbours share their rows: a broad and a narrow cluster, one inside
the other, or two side by side across another direction. No split and merge elsewhere leads from one
to the other. Of two components it divides all rows (kurtosis finds clusters: Peña & Prieto 2001).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.engine.run import Problem, State, begin
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.quantiles import quantiles
from bayesmix.protocols import Statistics
from bayesmix.records import Rows
from bayesmix.workflow.search.splits import (
    FIRST_LOOK,
    MORE_PASSES,
    SHARE_TO_COUNT,
    LocalFit,
    Look,
    advanced,
    nearly_divided,
    of_statistics,
    where_closest,
    whitened,
)

# Of one pair, how many divisions are followed after a first look.
FOLLOWED = 2
# Share of the pair's rows by which counts differ where a division is another than the present one.
SAME = 0.01
QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Division:
    """Two components that take the place of a pair, and what of the objective that may gain."""

    pair: tuple[int, int]
    statistics: Statistics  # of the two, over the sample
    predicted: float
    kind = "divide"

    def begun(self, problem: Problem, state: State) -> State:
        """A run about to take its first M-step from the statistics after the move."""
        first, second = self.pair
        counts = state.expectation.counts
        share = float((counts[first] + counts[second]) / self.statistics.counts.sum())
        merged = state.expectation.statistics.merged(first, second)
        place = first - (second < first)
        statistics = merged.split(place, self.statistics.scaled(share))
        return begin(problem, of_statistics(statistics), state.at(), state)

    def __str__(self) -> str:
        return f"divide {self.pair[0]} and {self.pair[1]} anew"


def best_divisions(
    problem: Problem, state: State, look: Look, pairs: list[tuple[int, int]]
) -> list[Division]:
    """For every pair the best two-component fits to its rows that are not the present one.

    ``look`` is at the rows of ``problem``. What a division gains is that of the objective there, in
    nats.
    """
    family, values, shares = problem.family, look.values, look.shares
    present: list[LocalFit] = []
    anew: list[LocalFit] = []
    for number, pair in enumerate(pairs):
        both = shares[:, pair]
        total = both.sum(axis=1)
        mine = np.flatnonzero(total > SHARE_TO_COUNT)
        if len(mine) < 2 * (values.shape[1] + 2):
            continue
        row_weights = look.weights[mine]
        weights = total[mine] * row_weights
        rows = Rows(look.rows.values[mine], weights)
        halves = (both[mine].T * row_weights).T
        present.append(LocalFit(number, rows, family.statistics(values[mine], halves)))
        for side in _sides(values[mine], weights):
            halves = nearly_divided(side, weights)
            anew.append(LocalFit(number, rows, family.statistics(values[mine], halves)))
    now = {group.k: group for group in advanced(problem, state, present, 1)}
    ranked = sorted(advanced(problem, state, anew, FIRST_LOOK), key=lambda group: -group.value)
    followed = [
        group
        for number in now
        for group in [group for group in ranked if group.k == number][:FOLLOWED]
    ]
    return [
        Division(pairs[group.k], group.statistics, group.value - now[group.k].value)
        for group in advanced(problem, state, followed, MORE_PASSES)
        if _differ(group.statistics.counts, now[group.k].statistics.counts)
    ]


def _differ(counts: Array, present: Array) -> bool:
    """Whether a division leaves a row to either side, and not as many as now."""
    away = np.abs(np.sort(counts) - np.sort(present)).max()
    return bool(counts.min() >= 1.0 and away > SAME * counts.sum())


def _sides(values: Array, weights: Array) -> list[Array]:
    """Ways to divide rows (n, D) in two, (n,) of bool: along axes, core from rim, a ball."""
    white: Any = whitened(values, weights)
    if not white.shape[1]:  # equal rows
        return []
    distance = np.einsum("nd,nd->n", white, white)
    longest = white[:, -1]
    sides = [longest > quarter for quarter in quantiles(longest, weights, QUARTERS)]
    sides += [distance < middle for middle in quantiles(distance, weights, QUARTERS[1:2])]
    if white.shape[1] > 1:
        # Across two heaps of rows kurtosis is least; where some lie far out it is most.
        _, axes = np.linalg.eigh((weights * distance * white.T) @ white)
        sides += [white @ axes[:, place] > 0.0 for place in (0, -1)]
    return [*sides, *where_closest(white)]
