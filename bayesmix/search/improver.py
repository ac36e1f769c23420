"""Moves out of a local optimum (Ueda et al. 2000), until none improves the objective.

Swaps, divisions of a pair (by kurtosis: Peña & Prieto 2001), splits and merges are made on summed
statistics, without a pass over the data; gains are predicted on a subsample, and the full objective
decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.rows import Rows
from bayesmix.em.expectation import LocalRows
from bayesmix.em.model import Model, is_valueless
from bayesmix.em.run import (
    REMAINING_IN_SEARCH,
    Problem,
    State,
    begin,
)
from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import LARGEST_ODDS, Array, quantiles
from bayesmix.numerics.memo import once
from bayesmix.search.optimum import Attempts

if TYPE_CHECKING:
    from bayesmix.core.components import Statistics

# The objective that merging a pair would lose, and the pair (i < j).
Merge: TypeAlias = tuple[float, int, int]
# Halves (n,) of weighted values (n, D) at which two-component fits begin.
Sides: TypeAlias = Callable[[Array, Array], list[Array]]

# Passes of every two-component fit, and of the best ones thereafter.
FIRST_PASSES, FURTHER_PASSES = 4, 6
# Two-component fits of a pair that get more passes.
DIVISIONS_OF_A_PAIR = 2
# Responsibility below which a row is left out of a two-component fit.
NEGLIGIBLE_SHARE = 0.02
# Share of its side that each half begins with.
SHARE_OF_SIDE = 0.95
# Principal axes along which a component is split.
AXES = 2
# Variance of an axis without extent, relative to the longest.
NO_EXTENT = 1e-9
# Values beyond this, in units of the frame, overflow when they are squared and summed.
FARTHEST = 1e100
# Weight below which a component counts as empty.
EMPTY = 1e-3
# Share of all observations by which counts may differ and count as equal.
EQUAL_COUNTS = 0.01


@dataclass(frozen=True)
class Assignment:
    """Observations of a view with their responsibilities (n, K) and log normalisers (n,)."""

    rows: Rows  # in data units
    values: Array  # (n, D), framed
    responsibilities: Array
    log_normaliser: Array

    @classmethod
    def under(cls, problem: Problem, state: State) -> Assignment:
        """Evaluate the observations of ``problem`` under the mixture of a state."""
        mixture, rows = (
            state.current_mixture(),
            state.form.complete(state.current_mixture(), problem.source.in_memory().rows),
        )
        return cls(rows, rows.framed(mixture.frame), *mixture.responsibilities(rows.as_seen))

    @once
    def weights(self) -> Array:
        return self.rows.weights_or_ones

    def overlaps(self) -> tuple[Array, Array]:
        """Cosines (K, K) between columns of responsibilities, and their lengths (K,)."""
        products = (self.responsibilities * self.weights[:, None]).T @ self.responsibilities
        lengths = np.sqrt(np.maximum(np.diagonal(products), 1e-300))
        return products / np.outer(lengths, lengths), lengths


@dataclass(frozen=True)
class Split:
    """Two components in the place of a group: one component, or a pair (i < j)."""

    group: tuple[int, ...]
    statistics: Statistics  # of the two, over the rows of the view
    gain: float  # in the objective over the rows of the view, in nats

    def applied(self, statistics: Any, counts: Array) -> Any:
        """Return the statistics of all components after the split."""
        if len(self.group) == 2:
            statistics = statistics.merged(*self.group)
        factor = float(counts[list(self.group)].sum() / self.statistics.counts.sum())
        return statistics.split(self.group[0], self.statistics.scaled(factor))


@dataclass(frozen=True)
class Move:
    """Split a group, merge a pair, or both."""

    split: Split | None
    merged: tuple[int, int] | None
    predicted: float

    @property
    def kind(self) -> str:
        if self.split is None:
            return "merge"
        if len(self.split.group) == 2:
            return "divide"
        return "split" if self.merged is None else "swap"

    @property
    def touched(self) -> list[tuple[int, ...]]:
        """Return the groups that the move splits and merges."""
        groups = [] if self.split is None else [self.split.group]
        return groups + ([] if self.merged is None else [self.merged])

    def begun(self, problem: Problem, state: State) -> State:
        """Return a state that starts with an M-step from the statistics after the move."""
        statistics: Any = state.expectation.statistics
        if self.split is not None:
            statistics = self.split.applied(statistics, state.expectation.counts)
        if self.merged is not None:
            statistics = statistics.merged(*self.merged)
        return begin(problem, of_statistics(statistics), state.current_mixture(), state)

    def __str__(self) -> str:
        if self.kind == "divide" and self.split is not None:
            return f"divide {self.split.group[0]} and {self.split.group[1]} again"
        parts = []
        if self.merged is not None:
            parts.append(f"merge {self.merged[0]} and {self.merged[1]}")
        if self.split is not None:
            parts.append(f"split {self.split.group[0]}")
        return ", ".join(parts)


def of_statistics(statistics: Any) -> Expectation:
    """Return an expectation with only the sums, which is all that an M-step needs."""
    return Expectation(0.0, 0.0, statistics.counts, statistics)


def best_splits(
    problem: Problem,
    state: State,
    assignment: Assignment,
    first: int = FIRST_PASSES,
    more: int = FURTHER_PASSES,
) -> list[Split]:
    """The best split of each component, largest gain first."""
    groups = [(k,) for k in range(state.current_mixture().n_components)]
    splits = two_component_fits(problem, state, assignment, groups, _axis_sides, 1, (first, more))
    return sorted((split for split, _ in splits), key=lambda split: -split.gain)


@dataclass(frozen=True)
class _LocalFit:
    """Components fitted to the weighted observations of a group, and their objective."""

    number: int  # of the group
    rows: Rows
    statistics: Statistics
    value: float = -np.inf


def two_component_fits(
    problem: Problem,
    state: State,
    assignment: Assignment,
    groups: Sequence[tuple[int, ...]],
    sides: Sides,
    most: int,
    passes: tuple[int, int],
) -> list[tuple[Split, Array]]:
    """The ``most`` best splits of each group, with the counts of the group's own components."""
    family, values = problem.family, assignment.values
    present: list[_LocalFit] = []
    begun: list[_LocalFit] = []
    for number, group in enumerate(groups):
        shares = assignment.responsibilities[:, group]
        total = shares.sum(axis=1)
        inside = np.flatnonzero(total > NEGLIGIBLE_SHARE)
        if len(inside) < 2 * (values.shape[1] + 2):
            continue
        row_weights, inner = assignment.weights[inside], values[inside]
        weights = total[inside] * row_weights
        rows = Rows(assignment.rows.values[inside], weights)
        group_weights = shares[inside] * row_weights[:, None]
        present.append(_LocalFit(number, rows, family.statistics(inner, group_weights)))
        for side in sides(inner, weights):
            # Two components, each with most of its side.
            first = weights * np.where(side, SHARE_OF_SIDE, 1.0 - SHARE_OF_SIDE)
            halves = np.stack([first, weights - first]).T
            begun.append(_LocalFit(number, rows, family.statistics(inner, halves)))
    now = {fit.number: fit for fit in _advanced(problem, state, present, 1)}
    ranked = sorted(_advanced(problem, state, begun, passes[0]), key=lambda fit: -fit.value)
    best = [fit for number in now for fit in [fit for fit in ranked if fit.number == number][:most]]
    return [
        (
            Split(groups[fit.number], fit.statistics, fit.value - now[fit.number].value),
            now[fit.number].statistics.counts,
        )
        for fit in _advanced(problem, state, best, passes[1])
        if fit.statistics.counts.min() >= 1.0
    ]


