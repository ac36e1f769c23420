"""Moves out of a local optimum: split one component, merge two, or both at once (Ueda et al. 2000).

A move is a way to make responsibilities out of those of a mixture, so that it serves every family
and every objective. What a move may gain is estimated on a sample of the rows; whether it is taken
is decided on the objective over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.engine.expectation import ExpectationStep, centred
from bayesmix.engine.monitor import Monitor
from bayesmix.engine.run import Problem, run
from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array
from bayesmix.records import Mixture, NoGuard, Rows
from bayesmix.workflow.starts import Given, begun

SPLIT_PASSES = 12
SHARE_TO_COUNT = 0.02


@dataclass(frozen=True)
class Halves:
    """Two components that a split puts in the place of component ``k``."""

    k: int
    pair: Mixture
    gain: float


@dataclass(frozen=True)
class Move:
    """Merge ``merged`` (or nothing) and split ``halves.k`` (or nothing) of a mixture."""

    mixture: Mixture
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

    @property
    def n_components(self) -> int:
        return self.mixture.n_components + (self.halves is not None) - (self.merged is not None)

    def __call__(self, rows: Rows) -> Array:
        """Responsibilities (n, K') after the move."""
        values = self.mixture.frame.apply(rows.values)
        shares, _ = self.mixture.responsibilities(values)
        columns = list(shares.T)
        if self.halves is not None:
            halves, _ = self.halves.pair.responsibilities(values)
            whole = columns[self.halves.k]
            columns[self.halves.k] = whole * halves[:, 0]
            columns.append(whole * halves[:, 1])
        if self.merged is not None:
            first, second = self.merged
            columns[first] = columns[first] + columns[second]
            del columns[second]
        return np.stack(columns, axis=1)

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

    mixture: Mixture
    keep: Any
    counts: Array
    predicted: float = 0.0
    kind = "delete"

    @property
    def touched(self) -> list[tuple[int, ...]]:
        return []

    @property
    def n_components(self) -> int:
        return len(self.keep)

    def __call__(self, rows: Rows) -> Array:
        """Responsibilities (n, K') of the components that stay."""
        smaller = self.mixture.subset(self.keep, self.counts)
        shares, _ = smaller.responsibilities(smaller.frame.apply(rows.values))
        return shares

    def __str__(self) -> str:
        gone = sorted(set(range(self.mixture.n_components)) - set(map(int, self.keep)))
        return f"delete {', '.join(map(str, gone))}"


def deletions(mixture: Mixture, counts: Array, few: float) -> list[Deletion]:
    """All components under ``few`` rows at once, then the smallest ones each alone."""
    K = len(counts)
    moves = []
    stay = np.flatnonzero(counts >= few)
    if 0 < len(stay) < K - 1:
        moves.append(Deletion(mixture, stay, counts))
    if K > 1:
        for k in np.argsort(counts, kind="stable")[:3]:
            moves.append(Deletion(mixture, np.delete(np.arange(K), k), counts))
    return moves


def best_splits(problem: Problem, mixture: Mixture) -> list[Halves]:
    """For every component the two-component fit to its rows that gains most, where one gains.

    ``problem.source`` is the sample. The gain is that of the objective on those rows, in nats.
    """
    source: Any = problem.source
    values = mixture.frame.apply(source.values)
    shares, _ = mixture.responsibilities(values)
    plain = replace(problem, guard=NoGuard(), accelerate=False)
    found = []
    for k in range(mixture.n_components):
        mine = np.flatnonzero(shares[:, k] > SHARE_TO_COUNT)
        n_features = values.shape[1]
        if len(mine) < 2 * (n_features + 2):
            continue
        weights = shares[mine, k]
        if source.weights is not None:
            weights = weights * source.weights[mine]
        rows = replace(source, values=source.values[mine], weights=weights, n_jobs=1)
        best = _best_halves(replace(plain, source=rows), mixture, values[mine], weights, k)
        if best is not None:
            found.append(best)
    return sorted(found, key=lambda halves: -halves.gain)


def _best_halves(
    problem: Problem, mixture: Mixture, values: Array, weights: Array, k: int
) -> Halves | None:
    mean = np.average(values, axis=0, weights=weights)
    away = values - mean
    scale = np.sqrt(np.average(away * away, axis=0, weights=weights))
    scale = np.where(scale > 0, scale, 1.0)
    standardised = away / scale
    _, axes = np.linalg.eigh((weights[:, None] * standardised).T @ standardised)
    best: Halves | None = None
    whole = _value(problem, begun(problem, Given(np.ones((len(values), 1))), 1, mixture))
    if whole is None:
        return None
    for axis in axes.T[-2:]:
        side = standardised @ axis > 0
        shares = np.where(side[:, None], [0.95, 0.05], [0.05, 0.95])
        outcome = _value(problem, begun(problem, Given(shares), 2, mixture))
        if outcome is not None and (best is None or outcome[0] - whole[0] > best.gain):
            best = Halves(k, outcome[1], outcome[0] - whole[0])
    return best


def _value(problem: Problem, state: Any) -> tuple[float, Mixture] | None:
    """The objective after a few passes; None where the pair collapsed."""
    try:
        state = run(problem, state, Monitor(), SPLIT_PASSES)
    except DegenerateFitError:
        return None
    if state.status == "interrupted":
        # This monitor is nobody's: whoever has one must hear of it.
        raise KeyboardInterrupt
    if state.expectation.counts.min() < 1.0:
        return None
    return state.objective, state.at()


def merge_losses(problem: Problem, mixture: Mixture, most: int) -> list[tuple[float, int, int]]:
    """Objective lost by merging each of the most overlapping pairs, on the sample, least first."""
    source: Any = problem.source
    K = mixture.n_components
    shares, _ = mixture.responsibilities(mixture.frame.apply(source.values))
    weights = np.ones(len(shares)) if source.weights is None else source.weights
    overlap = (shares * weights[:, None]).T @ shares
    size = np.sqrt(np.maximum(np.diagonal(overlap), 1e-300))
    closeness = overlap / np.outer(size, size)
    first, second = np.triu_indices(K, 1)
    order = np.argsort(-closeness[first, second], kind="stable")[:most]
    before = _objective_after_update(problem, mixture, None)
    losses = []
    for i, j in zip(first[order], second[order], strict=True):
        after = _objective_after_update(problem, mixture, (int(i), int(j)))
        if before is not None and after is not None:
            losses.append((before - after, int(i), int(j)))
    return sorted(losses)


def _objective_after_update(
    problem: Problem, mixture: Mixture, merged: tuple[int, int] | None
) -> float | None:
    move = Move(mixture, None, merged, 0.0)
    state = begun(problem, move, move.n_components)
    try:
        updated = problem.objective.update(
            state.expectation, mixture, problem.frame, problem.guard.resolution
        )
        expectation = problem.source.reduce(ExpectationStep(updated, centred), updated.n_components)
        return float(expectation.log_normaliser + problem.objective.regulariser(updated))
    except DegenerateFitError:
        return None
