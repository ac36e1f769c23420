"""Moves out of a local optimum: split one component, merge two, or both at once (Ueda et al. 2000).

A move works on summed statistics, which can be merged and split without a look at the rows, so that
it serves every family and every objective. What a move may gain is estimated on a sample of the
rows; whether it is taken is decided on the objective over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from bayesmix.engine.run import Problem, State, begin, begin_at
from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.logsumexp import LARGEST_ODDS
from bayesmix.workflow.search.splits import Halves, Look, of_statistics

# What merging a pair would lose, and the pair.
Merge: TypeAlias = tuple[float, int, int]
# Rows of a component that has none, to all intents and purposes.
NO_ROWS = 1e-3
# The share of all rows that a component may gain or lose and hold as many.
ALIKE_COUNTS = 0.01


@dataclass(frozen=True)
class Move:
    """Merge ``merged`` (or nothing) and split ``halves.k`` (or nothing) of a mixture."""

    halves: Halves | None
    merged: tuple[int, int] | None
    predicted: float

    @property
    def kind(self) -> str:
        if self.halves is not None and self.merged is not None:
            return "swap"
        return "split" if self.halves is not None else "merge"

    @property
    def touched(self) -> list[tuple[int, ...]]:
        """What it splits and what it merges: to vary both when several moves are tried."""
        splits = [] if self.halves is None else [(self.halves.k,)]
        return splits + ([] if self.merged is None else [self.merged])

    def begun(self, problem: Problem, state: State) -> State:
        """A run about to take its first M-step from the statistics after the move."""
        statistics = state.expectation.statistics
        if self.halves is not None:
            # Fitted to a sample, they stand for the rows that the component has here.
            k, halves = self.halves.k, self.halves.statistics
            share = float(state.expectation.counts[k] / halves.counts.sum())
            statistics = statistics.split(k, halves.scaled(share))
        if self.merged is not None:
            statistics = statistics.merged(*self.merged)
        return begin(problem, of_statistics(statistics), state.at(), state)

    def __str__(self) -> str:
        parts = []
        if self.merged is not None:
            parts.append(f"merge {self.merged[0]} and {self.merged[1]}")
        if self.halves is not None:
            parts.append(f"split {self.halves.k}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Deletion:
    """Leave out some components of a mixture; the others take their rows."""

    keep: Integers
    gone: tuple[int, ...]
    predicted: float = 0.0
    kind = "delete"
    touched: tuple[tuple[int, ...], ...] = ()

    def begun(self, problem: Problem, state: State) -> State:
        """A run at the mixture of the components that stay."""
        rest = state.at().subset(self.keep, state.expectation.counts)
        return begin_at(problem, rest, nearby=state)

    def __str__(self) -> str:
        return f"delete {', '.join(map(str, self.gone))}"


def deletions(counts: Array, few: float) -> list[Deletion]:
    """All components under ``few`` rows at once, then the smallest ones each alone."""
    K = len(counts)
    if K == 1:
        return []
    stay = np.flatnonzero(counts >= few)
    moves = []
    if 0 < len(stay) < K - 1:
        moves.append(Deletion(stay, tuple(np.flatnonzero(counts < few).tolist())))
    for k in np.argsort(counts, kind="stable")[:3]:
        moves.append(Deletion(np.delete(np.arange(K), k), (int(k),)))
    return moves


def merge_losses(problem: Problem, state: State, look: Look, most: int) -> list[Merge]:
    """Objective lost by merging each of the most overlapping pairs, least first.

    ``look`` is at the rows of ``problem``, which stand for those of the state. Those of the pair go
    to a component fitted to both; the others stay as they are.
    """
    mixture = state.at()
    if mixture.n_components == 1:
        return []
    shares = look.shares
    weights = look.weights
    closeness, size = look.closeness(weights)
    # What holds no rows is free to be merged with any other; two, so that all others may be split.
    empty = np.flatnonzero(size * size < NO_ROWS)
    for partner in np.argsort(-size, kind="stable")[:2]:
        closeness[empty, partner] = closeness[partner, empty] = np.inf
    first, second = np.triu_indices(mixture.n_components, 1)
    order = np.argsort(-closeness[first, second], kind="stable")[:most]
    before = problem.objective.regulariser(mixture)
    losses: list[Merge] = []
    for i, j in zip(first[order].tolist(), second[order].tolist(), strict=True):
        merged = state.expectation.statistics.merged(i, j)
        try:
            updated = problem.objective.update(
                of_statistics(merged), mixture, problem.frame, problem.guard.resolution
            )
            one = problem.densities(updated).components.subset(np.array([i]))
        except DegenerateFitError:
            continue
        of_both = one.expected_log_density(look.values)[:, 0] + updated.weights.expected_log()[i]
        rest = np.maximum(1.0 - shares[:, i] - shares[:, j], 0.0)
        # A row that nothing explains is an infinite loss.
        odds = np.exp(np.minimum(of_both - look.log_normaliser, LARGEST_ODDS))
        with np.errstate(divide="ignore"):
            gained = np.log(rest + odds) @ weights
        loss = before - problem.objective.regulariser(updated) - float(gained)
        losses.append((loss, i, j))
    return sorted(losses)


def holds_as_many(one: State, other: State) -> bool:
    """Whether the components of two mixtures hold nearly as many rows: then a move led back."""
    now, before = np.sort(one.expectation.counts), np.sort(other.expectation.counts)
    return len(now) == len(before) and bool(
        np.abs(now - before).max() < ALIKE_COUNTS * before.sum()
    )
