"""Random swaps: a component begins at a few neighbouring rows, and another is left out.

Splits along the axes of a component do not see a small cluster inside it. Rows drawn at random do,
sooner or later, and most swaps that fail are soon seen to (Zhao, Hautamäki & Fränti 2012).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.engine.run import Problem, State, begin
from bayesmix.numerics.arrays import Array
from bayesmix.workflow.splits import SHARE_TO_COUNT, Look, of_statistics, whitened

# How many rows more than columns the new component has at least, and its share of those of the
# component that it begins in at most.
FEWEST_MORE = 3
LARGEST_SHARE = 0.5
# What is left out is drawn from this share of the components, those that are missed least.
SHARE_TO_LEAVE = 0.5
LEAST_REST = 1e-12


@dataclass(frozen=True)
class RandomSwap:
    """Component ``k`` loses some rows to a new one, and ``left_out`` all that it has."""

    k: int
    left_out: int
    statistics: Any  # of the rest of component k and of the new one
    kind = "random swap"

    def begun(self, problem: Problem, state: State) -> State:
        """A run about to take its first M-step from the statistics after the move."""
        statistics = state.expectation.statistics.split(self.k, self.statistics)
        keep = np.delete(np.arange(len(statistics.counts)), self.left_out)
        return begin(problem, of_statistics(statistics.subset(keep)), state.at(), state)

    def __str__(self) -> str:
        return f"leave out {self.left_out}, begin anew in {self.k}"


def random_swaps(
    problem: Problem, look: Look, generator: np.random.Generator, most: int
) -> Iterator[RandomSwap]:
    """At most so many swaps: small numbers of rows are as likely in them as large ones.

    ``look`` is at the rows of ``problem``.
    """
    source: Any = problem.source
    values, shares = look.values, look.shares
    row_weights = np.ones(len(values)) if source.weights is None else source.weights
    missed = -row_weights @ np.log(np.maximum(1.0 - shares, LEAST_REST))
    least_missed = np.argsort(missed, kind="stable")
    least_missed = least_missed[: max(2, int(SHARE_TO_LEAVE * len(missed)))]
    fewest = values.shape[1] + FEWEST_MORE
    drawn = row_weights / row_weights.sum()
    for _ in range(most):
        row = int(generator.choice(len(values), p=drawn))
        left_out, part = int(generator.choice(least_missed)), generator.random()
        k = int(shares[row].argmax())
        weights = shares[:, k] * row_weights
        largest = LARGEST_SHARE * weights.sum()
        if k == left_out or largest <= fewest:
            continue
        mine = np.flatnonzero(shares[:, k] > SHARE_TO_COUNT)
        size = fewest * (largest / fewest) ** part
        near = _nearest(values[mine], weights[mine], int(np.searchsorted(mine, row)), size)
        halves = np.where(near[:, None], [0.0, 1.0], [1.0, 0.0]) * weights[mine, None]
        yield RandomSwap(k, left_out, problem.family.statistics(values[mine], halves))


def _nearest(values: Array, weights: Array, place: int, size: float) -> Array:
    """Which rows (n, D) of such a weight are nearest to one of them, where their scatter is 1."""
    white = whitened(values, weights)
    away = white - white[place]
    order = np.argsort(np.einsum("nd,nd->n", away, away), kind="stable")
    near = np.zeros(len(values), dtype=bool)
    near[order[: 1 + int(np.searchsorted(np.cumsum(weights[order]), size))]] = True
    return near