def _axis_sides(values: Array, weights: Array) -> list[Array]:
    """The two sides of the mean along each of the longest axes."""
    return list((whitened(values, weights)[:, -AXES:] > 0.0).T)


def whitened(values: Array, weights: Array) -> Array:
    """Return centred values (n, m) along principal axes of unit variance, longest last.

    Principal axes are those of standardised columns; axes without extent are left out.
    """
    total = weights.sum()
    near = np.clip(values, -FARTHEST, FARTHEST)
    away: Array = near - weights @ near / total
    covariance = (weights * away.T) @ away / total
    deviation = np.sqrt(np.diagonal(covariance))
    unit = 1.0 / np.where(deviation > 0.0, deviation, 1.0)
    variances, axes = np.linalg.eigh(covariance * unit * unit[:, None])
    wide = variances > NO_EXTENT * variances[-1]
    return oriented(away @ (unit[:, None] * axes[:, wide] / np.sqrt(variances[wide])), weights)


def oriented(along: Array, weights: Array) -> Array:
    """Return values (n, m) along axes that point where their distribution is skewed.

    The sign of an eigenvector depends on the order of the columns.
    """
    return along * np.where(weights @ along**3 < 0.0, -1.0, 1.0)


def _advanced(
    problem: Problem, state: State, fits: list[_LocalFit], passes: int
) -> list[_LocalFit]:
    """Return the local fits after some passes over their data; degenerate ones are left out.

    All components are updated as one mixture, so that the fits share each M-step.
    """
    for number in range(passes):
        fits, together = _updated(problem, state, fits)
        if not fits:
            return []
        ends = np.cumsum([0, *(len(fit.statistics.counts) for fit in fits)])
        places = [np.arange(*bounds) for bounds in pairwise(ends)]
        parts = [
            LocalRows(fit.rows, place, fit.statistics.counts / fit.statistics.counts.sum())
            for fit, place in zip(fits, places, strict=True)
        ]
        passed = state.form.of_parts(problem.densities(together), parts)
        last = number == passes - 1 and problem.objective.variational
        counts = np.concatenate([fit.statistics.counts for fit in fits]) if last else None
        fits = [
            replace(
                fit,
                statistics=statistics,
                value=value
                if counts is None
                else value + problem.objective.regulariser(together.subset(place, counts)),
            )
            for fit, place, (statistics, value) in zip(fits, places, passed, strict=True)
        ]
    return fits


def _updated(problem: Problem, state: State, fits: list[_LocalFit]) -> tuple[list[_LocalFit], Any]:
    """The M-step of all fits as one mixture; degenerate fits are left out."""
    if not fits:
        return [], None
    try:
        return fits, _update(problem, state, fits)
    except DegenerateFitError:
        sound = [fit for fit in fits if _is_sound(problem, state, fit)]
        # Shared covariances are degenerate for all fits or for none.
        return _updated(problem, state, sound) if len(sound) < len(fits) else ([], None)


def _is_sound(problem: Problem, state: State, fit: _LocalFit) -> bool:
    """Whether no component of a fit is degenerate."""
    try:
        _update(problem, state, [fit])
    except DegenerateFitError:
        return False
    return True


def _update(problem: Problem, state: State, fits: list[_LocalFit]) -> Mixture:
    """The mixture of the components of all fits; raises ``DegenerateFitError``."""
    statistics = type(fits[0].statistics).joined([fit.statistics for fit in fits])
    mixture = problem.objective.update(
        of_statistics(statistics), state.mixture, problem.frame, problem.guard.resolution
    )
    _ = problem.densities(mixture)
    return mixture


MOST_ROUNDS = 60
# Loss (nats per observation), predicted or of a trial, from which none recovers.
HOPELESS, BEHIND = 0.05, 0.01
MOST_DIVISIONS = 12
MOST_MERGES = 2  # predicted, in multiples of K
# Gain (nats per observation) of an accepted move, above what the stopping rule leaves.
BETTER = 2.0 * REMAINING_IN_SEARCH
STAGES = (2, 6)  # passes of a trial
# Trials that are followed if none is better yet. A trial continues while PATIENCE times its latest
# gain would exceed the goal.
MOST_FOLLOWED, MORE_PASSES, MOST_STRETCHES, PATIENCE = 3, 25, 8, 4.0


@dataclass
class Improver:
    """Moves of a search; gains are predicted on the problem ``view``."""

    attempts: Attempts
    model: Model
    view: Problem
    thorough: bool  # for small data: all trials run their first passes and are followed
    accident: float = 0.0  # gain of a superfluous component on the view, in nats
    latest: tuple[State, Assignment, list[Merge]] | None = None

    def improved(self, problem: Problem, state: State) -> State:
        """Apply moves until none improves the objective of ``problem``."""
        for _ in self._rounds():
            better = self._first_better(problem, self._moves(state), state)
            if better is None:
                break
            state = better
        return state

    def divided(self, problem: Problem, state: State) -> State:
        """Divide pairs and apply the moves that follow, until none helps."""
        for _ in self._rounds():
            better = self._first_better(problem, self._divisions(state), state)
            if better is None:
                break
            same = equal_counts(better.expectation.counts, state.expectation.counts)
            # After a division with equal counts the swaps would be the same.
            state = better if same else self.improved(problem, better)
        return state

    def _rounds(self) -> Iterator[int]:
        if self.model.n_components > 1 and self.model.family.rearranged:
            for number in range(MOST_ROUNDS):
                if self.attempts.monitor.stopped is not None:
                    return
                yield number

    def _prepared(self, state: State) -> tuple[Assignment, list[Merge]]:
        """Return the view under a state and predicted losses of merges, cached."""
        if self.latest is None or self.latest[0] is not state:
            assignment = Assignment.under(self.view, state)
            most = MOST_MERGES * state.current_mixture().n_components
            self.latest = state, assignment, merge_losses(self.view, state, assignment, most)
        return self.latest[1:]

    def _moves(self, state: State) -> Iterator[Move]:
        """Yield moves worth a trial: fewer components first where K is free, then by gain."""
        assignment, merges = self._prepared(state)
        splits = best_splits(self.view, state, assignment)
        K = state.current_mixture().n_components
        moves = [
            Move(split, (i, j), split.gain - loss)
            for split in splits
            for loss, i, j in merges
            if split.group[0] not in (i, j)
        ]
        if self.view.objective.variational and self.model.prune:
            yield from (Move(None, (i, j), -loss) for loss, i, j in merges[:4])
            if self.model.n_components > K:
                moves += [Move(split, None, split.gain - self.accident) for split in splits[:4]]
        moves.sort(key=lambda move: -move.predicted)
        used: Counter[tuple[int, ...]] = Counter()
        tried = 0
        for move in moves:
            if tried > 2 * K:
                return
            # Limit repetition, so that different components are split and merged.
            if all(used[group] < 3 for group in move.touched):
                used.update(move.touched)
                tried += 1
                yield move

    def _divisions(self, state: State) -> list[Move]:
        """Return divisions of overlapping pairs, by predicted gain."""
        assignment, merges = self._prepared(state)
        splits = best_divisions(self.view, state, assignment, [(i, j) for _, i, j in merges])
        moves = [Move(split, None, split.gain - self.accident) for split in splits]
        return sorted(moves, key=lambda move: -move.predicted)[:MOST_DIVISIONS]

    def _first_better(self, problem: Problem, moves: Iterable[Move], state: State) -> State | None:
        """Return the first trial that is better at once, or else when followed."""
        # For gains predicted on a subsample, only moves that should gain are tried.
        same_rows = problem.source is self.view.source
        least = -HOPELESS * self.view.source.total_weight - 10.0 if same_rows else 0.0
        moves = (move for move in moves if move.predicted > least)
        behind: list[tuple[Move, State]] = []
        begun, followed = (partial(step, problem, state) for step in (self._begun, self._followed))
        threads = 1 + problem.source.idle(state.current_mixture().n_components)
        for move, trial in self.attempts.in_order(begun, moves, threads):
            if trial is not None:
                if self._is_better(problem, trial, state):
                    return followed(self.attempts, (move, trial))
                behind.append((move, trial))
            if self.attempts.monitor.stopped is not None:
                return None
        behind.sort(key=lambda entry: self.attempts.rank(entry[1]), reverse=True)
        most = len(behind) if self.thorough else MOST_FOLLOWED
        for _, better in self.attempts.in_order(followed, behind[:most], threads):
            if better is not None or self.attempts.monitor.stopped is not None:
                return better
        for move, trial in behind[most:]:
            self._note(self.attempts, move, trial, state, accepted=False)
        return None

    def _begun(
        self, problem: Problem, state: State, attempts: Attempts, move: Move
    ) -> State | None:
        """Run the first passes of a trial; return None for a singular covariance."""
        try:
            trial: State | None = move.begun(problem, state)
        except DegenerateFitError:
            return None
        least = state.objective - BEHIND * problem.source.total_weight
        for passes in STAGES:
            trial = trial and attempts.run(problem, trial, passes)
            if trial is None or (trial.objective < least and not self.thorough):
                break
        return trial

    def _followed(
        self, problem: Problem, state: State, attempts: Attempts, entry: tuple[Move, State]
    ) -> State | None:
        """Run a trial to its end; return None if it is not better or falls behind."""
        move, trial = entry
        goal = self._goal(problem, trial, state)
        least = state.objective - BEHIND * problem.source.total_weight
        counts = state.expectation.counts
        for _ in range(MOST_STRETCHES):
            if trial.status != "max_iter" or attempts.monitor.stopped is not None:
                break
            returns = move.kind == "divide" and equal_counts(trial.expectation.counts, counts)
            if trial.objective < least or (returns and trial.objective < goal):
                break
            before = trial.objective
            further = attempts.run(problem, trial, MORE_PASSES)
            if further is None:
                return None
            trial = further
            if trial.objective + PATIENCE * (trial.objective - before) < goal:
                break
        accepted = self._is_better(problem, trial, state)
        self._note(attempts, move, trial, state, accepted)
        return trial if accepted else None

    def _is_better(self, problem: Problem, trial: State, state: State) -> bool:
        if is_valueless(problem, state) or is_valueless(problem, trial):
            return self.attempts.rank(trial) > self.attempts.rank(state)
        return trial.objective > self._goal(problem, trial, state)

    def _goal(self, problem: Problem, trial: State, state: State) -> float:
        """Return the objective that a trial must exceed."""
        goal = state.objective + BETTER * problem.source.total_weight
        if problem.source is self.view.source:
            goal += self.accident * (
                trial.current_mixture().n_components - state.current_mixture().n_components
            )
        return goal

    def _note(
        self, attempts: Attempts, move: Move, trial: State, state: State, accepted: bool
    ) -> None:
        gain = trial.objective - state.objective
        attempts.note(move.kind, str(move), trial, gain, accepted)


def best_divisions(
    problem: Problem, state: State, assignment: Assignment, pairs: Sequence[tuple[int, int]]
) -> list[Split]:
    """The best divisions of each pair that differ from the present one."""
    passes = (FIRST_PASSES, FURTHER_PASSES)
    divisions = two_component_fits(
        problem, state, assignment, pairs, _pair_sides, DIVISIONS_OF_A_PAIR, passes
    )
    return [
        split for split, present in divisions if not equal_counts(split.statistics.counts, present)
    ]


def _pair_sides(values: Array, weights: Array) -> list[Array]:
    """Quarters along the longest axis, core and rim, and sides along an axis of two heaps."""
    white: Any = whitened(values, weights)
    if not white.shape[1]:  # identical observations
        return []
    distance = np.einsum("nd,nd->n", white, white)
    longest = white[:, -1]
    sides = [longest > quarter for quarter in quantiles(longest, weights, (0.25, 0.5, 0.75))]
    sides += [distance < middle for middle in quantiles(distance, weights, (0.5,))]
    if white.shape[1] > 1:
        # Kurtosis is least across two heaps; where some values lie far out it is largest.
        _, axes = np.linalg.eigh((weights * distance * white.T) @ white)
        sides += list((oriented(white @ axes[:, [0, -1]], weights) > 0.0).T)
    return sides


def merge_losses(problem: Problem, state: State, assignment: Assignment, most: int) -> list[Merge]:
    """Return predicted losses of merging the ``most`` overlapping pairs, smallest first.

    A pair is replaced by one component fitted to both; the other responsibilities are fixed.
    """
    mixture = state.current_mixture()
    if mixture.n_components == 1:
        return []
    shares, weights = assignment.responsibilities, assignment.weights
    overlaps, lengths = assignment.overlaps()
    # An empty component may be merged with either of two others, so that all may be split.
    empty = np.flatnonzero(lengths * lengths < EMPTY)
    for partner in np.argsort(-lengths, kind="stable")[:2]:
        overlaps[empty, partner] = overlaps[partner, empty] = np.inf
    first, second = np.triu_indices(mixture.n_components, 1)
    order = np.argsort(-overlaps[first, second], kind="stable")[:most]
    before = problem.objective.regulariser(mixture)
    losses: list[Merge] = []
    for i, j in zip(first[order].tolist(), second[order].tolist(), strict=True):
        merged = state.expectation.statistics.merged(i, j)
        try:
            updated = problem.objective.update(
                of_statistics(merged), mixture, problem.frame, problem.guard.resolution
            )
            pooled = problem.densities(updated).components.subset(np.array([i]))
        except DegenerateFitError:
            continue
        density = pooled.expected_log_density(assignment.values)[:, 0]
        rest = np.maximum(1.0 - shares[:, i] - shares[:, j], 0.0)
        log_odds = density + updated.weights.expected_log()[i] - assignment.log_normaliser
        odds = np.exp(np.minimum(log_odds, LARGEST_ODDS))
        # An observation that no component explains gives an infinite loss.
        with np.errstate(divide="ignore"):
            gained = np.log(rest + odds) @ weights
        losses.append((before - problem.objective.regulariser(updated) - float(gained), i, j))
    return sorted(losses)


def equal_counts(counts: Array, other_counts: Array) -> bool:
    """Whether components hold nearly as many observations, in any order."""
    return len(counts) == len(other_counts) and bool(
        np.abs(np.sort(counts) - np.sort(other_counts)).max() < EQUAL_COUNTS * other_counts.sum()
    )
